"""Questions of a batch to the service at which its jobs run, beside running them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from .._quantity import quantity
from ..service.job import SentJob
from ..service.metrics import JobMetrics
from ..service.service import JobService
from .batch_journal import BatchJournal
from .metadata import PubMetadata, metadata_by_tape
from .runner import ShardRun, SharedBatch

logger = logging.getLogger(__name__)


class BatchService:
    """A service, for the batches on one of its backends.

    Args:
        jobs: Jobs on the backend.
        journal: Where charges are written down.
        in_session: Jobs are sent in a session of the user's.
    """

    def __init__(self, jobs: JobService, journal: BatchJournal, *, in_session: bool) -> None:
        self._jobs = jobs
        self._journal = journal
        self._in_session = in_session

    def share(self, shards: int) -> SharedBatch:
        """IBM's Batch context for so many jobs."""
        return SharedBatch(self._jobs, 0 if self._in_session else shards)

    def cancel(self, jobs: Sequence[SentJob]) -> None:
        """Cancel jobs."""
        unanswered = self._jobs.cancel(jobs)
        if unanswered:
            logger.warning(
                "%s not cancelled yet, as %s does not answer: %s. That happens when it does, while this "
                "program runs and its device is open; threaded-ibmq cancel with the id of the batch does it later.",
                quantity(len(unanswered), "job is", "jobs are"),
                self._jobs.backend.name,
                ", ".join(unanswered),
            )

    def usage(self, run: ShardRun, job: SentJob) -> float | None:
        """QPU seconds that a shard's job was charged; ``None`` while they are not known, or where nothing is charged."""
        secs = self._jobs.usage(job)
        if secs is not None:
            self._journal.charge(run, job.tag, secs)
        return secs

    def metadata(self, run: ShardRun, job: SentJob) -> dict[int, tuple[PubMetadata, ...]]:
        """Metadata of each tape of a shard, as the service said it beside the numbers."""
        if not run.answers:
            return {}
        most, takes_rz = self._jobs.most_shots, self._jobs.takes_rz
        return metadata_by_tape(run.requests, run.answers, job, most, takes_rz=takes_rz)

    def metrics(self, job: SentJob) -> JobMetrics:
        """Charge and times of a job."""
        return self._jobs.metrics(job)
