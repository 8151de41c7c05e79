"""Questions of a batch to the service at which its jobs run, beside running them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

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

    def cancel(self, awaited: Sequence[tuple[ShardRun, SentJob]]) -> None:
        """Cancel the jobs of shards; it is written down of which the service says then that they are cancelled."""
        runs = {job.job_id: run for run, job in awaited}
        unanswered = self._jobs.cancel(
            [job for _, job in awaited],
            lambda job: self._journal.note_end(runs[job.job_id], self._jobs, job),
        )
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


class BatchJobs:
    """The jobs of one batch that were accepted so far, and what the service says of them.

    Args:
        runs: Shards of the batch.
        service: The service; ``None`` on this machine, where there are no jobs.
    """

    def __init__(self, runs: Sequence[ShardRun], service: BatchService | None) -> None:
        self._runs = runs
        self._service = service
        self._charges: dict[int, float] = {}

    @property
    def ids(self) -> tuple[str, ...]:
        """Their ids, in the order of the shards."""
        return tuple(job.job_id for _, job in self.by_shard())

    def ids_of(self, positions: range) -> tuple[str, ...]:
        """Ids of those that run some of the tapes."""
        return tuple(
            job.job_id
            for run, job in self.by_shard()
            if any(p in positions for p in run.spec.shard.positions)
        )

    @property
    def handles(self) -> tuple[Any, ...]:
        """The client's objects, in the same order."""
        return tuple(job.handle for _, job in self.by_shard())

    def by_shard(self) -> Iterator[tuple[ShardRun, SentJob]]:
        """Shards that have a job, each with it."""
        for run in self._runs:
            # looked at once: a lane that sends a shard again takes its job away
            job = run.job
            if job is not None:
                yield run, job

    def usage_secs(self) -> float | None:
        """QPU seconds that IBM charged for the jobs of a finished batch.

        ``None`` where nothing is charged, and while the charge of one of the jobs is not known.
        """
        accepted = self._accepted()
        for run, job, service in accepted:
            if run.spec.number not in self._charges:
                secs = service.usage(run, job)
                if secs is not None:
                    self._charges[run.spec.number] = secs
        known = len(self._charges) == len(accepted)
        return sum(self._charges.values()) if accepted and known else None

    def metadata(self) -> dict[int, tuple[PubMetadata, ...]]:
        """Metadata of tapes as the service said it, by position, as far as there are results."""
        found: dict[int, tuple[PubMetadata, ...]] = {}
        for run, job, service in self._accepted():
            for position, some in service.metadata(run, job).items():
                found[position] = found.get(position, ()) + some
        return found

    def metrics(self) -> tuple[JobMetrics, ...]:
        """Charge and times of the jobs that were accepted, in the order of the shards.

        Raises:
            ServiceError: The service did not answer properly.
        """
        return tuple(service.metrics(job) for _, job, service in self._accepted())

    def _accepted(self) -> list[tuple[ShardRun, SentJob, BatchService]]:
        """Shards with a job, each with it and the service; none on this machine."""
        service = self._service
        return [] if service is None else [(run, job, service) for run, job in self.by_shard()]
