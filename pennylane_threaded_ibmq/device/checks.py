"""The two arguments that every PennyLane device has, and the one that every batch has."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pennylane import QNode
from pennylane.measurements import Shots
from pennylane.tape import QuantumScript
from pennylane.wires import WireError, Wires

from ..exceptions import ConfigurationError, UnsupportedCircuitError


def check_wires(wires: Any) -> Wires:
    """Read the ``wires`` argument.

    Raises:
        ConfigurationError: Wires are neither a number of at least 1 nor distinct labels.
    """
    try:
        labels = Wires(range(wires)) if hasattr(wires, "__index__") else Wires(wires)
    except (TypeError, WireError):
        labels = Wires([])
    if wires is None or isinstance(wires, float) or not labels:
        raise ConfigurationError(
            f"wires={wires!r}: give the number of wires, at least 1, or their labels, each once; for example wires=4 "
            "or wires=['a', 'b']. Nothing was sent.",
            argument="wires",
            value=wires,
        )
    return labels


def check_shots(shots: Any) -> Shots:
    """Read the ``shots`` argument.

    Raises:
        ConfigurationError: Shots are not ``None``, a positive integer or a shot vector.
    """
    try:
        if not isinstance(shots, (float, bool, str)):
            return Shots(shots)
    except ValueError:
        pass
    raise ConfigurationError(
        f"shots={shots!r}: give a whole number of at least 1, or a sequence of such numbers. Nothing was sent.",
        argument="shots",
        value=shots,
    )


def tapes_of(circuits: object) -> tuple[QuantumScript, ...]:
    """The tapes of a batch; what each of them is is checked when it is prepared.

    Raises:
        UnsupportedCircuitError: It is neither a tape nor a sequence.
    """
    if isinstance(circuits, QuantumScript):
        return (circuits,)
    if isinstance(circuits, Iterable):
        return tuple(circuits)
    raise UnsupportedCircuitError(
        f"circuits is a {type(circuits).__name__}; give a tape or a sequence of tapes.{how_to_make(circuits)} Nothing was sent."
    )


def how_to_make(circuit: object) -> str:
    """How what was given becomes a tape, if it does."""
    if isinstance(circuit, QNode):
        return " A QNode makes its tape with qml.workflow.construct_tape(circuit)(*arguments), or runs if it is called."
    if callable(circuit):
        return (
            " A quantum function makes its tape with qml.tape.make_qscript(function, shots=1000)(*arguments)."
        )
    return ""
