"""Checks of what a tape measures that hold on any stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
from .pauli import pauli_sentence_of

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


def check_measurements(tape: QuantumScript, device: str) -> None:
    """Refuse what no shots can give.

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
    if mp.obs is None:
        return
    # words have a mean each; the values of single shots are eigenvalues
    if isinstance(mp, (ExpectationMP, VarianceMP)) and pauli_sentence_of(mp.obs) is not None:
        return
    if not mp.obs.has_diagonalizing_gates:
        raise UnsupportedCircuitError(
            f"Observable {mp.obs} of {without_suffix(type(mp).__name__, 'MP')} not supported on {device}. Accepted: "
            "sums and products of Pauli operators, and observables with diagonalizing gates, such as Hermitian, "
            "Projector and Hadamard. Nothing was sent."
        )
