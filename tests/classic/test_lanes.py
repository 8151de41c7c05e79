"""Lanes of the classic stack: each owns a ``qiskit.ibmq`` device, and sends through it from its own thread."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from calls import REQUEST, Calls, sending_threads
from ladder import ladder, right

from pennylane_threaded_ibmq.loopback import Fault, JobStatus
from pennylane_threaded_ibmq.service import service as job_service

TOKEN = "loopback-token"
LOGIN = "POST /users/loginWithToken"


@pytest.fixture
def calls():
    """See the making of ``qiskit.ibmq`` devices, what their backends run, and all requests."""
    from pennylane_qiskit.qiskit_device import QiskitDevice
    from qiskit_ibm_provider import IBMBackend

    with Calls(QiskitDevice.__init__, IBMBackend.run, REQUEST) as seen:
        seen.made = lambda: seen.of(QiskitDevice.__init__)
        seen.runs = lambda: seen.of(IBMBackend.run)
        yield seen


def run_all_at_once(service, dev, tapes, jobs):
    """Run tapes whose jobs are all in flight at the same time."""
    service.hold()
    handle = dev.submit(tapes)
    service.wait_for_jobs(jobs, JobStatus.QUEUED, timeout_secs=200)
    service.release()
    return handle.result(100)


def test_each_job_leaves_from_the_thread_that_owns_the_device(start, device, calls, wiped_environment):
    service = start(slots=20)
    dev = device(service, shard_size=3)
    right(run_all_at_once(service, dev, ladder(60), 20))
    assert service.counters.jobs == 20
    assert service.counters.by_route[LOGIN] == 1

    owners = {seen.thread: seen.given["self"] for seen in calls.made()}
    assert len(owners) == len(set(map(id, owners.values()))) == len(calls.made()) == 20
    assert set(sending_threads(calls)) == set(owners)
    assert len(sending_threads(calls)) == 20
    # through the backend object of the thread's own device, and no other
    assert len({id(owner.backend) for owner in owners.values()}) == 20
    for seen in calls.runs():
        assert owners[seen.thread].backend is seen.given["self"]
    assert len(calls.runs()) == 20
    assert all(len(seen.given["circuits"]) == 3 for seen in calls.runs())

    # a device is made once a lane, and no token reached the disk on the way
    right(run_all_at_once(service, dev, ladder(60), 20))
    assert len(calls.made()) == 20
    assert service.counters.by_route[LOGIN] == 1
    files = [path for path in Path(wiped_environment).rglob("*") if path.is_file()]
    assert all(TOKEN.encode() not in path.read_bytes() for path in files)


def test_the_submitting_thread_makes_no_device_and_sends_nothing(start, device, calls):
    service = start()
    right(device(service).batch_execute(ladder(4)))
    assert {seen.thread.name for seen in calls.made()} == {"threaded-ibmq-lane-0"}
    assert threading.current_thread() not in sending_threads(calls)


def test_a_lane_without_an_answer_goes_on_with_its_device(start, device, calls, monkeypatch):
    """What the service got is found, and not sent again; the next job leaves from the same thread."""
    monkeypatch.setattr(job_service, "SEND_SECS", 1.0)
    monkeypatch.setattr("pennylane_threaded_ibmq.service.arrival.ARRIVAL_SECS", 30.0)
    service = start()
    dev = device(service)
    service.inject(Fault(effect="stall", on="POST /jobs", when="after"))
    right(dev.batch_execute(ladder(3)))
    assert service.counters.jobs == 1
    assert service.counters.faults == {"stall": 1}
    right(dev.batch_execute(ladder(4)))
    first, second = sending_threads(calls)
    assert first is second
    assert [seen.thread for seen in calls.made()] == [first]
    assert service.counters.jobs == 2
    service.clear_faults()


def test_lanes_take_a_renewed_login(start, device, calls):
    service = start()
    dev = device(service, shard_size=1, max_jobs=2)
    right(run_all_at_once(service, dev, ladder(2), 2))
    first, second = (seen.given["self"] for seen in calls.made())
    before = first.provider
    assert second.provider is before
    service.expire_logins()
    right(run_all_at_once(service, dev, ladder(2, shots=200), 2))
    assert first.provider is second.provider is not before
    assert first.backend is not second.backend
    assert first.backend.provider is second.backend.provider is first.provider
    assert service.counters.by_route[LOGIN] == 2
    assert len(calls.made()) == 2


# ----------------------------------------------------------------------------------------------------------- spreading


def test_a_batch_on_a_slow_simulator_is_spread_over_lanes(start, device):
    service = start(circuit_secs=0.3, slots=20)
    dev = device(service)
    right(dev.batch_execute(ladder(60)))
    assert service.counters.jobs == 12  # a guess
    service.reset_counters()
    right(dev.batch_execute(ladder(60)))
    assert service.counters.jobs > 12  # a measurement
    assert service.counters.by_route.get(LOGIN, 0) == 0


def test_a_batch_on_a_system_is_packed(start, device):
    service = start(circuit_secs=0.02, slots=20)
    dev = device(service, backend="ibmq_lima")
    right(dev.batch_execute(ladder(60)))
    assert service.counters.jobs == 1
