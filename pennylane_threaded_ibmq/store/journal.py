"""What was sent, on disk before it is sent: a crash loses nothing, and nothing is paid twice.

One SQLite file for all programs of a user. Each shard of a batch moves through ``planned -> sending -> accepted ->
done | failed | cancelled``, and each step is on disk before the next begins. A shard whose result was handed to the
program is ``delivered`` and never used again, so that repeated sampling stays random.

What is sent is an attempt, and its tag is its name: shards of several batches that wait for one job have one tag, and
move together. Whoever sends a shard again has first changed that tag, which one of them can; the others follow.

A program that died is told from one that lives by a lock: each process holds one file locked for as long as it runs,
and the system unlocks it however the process ends. Batches of dead processes can be adopted; the claim is one
transaction, so that nothing is adopted twice. No token is ever written here.
"""

from __future__ import annotations

import contextlib
import glob
import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

from .._compat import zip_strict
from .._fork import FORKS
from .._quantity import quantity
from ..exceptions import JournalError
from .database import Database
from .keeping import TAPE_FORMAT, pack, unpack
from .lock_file import LockFile, is_locked
from .records import Attempt, BatchRecord, NewShard, ShardRecord, ShardState
from .rows import BATCH_COLUMNS, Reader
from .schema import migrate

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript

BUSY_SECS = 60.0

KEPT_SECS = 90 * 86400.0
"""Older batches with nothing under way are forgotten when the file is opened."""

_OPEN = "EXISTS (SELECT 1 FROM shards s WHERE s.batch=id AND s.delivered=0 AND s.adopted=0)"
"""Whether a batch has results that no program has got, and that no later batch has taken over."""

_TAGGED = "NOT EXISTS (SELECT 1 FROM json_each(?) w WHERE w.value NOT IN (SELECT value FROM json_each(batches.tags)))"
"""Whether a batch has all of some tags."""


class Journal:
    """One journal file. Safe for several threads and processes; a forked process opens its own.

    Args:
        path: The file; made, for its owner only, if it is not there.

    Raises:
        JournalError: The file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.owner = uuid4().hex
        self._read = Reader(path)
        try:
            with contextlib.ExitStack() as undo:
                self._database = Database(path, migrate, busy_secs=BUSY_SECS)
                undo.callback(self._database.close)
                self._presence: LockFile | None = LockFile(self._lock_file(self.owner))
                undo.callback(self._presence.release)
                self._remove_lock_files()
                self.prune(time.time() - KEPT_SECS)
                undo.pop_all()
        except (OSError, sqlite3.Error) as error:
            raise JournalError(f"The journal {path} cannot be used: {error}.") from error
        FORKS.watch(self)

    # ------------------------------------------------------------------------------------------------ a batch's way

    def begin(
        self,
        backend: str,
        instance: str,
        tapes: Sequence[QuantumScript],
        shards: Sequence[NewShard],
        *,
        options: Mapping[str, Any] | None = None,
        resume: str | None = None,
        tags: Sequence[str] = (),
    ) -> tuple[str, list[ShardRecord | None]]:
        """Write down a batch, and take over what an earlier program left of it, in one transaction.

        A shard is taken over that has the same content, was sent and not delivered, and that nobody waits for. A crash
        before or after leaves it either with the old batch or with the new one.

        Args:
            backend: Where.
            instance: Who pays.
            tapes: The batch.
            shards: The same, cut.
            options: Options of the device by which its jobs are recognised, in JSON's types.
            resume: Take from this batch only, delivered and adopted shards too: the user asked for it by its id.
            tags: Tags of the user's; nothing is recognised by them.

        Returns:
            The batch's id, and for each shard the one taken over, or ``None``. Each is given once, in all processes.

        Raises:
            JournalError: The batch to resume is still being sent by a program that runs.
        """
        batch = uuid4().hex[:16]
        content = pack(tapes, batch)
        now = time.time()
        with self._writing() as db:
            if resume is not None:
                self._refuse_being_sent(db, resume)
            claims = self._claim(db, batch, [s.content for s in shards], backend, instance, resume)
            db.execute(
                "INSERT INTO batches (id, owner, backend, instance, created, tapes, content, tape_format, options, "
                "tags) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    batch,
                    self.owner,
                    backend,
                    instance,
                    now,
                    len(tapes),
                    content,
                    TAPE_FORMAT,
                    json.dumps(dict(options or {})),
                    json.dumps(list(tags)),
                ),
            )
            db.executemany(
                "INSERT INTO shards (batch, number, content, seed, tapes, state, tag, job_id, delivered, sender, changed) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (batch, i, s.content, *_origin(s, batch, found), now)
                    for i, (s, found) in enumerate(zip_strict(shards, claims))
                ],
            )
        return batch, [None if found is None else found.record for found in claims]

    def move(
        self,
        batch: str,
        number: int,
        state: ShardState,
        *,
        tag: str | None = None,
        job_id: str | None = None,
        error: str = "",
    ) -> None:
        """Write down an attempt's next state, for all shards that wait for its job; on disk when this returns.

        Args:
            batch: A batch that waits for it.
            number: Place of its shard in that batch.
            state: The state.
            tag: The attempt, where another may have taken its place meanwhile: then nothing is changed.
            job_id: Its job.
            error: Why it failed.

        Raises:
            JournalError: It is to be sent, and is not this batch's to send: nothing may be sent.
        """
        with self._writing() as db:
            changed = db.execute(
                "UPDATE shards SET state=?1, job_id=COALESCE(?2, job_id), error=?3, changed=?4 "
                "WHERE tag=(SELECT tag FROM shards WHERE batch=?5 AND number=?6) AND (?7 IS NULL OR tag=?7) "
                "AND (?1 <> 'sending' OR sender=?5)",
                (state, job_id, error[:2000], time.time(), batch, number, tag),
            ).rowcount
            if state is ShardState.SENDING and not changed:
                raise JournalError(
                    f"Shard {number} of batch {batch} is no longer in the journal {self.path}, or another program has "
                    "taken it over. Nothing was sent."
                )

    def again(
        self, batch: str, number: int, failed: str, tag: str, *, state: ShardState | None = None
    ) -> bool:
        """Make the next attempt this batch's to send, unless somebody else was faster.

        Args:
            batch: The batch.
            number: Place of its shard in the batch.
            failed: Tag of the attempt that gave no result.
            tag: Tag of the next one.
            state: What that attempt had come to when this was found out; it may have got further since. ``None`` for anything.

        Returns:
            Whether it is this batch's; one of all that ask gets ``True``, and what :meth:`attempt` says holds for the
            others.
        """
        with self._writing() as db:
            won = db.execute(
                "UPDATE shards SET state='planned', job_id='', tag=?1, sender=?2, attempt=attempt+1, changed=?3 WHERE tag=?4 "
                "AND EXISTS (SELECT 1 FROM shards WHERE batch=?2 AND number=?5 AND tag=?4 AND state=COALESCE(?6, state))",
                (tag, batch, time.time(), failed, number, state),
            ).rowcount
        return won > 0

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
        return self._read.attempt(row, self.is_alive)

    def give_way(self, batch: str, number: int) -> None:
        """Write down that this batch will not send an attempt that was its to send: others that wait may."""
        with self._writing() as db:
            db.execute(
                "UPDATE shards SET sender='' WHERE sender=?1 "
                "AND tag=(SELECT tag FROM shards WHERE batch=?1 AND number=?2)",
                (batch, number),
            )

    def running(self, batch: str, number: int) -> None:
        """Write down that the service says that a shard's job runs."""
        with self._writing() as db:
            db.execute(
                "INSERT INTO steps SELECT batch, number, attempt, 'running', job_id, ? FROM shards "
                "WHERE batch=? AND number=? AND state='accepted'",
                (time.time(), batch, number),
            )

    def place(self, batch: str, number: int, position: int | None, starts_at: float | None) -> None:
        """Write down what the service says of a job that waits, for all shards that share it."""
        with self._writing() as db:
            db.execute(
                "UPDATE shards SET queue_position=?1, starts_at=?2 WHERE state='accepted' "
                "AND tag=(SELECT tag FROM shards WHERE batch=?3 AND number=?4)",
                (position, starts_at, batch, number),
            )

    def charge(self, batch: str, number: int, seconds: float) -> None:
        """Write down what IBM charged for a shard's job, for all shards that share it."""
        with self._writing() as db:
            db.execute(
                "UPDATE shards SET usage_secs=?1 WHERE tag=(SELECT tag FROM shards WHERE batch=?2 AND number=?3)",
                (seconds, batch, number),
            )

    def deliver(self, batch: str, numbers: Sequence[int]) -> None:
        """Write down that the program has the results of some shards; they are never used again.

        Others that wait for the same jobs get them too, or can resume their batch; no program finds them by itself.
        """
        with self._writing() as db:
            db.executemany(
                "UPDATE shards SET delivered=1 WHERE (batch=?1 AND number=?2) OR (adopted=0 "
                "AND tag=(SELECT tag FROM shards WHERE batch=?1 AND number=?2))",
                [(batch, n) for n in numbers],
            )

    def let_go(self, batch: str) -> None:
        """Nobody waits for this batch any more: what it has under way may be adopted."""
        with self._writing() as db:
            db.execute("UPDATE batches SET owner='' WHERE id=?", (batch,))

    # -------------------------------------------------------------------------------------------------- adoption

    def _claim(
        self,
        db: sqlite3.Connection,
        adopter: str,
        contents: Sequence[str],
        backend: str,
        instance: str,
        batch: str | None,
    ) -> list[_Claim | None]:
        # of a batch that is resumed all is taken over, also what was not sent: two that resume it send it once
        rows = db.execute(
            "SELECT s.*, b.owner FROM shards s JOIN batches b ON b.id = s.batch "
            "WHERE s.content IN (SELECT value FROM json_each(?)) AND b.backend=? AND b.instance=? "
            "AND (b.id=? OR (? IS NULL AND s.delivered=0 AND s.adopted=0 AND s.state IN ('sending', 'accepted', 'done'))) "
            "ORDER BY b.created, s.number",
            (json.dumps(list(contents)), backend, instance, batch, batch),
        ).fetchall()
        alive: dict[str, bool] = {}
        free: dict[str, list[sqlite3.Row]] = {}
        for row in rows:
            owner = row["owner"]
            if owner not in alive:
                alive[owner] = self.is_alive(owner)
            if batch or not alive[owner]:
                free.setdefault(row["content"], []).append(row)
        claimed: list[_Claim | None] = []
        for content in contents:
            row = free[content].pop(0) if free.get(content) else None
            if row is not None:
                db.execute("UPDATE shards SET adopted=1, adopter=? WHERE tag=?", (adopter, row["tag"]))
            claimed.append(None if row is None else _Claim(self._read.shard(row), row["sender"]))
        return claimed

    def _refuse_being_sent(self, db: sqlite3.Connection, batch: str) -> None:
        """What a program that runs is still sending cannot be looked up yet, and would be paid for twice."""
        row = db.execute(
            "SELECT b.owner, COUNT(s.number) AS open FROM batches b JOIN shards s ON s.batch = b.id "
            "AND s.state IN ('planned', 'sending') WHERE b.id=? GROUP BY b.id",
            (batch,),
        ).fetchone()
        if row is not None and self.is_alive(row["owner"]):
            raise JournalError(
                f"batch {batch!r} is still being sent ({quantity(row['open'], 'job')} to go) by a program that runs. Wait for its "
                "handle, or call detach() or cancel() of it. Nothing was sent."
            )

    def is_alive(self, owner: str) -> bool:
        """Whether the process that owns a batch still runs."""
        if owner == self.owner:
            return True
        return bool(owner) and is_locked(self._lock_file(owner))

    # --------------------------------------------------------------------------------------------------- looking

    def batches(
        self, *, limit: int = 100, only_open: bool = False, tags: Sequence[str] = ()
    ) -> tuple[BatchRecord, ...]:
        """The latest batches, newest first.

        Args:
            limit: Most of them.
            only_open: Those with results that no program has got and no later batch has taken over.
            tags: Those that have all of these tags.
        """
        wanted = f"{_TAGGED} AND {_OPEN}" if only_open else _TAGGED
        with self._reading() as db:
            rows = db.execute(
                f"SELECT {BATCH_COLUMNS} FROM batches WHERE {wanted} "  # noqa: S608 - our own words
                "ORDER BY created DESC, rowid DESC LIMIT ?",
                (json.dumps(list(tags)), limit),
            ).fetchall()
            return self._records(db, rows)

    def open_sizes(self, backend: str, instance: str, tapes: int) -> tuple[int, ...]:
        """How batches of so many tapes were cut whose jobs nobody has the results of yet.

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
        """How many batches there are, and how many of them are open."""
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

    def prune(self, before: float) -> int:
        """Forget batches that are older, that nobody waits for, and that have nothing under way.

        Where much of the file is then empty, it is made smaller.

        Args:
            before: Seconds since 1970.

        Returns:
            How many were forgotten.
        """
        with self._writing() as db:
            owners = db.execute("SELECT DISTINCT owner FROM batches WHERE created < ?", (before,)).fetchall()
            alive = [row["owner"] for row in owners if self.is_alive(row["owner"])]
            forgotten = db.execute(
                "DELETE FROM batches WHERE created < ? AND NOT EXISTS (SELECT 1 FROM shards s WHERE s.batch=id "
                "AND s.delivered=0 AND ((s.adopted=0 AND s.state IN ('sending', 'accepted', 'done')) "
                "OR batches.owner IN (SELECT value FROM json_each(?))))",
                (before, json.dumps(alive)),
            ).rowcount
        if forgotten:
            self._database.shrink()
        return forgotten

    def close(self) -> None:
        """Close the file; this process counts as gone."""
        self._database.close()
        presence, self._presence = self._presence, None
        if presence is not None:
            presence.release()

    def before_fork(self) -> None:
        """Nothing: the database puts its connection away by itself."""

    def after_fork(self, *, in_child: bool) -> None:
        """A forked process counts as another one, and must not keep its parent's lock when that has died."""
        if in_child:
            presence, self._presence = self._presence, None
            if presence is not None:
                presence.forget()

    # --------------------------------------------------------------------------------------------------- inside

    def _lock_file(self, owner: str) -> Path:
        return self.path.with_name(f"{self.path.name}-{owner}.lock")

    def _remove_lock_files(self) -> None:
        """Remove those that dead processes have left."""
        for path in self.path.parent.glob(f"{glob.escape(self.path.name)}-*.lock"):
            if path != self._lock_file(self.owner):
                is_locked(path)

    def _records(self, db: sqlite3.Connection, rows: Sequence[sqlite3.Row]) -> tuple[BatchRecord, ...]:
        """Batches with their shards and steps, by as many questions as one batch takes."""
        ids = (json.dumps([row["id"] for row in rows], default=str),)
        shards: dict[str, list[sqlite3.Row]] = {}
        steps: dict[str, list[sqlite3.Row]] = {}
        for found, table, order in ((shards, "shards", "number"), (steps, "steps", "at, rowid")):
            for row in db.execute(
                f"SELECT * FROM {table} WHERE batch IN (SELECT value FROM json_each(?)) ORDER BY {order}",  # noqa: S608 - our own words
                ids,
            ):
                found.setdefault(row["batch"], []).append(row)
        return tuple(
            self._read.batch(row, shards.get(row["id"], ()), steps.get(row["id"], ())) for row in rows
        )

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction."""
        try:
            with self._database.transaction() as db:
                yield db
        except sqlite3.Error as error:
            raise JournalError(f"The journal {self.path} cannot be written: {error}.") from error

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._database.reading() as db:
                yield db
        except sqlite3.Error as error:
            raise JournalError(f"The journal {self.path} cannot be read: {error}.") from error


class _Claim(NamedTuple):
    """A shard that is taken over, and the batch that is to send its attempt."""

    record: ShardRecord
    sender: str


def _origin(shard: NewShard, batch: str, claim: _Claim | None) -> tuple[object, ...]:
    """Seed, tapes, state, tag, job, delivery and sender of a new row: its own, or those of what is taken over."""
    tapes = " ".join(map(str, shard.tapes))
    if claim is None:
        return str(shard.seed), tapes, "planned", shard.tag, "", False, batch
    # what was delivered before stays so: nobody but who asks for it by its id gets it again
    old = claim.record
    return str(old.seed), tapes, old.state, old.tag, old.job_id, old.delivered, claim.sender


class Journals:
    """Journals, opened when first asked for: one writer a file."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[Path, Journal] = {}
        FORKS.watch(self)

    def at(self, path: Path) -> Journal:
        """The journal at a path."""
        with self._lock:
            journal = self._open.get(path)
            if journal is None:
                journal = self._open[path] = Journal(path)
            return journal

    def close(self) -> None:
        """Close them; whoever asks next gets new ones."""
        with self._lock:
            journals, self._open = self._open, {}
        for journal in journals.values():
            journal.close()

    def before_fork(self) -> None:
        """Wait until no journal is just being opened."""
        self._lock.acquire()

    def after_fork(self, *, in_child: bool) -> None:
        """A forked process opens its own."""
        if in_child:
            self._lock, self._open = threading.Lock(), {}
        else:
            self._lock.release()
