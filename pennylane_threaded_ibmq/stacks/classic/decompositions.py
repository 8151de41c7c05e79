"""Decompositions that PennyLane 0.37 and older get wrong, done rightly.

A phase that controls make observable is lost, an evolution under several multiples of one Pauli word takes the first of them,
and 0.31 has some flaws of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pennylane as qml
from pennylane.queuing import AnnotatedQueue

from ...circuits.decompositions import (
    EXPONENTIALS,
    KEEPS_PHASES,
    MOST_MATRIX_WIRES,
    check_unitary,
    matrix_of,
    own_gates,
)
from ...circuits.pauli import pauli_sentence_of
from ...exceptions import UnsupportedCircuitError
from .many_controls import gates_under_controls

if TYPE_CHECKING:
    from pennylane.operation import Operator


def parts_of(op: Operator) -> list[Operator]:
    """The gates that an operation means.

    Args:
        op: An operation with a decomposition or a matrix.
    """
    pattern = op.hyperparameters.get("pattern")
    if isinstance(pattern, Iterator):
        # PennyLane 0.31 uses it up when it decomposes the operation for the first time
        op.hyperparameters["pattern"] = list(pattern)
    own = _own_parts(op)
    if own is not None:
        return own
    try:
        return own_gates(op)
    except RuntimeError:
        # some of PennyLane 0.31 decompose only where they can record their gates
        with AnnotatedQueue():
            return own_gates(op)


def _own_parts(op: Operator) -> list[Operator] | None:
    if op.name == "C(GlobalPhase)":
        return _controlled_phase(op.base.data[0], op)
    if op.name in {"ControlledQubitUnitary", "C(QubitUnitary)"} and op.base.has_decomposition:
        check_unitary(op)
        return _controlled_matrix(op)
    if op.name == "DiagonalQubitUnitary" and len(op.wires) > 2 and not KEEPS_PHASES:
        check_unitary(op)
        return _diagonal(op)
    if op.name in EXPONENTIALS:
        check_unitary(op)
        return _rotation(op)
    return None if KEEPS_PHASES else gates_under_controls(op)


def _controlled_phase(phase: Any, op: Operator) -> list[Operator]:
    """A phase of the states that all controls let through; PennyLane drops it with more than one control."""
    flips = [qml.PauliX(w) for w, value in zip(op.control_wires, op.control_values) if not value]
    *others, last = op.control_wires
    shift = qml.PhaseShift(-phase, wires=last)
    return [*flips, qml.ctrl(shift, others) if others else shift, *flips]


def _controlled_matrix(op: Operator) -> list[Operator]:
    """The gates of a matrix, under control, and its phase, which PennyLane drops."""
    gates = op.base.decomposition()
    phases = np.einsum("...ij,...ij->...", np.conj(matrix_of(gates, op.base)), op.base.matrix())
    control = {"control": op.control_wires, "control_values": op.control_values}
    return [*(qml.ctrl(gate, **control) for gate in gates), *_controlled_phase(-np.angle(phases), op)]


def _diagonal(op: Operator) -> list[Operator]:
    """The matrix of a diagonal of several wires, which PennyLane 0.31 writes on wires of other names."""
    if len(op.wires) > MOST_MATRIX_WIRES:
        raise UnsupportedCircuitError(
            f"DiagonalQubitUnitary on {len(op.wires)} wires is decomposed wrongly by this PennyLane, and is too large for a "
            f"matrix, which may have {MOST_MATRIX_WIRES}. Write it as other gates. Nothing was sent."
        )
    return [qml.QubitUnitary(op.matrix(), wires=op.wires)]


def _rotation(op: Operator) -> list[Operator] | None:
    """The evolution under one Pauli word, whatever multiples of it the exponent adds up."""
    sentence = pauli_sentence_of(op.base)
    if sentence is None or len(sentence) != 1:
        return None
    ((word, factor),) = sentence.items()
    angle = -2 * qml.math.imag(op.coeff * factor)
    return [qml.PauliRot(angle, "".join(word.values()), wires=list(word))] if len(word) else []
