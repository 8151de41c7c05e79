"""What a qelectron adds to a call, in counts: times differ from machine to machine."""

from __future__ import annotations

import gc
import sys
import threading

import numpy as np
import pennylane as qml
import pytest

from pennylane_threaded_ibmq import IBMQExecutor, qelectron

WIRES = 4


def steps(function, *args):
    """Calls of Python functions that this thread makes at least: now and then a thread of ours begins anew."""
    return min(count_calls(function, *args) for _ in range(3))


def count_calls(function, *args):
    """Calls in one go, without those of what the collector finds meanwhile."""
    count = 0

    def see(frame, event, arg):
        nonlocal count
        count += event == "call"

    gc.disable()
    sys.setprofile(see)
    try:
        function(*args)
    finally:
        sys.setprofile(None)
        gc.enable()
    return count


@pytest.fixture(params=[("best", 1), ("best", 2), ("parameter-shift", 2)])
def pair(request, monkeypatch):
    """A QNode of the device, and the same as a qelectron of one executor, and of a cluster of two; as a user has it."""
    monkeypatch.delenv("THREADED_IBMQ_HOME")
    method, members = request.param

    @qml.qnode(qml.device("threaded.ibmq", wires=WIRES), shots=100, diff_method=method)
    def circuit(weights):
        for layer in weights:
            for wire in range(WIRES):
                qml.RX(layer[wire], wire)
                qml.RZ(layer[wire], wire)
            for wire in range(WIRES - 1):
                qml.CNOT([wire, wire + 1])
        return qml.probs(wires=range(WIRES))

    with IBMQExecutor() as executor:
        yield circuit, qelectron(circuit, executors=[executor] * members)


def angles(layers):
    return qml.numpy.array(np.linspace(0, 1, layers * WIRES).reshape(layers, WIRES), requires_grad=True)


def test_what_a_qelectron_adds_is_little_and_does_not_grow_with_the_circuit(pair):
    plain, called = pair
    added = []
    for layers in (2, 20):
        weights = angles(layers)
        for _ in range(2):
            plain(weights), called(weights)
        added.append(steps(called, weights) - steps(plain, weights))
    small, large = added
    # of about 4000 that the small one takes without it; a thread that has to wait takes some more
    assert small < 250
    # it has 198 gates more
    assert large < small + 60


def test_a_call_that_is_asked_for_at_once_takes_no_thread_of_its_own(pair):
    _, called = pair
    weights = angles(2)
    called(weights)
    before = set(threading.enumerate())
    for _ in range(20):
        called(weights)
    new = {thread.name for thread in set(threading.enumerate()) - before}
    # the two that gather calls and write them down end where none come for a while, and begin again; lanes start as needed
    again = {"threaded-ibmq-gather", "threaded-ibmq-records"}
    assert not {name for name in new - again if not name.startswith("threaded-ibmq-lane")}
