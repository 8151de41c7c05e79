"""The database of executed circuits: what ran, where, when, and what came out. Its tables are in docs/reference/database.md.

A thread writes, some time after a call has its results, so that no call waits for the disk. A database that cannot be written
is one warning; the calls go on without it.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pennylane.math import unwrap

from .._compat import zip_strict
from .._fork import OnePerProcess
from ..exceptions import RecordsWarning
from ..settings import home_folder
from .database import Database
from .history import FILE

if TYPE_CHECKING:
    from pennylane.measurements import Shots
    from pennylane.tape import QuantumScript

FORMAT = 1
TOGETHER_SECS = 0.2
"""How long finished calls are collected for one transaction."""
IDLE_SECS = 2.0
"""After how long without calls the writing thread ends and the file is closed."""
LOOK_SECS = 0.1
"""How often the writing thread looks whether the program has ended."""
MOST_STRUCTURES = 1000
"""Structures whose numbers are remembered."""

_TABLES = """
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
"""


@dataclass(frozen=True)
class CallRecord:
    """Who made a call, for the archive.

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
    """A call that is not written yet."""

    record: CallRecord
    tapes: tuple[QuantumScript, ...]
    futures: tuple[Future[Any], ...]
    job_ids: Callable[[], Sequence[str]]
    submitted_at: float
    left: int
    finished_at: float = 0.0


class Archive:
    """Writes calls to a database when their circuits are done, in a thread that runs while there are any.

    The interpreter waits for that thread when the program ends, and the thread sees that it has ended: a program may read its
    last result and end before the callbacks of the future that gave it.

    Args:
        path: The database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state = threading.Condition()
        self._open: dict[int, _Call] = {}
        self._finished: list[_Call] = []
        self._thread: threading.Thread | None = None
        self._hurried = self._writing = self._broken = False

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
        began = time.time() if submitted_at is None else submitted_at
        call = _Call(record, tuple(tapes), tuple(futures), job_ids, began, len(futures))
        with self._state:
            if self._broken or not futures:
                return
            self._open[id(call)] = call
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="threaded-ibmq-records", daemon=False)
                self._thread.start()

        def done(_: Future[Any]) -> None:
            with self._state:
                call.left -= 1
                if call.left == 0:
                    self._finish(call)

        for future in call.futures:
            future.add_done_callback(done)

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all finished calls are written, or cannot be; ``False`` if time ran out."""
        with self._state:
            self._look()
            self._hurried = True
            self._state.notify_all()
            return self._state.wait_for(lambda: not (self._finished or self._writing), timeout)

    def _finish(self, call: _Call) -> None:
        if self._open.pop(id(call), None) is not None:
            call.finished_at = time.time()
            # the writing thread sees it when it looks next: woken for each call, it would take time from the next one
            self._finished.append(call)

    def _look(self) -> None:
        """Take calls over whose futures are done and have not called back yet."""
        for call in tuple(self._open.values()):
            if all(future.done() for future in call.futures):
                self._finish(call)

    def _work(self) -> None:
        try:
            calls = self._next()
            if not calls:
                return
            with closing(
                Database(self._path, _make_tables, busy_secs=10.0, synchronous="NORMAL")
            ) as database:
                structures: dict[tuple[str, str], int] = {}
                while calls:
                    with database.transaction() as connection:
                        for call in calls:
                            _write(connection, call, structures)
                    self._written()
                    calls = self._next()
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not reach a call
            self._give_up(error)

    def _next(self) -> list[_Call]:
        """Calls for one transaction; none when the thread has to end."""
        with self._state:
            idle = 0.0
            while not self._finished:
                ended = not threading.main_thread().is_alive()
                if ended:
                    self._look()
                if not self._finished and (ended or (idle >= IDLE_SECS and not self._open)):
                    self._thread = None
                    return []
                if not self._finished and not self._state.wait(LOOK_SECS):
                    idle += LOOK_SECS
            self._state.wait_for(
                lambda: self._hurried or not threading.main_thread().is_alive(), TOGETHER_SECS
            )
            calls, self._finished = self._finished, []
            self._writing = True
            return calls

    def _written(self) -> None:
        with self._state:
            self._writing = False
            self._hurried = self._hurried and bool(self._finished)
            self._state.notify_all()

    def _give_up(self, error: Exception) -> None:
        with self._state:
            self._broken, self._writing, self._thread = True, False, None
            self._finished.clear()
            self._open.clear()
            self._state.notify_all()
        try:
            warnings.warn(
                f"{self._path}: executed circuits cannot be written: {error}. The calls go on without it. Make room, set "
                "THREADED_IBMQ_HOME to a folder that can be written, or use persist_data=False.",
                RecordsWarning,
                stacklevel=1,
            )
        except RecordsWarning:
            # warnings are errors here; this thread has nobody to raise to
            return


class Archives:
    """The archives of a process: one writer a file."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[Path, Archive] = {}

    def here(self) -> Archive:
        """The archive in the folder of what this package keeps, as it is now."""
        path = database_path()
        with self._lock:
            archive = self._open.get(path)
            if archive is None:
                archive = self._open[path] = Archive(path)
            return archive


archives = OnePerProcess(Archives)
"""The one owner of this process's archives; a forked process has its own."""


def database_path() -> Path:
    """Where the database is: in ``THREADED_IBMQ_HOME``, or in the user's data folder."""
    return home_folder() / FILE


def _make_tables(connection: sqlite3.Connection) -> None:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > FORMAT:
        raise sqlite3.DatabaseError(f"it has format {version}, and this version writes format {FORMAT}")
    if version == 0:
        for statement in (*_TABLES.split(";\n"), f"PRAGMA user_version = {FORMAT}"):
            connection.execute(statement)


def _write(connection: sqlite3.Connection, call: _Call, structures: dict[tuple[str, str], int]) -> None:
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
            call.finished_at,
        ),
    ).lastrowid
    connection.executemany(
        "INSERT INTO circuits VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (
                call_id,
                position,
                _structure(connection, tape, structures),
                _parameters(tape),
                _shots(tape.shots),
                *_outcome(future),
            )
            for position, (tape, future) in enumerate(zip_strict(call.tapes, call.futures))
        ],
    )


def _structure(
    connection: sqlite3.Connection, tape: QuantumScript, structures: dict[tuple[str, str], int]
) -> int:
    key = (_operations(tape), json.dumps([repr(mp) for mp in tape.measurements]))
    number = structures.get(key)
    if number is None:
        connection.execute("INSERT OR IGNORE INTO structures (operations, measurements) VALUES (?, ?)", key)
        found = connection.execute(
            "SELECT id FROM structures WHERE operations = ? AND measurements = ?", key
        ).fetchone()
        if len(structures) > MOST_STRUCTURES:
            structures.clear()
        number = structures[key] = int(found[0])
    return number


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
