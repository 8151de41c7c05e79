"""What is done to tapes, with PennyLane's legacy device API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pennylane as qml
from pennylane import QubitDevice
from pennylane.measurements import Shots
from pennylane.queuing import QueuingManager

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript
    from pennylane.wires import Wires


def with_shots(tape: QuantumScript, shots: Shots) -> QuantumScript:
    """A tape with other shots."""
    fresh = tape.copy()
    fresh._shots = Shots(shots)  # noqa: SLF001 - copy() takes no shots before PennyLane 0.40
    return fresh


def with_wires(tape: QuantumScript, wires: Wires) -> QuantumScript:
    """A tape whose measurements all name their wires: those that name none get these."""
    fresh = tape.copy()
    with QueuingManager.stop_recording():
        measured = [_on(mp, wires) if _names_none(mp) else mp for mp in tape.measurements]
    made = type(tape)(tape.operations, measured, shots=tape.shots)
    made.trainable_params = fresh.trainable_params
    return made


def run_on(device: Any, tapes: Sequence[QuantumScript]) -> list[Any]:
    """Run tapes on a device of PennyLane; one result a tape."""
    if not isinstance(device, QubitDevice):
        return list(qml.execute(tapes, device, gradient_fn=None, interface=None))
    # a device of the legacy API has one number of shots for all tapes of a call
    results: list[Any] = [None] * len(tapes)
    for shots in dict.fromkeys(tape.shots for tape in tapes):
        positions = [i for i, tape in enumerate(tapes) if tape.shots == shots]
        device.shots = legacy_shots(shots)
        done = qml.execute([tapes[i] for i in positions], device, gradient_fn=None, interface=None)
        for position, result in zip(positions, done):
            results[position] = result
    return results


def legacy_shots(shots: Shots) -> Any:
    """Shots as devices of the legacy API take them."""
    return list(shots) if shots.has_partitioned_shots else shots.total_shots


def shots_of(device: Any) -> Shots:
    """Shots of a device of either API."""
    if isinstance(device.shots, Shots):
        return device.shots
    return Shots(device._raw_shot_sequence if device._shot_vector else device.shots)  # noqa: SLF001 - as PennyLane's QNode


def _names_none(mp: Any) -> bool:
    return not mp.wires and mp.obs is None and getattr(mp, "mv", None) is None


def _on(mp: Any, wires: Wires) -> Any:
    options = {"all_outcomes": mp.all_outcomes} if hasattr(mp, "all_outcomes") else {}
    return type(mp)(wires=wires, **options)
