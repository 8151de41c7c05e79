"""What a tape may hold on any stack: measurements, observables, and what stands in for a missing gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pennylane as qml
from pennylane.measurements import (
    ClassicalShadowMP,
    CountsMP,
    ExpectationMP,
    MeasurementProcess,
    ProbabilityMP,
    SampleMeasurement,
    SampleMP,
    ShadowExpvalMP,
    VarianceMP,
)

from .._compat import without_suffix
from ..exceptions import UnsupportedCircuitError
from ..execution.pauli import pauli_sentence_of
from .layers import layer_gates

if TYPE_CHECKING:
    from pennylane.operation import Operator
    from pennylane.tape import QuantumScript

SUPPORTED_MEASUREMENTS = (
    ExpectationMP,
    VarianceMP,
    ProbabilityMP,
    CountsMP,
    SampleMP,
    ClassicalShadowMP,
    ShadowExpvalMP,
)

MOST_MATRIX_WIRES = 6
"""Wires of the largest matrix that stands in for a missing decomposition; a backend needs 4**n gates for it."""

ACCEPTED = ", ".join(without_suffix(t.__name__, "MP") for t in SUPPORTED_MEASUREMENTS)


def own_gates(op: Operator) -> list[Operator]:
    """The gates that an operation means; its matrix, if it has nothing else."""
    gates = layer_gates(op)
    if gates is not None:
        return gates
    if not op.has_decomposition and op.has_matrix and len(op.wires) <= MOST_MATRIX_WIRES:
        return [qml.QubitUnitary(op.matrix(), wires=op.wires)]
    return list(op.decomposition())


def check_measurements(tape: QuantumScript, device: str) -> None:
    """Refuse what no shots can give.

    Args:
        tape: Any tape.
        device: Name of the device, for the error.

    Raises:
        UnsupportedCircuitError: A measurement or its observable is not supported.
    """
    for mp in tape.measurements:
        # a measurement of the user's own brings its own processing of samples
        if not isinstance(mp, (*SUPPORTED_MEASUREMENTS, SampleMeasurement)):
            raise UnsupportedCircuitError(
                f"Measurement {mp} not accepted with finite shots on {device}; it needs a state vector. "
                f"Accepted: {ACCEPTED}. Nothing was sent."
            )
        _check_observable(mp, device)


def _check_observable(mp: MeasurementProcess, device: str) -> None:
    if mp.obs is None or pauli_sentence_of(mp.obs) is not None:
        return
    if not mp.obs.has_diagonalizing_gates:
        raise UnsupportedCircuitError(
            f"Observable {mp.obs} of {without_suffix(type(mp).__name__, 'MP')} not supported on {device}. Accepted: "
            "sums and products of Pauli operators, and observables with diagonalizing gates, such as Hermitian, "
            "Projector and Hadamard. Nothing was sent."
        )
