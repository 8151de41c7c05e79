"""The journal: what is sent is on disk before it is sent, so that a crash loses nothing and nothing is paid twice.

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
import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from .._compat import zip_strict
from .._fork import FORKS
from ..exceptions import JournalError
from .adoption import claim, origin, refuse_being_sent
from .database import Database
from .keeping import TAPE_FORMAT, pack
from .lock_file import Presence
from .queries import Queries
from .records import NewShard, ShardRecord, ShardState
from .schema import migrate

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript

BUSY_SECS = 60.0

KEPT_SECS = 90 * 86400.0
"""Age from which batches with nothing under way are forgotten when the file is opened."""


class Journal(Queries):
    """One journal file. Safe for several threads and processes; a forked process opens its own.

    Args:
        path: The file; made, for its owner only, if it is not there.

    Raises:
        JournalError: The file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        try:
            with contextlib.ExitStack() as undo:
                database = Database(path, migrate, busy_secs=BUSY_SECS)
                undo.callback(database.close)
                presence = Presence(path)
                undo.callback(presence.end)
                super().__init__(path, database, presence)
                self.prune(time.time() - KEPT_SECS)
                undo.pop_all()
        except (OSError, sqlite3.Error) as error:
            reason = "it is a folder, and a file is needed" if path.is_dir() else error
            raise JournalError(f"The journal {path} cannot be used: {reason}.") from error

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
            is_alive = self.presence.is_alive
            if resume is not None:
                refuse_being_sent(db, is_alive, resume)
            contents = [s.content for s in shards]
            claims = claim(db, self._read, is_alive, batch, contents, backend, instance, resume)
            db.execute(
                "INSERT INTO batches (id, owner, backend, instance, created, tapes, content, tape_format, options, "
                "tags) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    batch,
                    self.presence.owner,
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
                    (batch, i, s.content, *origin(s, batch, old), now)
                    for i, (s, old) in enumerate(zip_strict(shards, claims))
                ],
            )
        return batch, [None if old is None else old.record for old in claims]

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
                (state, job_id, _storable(error[:2000]), time.time(), batch, number, tag),
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

    def release(self, batch: str) -> None:
        """Write down that nobody waits for this batch any more: what it has under way may be adopted."""
        with self._writing() as db:
            db.execute("UPDATE batches SET owner='' WHERE id=?", (batch,))

    def prune(self, before: float) -> int:
        """Forget batches of before a moment, in seconds since 1970, that nobody waits for and that have nothing under way.

        Where much of the file is then empty, it is made smaller. Returns how many were forgotten.
        """
        with self._writing() as db:
            owners = db.execute("SELECT DISTINCT owner FROM batches WHERE created < ?", (before,)).fetchall()
            alive = [row["owner"] for row in owners if self.presence.is_alive(row["owner"])]
            count = db.execute(
                "DELETE FROM batches WHERE created < ? AND NOT EXISTS (SELECT 1 FROM shards s WHERE s.batch=id "
                "AND s.delivered=0 AND ((s.adopted=0 AND s.state IN ('sending', 'accepted', 'done')) "
                "OR batches.owner IN (SELECT value FROM json_each(?))))",
                (before, json.dumps(alive)),
            ).rowcount
        if count:
            self._database.shrink()
        return count

    def close(self) -> None:
        """Close the file; this process counts as gone."""
        self._database.close()
        self.presence.end()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction."""
        try:
            with self._database.transaction() as db:
                yield db
        except sqlite3.Error as error:
            raise JournalError(f"The journal {self.path} cannot be written: {error}.") from error


def _storable(text: str) -> str:
    """Text as SQLite takes it: what is cut in the middle of a character, as some services do, is written as an escape."""
    return text.encode(errors="backslashreplace").decode()


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
