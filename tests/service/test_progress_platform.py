"""Progress of a batch on IBM Quantum Platform: the real client, over real HTTP, against the loopback service."""

import logging

import numpy as np
import pennylane as qml
import pytest

from pennylane_threaded_ibmq.execution.steps import Phase
from pennylane_threaded_ibmq.execution.timeline import timeline_of
from pennylane_threaded_ibmq.loopback import Fault

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
    service = loopback(direct=True, job_secs=2.0)
    seen = []
    device(progress=seen.append).batch_execute(ladder(2))
    assert any(p.running for p in seen)
    assert not [route for route in service.counters.by_route if "metrics" in route]


def test_a_shard_that_is_sent_again_is_counted(loopback, device):
    service = loopback(direct=True)
    service.inject(Fault(effect="job", on="POST /jobs$", reason="Internal error.", reason_code=9999, times=1))
    seen = []
    device(progress=seen.append).batch_execute(ladder(2))
    assert (seen[-1].done, seen[-1].retries, seen[-1].failed) == (1, 1, 0)
    assert sum(p.finished for p in seen) == 1


def test_the_log_names_batch_and_jobs(loopback, device, caplog):
    loopback(direct=True)
    with caplog.at_level(logging.INFO, "pennylane_threaded_ibmq.execution.progress"):
        handle = device(shard_size=1).submit(ladder(2))
        handle.result()
    (line,) = [r for r in caplog.records if r.name == "pennylane_threaded_ibmq.execution.progress"]
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
        return {(s.shard, s.attempt) for s in one.spans if s.phase is Phase.QUEUED}

    assert tries(live) == tries(what)
    assert dev.timeline(record.id).axes
