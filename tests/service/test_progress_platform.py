"""Progress of a batch on IBM Quantum Platform: the real client, over real HTTP, against the loopback service."""

import logging
import threading

import numpy as np
import pennylane as qml
import pytest

from pennylane_threaded_ibmq.execution import queue as places
from pennylane_threaded_ibmq.loopback import Fault, JobStatus
from pennylane_threaded_ibmq.progress.timeline import timeline_of
from pennylane_threaded_ibmq.store.records import ShardState

SMALL = "ibm_manila"


@pytest.fixture
def device(tmp_path):
    devices = []

    def make(**options):
        options = {"wires": 2, "backend": SMALL, "journal": tmp_path / "journal.sqlite", **options}
        devices.append(qml.device("threaded.ibmq", **options))
        return devices[-1]

    yield make
    for dev in devices:
        dev.close()


def ladder(count):
    return [
        qml.tape.QuantumScript([qml.RY(x, 0), qml.CNOT([0, 1])], [qml.expval(qml.Z(1))], shots=200)
        for x in np.linspace(0, np.pi, count)
    ]


def test_shards_pass_from_planned_to_done(loopback, device):
    loopback(direct=True)
    seen = []
    handle = device(shard_size=2, progress=seen.append).submit(ladder(6))
    handle.result()
    for name in ("sending", "queued", "done"):
        assert any(getattr(p, name) for p in seen), name
    assert seen[-1].done == 3
    assert seen[-1].job_ids == handle.job_ids
    assert seen[-1].batch_id == handle.batch_id
    assert seen[-1].qpu_secs > 0


def test_a_job_that_runs_is_seen_to_run_without_more_requests(loopback, device):
    service = loopback(direct=True)
    service.hold("running")
    runs = threading.Event()
    handle = device(progress=lambda p: p.running and runs.set()).submit(ladder(2))
    assert runs.wait(120)
    service.release(stage="running")
    handle.result(120)
    assert not [route for route in service.counters.by_route if "metrics" in route]


METRICS = "GET /jobs/{id}/metrics"


def asked(service):
    return service.counters.by_route.get(METRICS, 0)


def test_the_place_in_the_queue_is_asked_for_once_for_many_jobs(loopback, device, monkeypatch):
    monkeypatch.setattr(places, "FIRST_SECS", 0.0)
    monkeypatch.setattr(places, "AGAIN_SECS", 3600.0)  # how often is a matter of the unit tests
    service = loopback(direct=True, queue_secs=0.5)
    service.hold()
    dev = device(shard_size=1)
    first = dev.submit(ladder(1))
    service.wait_for_jobs(1, JobStatus.QUEUED)
    told = threading.Event()
    seen = []

    def look(progress):
        seen.append(progress)
        if progress.queue_position is not None:
            told.set()

    second = device(shard_size=1, progress=look).submit(ladder(4))
    assert told.wait(60)
    # of the first in line of its own jobs; those of others stand before it
    last = seen[-1]
    assert last.queue_position >= 2
    assert last.start_secs is not None
    assert last.left_secs == pytest.approx(last.start_secs + last.qpu_secs)
    ticks = service.counters.by_route["GET /jobs"]
    service.wait_for_requests("GET /jobs", ticks + 4)
    assert asked(service) == 1, "once, however often and for how many jobs the watcher looks"
    service.release()
    second.result(60)
    first.result(60)
    assert seen[-1].queue_position is None


def test_nobody_who_looks_nothing_that_is_asked(loopback, device, monkeypatch):
    monkeypatch.setattr(places, "FIRST_SECS", 0.0)
    service = loopback(direct=True)
    service.hold()
    handle = device(shard_size=1, progress=False).submit(ladder(2))
    service.wait_for_jobs(2, JobStatus.QUEUED)
    service.wait_for_requests("GET /jobs", 3)
    assert asked(service) == 0
    progress = handle.progress
    assert progress.queued + progress.sending == 2
    service.wait_for_requests(METRICS, 1)
    service.release()
    handle.result(60)


def test_a_service_that_does_not_tell_the_place_is_no_trouble(loopback, device, monkeypatch, caplog):
    monkeypatch.setattr(places, "FIRST_SECS", 0.0)
    service = loopback(direct=True)
    service.inject(Fault(effect="status", status=404, on=".*metrics", times=None))
    service.hold()
    seen = []
    with caplog.at_level(logging.INFO, "pennylane_threaded_ibmq.service.service"):
        handle = device(progress=seen.append).submit(ladder(2))
        service.wait_for_requests(METRICS, 1)
        service.release()
        handle.result(60)
    assert seen[-1].done == 1
    assert all(p.queue_position is None for p in seen)
    assert "is not known" in caplog.text


def test_a_job_that_runs_among_others_is_seen_when_its_place_is_asked_for(loopback, device, monkeypatch):
    monkeypatch.setattr(places, "FIRST_SECS", 0.0)
    monkeypatch.setattr(places, "AGAIN_SECS", 0.2)  # the first answer may be that it is queued
    service = loopback(direct=True)
    service.hold("running")
    runs = threading.Event()
    handle = device(shard_size=1, progress=lambda p: p.running and runs.set()).submit(ladder(3))
    assert runs.wait(60)
    service.release(stage="running")
    handle.result(60)


def test_a_shard_that_is_sent_again_is_counted(loopback, device):
    service = loopback(direct=True)
    service.inject(Fault(effect="job", on="POST /jobs$", reason="Internal error.", reason_code=9999, times=1))
    seen = []
    device(progress=seen.append).batch_execute(ladder(2))
    assert (seen[-1].done, seen[-1].retries, seen[-1].failed) == (1, 1, 0)
    assert sum(p.finished for p in seen) == 1


def test_the_log_names_batch_and_jobs(loopback, device, caplog):
    loopback(direct=True)
    with caplog.at_level(logging.INFO, "pennylane_threaded_ibmq.progress.progress"):
        handle = device(shard_size=1).submit(ladder(2))
        handle.result()
    (line,) = [r for r in caplog.records if r.name == "pennylane_threaded_ibmq.progress.progress"]
    assert line.batch_id == handle.batch_id
    assert line.job_id.split() == list(handle.job_ids)


def test_a_batch_of_the_journal_is_drawn(loopback, device):
    service = loopback(direct=True)
    service.inject(Fault(effect="job", on="POST /jobs$", reason="Internal error.", reason_code=9999, times=1))
    dev = device(shard_size=2)
    handle = dev.submit(ladder(4))
    handle.result()
    record = dev.batches()[0]
    what = timeline_of(record)
    assert (what.shards, what.retries, what.finished) == (2, 1, True)
    live = handle._timeline()

    def tries(one):
        return {(s.shard, s.attempt) for s in one.spans if s.phase is ShardState.ACCEPTED}

    assert tries(live) == tries(what)
    assert dev.timeline(record.id).axes
