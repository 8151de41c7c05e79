"""The database of executed circuits: what ran, where, when, and what came out.

A thread of its own writes, some time after a call has its results, so that no call waits for the disk. A database that
cannot be written is one warning; the calls go on without it. The tables are described in docs/reference/database.md.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
import warnings
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic_core import to_json

from .._compat import zip_strict
from ..exceptions import RecordsWarning
from ..settings import home_folder
from ..store.database import Database
from ..store.history import FILE
from .futures import Submission

if TYPE_CHECKING:
    from pennylane.measurements import Shots
    from pennylane.tape import QuantumScript

FORMAT = 1
GATHER_S = 0.2
"""How long finished calls are gathered for one transaction."""
IDLE_S = 2.0
"""After how long without calls the writing thread ends and the file is closed."""
LOOK_S = 0.1
"""How often an idle writing thread looks whether the program has ended."""

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


def database_path() -> Path:
    """Where the database is: in ``THREADED_IBMQ_HOME``, or in the user's data folder."""
    return home_folder() / FILE


@dataclass(eq=False)
class Call:
    """Circuits that one executor took for one call.

    Attributes:
        executor: The executor; its configuration is read when the call is written.
        tapes: The circuits.
        submitted_at: Seconds since 1970.
        finished_at: Same, of the last circuit.
        futures: One a circuit, done when the call is written.
        job_ids: Jobs that ran them.
    """

    executor: Any
    tapes: tuple[QuantumScript, ...]
    submitted_at: float
    finished_at: float = 0.0
    futures: Sequence[Future[Any]] = ()
    job_ids: tuple[str, ...] = ()

    @classmethod
    def of(cls, executor: Any, tapes: Iterable[QuantumScript]) -> Call:
        """A call that begins now."""
        return cls(executor, tuple(tapes), time.time())


class Recorder:
    """Writes finished calls to the database, in a thread that runs while there is something to write.

    The interpreter waits for that thread when the program ends, and the thread sees that it has ended.
    """

    def __init__(self) -> None:
        self._state = threading.Condition()
        self._calls: deque[Call] = deque()
        self._open: dict[int, tuple[Call, Submission]] = {}
        self._thread: threading.Thread | None = None
        self._hurried = False
        self._broken = False
        self._ended = False
        self._writing = False

    def follow(self, call: Call, sent: Submission) -> None:
        """Write a call when all of its circuits are done."""
        call.futures = sent.futures
        left = len(call.futures)
        lock = threading.Lock()
        self._open[id(sent)] = (call, sent)

        def done(_: Future[Any]) -> None:
            nonlocal left
            with lock:
                left -= 1
                if left:
                    return
            self.settle(sent)

        for future in call.futures:
            future.add_done_callback(done)

    def settle(self, sent: Submission) -> None:
        """Take over a call whose circuits are done, if that has not happened.

        A future wakes those who wait before it calls its callbacks: a program could read its last result and end in
        between, so whoever has waited says so too.
        """
        # one step for all threads: whoever comes second may end the program next
        with self._state:
            call, _ = self._open.pop(id(sent), (None, None))
            if call is not None:
                call.finished_at = time.time()
                call.job_ids = sent.job_ids
                self._put(call)

    def settle_finished(self) -> None:
        """The same for all calls whose circuits are done."""
        for call, sent in tuple(self._open.values()):
            if all(future.done() for future in call.futures):
                self.settle(sent)

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all finished calls are written, or cannot be; ``False`` if time ran out."""
        with self._state:
            self._hurried = True
            self._state.notify_all()
            return self._state.wait_for(lambda: not (self._calls or self._writing), timeout)

    def end(self) -> None:
        """Write what there is, without keeping anybody waiting, then close the file."""
        with self._state:
            self._ended = True
            self._state.notify_all()

    def close(self) -> None:
        """Write what there is and close the file."""
        with self._state:
            thread = self._thread
        self.end()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _put(self, call: Call) -> None:
        with self._state:
            if self._broken:
                return
            self._calls.append(call)
            if self._thread is None:
                self._hurried = False
                self._thread = threading.Thread(target=self._work, name="threaded-ibmq-records", daemon=False)
                self._thread.start()
            elif len(self._calls) == 1:
                self._state.notify_all()

    def _work(self) -> None:
        path = database_path()
        try:
            with closing(Database(path, _make_tables, busy_secs=10.0, synchronous="NORMAL")) as database:
                structures: dict[tuple[str, str], int] = {}
                while calls := self._next():
                    with database.transaction() as connection:
                        Writer(connection, structures).write(calls)
                    self._finish()
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not reach a call
            self._give_up(path, error)

    def _next(self) -> list[Call]:
        """Calls for one transaction; none when the thread has to end."""
        with self._state:
            idle = 0.0
            while not self._calls:
                if self._ended or idle >= IDLE_S or not threading.main_thread().is_alive():
                    self._thread = None
                    return []
                if not self._state.wait(LOOK_S):
                    idle += LOOK_S
            self._state.wait_for(lambda: self._hurried or self._ended, GATHER_S)
            calls = list(self._calls)
            self._calls.clear()
            self._writing = True
            return calls

    def _finish(self) -> None:
        with self._state:
            self._writing = False
            if not self._calls:
                self._hurried = False
            self._state.notify_all()

    def _give_up(self, path: Path, error: Exception) -> None:
        with self._state:
            self._broken = True
            self._calls.clear()
            self._writing = False
            self._thread = None
            self._state.notify_all()
        try:
            warnings.warn(
                f"{path}: executed circuits cannot be written: {error}. The calls go on without it. Make room, set "
                "THREADED_IBMQ_HOME to a folder that can be written, or use persist_data=False.",
                RecordsWarning,
                stacklevel=1,
            )
        except RecordsWarning:
            # warnings are errors here; this thread has nobody to raise to
            return


@dataclass
class Writer:
    """Turns calls into rows.

    Attributes:
        connection: The database, in a transaction.
        structures: Numbers of the structures that were written.
    """

    connection: sqlite3.Connection
    structures: dict[tuple[str, str], int] = field(default_factory=dict)

    def write(self, calls: Iterable[Call]) -> None:
        """Write calls, inside a transaction of the caller's."""
        for call in calls:
            self._write(call)

    def _write(self, call: Call) -> None:
        row = (
            call.executor.name,
            call.executor.backend_name,
            # the model's own method takes no fallback before pydantic 2.11
            to_json(call.executor, fallback=repr).decode(),
            json.dumps(call.job_ids),
            call.submitted_at,
            call.finished_at,
        )
        call_id = self.connection.execute(
            "INSERT INTO calls (executor, backend, configuration, job_ids, submitted_at, finished_at) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            row,
        ).lastrowid
        rows = [
            (
                call_id,
                position,
                self._structure(tape),
                _parameters(tape),
                _shots(tape.shots),
                *_outcome(future),
            )
            for position, (tape, future) in enumerate(zip_strict(call.tapes, call.futures))
        ]
        self.connection.executemany("INSERT INTO circuits VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def _structure(self, tape: QuantumScript) -> int:
        key = (_operations(tape), json.dumps([repr(mp) for mp in tape.measurements]))
        number = self.structures.get(key)
        if number is None:
            self.connection.execute(
                "INSERT OR IGNORE INTO structures (operations, measurements) VALUES (?, ?)", key
            )
            found = self.connection.execute(
                "SELECT id FROM structures WHERE operations = ? AND measurements = ?", key
            ).fetchone()
            if len(self.structures) > 1000:
                self.structures.clear()
            number = self.structures[key] = int(found[0])
        return number


def _make_tables(connection: sqlite3.Connection) -> None:
    if _readable_version(connection) == 0:
        for statement in (*_TABLES.split(";\n"), f"PRAGMA user_version = {FORMAT}"):
            connection.execute(statement)


def _readable_version(connection: sqlite3.Connection) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > FORMAT:
        raise sqlite3.DatabaseError(f"it has format {version}, and this version writes format {FORMAT}")
    return version


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
    return json.dumps(
        [[_plain(value) for value in op.data] for op in tape.operations if op.data], default=str
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
