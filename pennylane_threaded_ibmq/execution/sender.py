"""Send shards as jobs of a service: each is written down before it is sent, and sent once."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

from ..exceptions import SubmissionError, ThreadedIBMQError
from ..service.arrival import arrival_secs
from ..service.errors import Trouble, is_outage, judge_submission, retry_after
from ..service.job import SentJob
from ..service.metadata import mark_pubs
from ..service.pace import Pacer
from ..service.retry import RetryPolicy
from ..service.service import JobService
from ..store.records import ShardState
from .batch_journal import BatchJournal
from .finder import JobFinder
from .heartbeat import Heartbeat
from .primitives import job_pubs
from .runner import ShardRun
from .usage_limit import UsageLimit

logger = logging.getLogger(__name__)

USAGE_SECS = 300.0
"""Between two tries at an instance that has met its usage limit."""

MOST_SENDINGS = 5
"""Times that a shard is sent whose job does not exist although the service answered; one that is out is sent to again later."""

LONGEST_SENDING_PAUSE_SECS = 30.0
"""Between two sendings of a shard."""

_SENDINGS = RetryPolicy(0.4, LONGEST_SENDING_PAUSE_SECS, MOST_SENDINGS)


class JobSender:
    """Sends jobs to one backend.

    Args:
        jobs: Jobs on the backend.
        journal: Where each is written down.
        finder: Finds those of which nobody knows whether they arrived.
        pacer: Slots of the backend.
        usage_limit: What is done when the instance has used its time.
    """

    def __init__(
        self,
        jobs: JobService,
        journal: BatchJournal,
        finder: JobFinder,
        pacer: Pacer,
        usage_limit: UsageLimit,
    ) -> None:
        self._jobs = jobs
        self._journal = journal
        self._finder = finder
        self._pacer = pacer
        self._usage_limit = usage_limit
        self._heartbeat = Heartbeat()

    def send(self, run: ShardRun, lane: Any, batch: Any = None) -> SentJob:
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
                        run.take(job, self._jobs)
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
        job = None if known else self._finder.wait(run, arrival_secs(error))
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
