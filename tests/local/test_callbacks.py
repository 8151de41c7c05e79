"""What users hang on futures and batches can end neither a lane nor those who wait; futures keep alive what they need."""

from __future__ import annotations

import gc
import sys
import threading

import numpy as np
import pennylane as qml
import pytest

from pennylane_threaded_ibmq.exceptions import UnsupportedCircuitError
from pennylane_threaded_ibmq.execution.futures import TapeFuture
from pennylane_threaded_ibmq.execution.lanes import Lanes
from pennylane_threaded_ibmq.executors import IBMQExecutor


def tapes(count=4):
    return [
        qml.tape.QuantumScript([qml.RY(0.1 * i, 0)], [qml.expval(qml.Z(0))], shots=100) for i in range(count)
    ]


def fail():
    pytest.fail("from a callback")


def leave():
    sys.exit(3)


def interrupt():
    raise KeyboardInterrupt


def wrong():
    raise ValueError("from a callback")


@pytest.mark.parametrize("end", [leave, fail, interrupt, wrong])
def test_a_callback_ends_nothing_but_itself(end):
    """One lane, all tapes in one shard: the callbacks after it, the other futures and the next batch go on."""
    gate, after = threading.Event(), threading.Event()
    dev = qml.device("threaded.ibmq", wires=1, max_jobs=1)
    lanes = dev._open().lanes
    lanes.submit(lambda _: gate.wait(60))
    handle = dev.submit(tapes())
    first = handle.futures[0]
    first.add_done_callback(lambda _: end())
    first.add_done_callback(lambda _: after.set())
    gate.set()
    assert [type(f.result(60)) for f in handle.futures] == [np.float64] * 4
    assert len(handle.result(60)) == 4
    assert after.wait(60)
    assert len(dev.batch_execute(tapes())) == 4
    dev.close()


def test_a_callback_in_the_users_own_thread_is_the_users_own():
    future = TapeFuture()
    future.set_result(1)
    with pytest.raises(SystemExit):
        future.add_done_callback(lambda _: sys.exit())


def test_an_observer_that_leaves_is_not_called_again():
    calls = []

    def observer(progress):
        calls.append(progress)
        pytest.fail("from an observer")

    dev = qml.device("threaded.ibmq", wires=1, max_jobs=1, progress=observer)
    assert len(dev.batch_execute(tapes())) == 4
    assert len(dev.batch_execute(tapes())) == 4
    assert len(calls) == 2
    dev.close()


def test_a_lane_outlives_what_a_task_leaves_behind():
    lanes = Lanes(1, lambda: None)
    gate = threading.Event()
    future = lanes.submit(lambda _: gate.wait(60))
    future.add_done_callback(lambda _: sys.exit())
    gate.set()
    assert future.result(60)
    assert lanes.submit(lambda _: "alive").result(60) == "alive"
    lanes.close()


def test_futures_keep_their_device():
    gate = threading.Event()

    def submit():
        dev = qml.device("threaded.ibmq", wires=1, max_jobs=1)
        dev._open().lanes.submit(lambda _: gate.wait(60))
        return dev.submit(tapes()).futures

    futures = submit()
    gc.collect()
    gate.set()
    assert len([f.result(60) for f in futures]) == 4


def test_futures_of_an_executor_keep_it():
    futures = IBMQExecutor(shots=100).batch_submit(tapes())
    gc.collect()
    assert len([f.result(60) for f in futures]) == 4


def test_a_gathered_future_keeps_the_device_and_a_callback_may_leave():
    """A tape that is run as several has one future made from theirs."""
    gate, after = threading.Event(), threading.Event()
    tape = qml.tape.QuantumScript([qml.RY([0.1, 0.2], 0)], [qml.expval(qml.Z(0))], shots=100)

    def submit():
        dev = qml.device("threaded.ibmq", wires=1, max_jobs=1)
        dev._open().lanes.submit(lambda _: gate.wait(60))
        return dev.submit([tape]).futures[0]

    future = submit()
    future.add_done_callback(lambda _: sys.exit())
    future.add_done_callback(lambda _: after.set())
    gc.collect()
    gate.set()
    assert np.shape(future.result(60)) == (2,)
    assert after.wait(60)


def test_run_later_outlives_a_callback_that_leaves():
    @qml.qnode(qml.device("default.qubit", wires=1))
    def circuit(x):
        qml.RY(x, 0)
        return qml.expval(qml.Z(0))

    from pennylane_threaded_ibmq.executors import qelectron

    gate, after = threading.Event(), threading.Event()
    executor = IBMQExecutor(shots=100, max_jobs=1)
    later = qelectron(circuit, executors=executor)
    executor._device()._open().lanes.submit(lambda _: gate.wait(60))
    futures = [later.run_later(0.1 * i) for i in range(3)]
    futures[0].add_done_callback(lambda _: sys.exit())
    futures[0].add_done_callback(lambda _: after.set())
    gate.set()
    assert after.wait(60)
    assert len([f.result(60) for f in futures]) == 3
    assert later.run_later(0.2).result(60) > 0.5


def test_an_error_reaches_every_future(monkeypatch):
    dev = qml.device("threaded.ibmq", wires=1)
    monkeypatch.setattr(dev._open().runner, "run", lambda *_: leave())
    handle = dev.submit(tapes(2))
    for future in handle.futures:
        with pytest.raises(SystemExit):
            future.result(60)
    dev.close()
    with pytest.raises(UnsupportedCircuitError):
        qml.device("threaded.ibmq", wires=1).submit(["no tape"])
