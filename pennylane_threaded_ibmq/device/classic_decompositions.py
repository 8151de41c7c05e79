"""Decompositions that PennyLane 0.37 and older get wrong, done rightly.

A phase that a control makes observable is lost in three places, a power may be another root, and an evolution under
several multiples of one Pauli word takes the first of them. What is wrong is found out, too: what wraps another operation
is compared with its own matrix where that is small enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pennylane as qml
from pennylane.ops.op_math import SymbolicOp
from pennylane.tape import QuantumScript

from ..execution.pauli import pauli_sentence_of
from .tape_checks import own_gates
from .unitarity import EXPONENTIALS, MOST_MATRIX_WIRES, check_unitary

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pennylane.operation import Operator

AGREES = 1e-6
"""Overlap of two matrices, relative to that of equal ones, that is taken for rounding."""


def parts_of(op: Operator) -> list[Operator]:
    """The gates that an operation means.

    Args:
        op: An operation with a decomposition or a matrix.
    """
    own = _own_parts(op)
    if own is not None:
        return own
    parts = own_gates(op)
    # a plain gate's decomposition is right in all of these versions
    if not isinstance(op, SymbolicOp) or not _is_small(op):
        return parts
    if not set(op.wires).issuperset(wire for part in parts for wire in part.wires):
        # it works with other wires, and leaves them as they were
        return parts
    matrix = op.matrix()
    return parts if _agree(_matrix(parts, op), matrix) else [qml.QubitUnitary(matrix, wires=op.wires)]


def _own_parts(op: Operator) -> list[Operator] | None:
    if op.name == "C(GlobalPhase)":
        return _controlled_phase(op.base.data[0], op)
    if op.name in {"ControlledQubitUnitary", "C(QubitUnitary)"} and op.base.has_decomposition:
        return _controlled_matrix(op)
    if op.name in EXPONENTIALS:
        check_unitary(op)
        return _rotation(op)
    return None


def _is_small(op: Operator) -> bool:
    return bool(op.has_matrix) and len(op.wires) <= MOST_MATRIX_WIRES


def _matrix(parts: Sequence[Operator], op: Operator) -> NDArray[np.complex128]:
    if not parts:
        return np.eye(2 ** len(op.wires), dtype=np.complex128)
    return np.asarray(qml.matrix(QuantumScript(parts), wire_order=op.wires))


def _agree(one: Any, other: Any) -> bool:
    """Whether matrices, or all of a batch, are equal up to a phase."""
    overlap = np.abs(np.einsum("...ij,...ij->...", np.conj(one), other)) / np.shape(other)[-1]
    return bool(np.all(np.abs(overlap - 1) < AGREES))


def _controlled_phase(phase: Any, op: Operator) -> list[Operator]:
    """A phase of the states that all controls let through; PennyLane drops it with more than one control."""
    flips = [qml.PauliX(w) for w, value in zip(op.control_wires, op.control_values) if not value]
    *others, last = op.control_wires
    shift = qml.PhaseShift(-phase, wires=last)
    return [*flips, qml.ctrl(shift, others) if others else shift, *flips]


def _controlled_matrix(op: Operator) -> list[Operator]:
    """The gates of a matrix, under control, and its phase, which PennyLane drops."""
    gates = op.base.decomposition()
    found = np.einsum("...ij,...ij->...", np.conj(_matrix(gates, op.base)), op.base.matrix())
    control = {"control": op.control_wires, "control_values": op.control_values}
    return [*(qml.ctrl(gate, **control) for gate in gates), *_controlled_phase(-np.angle(found), op)]


def _rotation(op: Operator) -> list[Operator] | None:
    """The evolution under one Pauli word, whatever multiples of it the exponent adds up."""
    sentence = pauli_sentence_of(op.base)
    if sentence is None or len(sentence) != 1:
        return None
    ((word, factor),) = sentence.items()
    angle = -2 * qml.math.imag(op.coeff * factor)
    return [qml.PauliRot(angle, "".join(word.values()), wires=list(word))] if len(word) else []
