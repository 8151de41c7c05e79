"""Run shards as jobs of a service: each is written down before it is sent, and sent once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from .._compat import zip_strict
from .._quantity import quantity
from .._tags import OWN_PREFIX
from ..circuits.decode import BlockResult
from ..circuits.shards import Shard, circuits_text
from ..exceptions import (
    JobCancelledError,
    JobFailedError,
    JournalError,
    ResultError,
    SubmissionError,
    ThreadedIBMQError,
)
from ..service.arrival import arrival_secs
from ..service.calls import Steps
from ..service.errors import PASSING_JOB_CODES, Trouble, is_outage, judge_submission, retry_after
from ..service.marks import mark_pubs
from ..service.pace import Pacer
from ..service.queue import QueueInfo
from ..service.service import JobService, SentJob
from ..service.usage import JobMetrics
from ..store.journal import Journal
from ..store.records import Attempt, NewShard, ShardState
from ..store.trust import is_mitigated
from .finder import JobFinder
from .metadata import PubMetadata, metadata_by_tape, without_numbers
from .primitives import primitive_pubs, read_results
from .queue import Listener
from .runner import JournalEntry, ShardRun, refuse_given_up
from .shared import SharedBatch
from .usage_limit import UsageLimit
from .watcher import Watcher, WrongJobError

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript

logger = logging.getLogger(__name__)

LOOK_SECS = 0.2
"""Between two looks into the journal for what another program is just sending."""

USAGE_SECS = 300.0
"""Between two tries at an instance that has met its usage limit."""

MOST_SENDINGS = 5
"""How often a shard is sent whose job does not exist although the service answered; one that is out is sent to again later."""

LONGEST_SENDING_PAUSE_SECS = 30.0
"""Between two sendings of a shard."""


class ServiceRunner:
    """One backend of a service.

    Args:
        jobs: Jobs on the backend.
        open_inner: Makes the inner device of a lane, in its thread.
        session: An open session of the user's, or ``None``.
        instance: Who pays, for the journal.
        pacer: Slots of the backend.
        journal: Where jobs are written down; ``None`` for nowhere.
        max_retries: How often a shard is sent again whose job failed for a reason that can pass.
        shaping: Options of the device by which its jobs are recognised, for the journal.
        options: All that a job is sent with beside its circuits, as a text that is the same in the next program.
        by_circuits: Jobs are told apart by their compiled circuits too, as the user compiles them.
        waits_for_usage: A shard waits while the instance has met its usage limit, in place of failing.
        learns_speed: The backend is a simulator, and its jobs tell how fast it is.
    """

    def __init__(
        self,
        jobs: JobService,
        open_inner: Callable[[], Any],
        session: Any = None,
        *,
        instance: str,
        pacer: Pacer,
        journal: Journal | None,
        max_retries: int,
        job_options: Mapping[str, Any],
        options: str = "",
        by_circuits: bool = False,
        waits_for_usage: bool = False,
        learns_speed: bool = False,
    ) -> None:
        self._jobs = jobs
        self._open_inner = open_inner
        self._session = session
        self._instance = instance
        self._pacer = pacer
        self._journal = journal
        self._max_retries = max_retries
        self._shaping = job_options
        self._usage_limit = UsageLimit(instance, waits=waits_for_usage)
        self._options = options
        self._by_circuits = by_circuits
        self._learns_speed = learns_speed
        self._tag = f"{OWN_PREFIX}{uuid4().hex[:12]}"
        self._finder = JobFinder(jobs)
        self.watcher = Watcher(jobs)

    def open_inner(self) -> Any:
        """What a lane sends its jobs through, in its own thread."""
        return self._open_inner()

    def register(
        self,
        tapes: Sequence[QuantumScript],
        shards: Sequence[Shard],
        seeds: Sequence[int],
        resume: str | None,
        tags: tuple[str, ...] = (),
    ) -> list[JournalEntry]:
        """Write a batch down, and take over what an earlier program left of it."""
        entries = [
            JournalEntry(seed, number=i, tag=self._new_tag(), tags=tags) for i, seed in enumerate(seeds)
        ]
        if self._journal is None:
            return entries
        batch_id, claims = self._journal.begin(
            str(self._jobs.backend.name),
            self._instance,
            tapes,
            [
                NewShard(self._content(shard), entry.seed, shard.positions, entry.tag)
                for entry, shard in zip_strict(entries, shards)
            ],
            options=self._shaping,
            resume=resume,
            tags=tags,
        )
        for entry, claim in zip_strict(entries, claims):
            entry.batch_id = batch_id
            if claim is not None:
                entry.claimed, entry.seed, entry.tag = claim, claim.seed, claim.tag
        return entries

    def open_cut(self, tapes: int, cut: Callable[[int], tuple[Shard, ...]]) -> tuple[Shard, ...] | None:
        """A batch as an earlier program has cut it whose jobs can be taken over; ``None`` if none has left any.

        Args:
            tapes: Tapes of the batch.
            cut: Cuts it into shards of so many tapes.
        """
        if self._journal is None:
            return None
        where = str(self._jobs.backend.name), self._instance
        for size in self._journal.open_sizes(*where, tapes):
            shards = cut(size)
            if self._journal.is_there([self._content(shard) for shard in shards], *where):
                return shards
        return None

    def start(self, shards: int) -> SharedBatch:
        """The Batch context that the jobs of one batch of tapes share."""
        return SharedBatch(self._jobs, shards if self._session is None else 0)

    def run(self, run: ShardRun, shared: SharedBatch) -> Steps[list[BlockResult]]:
        """Send one shard, wait for its job and fetch the result; again if the job failed for a reason that can pass."""
        with shared.sending() as batch:
            job = self._take_over(run) or (yield from self._send_own(run, batch))
        for left in reversed(range(self._max_retries + 1)):
            try:
                return self._collect(run, job)
            except (JobFailedError, JobCancelledError) as error:
                again = left and run.entry.may_send and not run.given_up.is_set()
                if not again or error.code not in PASSING_JOB_CODES:
                    raise
                logger.warning("%s It is sent again.", error, extra=_extra(run, job, "failed"))
            # without a job, so that whoever lets the batch go meanwhile stops this sending too
            run.job = None
            run.report(ShardState.PLANNED)
            job = self._job_of_others(run, failed=run.entry.tag) or (yield from self._send_own(run))
        raise AssertionError(left)

    def cancel(self, runs: Sequence[ShardRun]) -> None:
        """Cancel jobs, all at once: each may take its time at a service in trouble."""
        jobs = [run.job for run in runs if run.job is not None]
        unanswered: list[str] = []

        def cancel(job: SentJob) -> None:
            if not self._jobs.cancel(job):
                unanswered.append(job.job_id)

        threads = [
            threading.Thread(target=cancel, args=(job,), name="threaded-ibmq-cancel", daemon=True)
            for job in jobs
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if unanswered:
            logger.warning(
                "%s not cancelled yet, as %s does not answer: %s. That happens when it does, while this "
                "program runs and its device is open; threaded-ibmq cancel with the id of the batch does it later.",
                quantity(len(unanswered), "job is", "jobs are"),
                self._jobs.backend.name,
                ", ".join(unanswered),
            )

    def deliver(self, runs: Sequence[ShardRun]) -> None:
        """Write down that the program has the results of some shards."""
        if self._journal is not None and runs:
            try:
                self._journal.deliver(runs[0].entry.batch_id, [run.entry.number for run in runs])
            except JournalError as error:
                logger.warning("%s Results that the program has may be given to its next run again.", error)

    def let_go(self, batch_id: str) -> None:
        """Write down that nobody waits for a batch."""
        if self._journal is not None:
            try:
                self._journal.let_go(batch_id)
            except JournalError as error:
                logger.warning("%s Batch %s is free when this program has ended.", error, batch_id)

    def usage(self, run: ShardRun) -> float | None:
        """QPU seconds that a shard's job was charged."""
        if run.job is None or run.usage_secs is not None:
            return run.usage_secs
        seconds = run.usage_secs = self._jobs.usage(run.job)
        if self._journal is not None and seconds is not None:
            try:
                run.charge(run.job.tag, seconds)
                self._journal.charge(run.entry.batch_id, run.entry.number, seconds)
            except JournalError as error:
                logger.warning("%s", error)
        return seconds

    def metadata(self, run: ShardRun) -> dict[int, tuple[PubMetadata, ...]]:
        """What the service said of each tape of a shard beside its numbers."""
        if run.job is None or not run.answers:
            return {}
        most, takes_rz = self._jobs.most_shots, self._jobs.takes_rz
        return metadata_by_tape(run.requests, run.answers, run.job, most, takes_rz=takes_rz)

    def metrics(self, run: ShardRun) -> JobMetrics | None:
        """Charge and times of a shard's job."""
        return None if run.job is None else self._jobs.metrics(run.job)

    # ------------------------------------------------------------------------------------------------ inside

    def _pubs(self, run: ShardRun) -> list[tuple[Any, ...]]:
        """What a shard's job is sent with."""
        return primitive_pubs(run.requests, self._jobs.most_shots, takes_rz=self._jobs.takes_rz)

    def _content(self, shard: Shard) -> str:
        """By what a shard is recognised when a program runs again."""
        return shard.content(self._options, *([circuits_text(shard)] if self._by_circuits else []))

    def _new_tag(self) -> str:
        return f"{self._tag}-{uuid4().hex[:12]}"

    def _note(
        self, entry: JournalEntry, state: ShardState, *, job_id: str | None = None, error: str = ""
    ) -> None:
        """Write down what became of a sending. If that fails the run goes on: the job can be found by its tag."""
        if self._journal is None:
            return
        try:
            self._journal.move(entry.batch_id, entry.number, state, tag=entry.tag, job_id=job_id, error=error)
        except JournalError as failure:
            logger.warning("%s Shard %d of batch %s is %s.", failure, entry.number, entry.batch_id, state)

    def _win(self, entry: JournalEntry, state: ShardState | None) -> bool:
        """Make the shard's next attempt this batch's to send, under another tag; whether it is.

        Args:
            entry: The shard's place in the journal.
            state: What its last attempt had come to when it was found to be good for nothing.
        """
        tag = self._new_tag()
        won = self._journal is None or self._journal.again(
            entry.batch_id, entry.number, entry.tag, tag, state=state
        )
        if won:
            entry.tag = tag
        return won

    def _give_way(self, entry: JournalEntry) -> None:
        """Write down that others who wait for the same job may send it."""
        if self._journal is not None:
            try:
                self._journal.give_way(entry.batch_id, entry.number)
            except JournalError as error:
                logger.warning(
                    "%s Others that wait for shard %d of batch %s wait until this program ends.",
                    error,
                    entry.number,
                    entry.batch_id,
                )

    def _running(self, run: ShardRun) -> None:
        """The watcher happened to see that a shard's job runs."""
        run.report(ShardState.RUNNING)
        if self._journal is not None:
            try:
                self._journal.running(run.entry.batch_id, run.entry.number)
            except JournalError as error:
                # nothing but the picture of the batch is the poorer for it
                logger.warning("%s", error)

    def _place(self, run: ShardRun, info: QueueInfo) -> None:
        """The service has said where a shard's job waits."""
        run.place(info)
        if self._journal is not None and not info.running:
            try:
                self._journal.place(run.entry.batch_id, run.entry.number, info.position, info.starts_at)
            except JournalError as error:
                # nothing but the pages is the poorer for it
                logger.warning("%s", error)

    def _take_over(self, run: ShardRun) -> SentJob | None:
        """The job of an earlier program for the same content, if there is one and it is good for something."""
        if run.entry.claimed is None:
            return None
        job = self._job_of_others(run)
        if job is not None:
            logger.info("job %s of an earlier program is taken over", job.job_id, extra=_extra(run, job))
        return job

    def _job_of_others(self, run: ShardRun, *, failed: str = "") -> SentJob | None:
        """The job that another program has sent, or is just sending, for a shard.

        Args:
            run: The shard.
            failed: Tag of an attempt whose job gave no result.

        Returns:
            The job, or ``None``: then there is none, and it is this batch's turn to send one. That has been written down,
            so that nobody else sends it too.
        """
        entry = run.entry
        while True:
            refuse_given_up(run)
            attempt = None
            if self._journal is not None:
                attempt = self._journal.attempt(entry.batch_id, entry.number)
                entry.tag = attempt.tag
                if attempt.is_being_sent:
                    run.given_up.wait(LOOK_SECS)
                    continue
            job = self._found(run, attempt) if attempt is not None and entry.tag != failed else None
            if (
                job is not None
                or not entry.may_send
                or self._win(entry, None if attempt is None else attempt.state)
            ):
                return job

    def _found(self, run: ShardRun, attempt: Attempt) -> SentJob | None:
        """The job of an attempt that somebody else has sent, if it is good for something."""
        if attempt.state not in {ShardState.SENDING, ShardState.ACCEPTED, ShardState.DONE}:
            return None
        with _busy(run):
            try:
                job = self._finder.take_over(run, attempt)
            except ResultError as error:
                self._note(run.entry, ShardState.FAILED, error=str(error))
                raise
            if job is None:
                return None
            self._note(run.entry, ShardState.ACCEPTED, job_id=job.job_id)
            self._keep(run, job)
        run.report(ShardState.ACCEPTED, job_id=job.job_id)
        return job

    def _keep(self, run: ShardRun, job: SentJob) -> None:
        """A shard has a job from here on: one that arrives after the batch was cancelled is cancelled too."""
        run.job = job
        if run.cancelled:
            self._jobs.cancel(job)

    def _send_own(self, run: ShardRun, batch: Any = None) -> Steps[SentJob]:
        """Send a shard whose attempt is this batch's to send, in IBM's Batch if there is one."""
        try:
            return (yield from self._send(run, batch))
        except BaseException:
            self._give_way(run.entry)
            raise

    def _send(self, run: ShardRun, batch: Any) -> Steps[SentJob]:
        """Send a shard as one job, as often as it takes for the service to have exactly one."""
        self._reserve(run)
        pubs = self._pubs(run)
        try:
            return (yield from self._send_until_accepted(run, pubs, batch))
        finally:
            self._jobs.outage.forget(run)

    def _send_until_accepted(self, run: ShardRun, pubs: Sequence[Any], batch: Any) -> Steps[SentJob]:
        tries = odd = 0
        while True:
            while not self._pacer.enter(run.given_up):
                refuse_given_up(run)
            run.slotted = True
            limited = False
            job = None
            with _busy(run):
                try:
                    job = yield from self._send_once(run, pubs, batch)
                except SubmissionError as error:
                    trouble = judge_submission(error)
                    if trouble is Trouble.PENDING_LIMIT:
                        run.slotted = False
                        self._pacer.no_slot()
                    elif trouble is Trouble.RATE_LIMIT:
                        run.slotted = False
                        self._pacer.too_fast(retry_after(error))
                    elif trouble is Trouble.USAGE_LIMIT:
                        self._meet_usage_limit(run, error)
                        limited = True
                    elif trouble is Trouble.CLOSED and batch is not None:
                        logger.info("IBM's Batch is over, jobs run singly: %s", error)
                        batch = None
                    else:
                        tries += 1
                        known = trouble is not Trouble.UNKNOWN
                        odd += not self._is_out(run, error)
                        job = self._after_trouble(run, error, known=known, last=odd == MOST_SENDINGS)
                finally:
                    if job is None:
                        self._free_slot(run)
                    else:
                        self._keep(run, job)
            if job is not None:
                self._usage_limit.passed()
                self._jobs.outage.answered(run)
                run.report(ShardState.ACCEPTED, job_id=job.job_id)
                return job
            if limited:
                run.given_up.wait(USAGE_SECS)
            elif tries:
                pause = min(0.2 * 2 ** min(tries, 10), LONGEST_SENDING_PAUSE_SECS)
                self._jobs.outage.pause(pause, partial(refuse_given_up, run))

    def _reserve(self, run: ShardRun) -> None:
        """See that a shard may be paid for, and reserve what it is estimated to use.

        Raises:
            SubmissionError: Nothing is to be sent.
            UsageLimitError: It would be beyond a budget.
        """
        if not run.entry.may_send:
            text = "No job of this part of the batch gave a result, and send=False: it was not sent."
            self._note(run.entry, ShardState.FAILED, error=text)
            raise SubmissionError(text)
        try:
            run.spend(run.entry.tag)
        except ThreadedIBMQError as error:
            self._note(run.entry, ShardState.FAILED, error=str(error))
            raise

    def _send_once(self, run: ShardRun, pubs: Sequence[Any], batch: Any) -> Steps[SentJob]:
        if self._journal is not None:
            # what cannot be written down is not sent
            self._journal.move(run.entry.batch_id, run.entry.number, ShardState.SENDING, tag=run.entry.tag)
        run.report(ShardState.SENDING)
        try:
            # said again while it lasts, so that its last word is not older than the request if this program is killed
            still = partial(self._note, run.entry, ShardState.SENDING)
            tags = (self._tag, run.entry.tag, *run.entry.tags)
            marked = mark_pubs(pubs, run.entry.tag)
            kind = run.shard.blocks[0].primitive
            job = yield from self._jobs.submit(kind, marked, batch, tags, still, run.most_secs)
        except SubmissionError:
            raise
        except BaseException as error:
            self._note(run.entry, ShardState.FAILED, error=str(error))
            raise
        self._pacer.accepted()
        self._note(run.entry, ShardState.ACCEPTED, job_id=job.job_id)
        return job

    def _after_trouble(
        self, run: ShardRun, error: SubmissionError, *, known: bool, last: bool
    ) -> SentJob | None:
        """After a sending that failed, or of which nobody knows whether it arrived: the job, if it exists.

        Raises:
            SubmissionError: It does not, and sending it again is no use.
        """
        job = None if known else self._finder.wait(run, arrival_secs(error))
        if job is not None:
            self._note(run.entry, ShardState.ACCEPTED, job_id=job.job_id)
        elif known or last:
            self._note(run.entry, ShardState.FAILED, error=str(error))
            raise error
        return job

    def _meet_usage_limit(self, run: ShardRun, error: SubmissionError) -> None:
        """Say that the instance has no QPU time left, and that the shard waits for it.

        Raises:
            SubmissionError: It is not to wait.
        """
        try:
            self._usage_limit.met(error, run.entry.batch_id)
        except SubmissionError as refusal:
            self._note(run.entry, ShardState.FAILED, error=str(refusal))
            raise
        # it waits for days, and whoever looks is to see that nothing is under way
        self._note(run.entry, ShardState.PLANNED)
        run.report(ShardState.PLANNED)

    def _is_out(self, run: ShardRun, error: SubmissionError) -> bool:
        """Whether a sending failed because the service does not answer, which is told to the user if it lasts."""
        out = is_outage(error)
        if out:
            self._jobs.outage.failed(run, error)
        return out

    def _free_slot(self, run: ShardRun) -> None:
        if run.slotted:
            run.slotted = False
            self._pacer.leave()

    def _collect(self, run: ShardRun, job: SentJob) -> list[BlockResult]:
        """Wait for a shard's job and read its result; where the service named the wrong one, for that with its tag."""
        try:
            return self._result(run, job)
        except (WrongJobError, ResultError) as error:
            ours = self._finder.find(run)
            if ours is None or ours.job_id == job.job_id:
                raise
            logger.warning(
                "%s Job %s is taken, which carries the tag.", error, ours.job_id, extra=_extra(run, ours)
            )
        self._note(run.entry, ShardState.ACCEPTED, job_id=ours.job_id)
        self._keep(run, ours)
        run.report(ShardState.ACCEPTED, job_id=ours.job_id)
        return self._result(run, ours)

    def _result(self, run: ShardRun, job: SentJob) -> list[BlockResult]:
        """Wait for a job and read its result."""
        try:
            listener = Listener(partial(self._running, run), run.wants_queue_info, partial(self._place, run))
            state = self.watcher.follow(job, listener).result()
            results = self._jobs.fetch(job, state, self._pubs(run))
        except (JobFailedError, WrongJobError) as error:
            self._note(run.entry, ShardState.FAILED, error=str(error))
            raise
        except JobCancelledError as error:
            self._note(run.entry, ShardState.CANCELLED, error=str(error) if error.reason else "")
            raise
        except ResultError as error:
            if self._jobs.is_private(job):  # nobody can fetch it any more
                self._note(run.entry, ShardState.FAILED, error=str(error))
            raise
        finally:
            self._free_slot(run)
        mitigated = is_mitigated(self._jobs.options.get("estimator", {}))
        most, takes_rz = self._jobs.most_shots, self._jobs.takes_rz
        try:
            read = read_results(
                run.requests, results, job, run.rng, most, takes_rz=takes_rz, mitigated=mitigated
            )
        except ResultError as error:
            # it arrived whole, so the next run would find the same
            self._note(run.entry, ShardState.FAILED, error=str(error))
            raise
        self._note(run.entry, ShardState.DONE)
        run.answers = without_numbers(results)
        self._learn_speed(run, job)
        return read

    def _learn_speed(self, run: ShardRun, job: SentJob) -> None:
        """Let a finished job of a simulator tell how long its circuits ran."""
        speed = self._pacer.speed
        circuits = sum(len(pub.values) for request in run.requests for pub in request.pubs)
        if not self._learns_speed or not speed.begin(circuits):
            return
        secs = None
        try:
            secs = self._jobs.running_secs(job)
        finally:
            speed.end(circuits, secs)


@contextmanager
def _busy(run: ShardRun) -> Iterator[None]:
    """Whether the shard has a job is not known while the block runs."""
    run.idle.clear()
    try:
        yield
    finally:
        run.idle.set()


def _extra(run: ShardRun, job: SentJob, state: str = "accepted") -> dict[str, Any]:
    """What a line of the log is about."""
    return {"batch_id": run.entry.batch_id, "shard": run.entry.number, "job_id": job.job_id, "state": state}
