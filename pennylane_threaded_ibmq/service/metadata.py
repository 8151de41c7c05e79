"""Metadata of IBM's primitives, in one form for both kinds of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .marks import MARK

_RESILIENCE = frozenset({"resilience", "resilience_level"})


@dataclass(frozen=True)
class PubFacts:
    """Metadata of one PUB.

    Attributes:
        shots: Executions of each row, where the primitive says.
        precision: The precision that was aimed at (Estimator).
        resilience: How errors were mitigated: ``resilience_level`` and what belongs to it; empty for plain counts.
        timing: When the QPU worked on the job: start and stop of each stretch, in seconds since 1970.
        pub: All that is said of the PUB, as it came.
        job: All that is said of the job, as it came.
    """

    shots: int | None = None
    precision: float | None = None
    resilience: Mapping[str, Any] = field(default_factory=dict)
    timing: tuple[tuple[float, float], ...] = ()
    pub: Mapping[str, Any] = field(default_factory=dict)
    job: Mapping[str, Any] = field(default_factory=dict)


def read_facts(pub: Any, job: Any) -> PubFacts:
    """Read the metadata of a PUB's result and of its job's; any part of either may be missing.

    Args:
        pub: Metadata of the PUB's result.
        job: Metadata of the whole result.
    """
    of_pub, of_job = _mapping(pub), _mapping(job)
    rest = {key: value for key, value in of_pub.items() if key != "circuit_metadata"}
    of_pub = {**rest, **_circuit(of_pub)}
    # the service side says it of each PUB; the client side of the job, the mitigation among its options
    options = {k: v for k, v in _mapping(of_job.get("options")).items() if k in _RESILIENCE}
    said = [_mapping(one.get("resilience")) for one in (of_job, options, of_pub)]
    level = {k: v for k, v in options.items() if k == "resilience_level"}
    return PubFacts(
        _whole(of_pub.get("shots", of_job.get("shots"))),
        _real(of_pub.get("target_precision", of_job.get("target_precision"))),
        {key: value for one in (*said, level) for key, value in one.items()},
        tuple(_stretches(of_job)),
        of_pub,
        of_job,
    )


def _circuit(pub: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata of the circuit without our own mark."""
    rest = {key: value for key, value in _mapping(pub.get("circuit_metadata")).items() if key != MARK}
    return {"circuit_metadata": rest} if rest else {}


def _stretches(job: Mapping[str, Any]) -> Iterable[tuple[float, float]]:
    spans = _mapping(job.get("execution")).get("execution_spans")
    for span in spans if spans is not None else getattr(job.get("executor"), "chunk_timing", ()):
        start, stop = getattr(span, "start", None), getattr(span, "stop", None)
        if isinstance(start, datetime) and isinstance(stop, datetime):
            yield start.timestamp(), stop.timestamp()


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _real(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
