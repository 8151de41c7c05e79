"""Bases of observables that are no Pauli words: the gates to them, and what must hold so that PennyLane's eigenvalues are theirs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pennylane as qml
from pennylane.measurements import MeasurementProcess, ProbabilityMP
from pennylane.queuing import QueuingManager

from .._compat import zip_strict
from ..exceptions import UnsupportedCircuitError
from .gates import is_native_gate
from .observables import IMAGINARY, parts_of, real_number
from .precision import double_unitary

if TYPE_CHECKING:
    from pennylane.operation import Operator

MOST_OBSERVABLE_WIRES = 10
"""Wires of the largest observable whose matrix is looked at."""


def check_hermitian(mp: MeasurementProcess) -> None:
    """Refuse what has no real eigenvalues, or eigenvalues that PennyLane takes as if it were Hermitian.

    Raises:
        UnsupportedCircuitError: It is no observable.
    """
    obs = mp.obs
    if not getattr(obs, "is_hermitian", False) and obs.has_matrix and len(obs.wires) <= MOST_OBSERVABLE_WIRES:
        matrix = np.asarray(obs.matrix(), dtype=np.complex128)
        if not np.allclose(matrix, matrix.conj().T, atol=IMAGINARY):
            raise UnsupportedCircuitError(
                f"{mp} is no observable: {obs} is not Hermitian, so its values are not real numbers. Measure its Hermitian "
                "and anti-Hermitian parts, (A + A†)/2 and (A - A†)/2i, one by one. Nothing was sent."
            )
    for value in np.asarray(mp.eigvals()).ravel():
        real_number(value, mp, "eigenvalue")


def basis_gates(mp: MeasurementProcess) -> tuple[Operator, ...]:
    """Gates to the basis of an observable, in which each outcome has the eigenvalue that PennyLane gives it.

    Raises:
        UnsupportedCircuitError: There are none, or one is no gate.
    """
    rotations = tuple(_native(_diagonalizing_gates(mp)))
    for gate in rotations:
        if gate.name == "QubitUnitary":
            # such as the basis of a projector on a state that is not normalised
            double_unitary(gate)
    return rotations


def _diagonalizing_gates(mp: MeasurementProcess) -> list[Operator]:
    obs = mp.obs
    gates: list[Operator] = list(obs.diagonalizing_gates())
    if isinstance(mp, ProbabilityMP):
        # of outcomes, whatever value each has
        return gates
    zeros = _zero_controls(obs)
    if zeros is None:
        raise UnsupportedCircuitError(
            f"{mp} is controlled by a wire that must be 0, and PennyLane takes the eigenvalues of {obs} as if it had to be 1. "
            "Measure qml.Hermitian(qml.matrix(obs), wires=obs.wires). Nothing was sent."
        )
    return [*map(qml.PauliX, zeros), *gates]


def _zero_controls(obs: Operator) -> list[Any] | None:
    """Wires that must be 0 for an observable, or a part of it, to act; ``None`` where they are not all that PennyLane gets wrong.

    It has the eigenvalues of what is controlled as if all controls had to be 1.
    """
    parts = parts_of(obs)
    zeros = [_zero_controls(part) for part in parts]
    values = getattr(obs, "control_values", None)
    if values is not None:
        own = [wire for wire, value in zip_strict(obs.control_wires, values) if not value]
        return None if any(zero != [] for zero in zeros) else own
    if all(zero == [] for zero in zeros):
        return []
    # those that share a wire PennyLane diagonalises together, by their matrix
    if sum(len(part.wires) for part in parts) != len(obs.wires) or None in zeros:
        return None
    return [wire for zero in zeros for wire in zero or ()]


def _native(gates: Sequence[Operator]) -> list[Operator]:
    """Decompose until the converter knows each gate."""
    out: list[Operator] = []
    for gate in gates:
        if is_native_gate(gate):
            out.append(gate)
        elif gate.has_decomposition:
            out.extend(_native(gate.decomposition()))
        else:
            raise UnsupportedCircuitError(
                f"The basis change {gate.name}, needed to measure an observable, has no decomposition."
            )
    return out


def check_processing(mp: MeasurementProcess, width: int) -> None:
    """Refuse what PennyLane cannot read from shots, such as samples of a power, while they are not paid for.

    Raises:
        UnsupportedCircuitError: It fails with two shots.
    """
    try:
        with QueuingManager.stop_recording():
            # two, as PennyLane 0.31 leaves the axis of one out and misses it then
            mp.process_samples(np.zeros((2, width), dtype=np.int64), wire_order=mp.obs.wires)
    except Exception as error:
        raise UnsupportedCircuitError(
            f"{mp}: PennyLane cannot read it from shots: {type(error).__name__}: {error}. Measure "
            "qml.Hermitian(qml.matrix(obs), wires=obs.wires). Nothing was sent."
        ) from error
