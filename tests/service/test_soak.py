"""A program that runs for long: threads, files and memory stay as they are after its first steps."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import pennylane as qml
import pytest
from fresh import run_fresh

from pennylane_threaded_ibmq.loopback import LoopbackConfig, LoopbackProcess

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="counts files and memory in /proc"
)

SMALL = "ibm_manila"


class Held(NamedTuple):
    """What this process holds."""

    threads: int
    files: int
    kilobytes: int


def held():
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Held(
        threading.active_count(),
        len(list(Path("/proc/self/fd").iterdir())),
        pages * os.sysconf("SC_PAGESIZE") // 1024,
    )


def soak(dev, steps, *, kilobytes):
    """Steps of an optimisation, each a batch of its own; half of them warm up, the others must leave nothing behind."""
    chance = np.random.default_rng(1)
    watch = {}
    for step in range(steps):
        angles = chance.uniform(0, np.pi, 4)
        tapes = [
            qml.tape.QuantumScript([qml.RY(a, 0), qml.CNOT([0, 1])], [qml.expval(qml.Z(1))], shots=200)
            for a in angles
        ]
        results = dev.batch_execute(tapes)
        np.testing.assert_allclose(np.array(results, dtype=float), np.cos(angles), atol=0.5)
        if step % 20 == 0:
            # IBM's client leaves the frames of each request, and all that they hold, to the collector, which seldom comes by
            gc.collect()
        if step + 1 in {steps // 10, steps // 2, steps}:
            watch[step + 1] = held()
            print(step + 1, watch[step + 1], flush=True)
    middle, end = watch[steps // 2], watch[steps]
    assert (
        end.threads <= middle.threads + 2
    )  # the watcher may just be leaving, or the one that keeps the journal's word fresh
    assert end.files <= middle.files
    assert end.kilobytes - middle.kilobytes < kilobytes
    return watch


def long(name, default):
    return int(os.environ.get(name, default))


def soak_here(steps):
    with qml.device("threaded.ibmq", wires=2) as dev:
        soak(dev, steps, kilobytes=2 * 1024)


def soak_there(steps):
    config = LoopbackConfig(backends=(SMALL,))
    with (
        TemporaryDirectory() as folder,
        LoopbackProcess(config) as service,
        service.applied(token=config.tokens[0], instance=config.instances[0].crn),
        qml.device("threaded.ibmq", wires=2, backend=SMALL, journal=f"{folder}/journal.sqlite") as dev,
    ):
        soak(dev, steps, kilobytes=8 * 1024)
        assert service.counters.jobs == steps


def some_steps_here():
    soak_here(200)


def some_steps_there():
    soak_there(20)


@pytest.mark.parametrize("steps", [some_steps_here, some_steps_there])
def test_steps_leave_nothing_behind(steps):
    """In a process of their own, as what earlier tests have left would be counted too."""
    run_fresh(steps)


@pytest.mark.sweep
@pytest.mark.timeout(7200)
def test_many_local_steps_leave_nothing_behind():
    soak_here(long("TESTS_SWEEP", 5000))


@pytest.mark.sweep
@pytest.mark.timeout(7200)
def test_many_remote_steps_leave_nothing_behind():
    soak_there(long("TESTS_SWEEP", 500))
