"""Calls that are sent together as jobs of IBM Quantum Platform, and calls that are written down."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
from contextlib import closing

import numpy as np
import pennylane as qml
import pytest
from waiting import wait_until

from pennylane_threaded_ibmq.device.gather import Gap
from pennylane_threaded_ibmq.device.recording import recording_lock
from pennylane_threaded_ibmq.exceptions import JobCancelledError, UsageLimitError, WaitTimeoutError
from pennylane_threaded_ibmq.loopback import SIMULATOR, JobStatus
from pennylane_threaded_ibmq.store.archive import CallRecord, archives, database_path

LIMIT_SECS = 120
SLOTS = 8


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("THREADED_IBMQ_HOME", str(tmp_path / "home"))


def flip(number=1, shots=20):
    return qml.tape.QuantumScript([qml.RX(np.pi * (number % 2), 0)], [qml.probs(wires=0)], shots=shots)


def right(calls, first=0):
    for number, call in enumerate(calls, first):
        assert call.results(LIMIT_SECS)[0][number % 2] == 1


def test_a_hundred_calls_are_few_jobs_and_no_login(loopback, device):
    service = loopback()
    dev = device(wires=None, backend=SIMULATOR, max_jobs=SLOTS)
    before = service.counters
    service.hold()
    calls = [dev.submit(flip(i), gather=True) for i in range(100)]
    service.release()
    right(calls)
    after = service.counters
    # at most one a slot while jobs were held, and one of all that waited for a slot
    assert after.jobs - before.jobs <= SLOTS + 1
    assert after.logins == before.logins
    assert {job for call in calls for job in call.job_ids} == {job.id for job in service.jobs}
    assert dev.transpiles == 1


def test_calls_wait_for_a_slot_and_then_go_together(loopback, device, monkeypatch):
    """Also where no call waits for the next one."""
    monkeypatch.setattr("pennylane_threaded_ibmq.device.opening.REMOTE_GAP", Gap(0.0, 0.0))
    service = loopback()
    service.hold()
    dev = device(backend=SIMULATOR, max_jobs=2)
    calls = [dev.submit(flip(i), gather=True) for i in range(30)]
    assert len(service.wait_for_jobs(2, JobStatus.QUEUED)) == 2
    assert not any(call.job_ids for call in calls[2:])
    service.release()
    right(calls)
    assert len({call.job_ids for call in calls[2:]}) == 1
    assert service.counters.jobs == 3


def test_callers_that_all_wait_share_the_slots(loopback, device, monkeypatch):
    """Each of many threads asks for its result at once."""
    monkeypatch.setattr("pennylane_threaded_ibmq.device.opening.REMOTE_GAP", Gap(0.0, 0.0))
    service = loopback()
    service.hold()
    dev = device(backend=SIMULATOR, max_jobs=2)
    first = [dev.submit(flip(i), gather=True) for i in range(2)]
    asked, results = threading.Semaphore(0), {}

    def ask(number):
        call = dev.submit(flip(number), gather=True)
        call.flush()
        asked.release()
        results[number] = call.futures[0].result(LIMIT_SECS)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    assert all(asked.acquire(timeout=LIMIT_SECS) for _ in threads)
    service.release()
    for thread in threads:
        thread.join(LIMIT_SECS)
    right(first)
    assert [results[i][i % 2] for i in range(20)] == [1] * 20
    assert service.counters.jobs == 3


def test_the_last_call_to_leave_cancels_the_job(loopback, device):
    service = loopback()
    service.hold()
    dev = device(backend=SIMULATOR)
    with recording_lock():
        first, second, third = (dev.submit(flip(i), gather=True) for i in range(3))
    third.flush()
    service.wait_for_jobs(1, JobStatus.QUEUED)
    first.cancel(), first.cancel(), second.cancel()
    assert service.jobs[0].status == JobStatus.QUEUED
    assert not third.done()
    third.cancel()
    assert third.futures[0].cancelled()
    service.wait_for_jobs(1, JobStatus.CANCELLED)


def test_an_interrupt_cancels_the_job_that_no_other_call_shares(loopback, device, monkeypatch):
    # it is sent when it is waited for, and no sooner
    monkeypatch.setattr("pennylane_threaded_ibmq.device.opening.REMOTE_GAP", Gap(3600.0, 3600.0))
    service = loopback()
    service.hold()
    dev = device(backend=SIMULATOR)
    call = dev.submit(flip(), gather=True)

    def interrupt():
        service.wait_for_jobs(1, JobStatus.QUEUED)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        call.results(LIMIT_SECS)
    thread.join()
    service.wait_for_jobs(1, JobStatus.CANCELLED)
    assert call.futures[0].cancelled()


def test_a_job_that_ibm_cancels_fails_all_that_share_it(loopback, device):
    service = loopback()
    service.hold()
    dev = device(backend=SIMULATOR)
    with recording_lock():
        calls = [dev.submit(flip(i), gather=True) for i in range(2)]
    calls[0].flush()
    (job,) = service.wait_for_jobs(1, JobStatus.QUEUED)
    calls[0].futures[0].handle._batch.cancel()
    for call in calls:
        with pytest.raises(JobCancelledError):
            call.results(LIMIT_SECS)
    assert calls[0].job_ids == calls[1].job_ids == (job.id,)


def test_each_call_knows_its_own_jobs_and_time_limit(loopback, device):
    service = loopback()
    service.hold()
    dev = device(backend=SIMULATOR, shard_size=1, timeout_secs=0.01)
    with recording_lock():
        calls = [dev.submit([flip(i), flip(i)], gather=True) for i in range(3)]
    calls[2].flush()
    wait_until(lambda: sum(len(call.job_ids) for call in calls) == 6)
    with pytest.raises(WaitTimeoutError, match="call results") as caught:
        calls[1].results()
    assert caught.value.job_ids == calls[1].job_ids
    assert caught.value.batch_id == calls[0].batch_id == dev.batches(limit=1)[0].id
    service.release()
    right(calls)
    jobs = [call.job_ids for call in calls]
    assert [len(ids) for ids in jobs] == [2, 2, 2]
    assert len({job for ids in jobs for job in ids}) == 6


def test_what_all_exceed_together_is_refused_to_all(loopback, device):
    service = loopback()
    dev = device(max_usage_secs=5, backend="ibm_manila")
    with recording_lock():
        calls = [dev.submit(flip(shots=5000), gather=True) for _ in range(30)]
    for call in calls:
        with pytest.raises(UsageLimitError):
            call.results(LIMIT_SECS)
    assert service.counters.jobs == 0


def test_calls_keep_the_tags_of_their_time(loopback, device):
    service = loopback()
    dev = device(backend=SIMULATOR)
    with recording_lock():
        with dev.job_tags("night"):
            night = [dev.submit(flip(i), gather=True) for i in range(2)]
        day = dev.submit(flip(2), gather=True)
    right([*night, day])
    assert night[0].job_ids == night[1].job_ids != day.job_ids
    tags = {job.id: job.tags for job in service.jobs}
    assert "night" in tags[night[0].job_ids[0]]
    assert "night" not in tags[day.job_ids[0]]


@pytest.mark.parametrize("gather", [False, True])
def test_a_call_is_written_with_its_jobs_and_results(loopback, device, gather):
    loopback()
    dev = device(backend=SIMULATOR)
    record = CallRecord("Mine", SIMULATOR, lambda: json.dumps({"shots": 20}))
    handle = dev.submit([flip(0), flip(1)], gather=gather, record=record)
    results = [future.result(LIMIT_SECS) for future in handle.futures]
    assert archives().here().flush(LIMIT_SECS)
    with closing(sqlite3.connect(database_path())) as connection:
        calls = connection.execute("SELECT executor, backend, configuration, job_ids FROM calls").fetchall()
        rows = connection.execute("SELECT position, result, seconds FROM executions ORDER BY 1").fetchall()
    assert calls == [("Mine", SIMULATOR, '{"shots": 20}', json.dumps(list(handle.job_ids)))]
    assert len(handle.job_ids) == 1
    assert [(p, json.loads(r)) for p, r, _ in rows] == [(i, r.tolist()) for i, r in enumerate(results)]
    assert all(seconds > 0 for *_, seconds in rows)


def test_a_program_that_only_estimates_ends_where_it_asks(loopback, device, monkeypatch, tmp_path):
    service = loopback()
    found = tmp_path / "estimates"
    monkeypatch.setenv("THREADED_IBMQ_ESTIMATE", str(found))
    dev = device()
    with recording_lock():
        calls = [dev.submit(flip(i), gather=True) for i in range(3)]
    with pytest.raises(SystemExit):
        calls[0].results(LIMIT_SECS)
    (line,) = found.read_text().splitlines()
    assert json.loads(line)["tapes"] == 3
    assert service.counters.jobs == 0
