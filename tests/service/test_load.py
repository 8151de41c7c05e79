"""Many threads, many tapes, many jobs: threads, requests and memory stay bounded."""

from __future__ import annotations

import threading
import tracemalloc

import numpy as np
import pennylane as qml
import pytest
from waiting import count_requests, wait_until

from pennylane_threaded_ibmq.loopback import SIMULATOR

SHOTS = 100


def tapes(count, shots=SHOTS):
    return [
        qml.tape.QuantumScript([qml.RY(angle, 0), qml.CNOT([0, 1])], [qml.expval(qml.Z(1))], shots=shots)
        for angle in np.linspace(0, np.pi, count)
    ]


def right(results, atol=0.75):
    np.testing.assert_allclose(
        np.array(results, dtype=float), np.cos(np.linspace(0, np.pi, len(results))), atol=atol
    )


@pytest.fixture
def ours():
    """Give the names of the package's threads that this test has started; an earlier one may still be leaving."""
    before = set(threading.enumerate())

    def names():
        return [t.name for t in set(threading.enumerate()) - before if t.name.startswith("threaded-ibmq")]

    return names


def test_sixty_four_threads_on_one_device(loopback, device, ours):
    service = loopback()
    dev = device(backend=SIMULATOR, max_jobs=8)
    wrong, most = [], []

    def user(number):
        try:
            right(dev.batch_execute(tapes(2 + number % 5)))
            most.append(len([n for n in ours() if "lane" in n]))
        except Exception as error:  # noqa: BLE001 - the test reports it
            wrong.append(error)

    users = [threading.Thread(target=user, args=(n,)) for n in range(64)]
    for thread in users:
        thread.start()
    for thread in users:
        thread.join()
    assert not wrong
    assert service.counters.jobs == 64
    assert service.counters.max_pending <= 8
    assert max(most) <= 8
    assert dev.transpiles == 1


def test_two_hundred_jobs_are_watched_together(loopback, device, ours):
    service = loopback(slots=200)
    service.hold()
    dev = device(backend=SIMULATOR, max_jobs=200, shard_size=1)
    handle = dev.submit(tapes(200))
    wait_until(lambda: len(handle.job_ids) == 200)
    # a look is one list; only jobs that were accepted while it was made are asked for by themselves
    service.wait_for_requests("GET /jobs", service.counters.by_route.get("GET /jobs", 0) + 2)
    service.reset_counters()
    service.wait_for_requests("GET /jobs", 3)
    assert count_requests(service, besides=("GET /jobs",)) == 0
    assert len(ours()) <= 200 + 10
    service.release()
    right(handle.result(200))


def test_ten_thousand_tapes_are_one_job(loopback, device):
    service = loopback()
    dev = device(backend=SIMULATOR, max_jobs=1)  # it is not spread
    batch = tapes(10_000)
    dev.batch_execute(batch[:2])  # what is loaded or transpiled once does not count
    tracemalloc.start()
    try:
        results = dev.batch_execute(batch)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    right(results, atol=1.2)
    assert service.counters.jobs == 2
    assert count_requests(service) <= 40
    assert dev.transpiles == 1
    # a few kB a tape: its reading, its place, its row, its line in the tracker's order
    assert peak < 10_000 * 12_000
