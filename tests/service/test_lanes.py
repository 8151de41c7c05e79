"""Lanes of the current stack: each opens its primitives on a backend object of its own, and sends from its own thread."""

from __future__ import annotations

import pytest
from calls import REQUEST, Calls, sending_threads
from ladder import ladder, right

from pennylane_threaded_ibmq.loopback import SIMULATOR, Fault, JobStatus
from pennylane_threaded_ibmq.service import service as job_service
from pennylane_threaded_ibmq.stacks.current.jobs import LanePrimitives
from pennylane_threaded_ibmq.stacks.current.primitives import open_primitive


@pytest.fixture
def calls():
    """See what lanes make and open, and all requests."""
    with Calls(LanePrimitives.__init__, open_primitive, REQUEST) as seen:
        yield seen


def run_all_at_once(service, dev, tapes, jobs):
    """Run tapes whose jobs are all in flight at the same time."""
    service.hold()
    handle = dev.submit(tapes)
    service.wait_for_jobs(jobs, JobStatus.QUEUED, timeout_secs=200)
    service.release()
    right(handle.result(100))
    return handle


def test_each_job_leaves_from_the_thread_that_owns_the_backend_object(loopback, device, calls):
    service = loopback(slots=20)
    dev = device(backend=SIMULATOR, shard_size=3)
    logins = service.counters.logins
    handle = run_all_at_once(service, dev, ladder(60), 20)
    assert service.counters.jobs == 20
    assert service.counters.logins == logins

    made = calls.of(LanePrimitives.__init__)
    owners = {seen.thread: seen.given["self"] for seen in made}
    assert len(owners) == len(set(map(id, owners.values()))) == len(made) == 20
    assert set(sending_threads(calls)) == set(owners)
    assert len(sending_threads(calls)) == 20
    opened = calls.of(open_primitive)
    assert {seen.thread for seen in opened} == set(owners)
    # the client's jobs know the backend object that they were sent through
    backends = {id(owner.backend) for owner in owners.values()}
    assert {id(job.backend()) for job in handle.jobs} <= backends
    assert len(backends) == 20

    # once a lane
    run_all_at_once(service, dev, ladder(60), 20)
    assert len(calls.of(LanePrimitives.__init__)) == 20


def test_jobs_of_a_batch_of_ibms_leave_from_lanes_too(loopback, device, calls):
    service = loopback()
    run_all_at_once(service, device(shard_size=2), ladder(6), 3)
    owners = [seen.thread for seen in calls.of(LanePrimitives.__init__)]
    assert sorted(t.name for t in sending_threads(calls)) == sorted(t.name for t in owners)
    assert set(sending_threads(calls)) == set(owners)
    assert len(owners) == 3


def test_questions_are_asked_without_threads_of_their_own(loopback, device, calls):
    """Those about jobs: a login has one, as the client makes its sessions on the way."""
    service = loopback()
    dev = device(backend=SIMULATOR)
    logins = len(calls.of(REQUEST))
    handle = run_all_at_once(service, dev, ladder(3), 1)
    handle.timeline()
    names = [seen.thread.name for seen in calls.of(REQUEST)]
    assert set(names[:logins]) <= {"threaded-ibmq-request"}
    assert set(names[logins:]) == {"threaded-ibmq-lane-0", "threaded-ibmq-watcher"}


def test_a_lane_without_an_answer_goes_on(loopback, device, calls, monkeypatch):
    """What the service got is found, and not sent again; the next job leaves from the same thread."""
    monkeypatch.setattr(job_service, "SEND_SECS", 1.0)
    monkeypatch.setattr("pennylane_threaded_ibmq.service.arrival.ARRIVAL_SECS", 30.0)
    service = loopback()
    dev = device(backend=SIMULATOR)
    service.inject(Fault(effect="stall", on="POST /jobs", when="after"))
    right(dev.batch_execute(ladder(3)))
    assert service.counters.faults == {"stall": 1}
    right(dev.batch_execute(ladder(4)))
    first, second = sending_threads(calls)
    assert first is second
    assert [seen.thread for seen in calls.of(LanePrimitives.__init__)] == [first]
    assert service.counters.jobs == 2
    service.clear_faults()
