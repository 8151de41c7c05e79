"""A mark in the circuits of a job, which services hand back with the results: a result is known by it as that of its job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

MARK = "threaded-ibmq"
"""Its name in a circuit's metadata."""


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
