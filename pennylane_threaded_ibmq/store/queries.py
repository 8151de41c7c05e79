"""Questions to a journal: its batches, their shards and steps. Nothing here changes it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..exceptions import JournalError
from .database import Database
from .keeping import unpack
from .lock_file import Presence
from .records import Attempt, BatchRecord
from .rows import BATCH_COLUMNS, Reader

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript

_OPEN = "EXISTS (SELECT 1 FROM shards s WHERE s.batch=id AND s.delivered=0 AND s.adopted=0)"
"""Whether a batch has results that no program has got, and that no later batch has taken over."""

_TAGGED = "NOT EXISTS (SELECT 1 FROM json_each(?) w WHERE w.value NOT IN (SELECT value FROM json_each(batches.tags)))"
"""Whether a batch has all of some tags."""

_SHARDS = "SELECT * FROM shards WHERE batch IN (SELECT value FROM json_each(?)) ORDER BY number"
_STEPS = "SELECT * FROM steps WHERE batch IN (SELECT value FROM json_each(?)) ORDER BY at, rowid"


class Queries:
    """Questions to one journal: its file, the same open as a database, and the processes that live."""

    def __init__(self, path: Path, database: Database, presence: Presence) -> None:
        self.path = path
        self._database = database
        self.presence = presence
        self._read = Reader(path)

    def batches(
        self, *, limit: int = 100, only_open: bool = False, tags: Sequence[str] = ()
    ) -> tuple[BatchRecord, ...]:
        """The latest batches, newest first.

        Args:
            limit: Most of them.
            only_open: Those with results that no program has got and no later batch has taken over.
            tags: Those that have all of these tags.
        """
        condition = f"{_TAGGED} AND {_OPEN}" if only_open else _TAGGED
        with self._reading() as db:
            rows = db.execute(
                f"SELECT {BATCH_COLUMNS} FROM batches WHERE {condition} "  # noqa: S608 - our own words
                "ORDER BY created DESC, rowid DESC LIMIT ?",
                (json.dumps(list(tags)), limit),
            ).fetchall()
            return self._records(db, rows)

    def open_sizes(self, backend: str, instance: str, tapes: int) -> tuple[int, ...]:
        """Cuts of batches of so many tapes whose jobs nobody has the results of yet.

        Returns:
            The most tapes in a shard of each, newest batch first, each number once.
        """
        with self._reading() as db:
            rows = db.execute(
                "SELECT MAX(length(s.tapes) - length(replace(s.tapes, ' ', '')) + 1) AS size FROM batches b "
                "JOIN shards s ON s.batch = b.id WHERE b.backend=? AND b.instance=? AND b.tapes=? AND EXISTS "
                "(SELECT 1 FROM shards o WHERE o.batch = b.id AND o.delivered=0 AND o.adopted=0 "
                "AND o.state IN ('sending', 'accepted', 'done')) GROUP BY b.id ORDER BY b.created DESC",
                (backend, instance, tapes),
            ).fetchall()
        return tuple(dict.fromkeys(row["size"] for row in rows))

    def is_there(self, contents: Sequence[str], backend: str, instance: str) -> bool:
        """Whether a job was sent with one of these contents whose results nobody has yet."""
        with self._reading() as db:
            row = db.execute(
                "SELECT 1 FROM shards s JOIN batches b ON b.id = s.batch WHERE s.content IN "
                "(SELECT value FROM json_each(?)) AND b.backend=? AND b.instance=? AND s.delivered=0 AND s.adopted=0 "
                "AND s.state IN ('sending', 'accepted', 'done') LIMIT 1",
                (json.dumps(list(contents)), backend, instance),
            ).fetchone()
        return row is not None

    def count(self) -> tuple[int, int]:
        """Number of batches, and of those that are open."""
        with self._reading() as db:
            row = db.execute(f"SELECT COUNT(*) AS all_of_them, SUM({_OPEN}) AS open FROM batches").fetchone()  # noqa: S608 - our own words
        return int(row["all_of_them"]), int(row["open"] or 0)

    def batch(self, batch: str) -> BatchRecord:
        """One batch.

        Raises:
            JournalError: There is none of that id.
        """
        with self._reading() as db:
            rows = db.execute(
                f"SELECT {BATCH_COLUMNS} FROM batches WHERE id=?",  # noqa: S608 - our own words
                (batch,),
            ).fetchall()
            if not rows:
                raise JournalError(
                    f"batch {batch!r} is not in the journal {self.path}; dev.batches() lists those that are."
                )
            return self._records(db, rows)[0]

    def ids(self, beginning: str, *, most: int) -> tuple[str, ...]:
        """Ids of batches that begin with some letters, at most so many, newest first."""
        with self._reading() as db:
            rows = db.execute(
                "SELECT id FROM batches WHERE substr(id, 1, ?)=? ORDER BY created DESC LIMIT ?",
                (len(beginning), beginning, most),
            ).fetchall()
        return tuple(str(row["id"]) for row in rows)

    def tapes(self, batch: str) -> tuple[QuantumScript, ...]:
        """The tapes of a batch, as they were given.

        Raises:
            JournalError: There is no such batch, its tapes could not be kept, or it is not safe to read them.
        """
        record = self.batch(batch)
        with self._reading() as db:
            content, tape_format = db.execute(
                "SELECT content, tape_format FROM batches WHERE id=?", (record.id,)
            ).fetchone()
        if content is None:
            raise JournalError(
                f"batch {batch!r}: its tapes could not be written as data, so they are not in the journal. Run the "
                "program again: shards with the same content are found by themselves."
            )
        return unpack(content, tape_format, self.path, batch)

    def attempt(self, batch: str, number: int) -> Attempt:
        """The attempt that a shard is at.

        Raises:
            JournalError: There is no such shard.
        """
        with self._reading() as db:
            row = db.execute(
                "SELECT s.tag, s.state, s.job_id, s.sender, s.changed, COALESCE(b.owner, '') AS owner FROM shards s "
                "LEFT JOIN batches b ON b.id = s.sender WHERE s.batch=? AND s.number=?",
                (batch, number),
            ).fetchone()
        if row is None:
            raise JournalError(f"Shard {number} of batch {batch} is no longer in the journal {self.path}.")
        return self._read.attempt(row, self.presence.is_alive)

    def _records(self, db: sqlite3.Connection, rows: Sequence[sqlite3.Row]) -> tuple[BatchRecord, ...]:
        """Batches with their shards and steps, by as many questions as one batch takes."""
        ids = (json.dumps([row["id"] for row in rows], default=str),)
        shards: dict[str, list[sqlite3.Row]] = {}
        steps: dict[str, list[sqlite3.Row]] = {}
        for by_batch, question in ((shards, _SHARDS), (steps, _STEPS)):
            for row in db.execute(question, ids):
                by_batch.setdefault(row["batch"], []).append(row)
        return tuple(
            self._read.batch(row, shards.get(row["id"], ()), steps.get(row["id"], ())) for row in rows
        )

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._database.reading() as db:
                yield db
        except sqlite3.Error as error:
            raise JournalError(f"The journal {self.path} cannot be read: {error}.") from error
