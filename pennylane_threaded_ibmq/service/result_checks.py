"""Checks of a service's numbers before they are handed on: a wrong number must never pass for a result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..exceptions import ResultError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .job import SentJob

ROUNDING = 1e-6

MITIGATED_FACTOR = 2.0
READOUT_FACTOR = 1.25
"""Factor by which the correction of a readout error of 10 % scales the value of one qubit: 1 / (1 - 2 * 0.1)."""

STANDARD_ERRORS = 10.0


def is_mitigated(options: Mapping[str, Any]) -> bool:
    """Whether an Estimator with these options corrects its values, which may then leave [-1, 1].

    Args:
        options: Options of the Estimator; without a resilience level the service takes 1.
    """
    resilience = options.get("resilience") or {}
    names = ("measure_mitigation", "zne_mitigation", "pec_mitigation")
    level = options.get("resilience_level")
    return level != 0 or any(resilience.get(name) for name in names)


def check_values(
    values: NDArray[np.float64], errors: Any, weights: Sequence[int], job: SentJob, *, mitigated: bool
) -> None:
    """Check expectation values of Pauli words.

    Unmitigated ones are means of +1 and -1. Mitigated ones may leave [-1, 1] by twice what a readout error of 10 % of
    each qubit explains, and by ten standard errors.

    Args:
        values: Shape ``(rows, words)``.
        errors: Standard errors of the same number, or ``None``.
        weights: Number of qubits of each word.
        job: The job.
        mitigated: The values were corrected.

    Raises:
        ResultError: A value is no number, infinite, or impossible.
    """
    _refuse(values, ~np.isfinite(values), "is no finite number", job)
    bound = np.full(values.shape, 1.0 + ROUNDING)
    if mitigated:
        bound = np.broadcast_to(MITIGATED_FACTOR * READOUT_FACTOR ** np.asarray(weights, float), values.shape)
        bound = bound + STANDARD_ERRORS * _standard_errors(errors, values.shape)
    _refuse(values, np.abs(values) > bound, "is impossible for an observable with values 1 and -1", job)


def check_outcomes(packed: NDArray[Any], num_bits: int, job: SentJob) -> None:
    """Check the outcomes of a Sampler.

    Args:
        packed: Bits of each shot, eight to the byte: shape ``(..., bytes)``.
        num_bits: Classical bits of the circuit.
        job: The job.

    Raises:
        ResultError: They are no bytes, or not those of so many bits.
    """
    size = max(1, (num_bits + 7) // 8)
    if packed.dtype != np.uint8 or packed.ndim < 2 or packed.shape[-1] != size:
        raise ResultError(
            f"Job {job.job_id}: outcomes of {num_bits} bits came as {packed.dtype} of shape {packed.shape}.",
            job_ids=[job.job_id],
        )
    spare = 8 * size - num_bits
    if packed.size and spare and int(packed[..., 0].max()) >> (8 - spare):
        raise ResultError(
            f"Job {job.job_id}: an outcome has bits that the circuit, which measures {num_bits}, does not have.",
            job_ids=[job.job_id],
        )


def _standard_errors(errors: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Standard errors, 0 for those that are not there or make no sense."""
    try:
        values = np.asarray(errors, dtype=np.float64).reshape(shape)
    except (TypeError, ValueError):
        return np.zeros(shape)
    return np.where(np.isfinite(values) & (values > 0), values, 0.0)


def _refuse(values: NDArray[np.float64], wrong: NDArray[np.bool_], why: str, job: SentJob) -> None:
    if wrong.any():
        raise ResultError(
            f"Job {job.job_id}: the service gave {values[wrong].flat[0]:g} as an expectation value, which {why}. No result "
            "of this job is used; it is kept at the service.",
            job_ids=[job.job_id],
        )
