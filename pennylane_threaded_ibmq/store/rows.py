"""Rows of the journal as records; a cell that holds what nobody of us writes is one clear error."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar, cast

from ..exceptions import JournalError
from .records import Attempt, BatchRecord, ShardRecord, ShardState, Step

T = TypeVar("T")
R = TypeVar("R")

BATCH_COLUMNS = "id, backend, instance, created, tapes, options, tags, content IS NOT NULL AS resumable"
"""Without the tapes, which can be large."""

LATEST = 2.5e11
"""Latest time: what follows is beyond the year 9999, and no calendar has it."""


class Reader:
    """Reads rows of one journal; errors name its file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def batch(
        self, row: sqlite3.Row, shards: Iterable[sqlite3.Row], steps: Iterable[sqlite3.Row]
    ) -> BatchRecord:
        """A batch with its shards and steps."""
        return self._record(
            BatchRecord,
            row,
            f"batch {row['id']!r}",
            shards=tuple(map(self.shard, shards)),
            steps=tuple(map(self.step, steps)),
        )

    def shard(self, row: sqlite3.Row) -> ShardRecord:
        """A shard."""
        return self._record(ShardRecord, row, f"shard {row['number']!r} of batch {row['batch']!r}")

    def step(self, row: sqlite3.Row) -> Step:
        """A step of a shard."""
        return self._record(Step, row, f"a step of batch {row['batch']!r}")

    def attempt(self, row: sqlite3.Row, is_alive: Callable[[str], bool]) -> Attempt:
        """The attempt that a shard is at.

        Args:
            row: The shard, and the owner of its sender.
            is_alive: Whether the process of an owner lives.
        """
        where = f"the shard with the tag {row['tag']!r}"
        attempt = self._record(Attempt, row, where)
        lives = bool(attempt.sender) and is_alive(self._cell(row, "owner", _text, where))
        return attempt if lives else replace(attempt, sender="")

    def _record(self, kind: Callable[..., R], row: sqlite3.Row, where: str, **values: Any) -> R:
        """A record whose fields are cells of a row, each read by its type."""
        for field in fields(cast("Any", kind)):
            if field.name not in values:
                column = _COLUMNS.get(field.name, field.name)
                values[field.name] = self._cell(
                    row, column, _READERS.get(column) or _READERS[field.type], where
                )
        return kind(**values)

    def _cell(self, row: sqlite3.Row, name: str, read: Callable[[Any], T], where: str) -> T:
        try:
            return read(row[name])
        except (ValueError, TypeError, OverflowError, RecursionError):
            value = repr(row[name])
            raise JournalError(
                f"The journal {self._path} is damaged: {name} of {where} is {value[:60]}. Delete this batch with "
                "sqlite3, or move the file away: a program that finds none makes a new one."
            ) from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _count(value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        raise TypeError
    return value


def _position(value: Any) -> int | None:
    return None if value is None else _count(value)


def _truth(value: Any) -> bool:
    return bool(_count(value))


def _seed(value: Any) -> int:
    return _count(int(_text(value)))


def _moment(value: Any) -> float:
    seconds = _seconds(value)
    if seconds is None or seconds >= LATEST:
        raise ValueError
    return seconds


def _seconds(value: Any) -> float | None:
    if value is None:
        return None
    if not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise TypeError
    return float(value)


def _positions(value: Any) -> tuple[int, ...]:
    return tuple(_count(int(part)) for part in _text(value).split())


def _options(value: Any) -> dict[str, Any]:
    options = json.loads(_text(value))
    if not isinstance(options, dict):
        raise TypeError
    return options


def _tags(value: Any) -> tuple[str, ...]:
    tags = json.loads(_text(value))
    if not isinstance(tags, list):
        raise TypeError
    return tuple(map(_text, tags))


_COLUMNS = {"shard": "number", "phase": "state"}
"""Columns of another name than the field's."""

_READERS: Mapping[Any, Callable[[Any], Any]] = {
    "str": _text,
    "int": _count,
    "int | None": _position,
    "bool": _truth,
    "float": _moment,
    "float | None": _seconds,
    "tuple[int, ...]": _positions,
    "tuple[str, ...]": _tags,
    "dict[str, Any]": _options,
    "ShardState": ShardState,
    "seed": _seed,
}
"""Readers of cells, by the type of the field; of a seed, which can be larger than SQLite's numbers, by its name."""
