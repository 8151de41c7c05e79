"""Run shards as jobs of a service: adopt the job that exists or send one, wait for it, and read its result.

Each job is written down before it is sent, and sent once.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

from ..circuits.decode import BlockResult
from ..exceptions import (
    JobCancelledError,
    JobFailedError,
    ResultError,
    SubmissionError,
    ThreadedIBMQError,
)
from ..service.arrival import arrival_secs
from ..service.errors import (
    PASSING_JOB_CODES,
    JobExistsError,
    Trouble,
    is_outage,
    judge_submission,
    retry_after,
)
from ..service.job import SentJob
from ..service.metadata import mark_pubs
from ..service.metrics import QueueInfo
from ..service.pace import Pacer
from ..service.result_checks import is_mitigated
from ..service.retry import RetryPolicy
from ..service.service import JobService
from ..store.records import ShardState
from .batch_journal import BatchJournal
from .finder import JobFinder
from .heartbeat import Heartbeat
from .metadata import without_numbers
from .primitives import job_pubs, read_results
from .queue import Listener
from .runner import ShardRun
from .usage_limit import UsageLimit
from .watcher import Watcher, WrongJobError

logger = logging.getLogger(__name__)

USAGE_SECS = 300.0
"""Between two tries at an instance that has met its usage limit."""

MOST_SENDINGS = 5
"""Times that a shard is sent whose job does not exist although the service answered; one that is out is sent to again later."""

LONGEST_SENDING_PAUSE_SECS = 30.0
"""Between two sendings of a shard."""

_SENDINGS = RetryPolicy(0.4, LONGEST_SENDING_PAUSE_SECS, MOST_SENDINGS)


class ServiceRunner:
    """One backend of a service.

    Args:
        jobs: Jobs on the backend.
        journal: Where jobs are written down.
        pacer: Slots of the backend.
        max_retries: How often a shard is sent again whose job failed for a reason that can pass.
        waits_for_usage: A shard waits while the instance has met its usage limit, in place of failing.
        learns_speed: The backend is a simulator, and its jobs tell how fast it is.

    Attributes:
        watcher: Follows the jobs.
    """

    def __init__(
        self,
        jobs: JobService,
        journal: BatchJournal,
        pacer: Pacer,
        *,
        max_retries: int,
        waits_for_usage: bool = False,
        learns_speed: bool = False,
    ) -> None:
        self._jobs = jobs
        self._journal = journal
        self._pacer = pacer
        self._finder = JobFinder(jobs, journal)
        self._usage_limit = UsageLimit(journal.instance, waits=waits_for_usage)
        self._heartbeat = Heartbeat()
        self._speed = pacer.speed if learns_speed else None
        self._max_retries = max_retries
        self.watcher = Watcher(jobs)

    def run(self, run: ShardRun, lane: Any) -> list[BlockResult]:
        """Send one shard, wait for its job and fetch the result; again if the job failed for a reason that can pass."""
        assert run.scope.ibm_batch is not None
        with run.scope.ibm_batch.sending() as batch:
            job = self._finder.take_over(run) or self._send(run, lane, batch)
        for left in reversed(range(self._max_retries + 1)):
            try:
                return self._read(run, job)
            except (JobFailedError, JobCancelledError) as error:
                again = left and run.scope.may_send and not run.given_up.is_set()
                if not again or error.code not in PASSING_JOB_CODES:
                    raise
                logger.warning("%s It is sent again.", error, extra=run.facts("failed", job.job_id))
            # without a job, so that whoever is interrupted names this sending among those that are not answered
            run.job = None
            run.report(ShardState.PLANNED)
            job = self._finder.job_of_others(run, failed=run.tag) or self._send(run, lane)
        raise AssertionError(left)

    def close(self) -> None:
        """Follow no job any more."""
        self.watcher.close()

    # -------------------------------------------------------------------------------------------------- sending

    def _send(self, run: ShardRun, lane: Any, batch: Any = None) -> SentJob:
        """Send a shard whose attempt is this batch's to send as one job, as often as it takes for the service to have exactly one.

        Args:
            run: The shard.
            lane: What its lane owns that it is sent through.
            batch: IBM's Batch in which it is sent, if there is one.
        """
        try:
            self._reserve(run)
            try:
                return self._send_until_accepted(run, job_pubs(run.requests, self._jobs), lane, batch)
            finally:
                self._jobs.outage.forget(run)
        except BaseException:
            self._journal.give_way(run)
            raise

    def _reserve(self, run: ShardRun) -> None:
        """See that a shard may be paid for, and reserve what it is estimated to use.

        Raises:
            SubmissionError: Nothing is to be sent.
            UsageLimitError: It would be beyond a budget.
        """
        try:
            if not run.scope.may_send:
                raise SubmissionError(
                    "No job of this part of the batch gave a result, and send=False: it was not sent."
                )
            if run.scope.spending is not None:
                run.scope.spending.spend(run.spec.number, run.tag)
        except ThreadedIBMQError as error:
            self._journal.note(run, ShardState.FAILED, error=str(error))
            raise

    def _send_until_accepted(self, run: ShardRun, pubs: Sequence[Any], lane: Any, batch: Any) -> SentJob:
        tries = odd = 0
        while True:
            while not self._pacer.enter(run.given_up):
                run.refuse_given_up()
            run.slot = self._pacer
            limited = False
            job = None
            with run.busy():
                try:
                    # whoever releases the batch has looked whether it is idle before or after this
                    run.refuse_given_up()
                    job = self._send_once(run, pubs, lane, batch)
                except SubmissionError as error:
                    trouble = judge_submission(error)
                    if trouble is Trouble.PENDING_LIMIT:
                        run.slot = None
                        self._pacer.no_slot()
                    elif trouble is Trouble.RATE_LIMIT:
                        run.slot = None
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
                        job = self._after_trouble(run, error, known=known, last=_SENDINGS.is_over(odd))
                finally:
                    if job is None:
                        run.free_slot()
                    else:
                        self._journal.hand_over(run, job, self._jobs)
            if job is not None:
                self._usage_limit.passed()
                self._jobs.outage.answered(run)
                run.report(ShardState.ACCEPTED, job_id=job.job_id)
                return job
            if limited:
                run.given_up.wait(USAGE_SECS)
            elif tries:
                self._jobs.outage.pause(_SENDINGS.pause_secs(tries), run.refuse_given_up)

    def _send_once(self, run: ShardRun, pubs: Sequence[Any], lane: Any, batch: Any) -> SentJob:
        self._journal.begin_sending(run)
        run.report(ShardState.SENDING)
        try:
            # said again while it lasts, so that its last word is not older than the request if this program is killed
            still = partial(self._journal.note, run, ShardState.SENDING)
            tags = (self._journal.tag, run.tag, *run.scope.tags)
            kind = run.spec.shard.blocks[0].primitive
            marked = mark_pubs(pubs, run.tag)
            with self._heartbeat.during(still):
                job = self._jobs.submit(kind, marked, lane, batch, tags, run.spec.most_secs)
        except SubmissionError:
            raise
        except BaseException as error:
            self._journal.note(run, ShardState.FAILED, error=str(error))
            raise
        self._pacer.accepted()
        self._journal.note(run, ShardState.ACCEPTED, job_id=job.job_id)
        return job

    def _after_trouble(
        self, run: ShardRun, error: SubmissionError, *, known: bool, last: bool
    ) -> SentJob | None:
        """After a sending that failed, or of which nobody knows whether it arrived: the job, if it exists.

        Raises:
            SubmissionError: It does not, and sending it again is no use.
        """
        job = None
        if isinstance(error, JobExistsError):
            self._journal.note(run, ShardState.ACCEPTED, job_id=error.job_id)
            job = self._finder.created(run, error.job_id)
        if job is None and not known:
            job = self._finder.wait(run, arrival_secs(error))
        if job is not None:
            self._journal.note(run, ShardState.ACCEPTED, job_id=job.job_id)
        elif known or last:
            self._journal.note(run, ShardState.FAILED, error=str(error))
            raise error
        return job

    def _meet_usage_limit(self, run: ShardRun, error: SubmissionError) -> None:
        """Say that the instance has no QPU time left, and that the shard waits for it.

        Raises:
            SubmissionError: It is not to wait.
        """
        try:
            self._usage_limit.met(error, run.scope.batch_id)
        except SubmissionError as refusal:
            self._journal.note(run, ShardState.FAILED, error=str(refusal))
            raise
        # it waits for days, and whoever looks is to see that nothing is under way
        self._journal.note(run, ShardState.PLANNED)
        run.report(ShardState.PLANNED)

    def _is_out(self, run: ShardRun, error: SubmissionError) -> bool:
        """Whether a sending failed because the service does not answer, which is told to the user if it lasts."""
        out = is_outage(error)
        if out:
            self._jobs.outage.failed(run, error)
        return out

    # -------------------------------------------------------------------------------------------------- reading

    def _read(self, run: ShardRun, job: SentJob) -> list[BlockResult]:
        """Wait for a shard's job and read its result; where the service named the wrong one, for that with its tag."""
        try:
            return self._await_result(run, job)
        except (WrongJobError, ResultError) as error:
            ours = self._finder.find(run)
            if ours is None or ours.job_id == job.job_id:
                if isinstance(error, WrongJobError):
                    self._journal.note(run, ShardState.FAILED, error=str(error))
                raise
            logger.warning(
                "%s Job %s is taken, which carries the tag.",
                error,
                ours.job_id,
                extra=run.facts("accepted", ours.job_id),
            )
        self._journal.note(run, ShardState.ACCEPTED, job_id=ours.job_id)
        self._journal.hand_over(run, ours, self._jobs)
        run.report(ShardState.ACCEPTED, job_id=ours.job_id)
        return self._await_result(run, ours)

    def _await_result(self, run: ShardRun, job: SentJob) -> list[BlockResult]:
        """Wait for a job and read its result."""
        try:
            listener = Listener(partial(self._seen, run), run.scope.tracker.looked_at)
            state = self.watcher.follow(job, listener).result()
            results = self._jobs.fetch(job, state, job_pubs(run.requests, self._jobs))
        except JobFailedError as error:
            self._journal.note(run, ShardState.FAILED, error=str(error))
            raise
        except JobCancelledError as error:
            self._journal.note(run, ShardState.CANCELLED, error=str(error) if error.reason else "")
            raise
        except ResultError as error:
            if self._jobs.is_private(job):  # nobody can fetch it any more
                self._journal.note(run, ShardState.FAILED, error=str(error))
            raise
        finally:
            run.free_slot()
        mitigated = is_mitigated(self._jobs.options.get("estimator", {}))
        most, takes_rz = self._jobs.most_shots, self._jobs.takes_rz
        try:
            found = read_results(
                run.requests, results, job, run.rng, most, takes_rz=takes_rz, mitigated=mitigated
            )
        except ResultError as error:
            # it arrived whole, so the next run would find the same
            self._journal.note(run, ShardState.FAILED, error=str(error))
            raise
        self._journal.note(run, ShardState.DONE)
        run.answers = without_numbers(results)
        self._learn_speed(run, job)
        return found

    def _seen(self, run: ShardRun, info: QueueInfo) -> None:
        """The watcher happened to see that a shard's job runs, or where it waits."""
        if info.running:
            run.report(ShardState.RUNNING)
        else:
            run.report(ShardState.ACCEPTED, queue=info)
        self._journal.note_seen(run, info)

    def _learn_speed(self, run: ShardRun, job: SentJob) -> None:
        """Let a finished job of a simulator tell how long its circuits ran."""
        circuits = sum(len(pub.values) for request in run.requests for pub in request.pubs)
        if self._speed is None or not self._speed.begin(circuits):
            return
        secs = None
        try:
            secs = self._jobs.running_secs(job)
        finally:
            self._speed.end(circuits, secs)
