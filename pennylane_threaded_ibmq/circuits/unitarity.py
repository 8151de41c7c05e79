"""Refuse what is no gate where PennyLane's decomposition would make one of it without a word.

PennyLane's own simulator multiplies matrices and notices probabilities that do not add up. A decomposition into rotations
drops the modulus of a diagonal, or the real part of an exponent, and the circuit that is left looks right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pennylane.ops.op_math import SymbolicOp

from ..exceptions import UnsupportedCircuitError
from .pauli import pauli_sentence_of
from .precision import ROUNDING, to_complex

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pennylane.operation import Operator

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

    Args:
        op: An operation that is about to be decomposed.

    Raises:
        UnsupportedCircuitError: It is not unitary.
    """
    part = next((part for part in layers_of(op) if _is_doubtful(part)), None)
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


def _is_doubtful(part: Any) -> bool:
    if part.name in ANY_MATRIX or part.name in EXPONENTIALS:
        return True
    if isinstance(part, SymbolicOp):
        return False
    return any("complex" in str(getattr(number, "dtype", type(number))) for number in part.data)


def _deviation(part: Any) -> float:
    """Distance of a diagonal from phases, of an exponent from an imaginary one, of a matrix from a unitary one."""
    if part.name == "DiagonalQubitUnitary":
        return float(np.max(np.abs(np.abs(to_complex(part.data[0])) - 1)))
    if part.name not in EXPONENTIALS:
        return _off_unitary(part)
    sentence = pauli_sentence_of(part.base)
    if sentence is None:
        return _off_unitary(part)
    factor = to_complex(part.coeff)
    real = [np.max(np.abs((factor * to_complex(coeff)).real)) for coeff in sentence.values()]
    return float(max(real, default=0.0))


def _off_unitary(part: Any) -> float:
    """Distance of a matrix times its adjoint from the identity; 0 where the matrix is too large to look at."""
    if not part.has_matrix or len(part.wires) > MOST_MATRIX_WIRES:
        return 0.0
    matrix = to_complex(part.matrix())
    product = matrix @ np.swapaxes(matrix.conj(), -1, -2)
    return float(np.max(np.abs(product - np.eye(matrix.shape[-1]))))
