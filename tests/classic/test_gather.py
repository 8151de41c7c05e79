"""Circuits on any wires, and calls that are sent together, on the classic stack."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import numpy as np
import pennylane as qml
import pytest

from pennylane_threaded_ibmq.device.recording import recording_lock
from pennylane_threaded_ibmq.exceptions import BackendError, UnsupportedCircuitError
from pennylane_threaded_ibmq.loopback import CLASSIC_SIMULATOR
from pennylane_threaded_ibmq.store.archive import CallRecord, archives, database_path

LIMIT_SECS = 120
SLOTS = 8


def flip(number=1, wire=0):
    return qml.tape.QuantumScript(
        [qml.RX(np.pi * (number % 2), wires=wire)], [qml.probs(wires=wire)], shots=20
    )


def test_a_device_without_wires_takes_those_of_each_circuit():
    dev = qml.device("threaded.ibmq", seed_simulator=1)
    assert [r.tolist() for r in dev.batch_execute([flip(wire=70), flip(0, wire="a")])] == [[0, 1], [1, 0]]

    @qml.qnode(dev, diff_method="parameter-shift")
    def circuit(x):
        qml.RX(x, wires="b")
        qml.PauliX(wires=3)
        return qml.expval(qml.PauliZ("b")), qml.probs()

    value, probs = circuit(0.0)
    assert value == 1
    assert probs.tolist() == [0, 1, 0, 0]
    slope = qml.grad(lambda x: circuit(x)[0])(qml.numpy.array(np.pi / 2, requires_grad=True))
    assert slope == pytest.approx(-1, abs=0.1)


def test_calls_that_come_together_are_few_jobs(loopback, tmp_path):
    service = loopback()
    with qml.device(
        "threaded.ibmq", backend=CLASSIC_SIMULATOR, max_jobs=SLOTS, journal=tmp_path / "j"
    ) as dev:
        before = service.counters
        service.hold()
        calls = [dev.submit(flip(i, wire=i % 3), gather=True) for i in range(100)]
        service.release()
        for i, call in enumerate(calls):
            assert call.results(LIMIT_SECS)[0][i % 2] == 1
        after = service.counters
    # at most one a slot while jobs were held, and one of all that waited for a slot
    assert after.jobs - before.jobs <= SLOTS + 1
    assert after.logins == before.logins


def test_a_bad_call_fails_alone_and_a_cancelled_one_is_not_sent(loopback, tmp_path):
    service = loopback()
    with qml.device("threaded.ibmq", backend="ibmq_lima", journal=tmp_path / "j") as dev:
        with recording_lock():
            first, second = dev.submit(flip(), gather=True), dev.submit([flip(0), flip()], gather=True)
            with pytest.raises(UnsupportedCircuitError, match="Tape 0"):
                dev.submit(flip(float("nan")), gather=True)
            wide = qml.tape.QuantumScript([qml.PauliX(i) for i in range(6)], [qml.probs(wires=0)], shots=20)
            with pytest.raises(BackendError, match="6 wires"):
                dev.submit(wide, gather=True)
            first.cancel()
        low, high = second.results(LIMIT_SECS)
    assert low[0] > 0.5
    assert high[1] > 0.5
    assert first.futures[0].cancelled()
    assert [job.rows for job in service.jobs] == [2]


def test_a_call_is_written_with_its_job(loopback, tmp_path):
    loopback()
    with qml.device("threaded.ibmq", backend=CLASSIC_SIMULATOR, journal=tmp_path / "j") as dev:
        call = dev.submit(flip(), gather=True, record=CallRecord("Mine", CLASSIC_SIMULATOR))
        assert call.results(LIMIT_SECS)[0].tolist() == [0, 1]
    assert archives().here().flush(LIMIT_SECS)
    with closing(sqlite3.connect(database_path())) as connection:
        (row,) = connection.execute("SELECT executor, backend, job_ids, result FROM executions").fetchall()
    assert row[:2] == ("Mine", CLASSIC_SIMULATOR)
    assert tuple(json.loads(row[2])) == call.job_ids
    assert len(call.job_ids) == 1
    assert json.loads(row[3]) == [0, 1]
