"""Trouble on order: which request goes wrong, how, and how often.

A :class:`Fault` is plain data. The service looks at its faults in one place, once for each request, and the
first fault that fires decides what happens to that request.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from .config import Model

Effect = Literal[
    "status", "reset", "stall", "truncate", "short", "empty", "pubs", "rows", "count", "extra", "job"
]

_AFTER_ALLOWED = frozenset({"status", "reset", "stall"})


class Fault(Model):
    """One thing that goes wrong.

    ``on`` is a regular expression, searched in ``"METHOD /route"``; routes are written with ``{id}`` and
    ``{name}`` and without host or prefix, as in :attr:`Counters.by_route`: ``POST /jobs``,
    ``GET /jobs/{id}/results``, ``GET /backends/{name}/status``, ``POST /identity/token``.

    The effects:

    * ``status``: an HTTP error ``status`` with IBM's error body; ``retry_after`` adds that header.
    * ``reset``: the connection is reset without an answer.
    * ``stall``: the answer waits ``secs`` seconds, or until faults are cleared.
    * ``truncate``: a well-formed answer that holds only the share ``keep`` of its body.
    * ``short``: the body ends after the share ``keep`` of the announced ``Content-Length``.
    * ``empty``: an answer without a body, status 204 unless ``status`` says otherwise.
    * ``pubs``: results with ``delta`` more or fewer PUBs.
    * ``rows``: results whose PUBs have ``delta`` more or fewer parameter rows.
    * ``count``: a job list whose ``count`` is off by ``delta``.
    * ``extra``: JSON objects with a field that no client knows.
    * ``job``: the job that the request creates ends as ``job_status`` with ``reason``, ``reason_code`` and
      ``reason_solution``; match it on ``POST /jobs``.

    Attributes:
        effect: What goes wrong.
        on: Which requests.
        times: How many matching requests at most; ``None`` for all.
        skip: How many matching requests pass first.
        probability: Chance that a matching request, after the skipped ones, is hit.
        seed: Seeds that chance.
        when: Whether the service acts on the request ``before`` or ``after`` the fault decides: with
            ``"after"`` a job is created although the client is told that it is not. For ``status``,
            ``reset`` and ``stall``.
        status: HTTP status; 500 for the effect ``status``, 204 for ``empty``.
        code: Code in IBM's error body.
        message: Message in IBM's error body.
        retry_after: Seconds in the header ``Retry-After``.
        secs: Seconds that a stalled answer waits; ``None`` until released.
        keep: Share of the body that is sent.
        delta: How far a number is off.
        job_status: Final state of the job.
        reason: IBM's explanation; the client ignores ``reason_code`` without it.
        reason_code: IBM's error code.
        reason_solution: IBM's advice.
    """

    effect: Effect
    on: str = "."
    times: int | None = Field(default=1, ge=1)
    skip: int = Field(default=0, ge=0)
    probability: float = Field(default=1.0, gt=0, le=1)
    seed: int = 0
    when: Literal["before", "after"] = "before"
    status: int | None = Field(default=None, ge=200, le=599)
    code: int = 1000
    message: str = "Injected fault."
    retry_after: int | None = Field(default=None, ge=0)
    secs: float | None = Field(default=None, ge=0)
    keep: float = Field(default=0.5, ge=0, lt=1)
    delta: int = -1
    job_status: Literal["Failed", "Cancelled", "Cancelled - Ran too long"] = "Failed"
    reason: str | None = None
    reason_code: int | None = None
    reason_solution: str | None = None

    @field_validator("on")
    @classmethod
    def _check_pattern(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"'on' is no regular expression: {error}") from None
        return value

    @model_validator(mode="after")
    def _check_effect(self) -> Self:
        if self.when == "after" and self.effect not in _AFTER_ALLOWED:
            raise ValueError(f"when='after' has no meaning for the effect {self.effect!r}")
        if self.delta == 0 and self.effect in {"pubs", "rows", "count"}:
            raise ValueError(f"delta=0 would change nothing for the effect {self.effect!r}")
        return self


@dataclass
class _Armed:
    """A fault and how far it has got."""

    fault: Fault
    pattern: re.Pattern[str]
    chance: random.Random
    seen: int = 0
    fired: int = 0

    def fires(self, label: str) -> bool:
        if self.fault.times is not None and self.fired >= self.fault.times:
            return False
        if not self.pattern.search(label):
            return False
        self.seen += 1
        if self.seen <= self.fault.skip or self.chance.random() >= self.fault.probability:
            return False
        self.fired += 1
        return True


@dataclass
class FaultPlan:
    """The faults in force. Owned by the service's event loop; asked once for each request."""

    _armed: list[_Armed] = field(default_factory=list)

    def inject(self, fault: Fault) -> None:
        """Put a fault in force, after those that are."""
        chance = random.Random(fault.seed)  # noqa: S311 - chance, not secrets
        self._armed.append(_Armed(fault, re.compile(fault.on), chance))

    def clear(self) -> None:
        """Take all faults out of force."""
        self._armed.clear()

    def decide(self, label: str) -> Fault | None:
        """The fault that hits a request, if any; the one decision point.

        Args:
            label: ``"METHOD /route"`` of the request.

        Returns:
            The first fault, in the order of injection, that fires.
        """
        return next((armed.fault for armed in self._armed if armed.fires(label)), None)
