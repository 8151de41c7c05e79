"""Wait for the jobs of shards, and read what they gave."""

from __future__ import annotations

import logging
from functools import partial

from ..circuits.decode import BlockResult
from ..exceptions import JobCancelledError, JobFailedError, ResultError
from ..service.job import SentJob
from ..service.metrics import QueueInfo
from ..service.pace import Speed
from ..service.result_checks import is_mitigated
from ..service.service import JobService
from ..store.records import ShardState
from .batch_journal import BatchJournal
from .finder import JobFinder
from .metadata import without_numbers
from .primitives import job_pubs, read_results
from .queue import Listener
from .runner import ShardRun
from .watcher import Watcher, WrongJobError

logger = logging.getLogger(__name__)


class ResultReader:
    """Reads results of jobs on one backend.

    Args:
        jobs: Jobs on the backend.
        journal: Where their ends are written down.
        finder: Finds the right job where the service named another.
        speed: Learns from finished jobs how fast a simulator is; ``None`` where nobody wants to know.

    Attributes:
        watcher: Follows the jobs.
    """

    def __init__(
        self, jobs: JobService, journal: BatchJournal, finder: JobFinder, speed: Speed | None
    ) -> None:
        self._jobs = jobs
        self._journal = journal
        self._finder = finder
        self._speed = speed
        self.watcher = Watcher(jobs)

    def read(self, run: ShardRun, job: SentJob) -> list[BlockResult]:
        """Wait for a shard's job and read its result; where the service named the wrong one, for that with its tag."""
        try:
            return self._result(run, job)
        except (WrongJobError, ResultError) as error:
            ours = self._finder.find(run)
            if ours is None or ours.job_id == job.job_id:
                raise
            logger.warning(
                "%s Job %s is taken, which carries the tag.",
                error,
                ours.job_id,
                extra=run.facts("accepted", ours.job_id),
            )
        self._journal.note(run, ShardState.ACCEPTED, job_id=ours.job_id)
        run.take(ours, self._jobs)
        run.report(ShardState.ACCEPTED, job_id=ours.job_id)
        return self._result(run, ours)

    def _result(self, run: ShardRun, job: SentJob) -> list[BlockResult]:
        """Wait for a job and read its result."""
        try:
            listener = Listener(partial(self._seen, run), run.scope.tracker.looked_at)
            state = self.watcher.follow(job, listener).result()
            results = self._jobs.fetch(job, state, job_pubs(run.requests, self._jobs))
        except (JobFailedError, WrongJobError) as error:
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
