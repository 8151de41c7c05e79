"""Records for a tracker on the classic stack: those of ``qiskit.ibmq``, and the jobs."""

from __future__ import annotations

from typing import Any

from ...exceptions import ServiceError
from ...execution.batch import Batch
from .jobs import ClassicJobs


def track_classic(tracker: Any, batch: Batch, jobs: Any) -> None:
    """Record one finished batch.

    Args:
        tracker: The device's tracker, active.
        batch: The batch.
        jobs: Jobs of the service; ``None`` on this machine.
    """
    for tape in batch.tapes:
        tracker.update(executions=1, shots=tape.shots.total_shots)
        tracker.record()
    tracker.update(batches=1, batch_len=len(batch.tapes), jobs=len(batch.runs))
    for job_id in batch.jobs.ids:
        tracker.update(job_ids=job_id)
    tracker.record()
    if not isinstance(jobs, ClassicJobs):
        return
    for run in batch.runs:
        times = _times(jobs, run.job) if run.job is not None else {}
        if times:
            tracker.update(job_time=times)
            tracker.record()


def _times(jobs: ClassicJobs, job: Any) -> dict[str, float]:
    try:
        return jobs.times(job)
    except ServiceError:
        return {}  # the results are there; how long they took is not worth an error
