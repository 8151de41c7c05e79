"""A job at a service, and what comes back of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .metadata import PubFacts


@dataclass(frozen=True, eq=False)
class SentJob:
    """A job that the service accepted.

    Attributes:
        job_id: The service's id.
        primitive: ``"sampler"`` or ``"estimator"``.
        pubs: Number of PUBs.
        tag: The tag that no other submission carries.
        handle: What the client knows it by.
    """

    job_id: str
    primitive: str
    pubs: int
    tag: str
    handle: Any


@dataclass(frozen=True, eq=False)
class ListedJob:
    """A job in a list of the service's.

    Attributes:
        job_id: The service's id.
        tags: Its tags.
        handle: What the client knows it by.
    """

    job_id: str
    tags: frozenset[str]
    handle: Any


@dataclass(frozen=True, eq=False)
class PubData:
    """The result of one PUB, as it was sent: its shape is checked by whoever knows what was asked.

    Attributes:
        bits: Outcomes (Sampler): uint8 of shape ``(rows, shots, bytes)``, highest bits first.
        values: Expectation values (Estimator): shape ``(rows, observables)``; ``(observables,)`` without parameters.
        errors: Their standard errors, where the service tells them.
        mark: The tag of the job whose circuit this is, where the service hands it back.
        facts: What else the service says of it.
    """

    bits: Any = None
    values: Any = None
    errors: Any = None
    mark: str = ""
    facts: PubFacts = field(default_factory=PubFacts)
