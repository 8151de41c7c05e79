"""The archive of calls: what is written, when, and that nothing there can hurt a call."""

import json
import multiprocessing
import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
import warnings
from concurrent.futures import Future
from contextlib import closing

import numpy as np
import pennylane as qml
import pytest
from fresh import run_fresh
from pennylane.tape import QuantumScript

from pennylane_threaded_ibmq.exceptions import ConfigurationError, RecordsWarning
from pennylane_threaded_ibmq.store.archive import Archive, CallRecord, archives, database_path
from pennylane_threaded_ibmq.store.history import circuits

LIMIT_SECS = 120
TAPE = QuantumScript([qml.RX(0.25, 0)], [qml.probs(wires=0)], shots=5)
RECORD = CallRecord("Mine", "simulator")


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("THREADED_IBMQ_HOME", str(tmp_path / "home"))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "calls.sqlite3"


def rows(path, query="SELECT * FROM executions ORDER BY call_id, position"):
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(query)]


def answered(value):
    future = Future()
    future.set_result(value)
    return future


def writers():
    return [thread for thread in threading.enumerate() if thread.name == "threaded-ibmq-records"]


def join_writers():
    for thread in writers():
        thread.join(LIMIT_SECS)


def test_a_call_is_written_when_its_last_circuit_is_done(path):
    archive, futures = Archive(path), [Future(), Future(), Future()]
    archive.follow(RECORD, [TAPE] * 3, futures, lambda: ["a", "b"], submitted_at=1.5)
    futures[1].set_exception(ArithmeticError("too much"))
    futures[2].cancel()
    assert archive.flush(LIMIT_SECS)
    assert not path.exists()
    futures[0].set_result((np.array([1.0, 0.0]), {"0": np.int64(5)}, 1 + 2j))
    assert archive.flush(LIMIT_SECS)
    written = rows(path)
    assert [r["result"] for r in written] == ['[[1.0, 0.0], {"0": 5}, [1.0, 2.0]]', None, None]
    assert [r["error"] for r in written] == [None, "ArithmeticError: too much", "cancelled"]
    assert {r["operations"] for r in written} == {'[["RX", [0]]]'}
    assert {r["parameters"] for r in written} == {"[[0.25]]"}
    assert json.loads(written[0]["job_ids"]) == ["a", "b"]
    assert rows(path, "SELECT submitted_at, configuration FROM calls") == [
        {"submitted_at": 1.5, "configuration": "{}"}
    ]
    assert len(rows(path, "SELECT * FROM structures")) == 1


def test_a_call_is_kept_when_its_waiter_is_faster_than_the_callbacks_of_its_futures(path):
    class Slow(Future):
        """A future whose callbacks come late, as they may when the waiting thread is woken first."""

        def add_done_callback(self, fn):
            pass

    archive, future = Archive(path), Slow()
    archive.follow(RECORD, [TAPE], [future])
    future.set_result(np.array([1.0, 0.0]))
    for _ in range(2):
        assert archive.flush(LIMIT_SECS)
    assert len(rows(path)) == 1


def test_a_call_of_no_circuits_is_no_call(path):
    archive = Archive(path)
    archive.follow(RECORD, [], [])
    assert archive.flush(LIMIT_SECS)
    assert not path.exists()


def test_two_archives_write_one_file(path):
    two = Archive(path), Archive(path)
    for number in range(40):
        two[number % 2].follow(RECORD, [TAPE], [answered(number)])
    assert all(archive.flush(LIMIT_SECS) for archive in two)
    assert sorted(json.loads(row["result"]) for row in rows(path)) == list(range(40))


def test_calls_that_end_together_are_one_transaction_of_one_thread(path):
    archive, statements = Archive(path), []
    archive.follow(RECORD, [TAPE], [answered(0)])
    assert archive.flush(LIMIT_SECS)
    archive._database._open().set_trace_callback(statements.append)
    before = len(writers())
    with archive._turn:
        for number in range(100):
            archive.follow(RECORD, [TAPE], [answered(number)])
        assert len(writers()) <= before
    assert archive.flush(LIMIT_SECS)
    assert sum(statement.startswith("BEGIN") for statement in statements) == 1
    assert len(rows(path)) == 101


def test_whoever_cannot_wait_for_a_writer_is_told(path):
    archive = Archive(path)
    with archive._turn:
        assert not archive.flush(0.01)


def test_what_cannot_be_written_is_one_warning(path):
    path.mkdir(parents=True)
    archive = Archive(path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            archive.follow(RECORD, [TAPE], [answered(0)])
            assert archive.flush(LIMIT_SECS)
        join_writers()
    # what is collected meanwhile may have warnings of its own
    (ours,) = [w for w in caught if w.category is RecordsWarning]
    assert str(path) in str(ours.message)


def test_a_configuration_that_fails_reaches_no_call(path):
    archive = Archive(path)

    def configuration():
        raise ValueError("no JSON")

    def write():
        archive.follow(CallRecord("Mine", "", configuration), [TAPE], [answered(0)])
        join_writers()

    with pytest.warns(RecordsWarning, match="no JSON"):
        write()
    assert archive.flush(LIMIT_SECS)


@pytest.mark.parametrize("gather", [False, True])
def test_what_a_program_did_last_is_written_when_it_ends(gather):
    program = f"""
        import pennylane as qml
        from pennylane_threaded_ibmq.store.archive import CallRecord

        tape = qml.tape.QuantumScript([qml.X("a")], [qml.probs(wires="a")], shots=10)
        handle = qml.device("threaded.ibmq").submit(tape, gather={gather}, record=CallRecord("Mine", "here"))
        print(handle.futures[0].result())
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], check=True, timeout=LIMIT_SECS, env=dict(os.environ)
    )
    assert not database_path().with_name(database_path().name + "-wal").exists()
    (record,) = circuits(database_path(), 10)
    assert (record.executor, record.result, record.shots) == ("Mine", "[0.0, 1.0]", "10")


@pytest.mark.parametrize("variable", ["THREADED_IBMQ_HOME", "XDG_DATA_HOME", "HOME"])
def test_an_archive_is_that_of_the_folder_that_the_environment_names_now(variable, monkeypatch, tmp_path):
    for name in ("THREADED_IBMQ_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(tmp_path / "first"))
    first = archives().here()
    assert archives().here() is first
    monkeypatch.setenv(variable, str(tmp_path / "second"))
    second = archives().here()
    second.follow(RECORD, [TAPE], [answered(0)])
    assert second.flush(LIMIT_SECS)
    assert (len(rows(database_path())), second is first) == (1, False)


def work_in_a_child():
    with qml.device("threaded.ibmq") as dev:
        dev.submit(TAPE, record=CallRecord("Child", "here")).result()


def leave_the_writing_to_a_child():
    child = multiprocessing.get_context("fork").Process(target=work_in_a_child)
    child.start()
    child.join(LIMIT_SECS)
    assert child.exitcode == 0


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="there are no forks here")
def test_what_a_worker_did_last_is_written_when_it_ends():
    """A worker of multiprocessing leaves without the functions that wait for the end of a program."""
    run_fresh(leave_the_writing_to_a_child)
    assert [row["executor"] for row in rows(database_path())] == ["Child"]


def in_child(answers):
    with qml.device("threaded.ibmq") as dev:
        handle = dev.submit(TAPE, record=CallRecord("Child", "here"))
        handle.result()
        answers.put(archives().here().flush(LIMIT_SECS))


def write_in_a_fork():
    future = Future()
    archives().here().follow(CallRecord("Parent", "here"), [TAPE], [future])
    fork = multiprocessing.get_context("fork")
    answers = fork.SimpleQueue()
    child = fork.Process(target=in_child, args=(answers,))
    child.start()
    assert answers.get()
    child.join(LIMIT_SECS)
    assert child.exitcode == 0
    future.set_result(np.array([0.5, 0.5]))
    assert archives().here().flush(LIMIT_SECS)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="there are no forks here")
def test_a_forked_process_writes_its_own_calls():
    run_fresh(write_in_a_fork)
    assert [row["executor"] for row in rows(database_path())] == ["Child", "Parent"]


@pytest.mark.parametrize("gather", [False, True])
def test_a_record_that_is_none_is_refused_before_anything_runs(gather):
    with (
        qml.device("threaded.ibmq", wires=1) as dev,
        qml.Tracker(dev) as tracker,
        pytest.raises(
            ConfigurationError, match=r"^record='night run': a CallRecord of .* Nothing was sent\.$"
        ),
    ):
        dev.submit(TAPE, gather=gather, record="night run")
    assert tracker.totals == {}
