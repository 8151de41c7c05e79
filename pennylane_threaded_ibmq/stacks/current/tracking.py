"""Records for a tracker: executions, shots, batches, jobs and their ids, QPU seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pennylane.devices.qubit.sampling import get_num_shots_and_executions

from ...execution.batch import Batch

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript


def track(tracker: Any, batch: Batch, usage_secs: float | None) -> None:
    """Record one finished batch; tapes without a result count as executions, for their jobs ran.

    Args:
        tracker: The device's tracker, active.
        batch: The batch.
        usage_secs: QPU seconds that were charged, where something is.
    """
    tracker.update(batches=1, jobs=len(batch.runs))
    if usage_secs is not None:
        tracker.update(usage_secs=usage_secs)
    for job_id in batch.jobs.ids:
        tracker.update(job_ids=job_id)
    tracker.record()
    for position, tape in enumerate(batch.tapes):
        extra = {} if batch.error(position) else {"results": batch.value(position)}
        tracker.update(**costs_of(tape), **extra)
        tracker.record()


def costs_of(tape: QuantumScript) -> dict[str, Any]:
    """Costs of a tape, in PennyLane's words."""
    executions, shots = get_num_shots_and_executions(tape)
    specs = tape.specs
    return {
        "executions": executions,
        "shots": shots,
        "resources": specs["resources"],
        "errors": specs["errors"],
    }
