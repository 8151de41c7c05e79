"""The database of executed circuits: what ran, where, when, and what came out. Its tables are in docs/reference/database.md.

A thread writes, some time after a call has its results, so that no call waits for the disk. A database that cannot be written
is one warning; the calls go on without it.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pennylane.math import unwrap

from .._compat import zip_strict
from .._variables import HOME_VARIABLE
from ..exceptions import RecordsWarning
from ..resources import RESOURCES
from ..settings import home_folder
from .database import Database
from .history import FILE
from .schema import migrate

if TYPE_CHECKING:
    from pennylane.measurements import Shots
    from pennylane.tape import QuantumScript

TOGETHER_SECS = 0.1
"""Seconds for which finished calls are collected for one transaction, and after which the end of the program is seen."""
IDLE_SECS = 2.0
"""After how long without calls the writing thread ends and the file is closed."""

_FORMATS = (
    """
CREATE TABLE structures (
    id INTEGER PRIMARY KEY,
    operations TEXT NOT NULL,
    measurements TEXT NOT NULL,
    UNIQUE (operations, measurements)
);
CREATE TABLE calls (
    id INTEGER PRIMARY KEY,
    executor TEXT NOT NULL,
    backend TEXT NOT NULL,
    configuration TEXT NOT NULL,
    job_ids TEXT NOT NULL,
    submitted_at REAL NOT NULL,
    finished_at REAL NOT NULL
);
CREATE TABLE circuits (
    call_id INTEGER NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    structure_id INTEGER NOT NULL REFERENCES structures (id),
    parameters TEXT NOT NULL,
    shots TEXT,
    result TEXT,
    error TEXT,
    PRIMARY KEY (call_id, position)
) WITHOUT ROWID;
CREATE INDEX calls_by_time ON calls (submitted_at);
CREATE VIEW executions AS
    SELECT calls.id AS call_id, circuits.position, calls.executor, calls.backend, calls.job_ids,
           datetime(calls.submitted_at, 'unixepoch') AS submitted,
           calls.finished_at - calls.submitted_at AS seconds,
           structures.operations, circuits.parameters, structures.measurements, circuits.shots,
           circuits.result, circuits.error
    FROM circuits JOIN calls ON calls.id = circuits.call_id JOIN structures ON structures.id = circuits.structure_id;
""",
)
"""The steps from each format of the file to the next."""


@dataclass(frozen=True)
class CallRecord:
    """The maker of a call, for the archive.

    Attributes:
        executor: Name of who sends it, such as the class of an executor.
        backend: Where it runs.
        configuration: Its options as JSON, or what gives them when the call is written; without secrets.
    """

    executor: str
    backend: str
    configuration: str | Callable[[], str] = "{}"


@dataclass(eq=False)
class _Call:
    """A call that is not written yet; ``ends`` has a time for each of its futures that has called back."""

    record: CallRecord
    tapes: Sequence[QuantumScript]
    futures: Sequence[Future[Any]]
    job_ids: Callable[[], Sequence[str]]
    submitted_at: float
    ends: list[float] = field(default_factory=list)

    def done(self) -> bool:
        """Whether all of its circuits are."""
        return all(future.done() for future in self.futures)

    def finished_at(self) -> float:
        """Time of the last of them: now, where its future has not called back yet."""
        return max(self.ends) if len(self.ends) == len(self.futures) else time.time()


class Archive:
    """Writes calls to a database when their circuits are done, in a thread that runs while there are any.

    The interpreter waits for that thread when the program ends, and the thread sees that it has ended: a program may read its
    last result and end before the callbacks of the future that gave it.

    Args:
        path: The database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._calls: list[_Call] = []
        self._thread: threading.Thread | None = None
        # held by whoever writes
        self._turn = threading.Lock()
        self._database: Database | None = None
        self._broken = False

    def follow(
        self,
        record: CallRecord,
        tapes: Sequence[QuantumScript],
        futures: Sequence[Future[Any]],
        job_ids: Callable[[], Sequence[str]] = tuple,
        submitted_at: float | None = None,
    ) -> None:
        """Write a call when all of its circuits are done.

        Args:
            record: Who made it.
            tapes: Its ``n`` circuits.
            futures: One a circuit.
            job_ids: Gives the ids of the jobs that ran them; asked when they are done.
            submitted_at: When it was made, in seconds since 1970; ``None`` for now.
        """
        if self._broken or not futures:
            return
        start = time.time() if submitted_at is None else submitted_at
        call = _Call(record, tuple(tapes), tuple(futures), job_ids, start)
        for future in futures:
            future.add_done_callback(lambda _: call.ends.append(time.time()))
        with self._lock:
            self._calls.append(call)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="threaded-ibmq-records", daemon=False)
                self._thread.start()

    def flush(self, timeout: float | None = None) -> bool:
        """Write all finished calls, if that can be done; ``False`` if time ran out while others were written."""
        if not self._turn.acquire(timeout=-1 if timeout is None else timeout):
            return False
        try:
            self._write(self._take_done())
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not reach a call
            self._give_up(error)
        finally:
            self._turn.release()
        return True

    def _work(self) -> None:
        program, last_use = threading.main_thread(), time.monotonic()
        while True:
            # not woken by each call, it takes no time from the next one
            time.sleep(TOGETHER_SECS)
            # before Python 3.13 whoever waits in join may hold the main thread's lock just when the interpreter, as it ends, asserts
            # that it is free; and what the program did before it ended is written below
            alive = program.is_alive()
            self.flush()
            with self._lock:
                if self._calls:
                    last_use = time.monotonic()
                if not alive or time.monotonic() - last_use > IDLE_SECS:
                    self._thread = None
                    break
        with self._turn:
            database, self._database = self._database, None
        if database is not None:
            database.close()

    def _take_done(self) -> list[_Call]:
        with self._lock:
            done = [call for call in self._calls if call.done()]
            pending = set(self._calls).difference(done)
            self._calls = [call for call in self._calls if call in pending]
            return done

    def _write(self, calls: Sequence[_Call]) -> None:
        """Write calls in one transaction."""
        if not calls:
            return
        if self._database is None:
            self._database = Database(
                self._path, partial(migrate, steps=_FORMATS), busy_secs=10.0, synchronous="NORMAL"
            )
        with self._database.transaction() as connection:
            for call in calls:
                _insert(connection, call)

    def _give_up(self, error: Exception) -> None:
        with self._lock:
            self._broken = True
            self._calls.clear()
        # where warnings are errors, a thread has nobody to raise to
        with suppress(RecordsWarning):
            warnings.warn(
                f"{self._path}: executed circuits cannot be written: {error}. The calls go on without it. Make room, set "
                "THREADED_IBMQ_HOME to a folder that can be written, or use persist_data=False.",
                RecordsWarning,
                stacklevel=1,
            )


class Archives:
    """The archives of a process: one writer a file."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[object, Archive] = {}

    def here(self) -> Archive:
        """The archive in the folder of what this package keeps, as the environment names it now."""
        # each call asks, and to find the folder takes ten times as long as to see whether it is another one
        place = os.environ.get(HOME_VARIABLE) or tuple(map(os.environ.get, ("XDG_DATA_HOME", "HOME")))
        with self._lock:
            if place not in self._open:
                self._open[place] = Archive(database_path())
            return self._open[place]


def archives() -> Archives:
    """The archives of this process; a forked process has its own."""
    return RESOURCES.get(Archives)


def database_path() -> Path:
    """Path of the database: in ``THREADED_IBMQ_HOME``, or in the user's data folder."""
    return home_folder() / FILE


def _insert(connection: sqlite3.Connection, call: _Call) -> None:
    """Write a call, inside a transaction of the caller's."""
    configuration = call.record.configuration
    call_id = connection.execute(
        "INSERT INTO calls (executor, backend, configuration, job_ids, submitted_at, finished_at) VALUES (?, ?, ?, ?, ?, ?)",
        (
            call.record.executor,
            call.record.backend,
            configuration if isinstance(configuration, str) else configuration(),
            json.dumps(tuple(call.job_ids())),
            call.submitted_at,
            call.finished_at(),
        ),
    ).lastrowid
    for position, (tape, future) in enumerate(zip_strict(call.tapes, call.futures)):
        structure = (_operations(tape), json.dumps([repr(mp) for mp in tape.measurements]))
        connection.execute(
            "INSERT OR IGNORE INTO structures (operations, measurements) VALUES (?, ?)", structure
        )
        connection.execute(
            "INSERT INTO circuits SELECT ?, ?, id, ?, ?, ?, ? FROM structures WHERE operations = ? AND measurements = ?",
            (call_id, position, _parameters(tape), _shots(tape.shots), *_outcome(future), *structure),
        )


def _operations(tape: QuantumScript) -> str:
    """Gates as ``[name, wires, ...]``; where a controlled gate waits for zeros, its control values follow."""
    rows = []
    for op in tape.operations:
        row: list[Any] = [op.name, op.wires.tolist()]
        values = getattr(op, "control_values", None)
        if values is not None and not all(values):
            row.append([int(v) for v in values])
        rows.append(row)
    return json.dumps(rows, default=str)


def _parameters(tape: QuantumScript) -> str:
    # they may be tensors of an interface, with what it needs for derivatives around them
    return json.dumps(
        [[_plain(value) for value in unwrap(op.data)] for op in tape.operations if op.data], default=str
    )


def _shots(shots: Shots) -> str | None:
    if not shots:
        return None
    if not shots.has_partitioned_shots:
        return json.dumps(shots.total_shots)
    return json.dumps([[c.shots, c.copies] for c in shots.shot_vector])


def _outcome(future: Future[Any]) -> tuple[str | None, str | None]:
    if future.cancelled():
        return None, "cancelled"
    error = future.exception()
    if error is not None:
        return None, f"{type(error).__name__}: {error}"
    return json.dumps(_plain(future.result()), default=str), None


def _plain(value: Any) -> Any:
    """Numbers, lists and dicts for JSON; a complex number becomes ``[real, imaginary]``."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, (int, float, str)) or value is None:
        return value
    array = np.asarray(value)
    if np.iscomplexobj(array):
        array = np.stack([array.real, array.imag], axis=-1)
    return array.tolist()
