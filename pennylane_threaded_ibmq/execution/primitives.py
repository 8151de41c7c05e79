"""PUBs in the form of IBM's primitives, and their results back: checked, since a wrong shape must never pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._compat import zip_strict
from ..exceptions import ResultError
from ..ibm.service import PubData, SentJob
from .decode import BlockResult
from .outcomes import ShotBits
from .pubs import Pub, Request, collect


def primitive_pubs(requests: Sequence[Request]) -> list[tuple[Any, ...]]:
    """PUBs in the form that IBM's primitives take."""
    return [_as_tuple(pub) for request in requests for pub in request.pubs]


def _as_tuple(pub: Pub) -> tuple[Any, ...]:
    # values are always two-dimensional: N rows without parameters are N independent samples, not one
    if pub.observables:
        return (pub.circuit, [[o] for o in pub.observables], pub.values, pub.precision)
    return (pub.circuit, pub.values, pub.shots)


def read_results(
    requests: Sequence[Request], results: Sequence[PubData], job: SentJob, rng: np.random.Generator
) -> list[BlockResult]:
    """Check the results of a job's PUBs and put them together by block.

    Raises:
        ResultError: A result does not have the shape that was asked for.
    """
    out, start = [], 0
    for request in requests:
        mine = results[start : start + len(request.pubs)]
        start += len(request.pubs)
        read = [_read(pub, result, job) for pub, result in zip_strict(request.pubs, mine)]
        out.append(collect(request, read, rng))
    return out


def _read(pub: Pub, result: PubData, job: SentJob) -> Any:
    rows = len(pub.values)
    if pub.observables:
        values = np.asarray(result.values, dtype=np.float64)
        _check_shape(values.shape, (len(pub.observables), rows), job)
        return values
    packed = np.asarray(result.bits)
    _check_shape(packed.shape[:-1], (rows, pub.shots), job)
    return ShotBits(packed.astype(np.uint8, copy=False))


def _check_shape(shape: tuple[int, ...], wanted: tuple[int, ...], job: SentJob) -> None:
    if shape != wanted:
        raise ResultError(
            f"Job {job.job_id}: a PUB's result has shape {shape} instead of {wanted}.", job_ids=[job.job_id]
        )
