"""The two arguments that every PennyLane device has, the one that every batch has, and the numbers of an executor."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pennylane import QNode
from pennylane.measurements import Shots
from pennylane.tape import QuantumScript
from pennylane.wires import WireError, Wires

from ..exceptions import ConfigurationError, UnsupportedCircuitError
from ..settings import as_integer


def check_wires(wires: Any) -> Wires | None:
    """Read the ``wires`` argument; ``None`` is any wires.

    Raises:
        ConfigurationError: Wires are neither a number of at least 1 nor distinct labels.
    """
    if wires is None:
        return None
    try:
        labels = Wires(range(wires)) if hasattr(wires, "__index__") else Wires(wires)
    except (TypeError, WireError, OverflowError):
        labels = Wires([])
    if isinstance(wires, float) or not labels:
        raise ConfigurationError(
            f"wires={wires!r}: give the number of wires, at least 1, or their labels, each once; for example wires=4 "
            "or wires=['a', 'b']; or None, for circuits on any wires. Nothing was sent.",
            argument="wires",
            value=wires,
        )
    return labels


def register(tape: QuantumScript, layout: Any, *, whole: bool) -> Wires:
    """The wires of a circuit's register, where the device has none: wire i is on qubit i if that can matter.

    Args:
        tape: The circuit.
        layout: The transpiler's ``initial_layout``; ``None`` if it chooses.
        whole: The place of each wire matters.

    Raises:
        UnsupportedCircuitError: It matters, and a wire has no number.
    """
    if not whole:
        return tape.wires
    if not all(isinstance(wire, int) and wire >= 0 for wire in tape.wires):
        raise UnsupportedCircuitError(
            f"wires=None: a layout, a pass manager or skip_transpilation=True goes by the device's wires, and {tape.wires.tolist()!r} "
            "are no numbers of qubits. Name the wires of the device, or use numbers. Nothing was sent."
        )
    return Wires(range(max([*tape.wires, _length(layout) - 1], default=-1) + 1))


def _length(layout: Any) -> int:
    return len(layout) if isinstance(layout, (list, tuple)) else 0


def check_shots(shots: Any) -> Shots:
    """Read the ``shots`` argument.

    Raises:
        ConfigurationError: Shots are not ``None``, a positive integer or a shot vector.
    """
    try:
        if not isinstance(shots, (float, bool, str)):
            return Shots(shots)
    except (ValueError, IndexError):
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
        f"circuits={circuits!r} is of type {type(circuits).__name__}; give a tape or a sequence of tapes.{how_to_make(circuits)} Nothing was sent."
    )


def how_to_make(circuit: object) -> str:
    """Advice on making a tape of what is none, where that goes."""
    if isinstance(circuit, QNode):
        return " A QNode makes its tape with qml.workflow.construct_tape(circuit)(*arguments), or runs if it is called."
    if callable(circuit):
        return (
            " A quantum function makes its tape with qml.tape.make_qscript(function, shots=1000)(*arguments)."
        )
    return ""


def whole_number(value: object) -> object:
    """NumPy integers are as good as Python's; truth values and fractions are no numbers of things."""
    if isinstance(value, (bool, float)):
        raise ValueError("must be a whole number")  # noqa: TRY004 - pydantic collects ValueError
    return as_integer(value)


def check_override(value: Any) -> Any:
    """Read the ``shots`` field of an executor: 0, ``None``, a positive number or a shot vector."""
    if isinstance(value, str):
        value = int(value) if value.strip().isdigit() else value
    if isinstance(value, Shots):
        value = None if value.total_shots is None else list(value)
    if isinstance(value, (list, tuple)):
        try:
            vector = Shots(tuple(tuple(v) if isinstance(v, list) else whole_number(v) for v in value))
        except (ValueError, TypeError, IndexError):
            vector = Shots()
        if not vector:
            raise ValueError("a shot vector holds positive numbers or pairs (shots, copies)")
        return tuple((c.shots, c.copies) for c in vector.shot_vector)
    number = None if value is None else whole_number(value)
    if not (number is None or isinstance(number, int)):
        raise ValueError("must be 0, None, a positive number of shots, or a sequence of such numbers")
    if number is not None and number < 0:
        raise ValueError("must not be negative: 0 keeps the QNode's shots, as -1 did in Covalent 0.232")
    return number
