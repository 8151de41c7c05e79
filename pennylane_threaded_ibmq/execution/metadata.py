"""Metadata of results: what a service said beside its numbers, by tape."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..circuits.pubs import Pub, Request
from ..service.job import PubData, SentJob
from .primitives import count_parts

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class PubMetadata:
    """Metadata of one PUB that served a tape, as the service said it.

    Attributes:
        job_id: Its job.
        primitive: ``"estimator"`` or ``"sampler"``.
        shots: Executions of each row; ``None`` where the service does not say.
        precision: The precision that was aimed at (Estimator); ``None`` for the Sampler.
        words: The Pauli words that were measured, such as ``"Z(0) @ X(1)"`` (Estimator); empty for the Sampler.
        standard_errors: Standard error of each word: shape ``(rows, words)``, with as many rows as the tape stands for by
            broadcasting; ``None`` for the Sampler, and where the service does not say.
        resilience: How errors were mitigated, as the primitive says: ``resilience_level`` and what belongs to it.
        timing: When the QPU worked on the job: start and stop of each stretch, in seconds since 1970, UTC.
        pub: All that the service says of the PUB, as it came.
        job: All that the service says of the whole result, as it came.
    """

    job_id: str
    primitive: str
    shots: int | None = None
    precision: float | None = None
    words: tuple[str, ...] = ()
    standard_errors: NDArray[np.float64] | None = None
    resilience: Mapping[str, Any] = field(default_factory=dict)
    timing: tuple[tuple[float, float], ...] = ()
    pub: Mapping[str, Any] = field(default_factory=dict)
    job: Mapping[str, Any] = field(default_factory=dict)


def without_numbers(results: Iterable[PubData]) -> tuple[PubData, ...]:
    """Results that have been read, without the numbers, which take the memory."""
    return tuple(
        replace(
            one,
            bits=None,
            values=None,
            facts=one.facts if one.bits is None else replace(one.facts, shots=int(np.shape(one.bits)[-2])),
        )
        for one in results
    )


def metadata_by_tape(
    requests: Sequence[Request],
    results: Sequence[PubData],
    job: SentJob,
    most_shots: int | None,
    *,
    takes_rz: bool,
) -> dict[int, tuple[PubMetadata, ...]]:
    """Metadata of each tape of a shard, by the tape's position in the batch.

    Args:
        requests: What was run.
        results: One result a PUB that was sent, checked, without numbers.
        job: The job.
        most_shots: As for :func:`primitive_pubs`.
        takes_rz: As for :func:`primitive_pubs`.
    """
    by_tape: dict[int, list[PubMetadata]] = {}
    left = iter(results)
    for request in requests:
        for pub in request.pubs:
            parts = [next(left) for _ in range(count_parts(pub, most_shots, takes_rz=takes_rz))]
            errors = _errors(pub, parts)
            for member in request.block.members:
                row_errors = None if errors is None else errors[member.rows]
                by_tape.setdefault(member.position, []).append(
                    _metadata(request, pub, parts[0], job, row_errors)
                )
    return {position: tuple(some) for position, some in by_tape.items()}


def _metadata(
    request: Request, pub: Pub, result: PubData, job: SentJob, errors: NDArray[np.float64] | None
) -> PubMetadata:
    facts = result.facts
    words = request.block.template.words if pub.observables else ()
    return PubMetadata(
        job.job_id,
        job.primitive,
        facts.shots,
        facts.precision,
        tuple(" @ ".join(f"{letter}({wire!r})" for wire, letter in word) for word in words),
        errors,
        facts.resilience,
        facts.timing,
        facts.pub,
        facts.job,
    )


def _errors(pub: Pub, parts: Sequence[PubData]) -> NDArray[np.float64] | None:
    """Standard errors of all rows of a PUB of ours: shape ``(rows, words)``."""
    if not pub.observables or any(part.errors is None for part in parts):
        return None
    words = len(pub.observables)
    arrays = [np.asarray(part.errors, dtype=np.float64) for part in parts]
    if any(array.size % words for array in arrays):
        return None
    return np.concatenate([array.reshape(-1, words) for array in arrays])
