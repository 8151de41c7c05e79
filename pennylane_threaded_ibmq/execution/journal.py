"""What was sent, on disk before it is sent: a crash loses nothing, and nothing is paid twice.

One SQLite file for all programs of a user. Each shard of a batch moves through ``planned -> sending -> accepted ->
done | failed | cancelled``, and each step is on disk before the next begins. A shard whose result was handed to the
program is ``delivered`` and never used again, so that repeated sampling stays random.

A program that died is told from one that lives by a lock: each process holds one file locked for as long as it runs,
and the system unlocks it however the process ends. Batches of dead processes can be adopted; the claim is one
transaction, so that nothing is adopted twice. No token is ever written here.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import pickle
import sqlite3
import threading
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from filelock import FileLock, Timeout

from .._compat import zip_strict
from ..exceptions import JournalError
from .records import BatchRecord, NewShard, ShardRecord, ShardState
from .schema import migrate
from .steps import Phase, Step

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript

BUSY_SECS = 60.0

KEPT_SECS = 90 * 86400.0
"""Older batches with nothing under way are forgotten when the file is opened."""


class Journal:
    """One journal file. Safe for several threads and processes.

    Args:
        path: The file; made, for its owner only, if it is not there.

    Raises:
        JournalError: The file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.owner = uuid4().hex
        self._lock = threading.RLock()
        self._pid = os.getpid()
        with contextlib.ExitStack() as undo:
            try:
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                with contextlib.suppress(FileExistsError):
                    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
                undo.callback(Path(self._lock_file(self.owner)).unlink, missing_ok=True)
                self._alive = FileLock(self._lock_file(self.owner), mode=0o600)
                self._alive.acquire(timeout=0)
                undo.callback(self._alive.release)
                self._db = sqlite3.connect(
                    path,
                    timeout=BUSY_SECS,
                    isolation_level=None,
                    check_same_thread=False,
                    cached_statements=64,
                )
                undo.callback(self._db.close)
                self._db.row_factory = sqlite3.Row
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=FULL")
                self._db.execute("PRAGMA foreign_keys=ON")
                with self._transaction():
                    migrate(self._db)
                self.prune(time.time() - KEPT_SECS)
            except (OSError, sqlite3.Error, Timeout) as error:
                raise JournalError(f"The journal {path} cannot be used: {error}.") from error
            undo.pop_all()
        atexit.register(self.close)

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

        Returns:
            The batch's id, and for each shard the one taken over, or ``None``. Each is given once, in all processes.

        Raises:
            JournalError: The batch to resume is still being sent by a program that runs.
        """
        batch = uuid4().hex[:16]
        content = _pack(tapes)
        now = time.time()
        with self._transaction():
            if resume is not None:
                self._refuse_being_sent(resume)
            claims = self._claim([s.content for s in shards], backend, instance, resume)
            self._db.execute(
                "INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    batch,
                    self.owner,
                    backend,
                    instance,
                    now,
                    len(tapes),
                    content,
                    json.dumps(dict(options or {})),
                ),
            )
            self._db.executemany(
                "INSERT INTO shards (batch, number, content, seed, tapes, state, tag, job_id, delivered, changed) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (batch, i, s.content, *_origin(s, claim), now)
                    for i, (s, claim) in enumerate(zip_strict(shards, claims))
                ],
            )
        return batch, claims

    def move(
        self, batch: str, number: int, state: ShardState, *, job_id: str | None = None, error: str = ""
    ) -> None:
        """Write down a shard's next state; on disk when this returns."""
        with self._transaction():
            self._db.execute(
                "UPDATE shards SET state=?, job_id=COALESCE(?, job_id), error=?, changed=? WHERE batch=? AND number=?",
                (state, job_id, error[:2000], time.time(), batch, number),
            )

    def again(self, batch: str, number: int, tag: str) -> None:
        """Write down that a shard is tried once more, with a new tag."""
        with self._transaction():
            self._db.execute(
                "UPDATE shards SET state='planned', job_id='', tag=?, attempt=attempt+1, changed=? "
                "WHERE batch=? AND number=?",
                (tag, time.time(), batch, number),
            )

    def running(self, batch: str, number: int) -> None:
        """Write down that the service says that a shard's job runs."""
        with self._transaction():
            self._db.execute(
                "INSERT INTO steps SELECT batch, number, attempt, 'running', job_id, ? FROM shards "
                "WHERE batch=? AND number=? AND state='accepted'",
                (time.time(), batch, number),
            )

    def charge(self, batch: str, number: int, seconds: float) -> None:
        """Write down what IBM charged for a shard's job."""
        with self._transaction():
            self._db.execute(
                "UPDATE shards SET usage_secs=? WHERE batch=? AND number=?", (seconds, batch, number)
            )

    def deliver(self, batch: str, numbers: Sequence[int]) -> None:
        """Write down that the program has the results of some shards; they are never used again."""
        with self._transaction():
            self._db.executemany(
                "UPDATE shards SET delivered=1 WHERE batch=? AND number=?", [(batch, n) for n in numbers]
            )

    def let_go(self, batch: str) -> None:
        """Nobody waits for this batch any more: what it has under way may be adopted."""
        with self._transaction():
            self._db.execute("UPDATE batches SET owner='' WHERE id=?", (batch,))

    # -------------------------------------------------------------------------------------------------- adoption

    def _claim(
        self, contents: Sequence[str], backend: str, instance: str, batch: str | None
    ) -> list[ShardRecord | None]:
        rows = self._db.execute(
            "SELECT s.*, b.owner FROM shards s JOIN batches b ON b.id = s.batch "
            "WHERE s.content IN (SELECT value FROM json_each(?)) AND b.backend=? AND b.instance=? "
            "AND s.state IN ('sending', 'accepted', 'done') AND (b.id=? OR (? IS NULL AND s.delivered=0 AND s.adopted=0)) "
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
        claimed: list[ShardRecord | None] = []
        for content in contents:
            row = free[content].pop(0) if free.get(content) else None
            if row is not None:
                self._db.execute(
                    "UPDATE shards SET adopted=1 WHERE batch=? AND number=?", (row["batch"], row["number"])
                )
            claimed.append(None if row is None else _shard(row))
        return claimed

    def _refuse_being_sent(self, batch: str) -> None:
        """What a program that runs is still sending cannot be looked up yet, and would be paid for twice."""
        row = self._db.execute(
            "SELECT b.owner, COUNT(s.number) AS open FROM batches b JOIN shards s ON s.batch = b.id "
            "AND s.state IN ('planned', 'sending') WHERE b.id=? GROUP BY b.id",
            (batch,),
        ).fetchone()
        if row is not None and self.is_alive(row["owner"]):
            raise JournalError(
                f"batch {batch!r} is still being sent ({row['open']} jobs to go) by a program that runs. Wait for its "
                "handle, or call detach() or cancel() of it. Nothing was sent."
            )

    def is_alive(self, owner: str) -> bool:
        """Whether the process that owns a batch still runs."""
        if owner == self.owner:
            return True
        if not owner or not Path(self._lock_file(owner)).exists():
            return False
        try:
            with FileLock(self._lock_file(owner), timeout=0):
                pass
        except Timeout:
            return True
        Path(self._lock_file(owner)).unlink(missing_ok=True)
        return False

    # --------------------------------------------------------------------------------------------------- looking

    def batches(self, *, limit: int = 100) -> tuple[BatchRecord, ...]:
        """The latest batches, newest first."""
        with self._lock:
            rows = self._db.execute(
                "SELECT * FROM batches ORDER BY created DESC LIMIT ?", (limit,)
            ).fetchall()
            return tuple(self._batch(row) for row in rows)

    def batch(self, batch: str) -> BatchRecord:
        """One batch.

        Raises:
            JournalError: There is none of that id.
        """
        with self._lock:
            row = self._db.execute("SELECT * FROM batches WHERE id=?", (batch,)).fetchone()
            if row is None:
                raise JournalError(
                    f"batch {batch!r} is not in the journal {self.path}; dev.batches() lists those that are."
                )
            return self._batch(row)

    def tapes(self, batch: str) -> tuple[QuantumScript, ...]:
        """The tapes of a batch, as they were given.

        Raises:
            JournalError: There is no such batch, or its tapes could not be kept.
        """
        record = self.batch(batch)
        with self._lock:
            (content,) = self._db.execute("SELECT content FROM batches WHERE id=?", (record.id,)).fetchone()
        if content is None:
            raise JournalError(
                f"batch {batch!r}: its tapes could not be pickled, so they are not in the journal. Run the program "
                "again: shards with the same content are found by themselves."
            )
        tapes: tuple[QuantumScript, ...] = pickle.loads(zlib.decompress(content))  # noqa: S301 - our own file
        return tapes

    def prune(self, before: float) -> int:
        """Forget batches that are older and have nothing under way.

        Args:
            before: Seconds since 1970.

        Returns:
            How many were forgotten.
        """
        with self._transaction():
            return self._db.execute(
                "DELETE FROM batches WHERE created < ? AND NOT EXISTS (SELECT 1 FROM shards s WHERE s.batch=id "
                "AND s.delivered=0 AND s.adopted=0 AND s.state IN ('sending', 'accepted', 'done'))",
                (before,),
            ).rowcount

    def close(self) -> None:
        """Close the file; this process counts as gone."""
        atexit.unregister(self.close)
        with self._lock:
            if os.getpid() != self._pid:
                return
            self._db.close()
            self._alive.release()
            Path(self._lock_file(self.owner)).unlink(missing_ok=True)

    # --------------------------------------------------------------------------------------------------- inside

    def _lock_file(self, owner: str) -> str:
        return str(self.path.with_name(f"{self.path.name}-{owner}.lock"))

    def _batch(self, row: sqlite3.Row) -> BatchRecord:
        shards = self._db.execute(
            "SELECT * FROM shards WHERE batch=? ORDER BY number", (row["id"],)
        ).fetchall()
        steps = self._db.execute(
            "SELECT * FROM steps WHERE batch=? ORDER BY at, rowid", (row["id"],)
        ).fetchall()
        return BatchRecord(
            row["id"],
            row["backend"],
            row["instance"],
            row["created"],
            row["tapes"],
            tuple(map(_shard, shards)),
            tuple(map(_step, steps)),
            json.loads(row["options"]),
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield
                self._db.execute("COMMIT")
            except BaseException as error:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise JournalError(f"The journal {self.path} cannot be written: {error}.") from error
                raise


def _origin(shard: NewShard, claim: ShardRecord | None) -> tuple[object, ...]:
    """Seed, tapes, state, tag, job and delivery of a new row: its own, or those of the shard that is taken over."""
    tapes = " ".join(map(str, shard.tapes))
    if claim is None:
        return str(shard.seed), tapes, "planned", shard.tag, "", False
    # what was delivered before stays so: nobody but who asks for it by its id gets it again
    return str(claim.seed), tapes, claim.state, claim.tag, claim.job_id, claim.delivered


def _shard(row: sqlite3.Row) -> ShardRecord:
    return ShardRecord(
        row["batch"],
        row["number"],
        tuple(int(p) for p in row["tapes"].split()),
        ShardState(row["state"]),
        row["tag"],
        row["job_id"],
        row["attempt"],
        bool(row["delivered"]),
        int(row["seed"]),
        row["usage_secs"],
        row["error"],
        row["changed"],
    )


def _step(row: sqlite3.Row) -> Step:
    return Step(row["at"], row["number"], row["attempt"], Phase.of(row["state"]), row["job_id"])


def _pack(tapes: Sequence[QuantumScript]) -> bytes | None:
    try:
        return zlib.compress(pickle.dumps(tuple(tapes)), 1)
    except Exception:  # noqa: BLE001 - whatever a user's own gate raises
        return None


class Journals:
    """The journals of a process: one writer a file."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[tuple[int, Path], Journal] = {}

    def at(self, path: Path) -> Journal:
        """The journal at a path, opened when first asked for."""
        key = (os.getpid(), path)
        with self._lock:
            journal = self._open.get(key)
            if journal is None:
                journal = self._open[key] = Journal(path)
            return journal


@lru_cache(maxsize=None)
def journals() -> Journals:
    """The one owner of this process's journals."""
    return Journals()
