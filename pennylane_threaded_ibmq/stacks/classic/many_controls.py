"""Gates under several controls with PennyLane 0.31, which knows no decomposition of most, and loses the phase of others.

A phase that a gate's decomposition leaves out is nothing without a control, and a gate of the controls with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pennylane as qml
from pennylane.ops.op_math import Adjoint, Controlled, ControlledOp

from ...circuits.decompositions import MOST_MATRIX_WIRES, matrix_of, own_gates

if TYPE_CHECKING:
    from pennylane.operation import Operator

FLIPS = frozenset({"CNOT", "Toffoli", "MultiControlledX"})

LOST = 1e-9
"""Phase, in radians, that is taken for rounding."""


def gates_under_controls(op: Operator) -> list[Operator] | None:
    """The gates of an operation with controls; ``None`` for what PennyLane's own decomposition is right for.

    Args:
        op: Any operation of PennyLane 0.31.
    """
    if op.name == "MultiControlledX":
        if len(op.wires) < 4 or len(op.hyperparameters["work_wires"]):
            return None
        *controls, target = op.wires
        turns = [qml.Hadamard(target), *_shift(np.pi, controls, target), qml.Hadamard(target)]
        return _with_values(turns, controls, _values_of(op))
    if isinstance(op, Adjoint) and type(op.base) in {Controlled, ControlledOp}:
        options = {"control": op.base.control_wires, "control_values": op.base.control_values}
        return [qml.ctrl(qml.adjoint(op.base.base), **options)]
    if type(op) not in {Controlled, ControlledOp}:
        return None
    base, controls = op.base, list(op.control_wires)
    if type(base) in {Controlled, ControlledOp}:
        values = [*op.control_values, *base.control_values]
        return [qml.ctrl(base.base, control=[*controls, *base.control_wires], control_values=values)]
    if base.name in FLIPS:
        values = [*op.control_values, *_values_of(base)]
        text = "".join("1" if value else "0" for value in values)
        return [qml.MultiControlledX(wires=[*controls, *base.wires], control_values=text)]
    if base.name in {"PhaseShift", "U1"}:
        return _with_values(_shift(base.data[0], controls, base.wires[0]), controls, op.control_values)
    if base.name in {"RX", "RY", "RZ"}:
        return _with_values(_rotation(base, controls), controls, op.control_values)
    phase = _lost_phase(base) if len(op.wires) > MOST_MATRIX_WIRES else None
    if phase is None:
        return None
    gates = [qml.ctrl(gate, controls) for gate in own_gates(base)]
    *others, last = controls
    return _with_values([*gates, *_shift(phase, others, last)], controls, op.control_values)


def _lost_phase(base: Operator) -> Any:
    """The phase that the decomposition of a gate lacks; ``None`` if it lacks none, or cannot be looked at."""
    if base.name in {"GroverOperator", "Adjoint(GroverOperator)"}:
        return np.pi
    if not base.has_matrix or not base.has_decomposition or len(base.wires) > MOST_MATRIX_WIRES:
        return None
    product = matrix_of(own_gates(base), base)
    phase = np.angle(np.einsum("...ij,...ij->...", np.conj(product), base.matrix()))
    return phase if np.any(np.abs(phase) > LOST) else None


def _values_of(flip: Operator) -> list[bool]:
    """Control values of a flip."""
    text = flip.hyperparameters.get("control_values", "1" * (len(flip.wires) - 1))
    return [value == "1" for value in text]


def _with_values(
    gates: Sequence[Operator], controls: Sequence[Any], values: Sequence[bool]
) -> list[Operator]:
    flips = [qml.PauliX(wire) for wire, value in zip(controls, values) if not value]
    return [*flips, *gates, *flips]


def _shift(angle: Any, controls: Sequence[Any], target: Any) -> list[Operator]:
    """A phase of the one state in which all wires are 1 (Barenco et al. 1995, lemma 7.5)."""
    if not controls:
        return [qml.PhaseShift(angle, wires=target)]
    *others, last = controls
    if not others:
        return [qml.ControlledPhaseShift(angle, wires=[last, target])]
    half, flip = angle / 2, _flip(others, last, target)
    return [
        qml.ControlledPhaseShift(half, wires=[last, target]),
        flip,
        qml.ControlledPhaseShift(-half, wires=[last, target]),
        flip,
        *_shift(half, others, target),
    ]


def _rotation(base: Operator, controls: Sequence[Any]) -> list[Operator]:
    (angle,), (target,) = base.data, base.wires
    kind, frame = (qml.RZ, [qml.Hadamard(target)]) if base.name == "RX" else (type(base), [])
    flip, back = _flip(controls, target), kind(-angle / 2, wires=target)
    return [*frame, kind(angle / 2, wires=target), flip, back, flip, *frame]


def _flip(controls: Sequence[Any], target: Any, work: Any = None) -> Operator:
    wires = [*controls, target]
    if len(controls) > 2:
        return qml.MultiControlledX(wires=wires, work_wires=work)
    return (qml.CNOT if len(controls) == 1 else qml.Toffoli)(wires=wires)
