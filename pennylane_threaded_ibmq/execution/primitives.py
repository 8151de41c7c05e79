"""PUBs in the form of IBM's primitives, and their results back: checked, since a wrong shape must never pass.

Rows without parameters are never sent as an array of shape ``(N, 0)``: Aer's Sampler answers it with one row of results
and zeros for all others, and its Estimator fails. They are sent in the first of these ways that serves:

* as shots of one circuit, dealt out to the rows afterwards, as far as the backend's number of shots allows; for a Sampler,
  where the circuits of a job may have different numbers of shots;
* as rows of a parameter that changes nothing: a rotation about Z of a qubit that nothing has touched. Each row has an angle
  of its own, so that no service can take two for one and give both the same shots;
* as PUBs, one a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi
from typing import TYPE_CHECKING, Any

import numpy as np

from ..circuits.decode import BlockResult
from ..circuits.outcomes import ShotBits
from ..circuits.pubs import Pub, Request, collect
from ..exceptions import ResultError
from ..service.job import PubData, SentJob
from ..service.result_checks import check_outcomes, check_values
from ..service.service import JobService

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from qiskit import QuantumCircuit


def primitive_pubs(
    requests: Sequence[Request], most_shots: int | None, *, takes_rz: bool
) -> list[tuple[Any, ...]]:
    """PUBs in the form that IBM's primitives take.

    Args:
        requests: What is to be run.
        most_shots: Most shots of a circuit; ``None`` where those of several rows cannot be taken together.
        takes_rz: Circuits may have an ``rz`` gate.
    """
    return [
        _as_tuple(pub, part)
        for request in requests
        for pub in request.pubs
        for part in _parts(pub, most_shots, takes_rz=takes_rz)
    ]


def job_pubs(requests: Sequence[Request], jobs: JobService) -> list[tuple[Any, ...]]:
    """The same for jobs of one backend."""
    return primitive_pubs(requests, jobs.most_shots, takes_rz=jobs.takes_rz)


@dataclass(frozen=True)
class _Part:
    """One PUB that is sent for one of ours.

    Attributes:
        rows: Its rows.
        has_axis: The rows are an axis of its values and results; otherwise of its shots.
        numbered: Of a parameter that changes nothing.
    """

    rows: int
    has_axis: bool = False
    numbered: bool = False


def _parts(pub: Pub, most_shots: int | None, *, takes_rz: bool) -> list[_Part]:
    rows = len(pub.values)
    if pub.values.shape[1]:
        return [_Part(rows, has_axis=True)]
    together = most_shots is not None and not pub.observables
    if rows > 1 and takes_rz and not together:
        return [_Part(rows, has_axis=True, numbered=True)]
    # the same observable twice may be read from the same shots, so an Estimator is asked once for each row
    most = max(1, most_shots // pub.shots) if most_shots is not None and together else 1
    return [_Part(min(most, rows - start)) for start in range(0, rows, most)]


def count_parts(pub: Pub, most_shots: int | None, *, takes_rz: bool) -> int:
    """Number of PUBs that are sent for one of ours."""
    return len(_parts(pub, most_shots, takes_rz=takes_rz))


def _as_tuple(pub: Pub, part: _Part) -> tuple[Any, ...]:
    circuit, values = pub.circuit, pub.values if part.has_axis else None
    if part.numbered:
        circuit, values = _numbered(circuit), np.linspace(0.0, pi, part.rows)[:, None]
    if pub.observables:
        # rows, not observables, get an axis of their own: IBM's schema takes a flat list of observables and no nested one
        return (
            circuit,
            list(pub.observables),
            values if values is None else values[:, None],
            pub.precision,
        )
    return (circuit, values, pub.shots if part.has_axis else pub.shots * part.rows)


def _numbered(circuit: QuantumCircuit) -> QuantumCircuit:
    """A circuit with a parameter that changes nothing: its first gate turns a qubit in its first state about Z."""
    from qiskit.circuit import Parameter

    qubit = next((i.qubits[0] for i in circuit.data if i.qubits), circuit.qubits[0])
    result = circuit.copy_empty_like()
    result.rz(Parameter("row"), qubit)
    result.compose(circuit, result.qubits, result.clbits, inplace=True, copy=False)
    return result


def read_results(
    requests: Sequence[Request],
    results: Sequence[PubData],
    job: SentJob,
    rng: np.random.Generator,
    most_shots: int | None,
    *,
    takes_rz: bool,
    mitigated: bool,
) -> list[BlockResult]:
    """Check the results of a job's PUBs and put them together by block.

    Args:
        requests: What was run.
        results: One result a PUB that was sent.
        job: The job.
        rng: Orders the shots of simulators, where order matters.
        most_shots: As for :func:`primitive_pubs`.
        takes_rz: The same.
        mitigated: Expectation values were corrected for errors.

    Raises:
        ResultError: A result does not have the shape that was asked for, or holds what cannot be.
    """
    left = iter(results)

    def read(pub: Pub) -> Any:
        parts = _parts(pub, most_shots, takes_rz=takes_rz)
        return _read(pub, [(part, next(left)) for part in parts], job, mitigated=mitigated)

    return [collect(request, [read(pub) for pub in request.pubs], rng) for request in requests]


def _read(pub: Pub, parts: Sequence[tuple[_Part, PubData]], job: SentJob, *, mitigated: bool) -> Any:
    if pub.observables:
        return np.concatenate([_values(pub, part, data, job, mitigated) for part, data in parts], axis=1)
    packed = [_bits(pub, part, data, job) for part, data in parts]
    least = min(part.shape[1] for part in packed)
    return ShotBits(np.concatenate([part[:, :least] for part in packed]))


def _values(pub: Pub, part: _Part, result: PubData, job: SentJob, mitigated: bool) -> NDArray[np.float64]:
    words, rows = len(pub.observables), part.rows
    try:
        values = np.asarray(result.values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ResultError(
            f"Job {job.job_id}: expectation values are no numbers: {error}.", job_ids=[job.job_id]
        ) from None
    _check_shape(values.shape, (rows, words) if part.has_axis else (words,), job)
    values = values.reshape(rows, words)
    weights = [int((o.paulis.x | o.paulis.z).sum()) for o in pub.observables]
    check_values(values, result.errors, weights, job, mitigated=mitigated)
    return values.T


def _bits(pub: Pub, part: _Part, result: PubData, job: SentJob) -> NDArray[np.uint8]:
    """Outcomes of some rows; twirling rounds the number of shots up, and what was paid for is used."""
    packed, rows = np.asarray(result.bits), part.rows
    if not part.has_axis and packed.ndim in {2, 3} and packed.shape[:-2] in {(), (1,)}:
        each = packed.shape[-2] // rows
        packed = packed.reshape(-1, packed.shape[-1])[: rows * each].reshape(rows, each, packed.shape[-1])
    got = packed.shape[:-1]
    _check_shape(got, (rows, max(pub.shots, got[-1] if len(got) == 2 else 0)), job)
    check_outcomes(packed, pub.circuit.num_clbits, job)
    return packed


def _check_shape(shape: tuple[int, ...], right: tuple[int, ...], job: SentJob) -> None:
    if shape != right:
        raise ResultError(
            f"Job {job.job_id}: a PUB's result has shape {shape} instead of {right}.", job_ids=[job.job_id]
        )
