"""Run shards as jobs of a service: adopt the job that exists or send one, wait for it, and read its result."""

from __future__ import annotations

import logging
from typing import Any

from ..circuits.decode import BlockResult
from ..exceptions import JobCancelledError, JobFailedError
from ..service.errors import PASSING_JOB_CODES
from ..service.pace import Pacer
from ..service.service import JobService
from ..store.records import ShardState
from .adopter import JobAdopter
from .batch_journal import BatchJournal
from .finder import JobFinder
from .reader import ResultReader
from .runner import ShardRun
from .sender import JobSender
from .usage_limit import UsageLimit

logger = logging.getLogger(__name__)


class ServiceRunner:
    """One backend of a service.

    Args:
        jobs: Jobs on the backend.
        journal: Where jobs are written down.
        pacer: Slots of the backend.
        max_retries: How often a shard is sent again whose job failed for a reason that can pass.
        waits_for_usage: A shard waits while the instance has met its usage limit, in place of failing.
        learns_speed: The backend is a simulator, and its jobs tell how fast it is.
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
        finder = JobFinder(jobs)
        limit = UsageLimit(journal.instance, waits=waits_for_usage)
        self._adopter = JobAdopter(jobs, journal, finder)
        self._sender = JobSender(jobs, journal, finder, pacer, limit)
        self._reader = ResultReader(jobs, journal, finder, pacer.speed if learns_speed else None)
        self._max_retries = max_retries

    def run(self, run: ShardRun, lane: Any) -> list[BlockResult]:
        """Send one shard, wait for its job and fetch the result; again if the job failed for a reason that can pass."""
        assert run.scope.ibm_batch is not None
        with run.scope.ibm_batch.sending() as batch:
            job = self._adopter.take_over(run) or self._sender.send(run, lane, batch)
        for left in reversed(range(self._max_retries + 1)):
            try:
                return self._reader.read(run, job)
            except (JobFailedError, JobCancelledError) as error:
                again = left and run.scope.may_send and not run.given_up.is_set()
                if not again or error.code not in PASSING_JOB_CODES:
                    raise
                logger.warning("%s It is sent again.", error, extra=run.facts("failed", job.job_id))
            # without a job, so that whoever releases the batch meanwhile stops this sending too
            run.job = None
            run.report(ShardState.PLANNED)
            job = self._adopter.job_of_others(run, failed=run.tag) or self._sender.send(run, lane)
        raise AssertionError(left)

    def close(self) -> None:
        """Follow no job any more."""
        self._reader.watcher.close()
