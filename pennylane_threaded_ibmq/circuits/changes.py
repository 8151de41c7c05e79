"""Tapes with something changed, made the same way on both stacks."""

from __future__ import annotations

from copy import copy
from itertools import chain
from typing import TYPE_CHECKING, Any

import pennylane as qml
from pennylane.tape import QuantumScript
from pennylane.wires import Wires

from ..exceptions import UnknownWireError
from .structure import wire_labels

if TYPE_CHECKING:
    from pennylane.measurements import Shots


def with_named_wires(tape: QuantumScript, wires: Wires | None) -> QuantumScript:
    """A circuit whose measurements all name their wires: those that name none get these; without any, see :func:`wires_of`."""
    if wires is not None:
        _check_known(tape, wires)
    if all(names_wires(mp) for mp in tape.measurements):
        return tape
    measurements = measurements_on(tape, wires_of(tape) if wires is None else wires)
    fresh = type(tape)(tape.operations, measurements, shots=tape.shots)
    fresh.trainable_params = tape.trainable_params
    return fresh


def with_numbered_wires(tape: QuantumScript, wires: Wires) -> QuantumScript:
    """A circuit on numbers: each of its wires becomes its place among these."""
    _check_known(tape, wires)
    places = {wire: place for place, wire in enumerate(wires)}
    if all(wire == places[wire] for wire in tape.wires):
        return tape
    result = qml.map_wires(tape, places)
    # a transform since PennyLane 0.33
    return result if isinstance(result, QuantumScript) else result[0][0]


def _check_known(tape: QuantumScript, wires: Wires) -> None:
    # gate by gate: what a tape puts together when it is asked for its wires takes ten times as long
    used = chain(*map(wire_labels, tape.operations), *(mp.wires for mp in tape.measurements))
    if not wires.toset().issuperset(used):
        lacking = [w for w in tape.wires if w not in wires]
        raise UnknownWireError(
            f"wires={wires.tolist()!r}: a circuit uses {lacking!r}, which the device of the QNode lacks. Give that device "
            "more wires, or labels for them. Nothing was sent."
        )


def wires_of(tape: QuantumScript) -> Wires:
    """All wires of a tape in the order that PennyLane's devices without wires give them."""
    gates = Wires.all_wires([op.wires for op in tape.operations])
    count, every = len(gates), len(tape.wires)
    in_order = set(gates) == set(range(count)) and set(tape.wires) == set(range(every))
    return Wires(range(every)) if in_order else tape.wires


def names_wires(mp: Any) -> bool:
    """Whether a measurement says what it reads."""
    return bool(mp.wires or mp.obs is not None or getattr(mp, "mv", None) is not None)


def measurements_on(tape: QuantumScript, wires: Wires) -> list[Any]:
    """The measurements of a tape; those that name no wires are on these."""
    return [mp if names_wires(mp) else _on_wires(mp, wires) for mp in tape.measurements]


def _on_wires(mp: Any, wires: Wires) -> Any:
    # a copy, as a class of the user's may hold anything else
    fresh = copy(mp)
    fresh._wires = wires  # noqa: SLF001 - as PennyLane's own devices do
    return fresh


def with_shots(tape: QuantumScript, shots: Shots) -> QuantumScript:
    """A tape with other shots."""
    fresh = tape.copy()
    fresh._shots = shots  # noqa: SLF001 - copy() takes no shots before PennyLane 0.40
    return fresh


def only_result(results: Any) -> Any:
    """The result of a tape that was left as it is, or became one other."""
    return results[0]
