"""Rows of the journal as records; a cell that holds what nobody of us writes is one clear error."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from ..exceptions import JournalError
from .records import Attempt, BatchRecord, ShardRecord, ShardState, Step

T = TypeVar("T")

BATCH_COLUMNS = "id, backend, instance, created, tapes, options, tags, content IS NOT NULL AS resumable"
"""Without the tapes, which can be large."""

LATEST = 2.5e11
"""Later times are beyond the year 9999, and no calendar has them."""


class Reader:
    """Reads rows of one journal.

    Args:
        path: Its file, for errors.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def batch(
        self, row: sqlite3.Row, shards: Iterable[sqlite3.Row], steps: Iterable[sqlite3.Row]
    ) -> BatchRecord:
        """A batch with its shards and steps."""

        def cell(name: str, read: Callable[[Any], T]) -> T:
            return self._cell(row, name, read, f"batch {row['id']!r}")

        return BatchRecord(
            cell("id", _text),
            cell("backend", _text),
            cell("instance", _text),
            cell("created", _moment),
            cell("tapes", _count),
            tuple(map(self.shard, shards)),
            tuple(map(self.step, steps)),
            cell("options", _options),
            bool(row["resumable"]),
            cell("tags", _tags),
        )

    def shard(self, row: sqlite3.Row) -> ShardRecord:
        """A shard."""

        def cell(name: str, read: Callable[[Any], T]) -> T:
            return self._cell(row, name, read, f"shard {row['number']!r} of batch {row['batch']!r}")

        return ShardRecord(
            cell("batch", _text),
            cell("number", _count),
            cell("tapes", _positions),
            cell("state", ShardState),
            cell("tag", _text),
            cell("job_id", _text),
            cell("attempt", _count),
            cell("delivered", _truth),
            cell("seed", _seed),
            cell("usage_secs", _seconds),
            cell("error", _text),
            cell("changed", _moment),
            cell("adopted", _truth),
            cell("adopter", _text),
            cell("queue_position", _position),
            cell("starts_at", _seconds),
        )

    def step(self, row: sqlite3.Row) -> Step:
        """A step of a shard."""

        def cell(name: str, read: Callable[[Any], T]) -> T:
            return self._cell(row, name, read, f"a step of batch {row['batch']!r}")

        return Step(
            cell("at", _moment),
            cell("number", _count),
            cell("attempt", _count),
            cell("state", ShardState),
            cell("job_id", _text),
        )

    def attempt(self, row: sqlite3.Row, is_alive: Callable[[str], bool]) -> Attempt:
        """The attempt that a shard is at.

        Args:
            row: The shard, and the owner of its sender.
            is_alive: Whether the process of an owner lives.
        """

        def cell(name: str, read: Callable[[Any], T]) -> T:
            return self._cell(row, name, read, f"the shard with the tag {row['tag']!r}")

        sender = cell("sender", _text)
        lives = bool(sender) and is_alive(cell("owner", _text))
        return Attempt(
            cell("tag", _text),
            cell("state", ShardState),
            cell("job_id", _text),
            sender if lives else "",
            cell("changed", _moment),
        )

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
