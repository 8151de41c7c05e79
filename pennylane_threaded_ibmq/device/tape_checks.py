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
from pennylane.operation import Operator

from .._compat import without_suffix
from ..exceptions import UnsupportedCircuitError
from ..execution.gates import is_conditional
from ..execution.pauli import pauli_sentence_of
from ..execution.precision import double_state
from .layers import layer_gates
from .unitarity import MOST_MATRIX_WIRES, check_unitary

if TYPE_CHECKING:
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

ACCEPTED = ", ".join(without_suffix(t.__name__, "MP") for t in SUPPORTED_MEASUREMENTS)


def own_gates(op: Operator) -> list[Operator]:
    """The gates that an operation means; its matrix, if it has nothing else."""
    gates = layer_gates(op)
    if gates is not None:
        return gates
    check_unitary(op)
    if not op.has_decomposition and op.has_matrix and len(op.wires) <= MOST_MATRIX_WIRES:
        return [qml.QubitUnitary(op.matrix(), wires=op.wires)]
    gates = op.decomposition()
    # some powers decompose into one gate, which is no list
    return [gates] if isinstance(gates, Operator) else list(gates)


def prepared(op: Operator) -> list[Operator]:
    """The gates that a preparation of a state means where its wires are not in the state 0."""
    if is_conditional(op):
        # older PennyLanes have it elsewhere, and conditions are deferred there
        from pennylane.ops import Conditional

        return [Conditional(op.meas_val, gate) for gate in prepared(op.base)]
    (state,) = op.data
    # its own decomposition would refuse a state of single precision
    return list(qml.MottonenStatePreparation(double_state(state), wires=op.wires).decomposition())


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
