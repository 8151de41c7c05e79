"""Circuits on any wires, and calls that are sent together, on a simulator of this machine."""

import gc
import multiprocessing
import subprocess
import sys
import textwrap
import threading
import weakref
from concurrent.futures import CancelledError, wait

import numpy as np
import pennylane as qml
import pytest
from fresh import run_fresh
from pennylane.tape import QuantumScript

from pennylane_threaded_ibmq.device.recording import recording_lock
from pennylane_threaded_ibmq.exceptions import BackendError, DeviceClosedError, UnsupportedCircuitError

LIMIT_SECS = 120


def flip(angle=np.pi, wire=0, shots=20):
    return QuantumScript([qml.RX(angle, wire)], [qml.probs(wires=wire)], shots=shots)


BAD = QuantumScript([qml.X(0)], [qml.state()], shots=20)
NOT_A_NUMBER = flip(float("nan"))


@pytest.fixture
def dev():
    with qml.device("threaded.ibmq", seed_simulator=1) as device:
        yield device


def in_numbers():
    qml.X(3)
    qml.X(1)
    qml.H(0)


def in_order():
    qml.X(1)
    qml.H(0)


def labelled():
    qml.X("a")
    qml.H(0)
    qml.CNOT([0, "c"])


def reused():
    qml.H(1)
    outcome = qml.measure(1, reset=True)
    qml.cond(outcome, qml.X)(0)


@pytest.mark.parametrize("circuit", [in_numbers, in_order, labelled, reused])
def test_a_device_without_wires_takes_those_of_each_circuit(circuit, dev):
    def node():
        circuit()
        return qml.probs(), qml.expval(qml.Z(0))

    wanted = qml.set_shots(qml.QNode(node, qml.device("default.qubit", seed=1)), 4000)()
    got = qml.set_shots(qml.QNode(node, dev), 4000)()
    for mine, theirs in zip(got, wanted, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=0.1)
    assert dev.wires is None
    assert dev.num_wires is None
    assert "any wires" in repr(dev)


def test_without_wires_a_layout_goes_by_numbers():
    qiskit_wire = {0: 4, 2: 1}
    with qml.device("threaded.ibmq", backend="fake_manila", initial_layout=[4, 3, 1]) as dev:
        assert [dev.batch_execute([flip(wire=w)])[0][1] > 0.5 for w in qiskit_wire] == [True, True]
        assert dev.transpiles == 2
        with pytest.raises(UnsupportedCircuitError, match=r"wires=None.*'a'"):
            dev.submit(flip(wire="a"))


@pytest.mark.parametrize("gather", [False, True])
def test_each_circuit_must_fit_the_backend(gather):
    wide = QuantumScript([qml.X(i) for i in range(6)], [qml.probs(wires=0)], shots=20)
    with qml.device("threaded.ibmq", backend="fake_manila") as dev:
        with pytest.raises(BackendError, match=r"6 wires.*5 qubits"):
            dev.submit(wide, gather=gather)
        assert len(dev.batch_execute([flip(wire=70)])) == 1


def test_calls_that_come_together_are_one_batch(dev):
    with qml.Tracker(dev) as tracker:
        with recording_lock():
            calls = [dev.submit([flip(0.0), flip(np.pi * (i % 2), wire=i)], gather=True) for i in range(10)]
            assert not any(call.done() for call in calls)
        for i, call in enumerate(calls):
            first, second = call.results(LIMIT_SECS)
            assert first.tolist() == [1, 0]
            assert second[i % 2] == 1
            assert [f.result().tolist() for f in call.futures] == [first.tolist(), second.tolist()]
    assert tracker.totals["batches"] == 1
    assert tracker.totals["executions"] == 20


def test_a_call_is_sent_without_anybody_asking(dev):
    call = dev.submit(flip(), gather=True)
    arrived = threading.Event()
    call.futures[0].add_done_callback(lambda _: arrived.set())
    assert arrived.wait(LIMIT_SECS)
    assert call.done()
    assert call.futures[0].result(0).tolist() == [0, 1]


def test_asking_sends_what_waits_also_while_a_circuit_is_recorded(dev):
    tapes = flip(), flip(0.0)
    with qml.queuing.AnnotatedQueue() as recorded:
        first, second = (dev.submit(tape, gather=True) for tape in tapes)
        assert second.futures[0].exception(LIMIT_SECS) is None
        assert first.futures[0].result(LIMIT_SECS).tolist() == [0, 1]
    assert not recorded.queue


@pytest.mark.parametrize("bad", [BAD, NOT_A_NUMBER, "no tape"], ids=["state", "angle", "text"])
def test_a_bad_call_fails_alone_and_at_once(bad, dev):
    with recording_lock():
        good = dev.submit(flip(), gather=True)
        with pytest.raises(UnsupportedCircuitError, match="Tape 1"):
            dev.submit([flip(), bad], gather=True)
        assert not good.done()
    assert good.results(LIMIT_SECS)[0].tolist() == [0, 1]


def test_a_call_that_waits_can_be_cancelled(dev):
    with qml.Tracker(dev) as tracker:
        with recording_lock():
            first, second = dev.submit([flip(), flip()], gather=True), dev.submit(flip(), gather=True)
            for _ in range(2):
                first.cancel()
            assert not wait(first.futures, timeout=LIMIT_SECS).not_done
        with pytest.raises(CancelledError):
            first.results()
        assert second.results(LIMIT_SECS)[0].tolist() == [0, 1]
    assert tracker.totals["executions"] == 1
    assert first.job_ids == ()


def test_a_call_of_no_tapes_is_done(dev):
    call = dev.submit([], gather=True)
    assert call.done()
    assert call.results() == ()


def test_a_broadcast_and_a_sum_come_back_as_one_result_each(dev):
    tapes = [
        QuantumScript([qml.RX(np.array([0.0, np.pi]), 0)], [qml.expval(qml.Z(0))], shots=20),
        QuantumScript([qml.X(0)], [qml.expval(qml.Z(0) + 2 * qml.Z(1))], shots=20),
    ]
    with recording_lock():
        before, call = dev.submit(flip(), gather=True), dev.submit(tapes, gather=True)
    rows, total = call.results(LIMIT_SECS)
    assert rows.tolist() == [1, -1]
    assert total == 1
    assert before.results()[0].tolist() == [0, 1]


def test_what_waits_when_the_device_is_closed_fails(dev):
    with recording_lock():
        call = dev.submit(flip(), gather=True)
        dev.close()
    with pytest.raises(DeviceClosedError, match="before these circuits were sent"):
        call.results(LIMIT_SECS)
    with pytest.raises(DeviceClosedError):
        dev.submit(flip(), gather=True)


def test_a_forgotten_device_sends_what_waits_and_goes():
    dev = qml.device("threaded.ibmq", seed_simulator=1)
    future = dev.submit(flip(), gather=True).futures[0]
    gone = threading.Event()
    weakref.finalize(dev, gone.set)
    del dev
    gc.collect()
    assert future.result(LIMIT_SECS).tolist() == [0, 1]
    del future
    for _ in range(LIMIT_SECS * 10):
        gc.collect()
        if gone.wait(0.1):
            break
    assert gone.is_set()


def test_a_thousand_calls_take_one_thread_more(dev):
    dev.submit(flip(), gather=True).results(LIMIT_SECS)
    before = threading.active_count()
    calls, most = [], 0
    for i in range(1000):
        calls.append(dev.submit(flip(np.pi * (i % 2), wire=i % 3, shots=5), gather=True))
        most = max(most, threading.active_count())
    for i, call in enumerate(calls):
        assert call.results(LIMIT_SECS)[0][i % 2] == 1
    assert most - before <= 2
    assert dev.transpiles <= 3


def test_a_program_may_end_while_calls_wait():
    program = """
        import pennylane as qml

        dev = qml.device("threaded.ibmq")
        tape = qml.tape.QuantumScript([qml.X(0)], [qml.probs(wires=0)], shots=10)
        print(dev.submit(tape, gather=True).results(), flush=True)
        calls = [dev.submit(tape, gather=True) for _ in range(3)]
        print(calls)
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        check=True,
        timeout=LIMIT_SECS,
        capture_output=True,
        text=True,
    )
    assert ended.stdout.startswith("(array([0., 1.]),)")
    assert ended.stdout.count("1 tapes, ") == 3
    assert not ended.stderr


def in_child(dev, call, answers):
    try:
        call.results(LIMIT_SECS)
    except DeviceClosedError as error:
        answers.put(str(error))
    call.cancel()
    answers.put(dev.submit(flip(0.0), gather=True).results(LIMIT_SECS)[0].tolist())


def begin_anew_in_a_fork():
    dev = qml.device("threaded.ibmq", seed_simulator=1)
    fork = multiprocessing.get_context("fork")
    answers = fork.SimpleQueue()
    with recording_lock():
        call = dev.submit(flip(), gather=True)
        child = fork.Process(target=in_child, args=(dev, call, answers))
        child.start()
    assert "forked" in answers.get()
    assert answers.get() == [1, 0]
    child.join(LIMIT_SECS)
    assert child.exitcode == 0
    assert call.results(LIMIT_SECS)[0].tolist() == [0, 1]


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="there are no forks here")
def test_a_forked_process_begins_anew():
    run_fresh(begin_anew_in_a_fork)
