"""Metadata of IBM's primitives, in one form for both kinds of them.

Circuits of ours carry the tag of their job there, which services hand back with the results: a result is known by it as that of its job.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .metrics import mapping, number, whole

MARK = "threaded-ibmq"
"""Name of that tag in a circuit's metadata."""

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
    of_pub, of_job = mapping(pub), mapping(job)
    rest = {key: value for key, value in of_pub.items() if key != "circuit_metadata"}
    of_pub = {**rest, **_circuit(of_pub)}
    # the service side says it of each PUB; the client side of the job, the mitigation among its options
    options = {k: v for k, v in mapping(of_job.get("options")).items() if k in _RESILIENCE}
    parts = [mapping(one.get("resilience")) for one in (of_job, options, of_pub)]
    level = {k: v for k, v in options.items() if k == "resilience_level"}
    return PubFacts(
        whole(of_pub.get("shots", of_job.get("shots"))),
        number(of_pub.get("target_precision", of_job.get("target_precision"))),
        {key: value for one in (*parts, level) for key, value in one.items()},
        tuple(_stretches(of_job)),
        of_pub,
        of_job,
    )


def _circuit(pub: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata of the circuit without our own mark."""
    rest = {key: value for key, value in mapping(pub.get("circuit_metadata")).items() if key != MARK}
    return {"circuit_metadata": rest} if rest else {}


def _stretches(job: Mapping[str, Any]) -> Iterable[tuple[float, float]]:
    spans = mapping(job.get("execution")).get("execution_spans")
    for span in spans if spans is not None else getattr(job.get("executor"), "chunk_timing", ()):
        start, stop = getattr(span, "start", None), getattr(span, "stop", None)
        if isinstance(start, datetime) and isinstance(stop, datetime):
            yield start.timestamp(), stop.timestamp()


def mark_pubs(pubs: Sequence[Any], tag: str) -> list[Any]:
    """PUBs whose circuits carry the tag of their job; the circuits that came, which many jobs share, stay as they are.

    Args:
        pubs: PUBs, each a tuple that begins with its circuit.
        tag: The job's own tag.
    """
    copies: dict[int, Any] = {}
    out = []
    for circuit, *rest in pubs:
        copy = copies.get(id(circuit))
        if copy is None:
            copy = copies[id(circuit)] = circuit.copy()
            copy.metadata = {**(circuit.metadata or {}), MARK: tag}
        out.append((copy, *rest))
    return out


def read_mark(metadata: Any) -> str:
    """The tag in the metadata of a circuit that came back; empty where a service returns none."""
    mark = metadata.get(MARK, "") if isinstance(metadata, dict) else ""
    return mark if isinstance(mark, str) else ""
