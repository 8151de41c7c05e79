"""One SQLite file, for its owner alone, that several threads and processes use; no connection to it crosses a fork.

SQLite keeps in the memory of a process which locks the process has. A fork copies that memory and none of the locks:
what it then writes can be removed by its parent under its hands. So the connection is closed before a fork, and opened
again by whoever needs it next.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .._fork import FORKS
from .._private import make_private_file

FREE_PART = 0.2
"""A file is made smaller when more of it is empty."""


class Database:
    """A database and this process's one connection to it.

    Args:
        path: The file; made, with its folder, for its owner alone, if it is not there.
        migrate: Brings the file to today's format, inside a transaction.
        busy_secs: Longest wait for other writers.
        synchronous: ``FULL``, or ``NORMAL`` where a power cut may lose the last transactions.

    Raises:
        OSError: The file cannot be made.
        sqlite3.Error: It cannot be used.
    """

    def __init__(
        self,
        path: Path,
        migrate: Callable[[sqlite3.Connection], None],
        *,
        busy_secs: float = 60.0,
        synchronous: str = "FULL",
    ) -> None:
        self.path = path
        self._busy_secs = busy_secs
        self._synchronous = synchronous
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._pid = os.getpid()
        self._closed = False
        FORKS.watch(self)
        with self._lock:
            make_private_file(path)
            try:
                with self.transaction() as connection:
                    migrate(connection)
            except BaseException:
                self.close()
                raise

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write; on disk when it ends, or not at all if it raises."""
        with self.reading() as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Read, or whatever needs no transaction of its own; other threads of this process wait meanwhile."""
        with self._lock:
            yield self._open()

    def shrink(self) -> None:
        """Give back the room of what was deleted, if that is much of the file and nobody else is at it."""
        with self.reading() as connection, contextlib.suppress(sqlite3.OperationalError):
            (free,) = connection.execute("PRAGMA freelist_count").fetchone()
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            if free > FREE_PART * pages:
                connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close it for good."""
        with self._lock:
            self._closed = True
            self._put_away()

    def before_fork(self) -> None:
        """Close the connection, once no thread uses it."""
        self._lock.acquire()
        self._put_away()

    def after_fork(self, *, in_child: bool) -> None:
        """The child gets no use of it: whoever owns it there opens its own."""
        if in_child:
            self._lock, self._closed = threading.RLock(), True
        else:
            self._lock.release()

    def _open(self) -> sqlite3.Connection:
        if self._closed:
            why = (
                "it was closed"
                if self._pid == os.getpid()
                else f"process {self._pid}, which was forked, opened it"
            )
            raise sqlite3.ProgrammingError(why)
        if self._connection is None:
            connection = sqlite3.connect(
                self.path,
                timeout=self._busy_secs,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=64,
            )
            try:
                connection.row_factory = sqlite3.Row
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute(f"PRAGMA synchronous={self._synchronous}")
                connection.execute("PRAGMA foreign_keys=ON")
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _put_away(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()
