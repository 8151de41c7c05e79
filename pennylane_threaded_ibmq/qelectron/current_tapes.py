"""What is done to tapes, with PennyLane's device API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import pennylane as qml
from pennylane.devices.preprocess import validate_device_wires

if TYPE_CHECKING:
    from pennylane.measurements import Shots
    from pennylane.tape import QuantumScript
    from pennylane.wires import Wires


def with_shots(tape: QuantumScript, shots: Shots) -> QuantumScript:
    """A tape with other shots."""
    return tape.copy(shots=shots)


def with_wires(tape: QuantumScript, wires: Wires) -> QuantumScript:
    """A tape whose measurements all name their wires: those that name none get these."""
    (tape,), _ = validate_device_wires(tape, wires=wires, name="qelectron")
    return tape


def run_on(device: Any, tapes: Sequence[QuantumScript]) -> Sequence[Any]:
    """Run tapes on a device of PennyLane; one result a tape."""
    return cast("Sequence[Any]", qml.execute(tapes, device, diff_method=None, interface=None))
