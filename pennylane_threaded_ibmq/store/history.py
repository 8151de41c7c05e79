"""Circuits that executors ran, read back for people. The file is only read, and may be absent."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..exceptions import JournalError

FILE = "qelectron.sqlite3"
"""Its name, in the folder of what this package keeps."""

MOST_TEXT = 400
"""Characters of a circuit or a result that are told; an array of samples has millions."""


@dataclass(frozen=True)
class CircuitRecord:
    """One circuit that an executor ran.

    Attributes:
        call: Number of the call that it was part of.
        position: Its place in the call, from 0.
        executor: Class of the executor.
        backend: Where it ran.
        job_ids: Jobs of the call.
        submitted: When, in UTC.
        seconds: From there to the last result of the call.
        circuit: Gates and measurements, cut to a length that can be read.
        parameters: Values of all gates that have any, in order, cut too.
        shots: Shots, as JSON.
        result: Its result as JSON, cut; empty without one.
        error: Why there is none; empty otherwise.
    """

    call: int
    position: int
    executor: str
    backend: str
    job_ids: tuple[str, ...]
    submitted: str
    seconds: float
    circuit: str
    parameters: str
    shots: str
    result: str
    error: str


def circuits(path: Path, limit: int) -> tuple[CircuitRecord, ...]:
    """The latest circuits, at most so many, newest call first.

    Raises:
        JournalError: The file is no such database, or damaged.
    """
    if not path.exists():
        return ()
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
            rows = db.execute(
                "SELECT call_id, position, executor, backend, job_ids, submitted, seconds, operations, parameters,"
                " measurements, shots, result, error FROM executions ORDER BY call_id DESC, position LIMIT ?",
                (limit,),
            ).fetchall()
        return tuple(_record(row) for row in rows)
    except (sqlite3.Error, ValueError, TypeError) as error:
        raise JournalError(f"{path} cannot be read as a database of executed circuits: {error}.") from None


def _record(row: tuple[Any, ...]) -> CircuitRecord:
    (
        call,
        position,
        executor,
        backend,
        jobs,
        submitted,
        seconds,
        operations,
        parameters,
        measurements,
        *rest,
    ) = row
    shots, result, error = ("" if one is None else str(one) for one in rest)
    return CircuitRecord(
        int(call),
        int(position),
        str(executor),
        str(backend),
        tuple(map(str, json.loads(jobs))),
        str(submitted),
        float(seconds),
        _cut(describe(json.loads(operations), json.loads(measurements))),
        _cut(_angles(json.loads(parameters))),
        shots,
        _cut(result),
        _cut(error),
    )


def describe(operations: list[Any], measurements: list[Any]) -> str:
    """A circuit in one line: ``RX on 0; CNOT on 0, 1; expval(Z(1))``.

    Args:
        operations: Name, wires, and control values if any, of each gate.
        measurements: Texts.
    """
    gates = [f"{name} on {', '.join(map(str, wires))}" for name, wires, *_ in operations]
    return "; ".join([*gates, *map(str, measurements)])


def _angles(parameters: list[Any]) -> str:
    """The values of all gates that have any, in order."""
    return ", ".join(_number(value) for values in parameters for value in values)


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _cut(text: str) -> str:
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]} ..."
