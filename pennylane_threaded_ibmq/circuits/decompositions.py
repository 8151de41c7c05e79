"""The gates that an operation means, on any stack.

PennyLane's simulator takes the matrix of an operation where it has one, a device of gates its decomposition, and some of
these are of another operation: a power of a half is another root where an angle is a turn, and what is controlled loses its
sign where its own matrix is close to one of a turn. So those that may be wrong are compared with the matrix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pennylane as qml
from pennylane.operation import Operator
from pennylane.ops.op_math import Controlled, Pow, SymbolicOp
from pennylane.tape import QuantumScript

from .._tensors import unwrapped
from ..exceptions import UnsupportedCircuitError
from .broadcast import bind_numbers
from .gates import NATIVE_GATES, is_conditional
from .layers import layer_gates
from .pauli import pauli_sentence_of
from .precision import ROUNDING, double_state, off_unitary, to_complex

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

KEEPS_PHASES = hasattr(qml, "GlobalPhase")
"""Whether decompositions keep the phase of a gate, which a control makes observable; those of PennyLane 0.31 do not."""

AGREES = 1e-6
"""Overlap of two matrices, relative to that of equal ones, that is taken for rounding."""


def own_gates(op: Operator) -> list[Operator]:
    """The gates that an operation means; its matrix, if it has nothing else."""
    gates = layer_gates(op)
    if gates is not None:
        return gates
    check_unitary(op)
    if not op.has_decomposition and _has_small_matrix(op):
        return [qml.QubitUnitary(op.matrix(), wires=op.wires)]
    try:
        decomposition = op.decomposition()
    except Exception:
        if not _has_small_matrix(op):
            raise
        # such as of a gate with no controls among those that may have some
        return [qml.QubitUnitary(op.matrix(), wires=op.wires)]
    # some powers decompose into one gate, which is no list
    gates = [decomposition] if isinstance(decomposition, Operator) else list(decomposition)
    matrix = _other_matrix(gates, op) if _is_doubtful(op) else None
    return gates if matrix is None else [qml.QubitUnitary(matrix, wires=op.wires)]


def preparation_gates(op: Operator) -> list[Operator]:
    """The gates that a preparation of a state means where its wires are not in the state 0."""
    if is_conditional(op):
        # older PennyLanes have it elsewhere, and conditions are deferred there
        from pennylane.ops import Conditional

        return [Conditional(op.meas_val, gate) for gate in preparation_gates(op.base)]
    (state,) = op.data
    # its own decomposition would refuse a state of single precision
    return list(qml.MottonenStatePreparation(double_state(state), wires=op.wires).decomposition())


def matrix_of(gates: Sequence[Operator], op: Operator) -> NDArray[np.complex128]:
    """The matrix of gates on the wires of an operation; of each entry, if there is a batch."""
    if not gates:
        return np.eye(2 ** len(op.wires), dtype=np.complex128)
    return to_complex(qml.matrix(QuantumScript(gates), wire_order=op.wires))


def _has_small_matrix(op: Operator) -> bool:
    return bool(op.has_matrix) and len(op.wires) <= MOST_MATRIX_WIRES


def _is_doubtful(op: Operator) -> bool:
    """Whether a decomposition may be of another operation: of a power, or under controls of what loses its phase or sign."""
    if op.name in NATIVE_GATES:
        # one of the user's own, for which PennyLane may know a decomposition by its name
        return _has_small_matrix(op)
    if not isinstance(op, SymbolicOp) or not _has_small_matrix(op):
        return False
    if op.batch_size is None and any(
        part.name == "GlobalPhase" and qml.math.ndim(part.data[0]) for part in layers_of(op)
    ):
        # PennyLane 0.37 takes the phases of a batch for the diagonal of one matrix
        return False
    if isinstance(op, Pow):
        return True
    if isinstance(op, Controlled) and (not KEEPS_PHASES or (op.data and len(op.base.wires) == 1)):
        return True
    return any(isinstance(part, Pow) and not isinstance(part.z, int) for part in layers_of(op))


def _other_matrix(gates: Sequence[Operator], op: Operator) -> NDArray[np.complex128] | None:
    """The matrix of an operation, where gates, for any entry of a batch, are not that operation up to a phase."""
    others = {wire for gate in gates for wire in gate.wires} - set(op.wires)
    if others and others.issubset(getattr(op, "work_wires", ())):
        # they leave those that they work with as they were
        return None
    try:
        # PennyLane takes no root of a tensor of a gradient under way
        plain = bind_numbers(op, [np.asarray(unwrapped(number)) for number in op.data])
        own = to_complex(plain.matrix())
        product = None if others else matrix_of(gates, op)
    except (TypeError, ValueError, IndexError):
        # JAX is tracing, and there are no numbers yet; or PennyLane gives this operation no other numbers
        return None
    if not np.allclose(own @ np.conj(np.swapaxes(own, -1, -2)), np.eye(own.shape[-1])):
        # a root of an angle of just a turn, which PennyLane computes from rounding
        return None
    if product is None:
        return own
    overlap = np.abs(np.einsum("...ij,...ij->...", np.conj(product), own)) / own.shape[-1]
    return None if np.all(np.abs(overlap - 1) < AGREES) else own


MOST_MATRIX_WIRES = 6
"""Wires of the largest matrix that stands in for a missing decomposition; a backend needs 4**n gates for it."""

EXPONENTIALS = frozenset({"Exp", "Evolution"})

ANY_MATRIX = frozenset(
    {
        "QubitUnitary",
        "DiagonalQubitUnitary",
        "SProd",
        "Sum",
        "LinearCombination",
        "Hamiltonian",
        "Hermitian",
        "Projector",
    }
)
"""Operators that need not be unitary."""


def check_unitary(op: Operator) -> None:
    """Refuse an operation that is not unitary, or wraps something that is not.

    Only what may not be is looked at: exponentials, matrices, sums and complex angles.

    Raises:
        UnsupportedCircuitError: It is not unitary.
    """
    part = next((part for part in layers_of(op) if _may_not_be_unitary(part)), None)
    if part is None:
        return
    try:
        off = _deviation(part)
    except TypeError:
        # JAX is tracing, and there are no numbers yet
        return
    if not off < ROUNDING:
        raise UnsupportedCircuitError(
            f"{op.name} on wires {op.wires.tolist()} is no gate: {part} is not unitary (off by {off:.3g}). Nothing was sent."
        )


def layers_of(op: Operator) -> Iterator[Any]:
    """An operation, what it wraps, and so on."""
    part: Any = op
    while part is not None:
        yield part
        # templates have a base too, of which they are the evolution
        part = part.base if isinstance(part, SymbolicOp) else None


def _may_not_be_unitary(part: Any) -> bool:
    if part.name in ANY_MATRIX or part.name in EXPONENTIALS:
        return True
    if isinstance(part, SymbolicOp):
        return False
    return any("complex" in str(getattr(number, "dtype", type(number))) for number in part.data)


def _deviation(part: Any) -> float:
    """Distance of a diagonal from phases, of an exponent from an imaginary one, of a matrix, unless it is large, from a unitary one."""
    if part.name == "DiagonalQubitUnitary":
        return float(np.max(np.abs(np.abs(to_complex(part.data[0])) - 1)))
    sentence = pauli_sentence_of(part.base) if part.name in EXPONENTIALS else None
    if sentence is None:
        small = part.has_matrix and len(part.wires) <= MOST_MATRIX_WIRES
        return off_unitary(to_complex(part.matrix())) if small else 0.0
    factor = to_complex(part.coeff)
    real = [np.max(np.abs((factor * to_complex(coeff)).real)) for coeff in sentence.values()]
    return float(max(real, default=0.0))
