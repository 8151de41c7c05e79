"""PUBs in the form of IBM's primitives, and their results back: checked, since a wrong shape must never pass.

Rows without parameters are never sent as an array of shape ``(N, 0)``: Aer's Sampler answers it with one row of results
and zeros for all others, and its Estimator fails. They are sent as any program sends a circuit without parameters, as
few times as the backend's number of shots allows, and the shots are dealt out to the rows afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..exceptions import ResultError
from ..ibm.service import PubData, SentJob
from .decode import BlockResult
from .outcomes import ShotBits
from .pubs import Pub, Request, collect
from .trust import check_outcomes, check_values

if TYPE_CHECKING:
    from numpy.typing import NDArray


def primitive_pubs(requests: Sequence[Request], most_shots: int | None) -> list[tuple[Any, ...]]:
    """PUBs in the form that IBM's primitives take.

    Args:
        requests: What is to be run.
        most_shots: Most shots of a circuit; ``None`` where those of several rows cannot be taken together.
    """
    return [
        _as_tuple(pub, rows)
        for request in requests
        for pub in request.pubs
        for rows in _rows(pub, most_shots)
    ]


def _rows(pub: Pub, most_shots: int | None) -> list[int]:
    """Rows of each PUB that is sent for one of ours."""
    rows = len(pub.values)
    if pub.values.shape[1]:
        return [rows]
    # the same observable twice may be read from the same shots, so an Estimator is asked once for each row
    most = 1 if pub.observables or most_shots is None else max(1, most_shots // pub.shots)
    return [min(most, rows - start) for start in range(0, rows, most)]


def _as_tuple(pub: Pub, rows: int) -> tuple[Any, ...]:
    values = pub.values if pub.values.shape[1] else None
    if pub.observables:
        # rows, not observables, get an axis of their own: IBM's schema takes a flat list of observables and no nested one
        return (
            pub.circuit,
            list(pub.observables),
            values if values is None else values[:, None],
            pub.precision,
        )
    return (pub.circuit, values, pub.shots if values is not None else pub.shots * rows)


def read_results(
    requests: Sequence[Request],
    results: Sequence[PubData],
    job: SentJob,
    rng: np.random.Generator,
    most_shots: int | None,
    *,
    mitigated: bool,
) -> list[BlockResult]:
    """Check the results of a job's PUBs and put them together by block.

    Args:
        requests: What was run.
        results: One result a PUB that was sent.
        job: The job.
        rng: Orders the shots of simulators, where order matters.
        most_shots: As for :func:`primitive_pubs`.
        mitigated: Expectation values were corrected for errors.

    Raises:
        ResultError: A result does not have the shape that was asked for, or holds what cannot be.
    """
    left = iter(results)
    return [
        collect(request, [_read(pub, left, job, most_shots, mitigated) for pub in request.pubs], rng)
        for request in requests
    ]


def _read(pub: Pub, results: Iterator[PubData], job: SentJob, most_shots: int | None, mitigated: bool) -> Any:
    sent = [(rows, next(results)) for rows in _rows(pub, most_shots)]
    if pub.observables:
        return np.concatenate([_values(pub, rows, result, job, mitigated) for rows, result in sent], axis=1)
    packed = [_bits(pub, rows, result, job) for rows, result in sent]
    least = min(part.shape[1] for part in packed)
    return ShotBits(np.concatenate([part[:, :least] for part in packed]))


def _values(pub: Pub, rows: int, result: PubData, job: SentJob, mitigated: bool) -> NDArray[np.float64]:
    words = len(pub.observables)
    try:
        values = np.asarray(result.values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ResultError(
            f"Job {job.job_id}: expectation values are no numbers: {error}.", job_ids=[job.job_id]
        ) from None
    _check_shape(values.shape, (rows, words) if pub.values.shape[1] else (words,), job)
    values = values.reshape(rows, words)
    weights = [int((o.paulis.x | o.paulis.z).sum()) for o in pub.observables]
    check_values(values, result.errors, weights, job, mitigated=mitigated)
    return values.T


def _bits(pub: Pub, rows: int, result: PubData, job: SentJob) -> NDArray[np.uint8]:
    """Outcomes of some rows; twirling rounds the number of shots up, and what was paid for is used."""
    packed = np.asarray(result.bits)
    if pub.values.shape[1] == 0 and packed.ndim in {2, 3} and packed.shape[:-2] in {(), (1,)}:
        each = packed.shape[-2] // rows
        packed = packed.reshape(-1, packed.shape[-1])[: rows * each].reshape(rows, each, packed.shape[-1])
    got = packed.shape[:-1]
    _check_shape(got, (rows, max(pub.shots, got[-1] if len(got) == 2 else 0)), job)
    check_outcomes(packed, pub.circuit.num_clbits, job)
    return packed


def _check_shape(shape: tuple[int, ...], wanted: tuple[int, ...], job: SentJob) -> None:
    if shape != wanted:
        raise ResultError(
            f"Job {job.job_id}: a PUB's result has shape {shape} instead of {wanted}.", job_ids=[job.job_id]
        )
