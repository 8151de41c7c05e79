"""Trouble on order: which request goes wrong, how, and how often.

A :class:`Fault` is plain data. The service looks at its faults in one place, once for each request, and the
first fault that fires decides what happens to that request.
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from .config import Model

if TYPE_CHECKING:
    from typing_extensions import Self


Effect = Literal[
    "status", "reset", "stall", "truncate", "short", "empty", "pubs", "rows", "count", "extra", "state", "job"
]

_AFTER_ALLOWED = frozenset({"status", "reset", "stall"})


class Fault(Model):
    """One thing that goes wrong.

    ``on`` is a regular expression that must match the whole of ``"METHOD /route"``; routes are written with ``{id}``
    and ``{name}`` and without host or prefix, as in :attr:`Counters.by_route`: ``POST /jobs``,
    ``GET /jobs/{id}/results``, ``GET /backends/{name}/status``, ``POST /identity/token``, ``GET /jobs.*``.

    The effects:

    * ``status``: an HTTP error ``status`` with IBM's error body; ``retry_after`` adds that header.
    * ``reset``: the connection is reset without an answer.
    * ``stall``: the answer waits ``secs`` seconds, or until faults are cleared; with ``when="before"`` the request waits
      with it. It is carried out then although its client has gone: a slow ``POST /jobs`` makes a job of a dead program.
    * ``truncate``: a well-formed answer that holds only the share ``keep`` of its body.
    * ``short``: the body ends after the share ``keep`` of the announced ``Content-Length``.
    * ``empty``: an answer without a body, status 204 unless ``status`` says otherwise. The client gives ``None``
      as the result of a job for it.
    * ``pubs``: results with ``delta`` more or fewer PUBs; of the classic API, circuits.
    * ``rows``: results whose PUBs have ``delta`` more or fewer parameter rows; of the classic API, circuits whose
      memory has more or fewer shots.
    * ``count``: a job list whose ``count`` is off by ``delta``.
    * ``extra``: JSON objects, nested ones too, with a field that no client knows; typed values, and with them
      results, stay as they are. The client takes this everywhere but in a backend's configuration.
    * ``state``: a job's view in a state that no client knows, ``unknown_state``, whatever it is in.
    * ``job``: the job that the request creates ends as ``job_status`` with ``reason``, ``reason_code`` and
      ``reason_solution``, and ``usage_secs`` are charged for it; only ``POST /jobs`` creates one.

    Attributes:
        effect: What goes wrong.
        on: Which requests.
        times: How many matching requests at most; ``None`` for all.
        skip: How many matching requests pass first.
        probability: Chance that a matching request, after the skipped ones, is hit.
        seed: Seeds that chance, for each route by itself: whether the third ``POST /jobs`` is hit does not depend
            on how often a client has asked for states meanwhile.
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
        unknown_state: Name of a state that no client knows.
        job_status: Final state of the job.
        reason: IBM's explanation; the client ignores ``reason_code`` without it.
        reason_code: IBM's error code.
        reason_solution: IBM's advice.
        usage_secs: QPU seconds charged for the job.
    """

    effect: Effect
    on: str = ".*"
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
    unknown_state: str = "Pondering"
    job_status: Literal["Failed", "Cancelled", "Cancelled - Ran too long"] = "Failed"
    reason: str | None = None
    reason_code: int | None = None
    reason_solution: str | None = None
    usage_secs: float = Field(default=0.0, ge=0, allow_inf_nan=False)

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


def fault_mix(share: float, seed: int = 0, *, on: str = ".*", stall_secs: float = 0.2) -> tuple[Fault, ...]:
    """Faults of all kinds that together hit a share of all requests, each kind as often as any other.

    The kinds are: 500, 502, 503 and 504; 429 and 503 with ``Retry-After: 1``, 429 without; a reset before the service
    acts and one after; 502 after the service acted, which makes the client submit a job twice; a stalled answer. For
    ``GET /jobs/{id}/results`` also: a truncated text, an answer shorter than announced, and an empty one.

    Args:
        share: Chance that a request is hit.
        seed: Makes the choice repeatable, for each route by itself.
        on: Which requests, as in :attr:`Fault.on`.
        stall_secs: How long an answer stalls.

    Returns:
        The faults, for :meth:`Loopback.inject`. They stay in force until they are cleared.

    Raises:
        ValueError: ``share`` is not between 0 and 1.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share must be above 0 and at most 1, got {share}")
    anywhere: list[dict[str, Any]] = [
        *({"effect": "status", "status": status} for status in (500, 502, 503, 504, 429)),
        {"effect": "status", "status": 429, "retry_after": 1},
        {"effect": "status", "status": 503, "retry_after": 1},
        {"effect": "status", "status": 502, "when": "after"},
        {"effect": "reset"},
        {"effect": "reset", "when": "after"},
        {"effect": "stall", "secs": stall_secs},
    ]
    of_results: list[dict[str, Any]] = [{"effect": "truncate"}, {"effect": "short"}, {"effect": "empty"}]
    results = r"GET /jobs/{id}/results"
    kinds_on = ((anywhere + of_results, results), (anywhere, f"(?!{results}$).*"))
    faults: list[Fault] = []
    for kinds, where in kinds_on:
        each = share / len(kinds)
        for index, kind in enumerate(kinds):
            # A fault is asked only after those before it let the request pass.
            chance = min(1.0, each / (1 - index * each))
            both = f"(?=(?:{on})$){where}"
            faults.append(
                Fault(on=both, times=None, probability=chance, seed=1000 * seed + len(faults), **kind)
            )
    return tuple(faults)


@dataclass
class _ActiveFault:
    """A fault and how far it has got."""

    fault: Fault
    pattern: re.Pattern[str]
    chances: dict[str, random.Random] = field(default_factory=dict)
    matches: int = 0
    hits: int = 0

    def fires(self, label: str) -> bool:
        if self.fault.times is not None and self.hits >= self.fault.times:
            return False
        if not self.pattern.fullmatch(label):
            return False
        self.matches += 1
        if self.matches <= self.fault.skip or self._chance(label) >= self.fault.probability:
            return False
        self.hits += 1
        return True

    def _chance(self, label: str) -> float:
        if label not in self.chances:
            self.chances[label] = random.Random(f"{self.fault.seed} {label}")  # noqa: S311 - chance, not secrets
        return self.chances[label].random()


@dataclass
class FaultPlan:
    """The faults in force. Owned by the service's event loop; asked once for each request."""

    _active: list[_ActiveFault] = field(default_factory=list)

    def inject(self, fault: Fault) -> None:
        """Put a fault in force, after those that are."""
        self._active.append(_ActiveFault(fault, re.compile(fault.on)))

    def clear(self) -> None:
        """Take all faults out of force."""
        self._active.clear()

    def decide(self, label: str) -> Fault | None:
        """The fault that hits a request, if any: of those in force, in their order, the first that fires. The one decision point."""
        return next((active.fault for active in self._active if active.fires(label)), None)


def resize(fault: Fault, text: str) -> str:
    """Results with another number of PUBs or parameter rows; of the classic API, of circuits or entries of memory."""
    result = json.loads(text)
    if "schema_version" in result:
        return _quantum_program(fault, text, result["schema_version"])
    if "__type__" not in result:
        return json.dumps(_classic(fault, result))
    return _primitive(fault, text)


def _classic(fault: Fault, result: dict[str, Any]) -> dict[str, Any]:
    circuits = result.get("results", [])  # a URL has none
    if fault.effect == "pubs" and circuits:
        return {**result, "results": _other_length(circuits, fault.delta)}
    for circuit in circuits:
        if "memory" in circuit["data"]:
            circuit["data"]["memory"] = _other_length(circuit["data"]["memory"], fault.delta)
    return result


def _quantum_program(fault: Fault, text: str, version: str) -> str:
    # Only who serves the program `executor` gets here.
    from .executor import schema_of

    model, tensor = schema_of(version)
    result = model.model_validate_json(text)
    if fault.effect == "pubs":
        result.data = _other_length(result.data, fault.delta)
    for item in result.data if fault.effect == "rows" else ():
        item.results = {
            name: tensor.from_numpy(_other_sweep(value.to_numpy(), fault.delta))
            for name, value in item.results.items()
        }
    return str(result.model_dump_json())


def _other_sweep(array: Any, delta: int) -> Any:
    """An array with other rows; its last axes are shots and bits, and those in front of its rows randomizations."""
    rows = array if array.ndim > 2 else array[np.newaxis]
    return rows.take(_other_length(list(range(rows.shape[-3])), delta), axis=-3)


def _primitive(fault: Fault, text: str) -> str:
    # Only who serves the Platform gets here.
    from qiskit.primitives.containers import PrimitiveResult
    from qiskit_ibm_runtime import RuntimeDecoder, RuntimeEncoder

    result: Any = json.loads(text, cls=RuntimeDecoder)
    pubs = list(result)
    if fault.effect == "pubs":
        pubs = _other_length(pubs, fault.delta)
    else:
        pubs = [type(pub)(_other_rows(pub.data, fault.delta), pub.metadata) for pub in pubs]
    return json.dumps(PrimitiveResult(pubs, result.metadata), cls=RuntimeEncoder)


def _other_length(items: list[Any], delta: int) -> list[Any]:
    """A list shortened at its end, or with its last item repeated."""
    return items[:delta] if delta < 0 else items + items[-1:] * delta


def _other_rows(data: Any, delta: int) -> Any:
    """A data bin with another number of rows; one without rows gets its only one repeated."""
    from qiskit.primitives.containers import BitArray, DataBin

    rows = data.shape[0] if data.shape else 1
    picks = _other_length(list(range(rows)), delta)
    shape = (len(picks), *data.shape[1:])

    def pick(array: Any) -> Any:
        return (array if data.shape else np.asarray(array)[np.newaxis])[picks]

    fields = {
        name: BitArray(pick(value.array), value.num_bits) if isinstance(value, BitArray) else pick(value)
        for name, value in data.items()
    }
    return DataBin(**fields, shape=shape)
