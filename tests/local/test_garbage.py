"""The garbage collector rests while a large batch is prepared, and goes on whatever happens."""

import gc
import os
import sys
import threading

import numpy as np
import pennylane as qml
import pytest
from fresh import run_fresh

from pennylane_threaded_ibmq.device import garbage
from pennylane_threaded_ibmq.device.garbage import Collector


@pytest.fixture(autouse=True)
def enabled():
    assert gc.isenabled()
    yield
    gc.enable()


def tapes(count, wire=0):
    return [
        qml.tape.QuantumScript([qml.RX(x, wire)], [qml.probs(wires=[wire])], shots=5) for x in range(count)
    ]


def test_it_rests_for_many_tapes_and_for_few_it_does_not():
    collector = Collector()
    with collector.rest(garbage.MANY - 1):
        assert gc.isenabled()
    with collector.rest(garbage.MANY):
        assert not gc.isenabled()
        with collector.rest(garbage.MANY):
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_stays_off_for_a_user_who_switched_it_off():
    gc.disable()
    with Collector().rest(garbage.MANY):
        assert not gc.isenabled()
    assert not gc.isenabled()


def test_it_goes_on_after_the_last_of_several_threads():
    collector, inside, leave = Collector(), threading.Event(), threading.Event()

    def other():
        with collector.rest(garbage.MANY):
            inside.set()
            leave.wait(60)

    thread = threading.Thread(target=other)
    thread.start()
    assert inside.wait(60)
    with collector.rest(garbage.MANY):
        pass
    assert not gc.isenabled()
    leave.set()
    thread.join(60)
    assert gc.isenabled()


@pytest.mark.parametrize("wire", [0, 9])
def test_a_batch_lets_it_rest_and_go_on_also_when_it_is_refused(monkeypatch, wire):
    """Looked at while a tape is prepared."""
    monkeypatch.setattr(garbage, "MANY", 3)
    seen = []

    class Watching(qml.RX):
        name = "RX"

        @property
        def wires(self):
            seen.append(gc.isenabled())
            return super().wires

    batch = [*tapes(3), qml.tape.QuantumScript([Watching(0.1, wire)], [qml.probs(wires=[0])], shots=5)]
    with qml.device("threaded.ibmq", wires=2, progress=False) as dev:
        seen.clear()
        if wire:
            with pytest.raises(qml.wires.WireError):
                dev.batch_execute(batch)
        else:
            assert np.shape(dev.batch_execute(batch)[3]) == (2,)
    assert seen
    assert not any(seen)
    assert gc.isenabled()


def test_it_rests_for_tapes_that_pennylane_hands_over(monkeypatch):
    """Looked at while one is read."""
    monkeypatch.setattr(garbage, "MANY", 3)
    seen = []

    class Watching(qml.RX):
        name = "RX"

        @property
        def wires(self):
            seen.append(gc.isenabled())
            return super().wires

    batch = [*tapes(3), qml.tape.QuantumScript([Watching(0.1, 0)], [qml.probs(wires=[0])], shots=5)]
    with qml.device("threaded.ibmq", wires=2, progress=False) as dev:
        seen.clear()
        dev.execute(batch)
    assert seen
    assert not any(seen)
    assert gc.isenabled()


def fork_while_it_rests():
    collector = Collector()
    with collector.rest(garbage.MANY):
        pid = os.fork()
        if pid == 0:
            os._exit(0 if gc.isenabled() else 1)
        assert os.waitpid(pid, 0)[1] == 0
        assert not gc.isenabled()
    assert gc.isenabled()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no forks")
def test_it_goes_on_in_a_forked_process():
    run_fresh(fork_while_it_rests)
