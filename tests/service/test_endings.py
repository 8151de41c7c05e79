"""Jobs that end without a result: what the error says, and which are sent again; and states that nobody knows."""

from __future__ import annotations

import threading

import pytest
from ladder import ladder, right
from outages import FastDevice
from qiskit_ibm_runtime import QiskitRuntimeService

from pennylane_threaded_ibmq.exceptions import JobCancelledError, JobFailedError, ServiceError
from pennylane_threaded_ibmq.loopback import Fault, JobStatus
from pennylane_threaded_ibmq.store.records import ShardState

CANCELLED = {"effect": "job", "on": "POST /jobs$", "job_status": "Cancelled"}


@pytest.mark.parametrize("code", [1217, 1006, 9999])
def test_what_the_service_cancels_for_a_reason_that_can_pass_is_sent_again(loopback, device, code):
    service = loopback()
    service.inject(Fault(**CANCELLED, reason="Its time was up.", reason_code=code, times=2))
    dev = device()
    right(dev.batch_execute(ladder(3)))
    assert service.counters.jobs == 3
    (shard,) = dev.batches()[0].shards
    assert (shard.attempt, shard.state) == (3, ShardState.DONE)


def test_what_it_always_cancels_ends_with_its_reason(loopback, device):
    service = loopback()
    service.inject(Fault(**CANCELLED, reason="Its time was up.", reason_code=1217, times=None))
    dev = device(max_retries=1)
    with pytest.raises(
        JobCancelledError, match=r"was cancelled by ibm_manila: .*1217.*Its time was up"
    ) as caught:
        dev.batch_execute(ladder(3))
    assert (caught.value.code, caught.value.reason) == (1217, "Its time was up.")
    assert service.counters.jobs == 2
    (shard,) = dev.batches()[0].shards
    assert shard.state is ShardState.CANCELLED
    assert "1217" in shard.error


@pytest.mark.parametrize(
    ("fields", "kind", "code"),
    [
        ({"reason": "It was in the way.", "reason_code": 1517}, JobCancelledError, 1517),
        ({"reason": "It was in the way."}, JobCancelledError, None),
        ({"reason": "It ran too long.", "reason_code": 1305}, JobFailedError, 1305),
        ({}, JobCancelledError, None),
    ],
)
def test_what_the_service_cancels_for_another_reason_is_not(loopback, device, fields, kind, code):
    service = loopback()
    service.inject(Fault(**CANCELLED, **fields, times=None))
    with pytest.raises(kind) as caught:
        device().batch_execute(ladder(3))
    assert caught.value.code == code
    assert fields.get("reason", "cancelled") in str(caught.value)
    assert service.counters.jobs == 1


@pytest.mark.parametrize("by", ["program", "somebody"])
def test_what_somebody_cancels_is_not_sent_again(loopback, device, by):
    service = loopback()
    service.hold()
    dev = device()
    handle = dev.submit(ladder(3))
    (job,) = service.wait_for_jobs(1, JobStatus.QUEUED)
    if by == "program":
        handle.cancel()
    else:
        QiskitRuntimeService().job(job.id).cancel()
    assert isinstance(handle.exception(30), JobCancelledError)
    assert service.counters.jobs == 1


def test_a_failed_job_tells_its_code(loopback, device):
    service = loopback()
    service.inject(Fault(effect="job", on="POST /jobs$", reason="Bad circuit.", reason_code=1517))
    with pytest.raises(JobFailedError, match=r"Bad circuit\.") as caught:
        device().batch_execute(ladder(3))
    assert caught.value.code == 1517


def test_a_state_that_is_not_known_ends_with_one_clear_error(loopback, tmp_path):
    """After an hour; nothing is lost."""
    service = loopback()
    service.inject(Fault(effect="state", on=r"GET /jobs/\{id\}", times=None))
    options = {"wires": 2, "backend": "ibm_manila", "journal": tmp_path / "journal.sqlite"}
    with FastDevice(**options) as dev:
        dev._clock._factor = 3600.0
        handle = dev.submit(ladder(3))
        with pytest.raises(
            ServiceError, match=r"state 'PONDERING', which this release does not know.*not lost"
        ) as caught:
            handle.result(60)
        assert service.jobs[0].id in str(caught.value)
    service.clear_faults()
    with FastDevice(**options) as dev:
        right(dev.batch_execute(ladder(3)))
    assert service.counters.jobs == 1


def test_a_state_that_passes_is_waited_out(loopback, device):
    service = loopback()
    service.inject(Fault(effect="state", on=r"GET /jobs/\{id\}", times=3))
    right(device().batch_execute(ladder(3)))
    assert service.counters.faults == {"state": 3}


def test_a_job_that_the_service_lists_as_pending_waits_whatever_its_state_is_called(loopback, tmp_path):
    """Longer than the hour that a state may be unknown."""
    service = loopback()
    service.hold()
    service.inject(Fault(effect="state", on=r"GET /jobs/\{id\}", times=12))
    with FastDevice(wires=2, backend="ibm_manila", journal=tmp_path / "journal.sqlite") as dev:
        clock = dev._clock
        clock._factor = 3600.0
        began = clock.now()
        handle = dev.submit(ladder(3))
        service.wait_for_requests("GET /jobs/{id}", 12)
        threading.Event().wait(max(0.0, clock.pause(began + 7200.0 - clock.now())))
        service.release()
        right(handle.result(60))
