"""What a tracker learns: executions, shots, batches, jobs and their ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pennylane.devices.qubit.sampling import get_num_shots_and_executions

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript


def track(
    tracker: Any,
    tapes: Sequence[QuantumScript],
    results: Sequence[Any],
    *,
    jobs: int,
    job_ids: Sequence[str] = (),
) -> None:
    """Record one batch.

    Args:
        tracker: The device's tracker; nothing happens while it is not active.
        tapes: The tapes that ran.
        results: Their results.
        jobs: Number of jobs.
        job_ids: Ids of the jobs, where there is a service that gives some.
    """
    if not tracker.active:
        return
    tracker.update(batches=1, jobs=jobs)
    for job_id in job_ids:
        tracker.update(job_ids=job_id)
    tracker.record()
    for tape, result in zip(tapes, results, strict=True):
        executions, shots = get_num_shots_and_executions(tape)
        specs = tape.specs
        tracker.update(
            executions=executions,
            shots=shots,
            results=result,
            resources=specs["resources"],
            errors=specs["errors"],
        )
        tracker.record()
