"""Jobs of a service: what is asked, how long, how often, and what an answer means. Clients differ below this line."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from .._compat import zip_strict
from .._printable import printable
from .._quantity import quantity
from ..exceptions import DeviceClosedError, JobError, ResultError, ServiceError, SubmissionError
from .answers import in_words
from .asking import ANSWER_SECS, ask_within
from .client import ServiceClient
from .errors import (
    JobExistsError,
    PuzzlingAnswerError,
    is_cut,
    is_outage,
    is_unknown_job,
    service_error,
    status_code,
)
from .exchange import exchange
from .job import ListedJob, PubData, SentJob
from .metrics import JobMetrics, QueueInfo, read_metrics, read_place
from .outage import Outage, wait_on
from .retry import RetryPolicy
from .states import Ending, State, UnknownStateError, error_of

logger = logging.getLogger(__name__)

T = TypeVar("T")
Job = TypeVar("Job", SentJob, ListedJob)

FETCHES = 6
"""Tries to fetch a result that arrives damaged; it is kept at IBM, so another try costs nothing."""

LONGEST_FETCH_PAUSE_SECS = 5.0
"""Longest pause between two of them."""

SEND_SECS = 300.0
"""Longest wait for an answer that carries circuits or results."""

CANCEL_SECS = 30.0
"""Longest wait for a cancellation, tries included; it is tried on in the background."""

PLACE_SECS = 10.0
"""Longest wait for a place in the queue: nothing depends on it."""


def _do_nothing(_: object) -> None:
    """Nobody wants to know."""


class JobService(ServiceClient):
    """Jobs on one backend of a service.

    Where something must be known, it is asked until the service answers; ``check`` is called meanwhile, and what it raises ends
    the waiting.

    Attributes:
        outage: Whether the service answers.
    """

    outage: Outage

    def submit(
        self,
        primitive: str,
        pubs: Sequence[Any],
        lane: Any,
        batch: Any,
        tags: Sequence[str],
        most_secs: int | None = None,
    ) -> SentJob:
        """Send one job, once.

        Args:
            primitive: ``"sampler"`` or ``"estimator"``.
            pubs: PUBs in the primitive's form.
            lane: What the lane owns that it is sent through.
            batch: A context for several jobs, as of :meth:`open_batch`; ``None`` for the lane's own session or backend.
            tags: Tags by which the job can be found again: one of its device, one of its own, then the user's.
            most_secs: QPU seconds after which the service stops it; ``None`` for its own limit.

        Raises:
            JobExistsError: The service accepted it, and what the client asks of it then failed.
            SubmissionError: The service did not accept the job, or did not say which it is.
        """
        with exchange() as met:
            try:
                job_id, handle = self._within(
                    SEND_SECS, lambda: self._send(primitive, pubs, lane, batch, tags, most_secs), "a job"
                )
            except Exception as error:
                if met.job_id:
                    raise JobExistsError(
                        f"{self.backend.name} accepted job {met.job_id}, and what follows failed: {in_words(error)}",
                        met.job_id,
                    ) from error
                # an answer that cannot be read is an error of any kind, and the job may exist
                raise SubmissionError(
                    f"{self.backend.name} did not accept a job of {quantity(len(pubs), 'circuit')}: {in_words(error)}",
                    status_code=status_code(error) or met.status,
                ) from error
        if not isinstance(job_id, str) or not job_id.strip():
            raise SubmissionError(
                f"{self.backend.name} accepted a job of {quantity(len(pubs), 'circuit')} and gave {job_id!r} as its id.",
                status_code=200,
            )
        return SentJob(job_id, primitive, len(pubs), tags[1], handle)

    def pending(self, tag: str, most: int) -> dict[str, ListedJob]:
        """Jobs with a tag that are queued or running, by id: one request for all of them.

        Raises:
            ServiceError: The service did not answer properly.
        """
        listed = self._ask(lambda: self._list(tag, most, pending=True), "a list of jobs")
        return {job.job_id: job for job in listed}

    def find(self, tag: str, primitive: str, pubs: int, check: Callable[[], None] = wait_on) -> list[SentJob]:
        """All jobs that carry a tag, oldest first; asked until the service answers.

        Raises:
            ServiceError: The service refuses to say, or its answers make no sense for an hour.
        """
        try:
            jobs = self._ask_until_answered(
                lambda: self._list(tag, 20, pending=False), "a list of jobs", check
            )
        except ServiceError as error:
            raise ServiceError(
                f"Whether a job with tag {tag} exists could not be asked: {error}",
                status_code=status_code(error),
            ) from error
        # a service that overlooks what was asked for lists jobs that are no business of ours
        return [SentJob(j.job_id, primitive, pubs, tag, j.handle) for j in reversed(jobs) if tag in j.tags]

    def known(
        self, job_id: str, tag: str, primitive: str, pubs: int, check: Callable[[], None] = wait_on
    ) -> SentJob | None:
        """The job that the service once named, if it still knows it and it carries the tag.

        Raises:
            ServiceError: The service refuses to say, or its answers make no sense for an hour.
        """
        try:
            job = self._ask_until_answered(lambda: self._get(job_id), f"job {job_id}", check)
        except ServiceError as error:
            if is_unknown_job(error):
                return None
            raise
        return SentJob(job_id, primitive, pubs, tag, job.handle) if tag in job.tags else None

    def usage(self, job: SentJob) -> float | None:
        """QPU seconds that a job was charged; ``None`` if the service does not say."""
        return self._ask_in_passing(lambda: self._usage(job), f"the usage of job {job.job_id}")

    def metrics(self, job: SentJob) -> JobMetrics:
        """Charge and times of a job.

        Raises:
            ServiceError: The service did not answer properly.
        """
        return read_metrics(
            job.job_id, self._ask(lambda: self._metrics(job), f"the metrics of job {job.job_id}")
        )

    def left(self) -> float | None:
        """QPU seconds left to whoever pays; ``None`` if there is no limit or the service does not say."""
        return self._ask_in_passing(self._left, "the usage that is left")

    def place(self, job: SentJob) -> QueueInfo | None:
        """The place of one job in its queue; ``None`` if the service did not answer properly, which is no harm."""
        what = f"the place of job {job.job_id}"
        return self._ask_in_passing(lambda: read_place(self._metrics(job)), what, PLACE_SECS)

    def running_secs(self, job: SentJob) -> float | None:
        """Seconds that a finished job ran; ``None`` if the service did not say, which is no harm."""
        what = f"the time that job {job.job_id} took"
        return self._ask_in_passing(
            lambda: read_metrics(job.job_id, self._metrics(job)).running_secs, what, PLACE_SECS
        )

    def state(self, job: SentJob) -> State:
        """The state of one job.

        Raises:
            UnknownStateError: It is none of those that are known.
            ServiceError: The service did not answer properly.
        """
        return self._ask(lambda: self._state(job), f"the state of job {job.job_id}")

    def state_for_sure(self, job: SentJob, check: Callable[[], None]) -> State:
        """The state of one job, asked until the service answers; one that is not known is none that is final."""
        try:
            return self.outage.ask(lambda: self.state(job), check)
        except UnknownStateError:
            return State.PENDING

    def fetch(self, job: SentJob, state: State, pubs: Sequence[Any]) -> list[PubData]:
        """The results of a job that came to a final state, one for each PUB that was sent.

        Raises:
            JobFailedError: IBM reports the job as failed.
            JobCancelledError: The job was cancelled.
            ResultError: The result has the wrong type or length.
        """
        if state is not State.DONE:
            raise self._no_result(job, state)
        problems: list[str] = []

        def attempt() -> list[PubData]:
            results, problem = self._download(job, pubs)
            problem = problem or _mismatch(job, results)
            if not problem:
                return results
            logger.warning("job %s: %s", job.job_id, printable(problem, lines=True))
            problems.append(problem)
            raise _DamagedResultError

        try:
            return RetryPolicy(0.1, LONGEST_FETCH_PAUSE_SECS, FETCHES).run(
                attempt,
                passes=lambda error: isinstance(error, _DamagedResultError),
                pause=self.outage.pause,
            )
        except _DamagedResultError:
            raise self._damaged(job, problems) from None

    def cancel(self, jobs: Sequence[Job], answered: Callable[[Job], None] = _do_nothing) -> list[str]:
        """Cancel jobs, all at once, as each may take its time at a service in trouble; what is finished stays as it is.

        Args:
            jobs: The jobs.
            answered: Called with each to whose cancellation the service has answered, in a thread of its own.

        Returns:
            Ids of those to which the service has not answered within :data:`CANCEL_SECS`. They are cancelled in the background,
            as soon as it answers again and while the device is open.
        """
        threads = [
            threading.Thread(
                target=self._cancel_one, args=(job, answered), name="threaded-ibmq-cancel", daemon=True
            )
            for job in jobs
        ]
        for thread in threads:
            thread.start()
        until = time.monotonic() + self.outage.clock.limit(CANCEL_SECS)
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        return [job.job_id for job, thread in zip_strict(jobs, threads) if thread.is_alive()]

    # ------------------------------------------------------------------------------------------------------ inside

    def _within(self, secs: float, ask: Callable[[], T], what: str) -> T:
        return ask_within(secs, ask, what, self.outage.clock)

    def _ask(self, question: Callable[[], T], what: str, secs: float | None = None) -> T:
        """Ask once, for at most so many seconds.

        Raises:
            NoAnswerError: There was no answer, or the service says that it has none now.
            PuzzlingAnswerError: The answer makes no sense.
            ServiceError: The service refuses to answer.
        """
        try:
            return self._within(ANSWER_SECS if secs is None else secs, question, what)
        except ServiceError:
            raise
        except Exception as error:
            # what cannot be read is an error of any kind
            kind = PuzzlingAnswerError if status_code(error) is None else ServiceError
            raise service_error(
                error, f"{what[0].upper()}{what[1:]} could not be read: {in_words(error)}", kind
            ) from error

    def _ask_until_answered(
        self, question: Callable[[], T], what: str, check: Callable[[], None] = wait_on
    ) -> T:
        """Ask until the service answers."""
        return self.outage.ask(lambda: self._ask(question, what), check)

    def _ask_in_passing(
        self, question: Callable[[], T | None], what: str, secs: float | None = None
    ) -> T | None:
        """Ask once for what nothing depends on; ``None`` if the service did not answer properly."""
        try:
            return self._ask(question, what, secs)
        except ServiceError as error:
            logger.info("%s is not known: %s", what, error)
            return None

    def _cancel_one(self, job: Job, answered: Callable[[Job], None]) -> None:
        """Cancel a job, as late as it has to be."""

        def once() -> None:
            try:
                self._cancel(job.handle)
            except self.already_finished_error:
                logger.debug("job %s was finished before it could be cancelled", job.job_id)

        try:
            self._ask_until_answered(once, f"the cancellation of job {job.job_id}")
        except ServiceError as error:
            logger.warning("job %s could not be cancelled: %s", job.job_id, error)
        except DeviceClosedError:
            logger.warning("job %s was not cancelled before the device was closed.", job.job_id)
        else:
            answered(job)

    def _download(self, job: SentJob, pubs: Sequence[Any]) -> tuple[list[PubData], str]:
        """Results of a job, and what is wrong with them if something is."""

        def download() -> tuple[list[PubData], str]:
            try:
                return self._within(
                    SEND_SECS, lambda: self._results(job, pubs), f"the result of job {job.job_id}"
                )
            except self.problems as error:
                if is_outage(error) and not is_cut(error):
                    raise
                return [], f"it could not be downloaded: {in_words(error).rstrip('.')}."

        return self.outage.ask(download)

    def _damaged(self, job: SentJob, problems: Sequence[str]) -> ResultError:
        """The error about a result that was damaged each time, given what was wrong with it."""
        problem = problems[-1]
        advice = f"It is kept at IBM: {self.coming_back.format(repr(job.job_id))}."
        if self.is_private(job):
            problem = problems[0]  # what came after is that there is nothing any more
            advice = (
                "It was a private job, whose result IBM gives out once and does not keep: it is lost. The same tapes, run again, "
                "are sent again and paid for again. Leave environment.private out of primitive_options where a result must "
                "outlive a broken download."
            )
        return ResultError(
            f"Job {job.job_id} finished on {self.backend.name}, but its result is damaged: {problem} {advice}",
            job_ids=[job.job_id],
        )

    def _no_result(self, job: SentJob, state: State) -> JobError:
        """The error for a job that ended without a result."""
        ending = Ending()
        if state is not State.TOO_LONG:
            try:
                ending = self._ask_until_answered(lambda: self._ending(job, state), "the reason of a failure")
            except ServiceError as error:
                ending = Ending(f"its reason could not be read: {error}")
        # clients say that it failed, whether or not they know more
        unknown = ending.reason.strip() in {"", "None"} or ending.reason.rstrip().endswith("has failed:")
        if state is State.FAILED and unknown:
            ending = Ending(self.without_reason.format(repr(job.job_id)), ending.code)
        return error_of(job.job_id, str(self.backend.name), state, ending)


class _DamagedResultError(Exception):
    """A result arrived, and not as it was made."""


def _mismatch(job: SentJob, results: Sequence[PubData]) -> str:
    """The sign that some results are not those of a job; empty if there is none."""
    if len(results) != job.pubs:
        return f"{len(results)} PUB results instead of {job.pubs}."
    foreign = {one.mark for one in results if one.mark} - {job.tag}
    return f"it is that of another job, whose tag is {min(foreign)}." if foreign else ""
