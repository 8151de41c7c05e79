"""Numbers of single precision, which JAX and Torch make by default, in the double precision that Qiskit checks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._tensors import unwrapped
from ..exceptions import UnsupportedCircuitError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pennylane.operation import Operator


def to_complex(value: Any) -> NDArray[np.complex128]:
    """Complex numbers of whatever they are made of."""
    return np.asarray(unwrapped(value), dtype=np.complex128)


def to_numbers(value: Any) -> NDArray[Any]:
    """Numbers of whatever they are made of, whose bytes say which they are: those of an array of objects are addresses."""
    array: NDArray[Any] = np.asarray(unwrapped(value))
    return array.astype(np.complex128) if array.dtype.hasobject else array


ROUNDING = 1e-4
"""Distance of single precision from a norm or a unitary matrix at most; more is no rounding."""


def double_state(state: Any) -> NDArray[np.complex128]:
    """A state vector, normalised in double precision. PennyLane has checked the norm to what its precision can tell."""
    vector = to_complex(state).ravel()
    norm = np.linalg.norm(vector)
    if not abs(norm - 1) < ROUNDING:
        raise UnsupportedCircuitError(
            f"A prepared state has the norm {norm:.6g}; it must be 1. Give normalize=True, or divide by the norm. "
            "Nothing was sent."
        )
    return vector / norm


def off_unitary(matrix: NDArray[np.complex128]) -> float:
    """Distance of a matrix times its adjoint from the identity; of a batch the largest."""
    product = matrix @ np.swapaxes(matrix.conj(), -1, -2)
    return float(np.max(np.abs(product - np.eye(matrix.shape[-1]))))


def double_unitary(op: Operator) -> NDArray[np.complex128]:
    """The matrix of a gate; one that is unitary to single precision becomes the nearest that is to double."""
    matrix = to_complex(op.data[0])
    off = off_unitary(matrix)
    if off < 1e-10:
        return matrix
    if not off < ROUNDING:
        raise UnsupportedCircuitError(
            f"The matrix of {op.name} on wires {op.wires.tolist()} is not unitary: its product with its adjoint differs "
            f"from the identity by {off:.3g}. Nothing was sent."
        )
    left, _, right = np.linalg.svd(matrix)
    nearest: NDArray[np.complex128] = left @ right
    return nearest
