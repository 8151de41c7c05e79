"""``persist_data``: what lands in the database, and that nothing there can hurt a call."""

import json
import os
import sqlite3
import subprocess
import sys
import textwrap
import warnings
from concurrent.futures import Future
from contextlib import closing

import numpy as np
import pennylane as qml
import pytest

from pennylane_threaded_ibmq import IBMQExecutor, qelectron
from pennylane_threaded_ibmq.exceptions import RecordsWarning
from pennylane_threaded_ibmq.store.archive import Archive, CallRecord, database_path

dev = qml.device("default.qubit", wires=2)


def node(shots=20):
    @qml.qnode(dev, diff_method="parameter-shift", shots=shots)
    def circuit(x):
        qml.RX(x, 0)
        qml.ctrl(qml.RY, [1], control_values=[0])(0.25, wires=0)
        return qml.probs(wires=0), qml.counts(wires=1)

    return circuit


def rows(query):
    with closing(sqlite3.connect(database_path())) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(query)]


def test_a_call_lands_in_the_database(home):
    executor = IBMQExecutor(ibmqx_token="very-secret", seed_simulator=3)
    probs, counts = qelectron(node(), executors=executor)(np.pi)
    assert executor.flush_records(120)
    assert database_path() == home / "threaded-ibmq" / "qelectron.sqlite3"
    (row,) = rows("SELECT * FROM executions")
    assert row["backend"] == "ibmq_qasm_simulator"
    assert row["executor"] == "IBMQExecutor"
    assert row["seconds"] > 0
    assert json.loads(row["operations"]) == [["RX", [0]], ["C(RY)", [1, 0], [0]]]
    assert json.loads(row["parameters"]) == [[np.pi], [0.25]]
    assert json.loads(row["measurements"]) == ["probs(wires=[0])", "CountsMP(wires=[1], all_outcomes=False)"]
    assert json.loads(row["shots"]) == 20
    assert json.loads(row["result"]) == [probs.tolist(), {str(k): int(v) for k, v in counts.items()}]
    assert row["error"] is None
    (call,) = rows("SELECT * FROM calls")
    assert json.loads(call["configuration"])["seed_simulator"] == 3
    assert b"very-secret" not in b"".join(p.read_bytes() for p in database_path().parent.iterdir())
    assert rows("PRAGMA user_version") == [{"user_version": 1}]


def test_all_circuits_of_a_gradient_are_kept_and_structures_once():
    executor = IBMQExecutor()
    circuit = qelectron(qml.QNode(lambda x: (qml.RX(x, 0), qml.expval(qml.Z(0)))[1], dev, shots=10,
                                  diff_method="parameter-shift"), executors=executor)  # fmt: skip
    qml.grad(circuit)(qml.numpy.array(0.3, requires_grad=True))
    circuit.run_later(0.5).result()
    assert executor.flush_records(120)
    kept = rows("SELECT call_id, position, parameters FROM executions ORDER BY call_id, position")
    angles = [json.loads(row["parameters"])[0][0] for row in kept]
    np.testing.assert_allclose(angles, [0.3, 0.3 + np.pi / 2, 0.3 - np.pi / 2, 0.5])
    assert [(r["call_id"], r["position"]) for r in kept] == [(1, 0), (2, 0), (2, 1), (3, 0)]
    assert len(rows("SELECT * FROM structures")) == 1


def test_failures_are_kept_with_their_error():
    executor = IBMQExecutor(runs_on="default.qubit")
    tape = qml.tape.QuantumScript([qml.X(0)], [qml.sample(wires=0)])
    with pytest.raises(qml.exceptions.DeviceError):
        executor.batch_get_results(executor.batch_submit([tape]))
    assert executor.flush_records(120)
    (row,) = rows("SELECT * FROM executions")
    assert row["result"] is None
    assert row["error"].startswith("DeviceError: ")


def test_false_keeps_nothing():
    executor = IBMQExecutor(persist_data=False)
    qelectron(node(), executors=executor)(0.1)
    assert executor.flush_records(120)
    assert not database_path().exists()


def broken_by(place):
    """Make the database impossible to write."""
    path = database_path()
    if place == "a file in the place of the folder":
        path.parent.write_text("")
    elif place == "a folder in the place of the file":
        path.mkdir(parents=True)
    elif place == "no database":
        path.parent.mkdir(parents=True)
        path.write_text("this is no database, but long enough to be looked at as one" * 20)
    else:
        path.parent.mkdir(parents=True)
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA user_version = 99")


@pytest.mark.parametrize(
    "place",
    [
        "a file in the place of the folder",
        "a folder in the place of the file",
        "no database",
        "a newer format",
    ],
)
def test_a_database_that_cannot_be_written_is_one_warning(place):
    broken_by(place)
    executor = IBMQExecutor()
    circuit = qelectron(node(), executors=executor)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            circuit(0.1)
            assert executor.flush_records(120)
    # what is collected meanwhile may have warnings of its own
    (ours,) = [w for w in caught if w.category is RecordsWarning]
    assert str(database_path()) in str(ours.message)


def test_a_full_disk_is_one_warning():
    executor = IBMQExecutor()
    circuit = qelectron(node(), executors=executor)
    circuit(0.1)
    assert executor.flush_records(120)
    with sqlite3.connect(database_path()) as connection:
        # what a full disk does: the file cannot grow
        connection.execute(
            "CREATE TRIGGER full BEFORE INSERT ON calls BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
        )

    def call():
        circuit(0.1)
        return executor.flush_records(120)

    with pytest.warns(RecordsWarning, match="disk is full"):
        assert call()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert call()
    assert len(rows("SELECT * FROM calls")) == 1


def test_warnings_as_errors_do_not_reach_the_call():
    broken_by("a folder in the place of the file")
    executor = IBMQExecutor()
    with warnings.catch_warnings():
        warnings.simplefilter("error", RecordsWarning)
        probs, _ = qelectron(node(), executors=executor)(0.0)
        assert executor.flush_records(120)
    assert probs.shape == (2,)


def test_several_executors_write_the_same_database():
    executors = [IBMQExecutor() for _ in range(4)]
    circuit = qelectron(node(), executors=executors)
    futures = [circuit.run_later(0.1 * i) for i in range(40)]
    for future in futures:
        future.result(60)
    assert all(e.flush_records(120) for e in executors)
    assert len(rows("SELECT * FROM circuits")) == 40


def test_what_a_program_did_last_is_written_when_it_ends():
    code = """
        import pennylane as qml
        from pennylane_threaded_ibmq import IBMQExecutor, qelectron

        @qelectron(executors=IBMQExecutor())
        @qml.qnode(qml.device("default.qubit", wires=1), shots=10)
        def circuit():
            return qml.probs(wires=0)

        circuit()
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=120, env=dict(os.environ)
    )
    assert len(rows("SELECT * FROM circuits")) == 1
    assert not database_path().with_name(database_path().name + "-wal").exists()


def test_the_folder_is_the_users_where_nothing_overrides_it(monkeypatch, home):
    monkeypatch.delenv("THREADED_IBMQ_HOME")
    assert home in database_path().parents


def test_a_call_is_kept_when_its_waiter_is_faster_than_the_callbacks_of_its_futures():
    class Slow(Future):
        """A future whose callbacks come late, as they may when the waiting thread is woken first."""

        def add_done_callback(self, fn):
            pass

    archive, future = Archive(database_path()), Slow()
    tape = qml.tape.QuantumScript([], [qml.probs(wires=0)], shots=5)
    archive.follow(CallRecord("IBMQExecutor", "here"), [tape], [future], lambda: ("j1",))
    future.set_result(np.array([1.0, 0.0]))
    for _ in range(2):
        assert archive.flush(120)
    assert [json.loads(row["job_ids"]) for row in rows("SELECT * FROM calls")] == [["j1"]]
