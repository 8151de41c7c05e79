"""What a batch was charged: unknown, and not free, while IBM is still computing it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from math import inf

import pennylane as qml
import pytest
from click.testing import CliRunner

from pennylane_threaded_ibmq.cli import main
from pennylane_threaded_ibmq.exceptions import ConfigurationError, JournalError
from pennylane_threaded_ibmq.service.errors import LONGEST_HEADER_SECS, retry_after
from pennylane_threaded_ibmq.service.metrics import charged_secs, read_metrics


@pytest.mark.parametrize(
    ("usage", "seconds"),
    [
        ({"quantum_seconds": 2.5, "seconds": 3}, 2.5),
        ({"quantum_seconds": 0, "seconds": 0}, 0.0),
        ({"quantum_seconds": None}, None),
        ({"qpu_charge_time_seconds": 2.5, "status": "complete"}, 2.5),
        ({"qpu_charge_time_seconds": 0, "status": "complete"}, 0.0),
        ({"qpu_charge_time_seconds": 0, "status": "pending"}, None),
        ({"qpu_charge_time_seconds": 1.5, "status": "pending"}, None),
        ({"qpu_charge_time_seconds": 1.5}, None),
        ({}, None),
        (None, None),
    ],
)
def test_charge_in_all_forms(usage, seconds):
    """Old and new forms give the charge, and what is not complete is unknown."""
    assert charged_secs({"usage": usage}) == seconds


def test_pending_charge_is_unknown_until_it_is_known(loopback, device, new_client):
    """Neither the tracker nor the handle takes a pending charge for 0; the next look has it."""
    service = loopback()
    service.hold("usage")
    tape = qml.tape.QuantumScript([qml.RY(0.5, 0)], [qml.expval(qml.Z(0))], shots=100)
    dev = device()
    with qml.Tracker(dev) as tracker:
        dev.execute([tape])
    assert ("usage_secs" in tracker.totals) is not new_client
    handle = dev.submit([tape])
    handle.result()
    charged = service.jobs[1].usage_secs
    assert charged > 0
    assert handle.usage_secs == (None if new_client else charged)
    service.release(stage="usage")
    requests = service.counters.requests
    assert handle.usage_secs == charged
    assert handle.usage_secs == charged
    assert service.counters.requests <= requests + 1


def late_tape():
    return qml.tape.QuantumScript([qml.RY(0.5, 0)], [qml.expval(qml.Z(0))], shots=100)


def test_a_charge_that_comes_late_reaches_tracker_handle_and_journal(loopback, device, new_client):
    service = loopback()
    service.hold("usage")
    dev = device()
    with qml.Tracker(dev) as tracker:
        handle = dev.submit([late_tape()])
        handle.result()
    if new_client:
        assert dev.usage(handle) is None
        assert dev.usage(handle.batch_id) is None
        assert "usage_secs" not in tracker.totals
    service.release(stage="usage")
    charged = service.jobs[0].usage_secs
    requests = service.counters.requests
    assert dev.usage(handle.batch_id) == charged
    assert service.counters.requests <= requests + 1
    assert tracker.totals["usage_secs"] == charged
    assert handle.usage_secs == dev.usage(handle) == charged
    assert dev.batches()[0].shards[0].usage_secs == charged
    assert service.counters.requests <= requests + 1, "what is known is not asked for again"
    assert tracker.totals["usage_secs"] == charged, "told once"


def test_a_tracker_hears_of_late_charges_with_the_next_batch(loopback, device, new_client):
    service = loopback()
    service.hold("usage")
    dev = device()
    with qml.Tracker(dev) as tracker:
        dev.execute([late_tape()])
        assert ("usage_secs" in tracker.totals) is not new_client
        service.release(stage="usage")
        dev.execute([late_tape()])
    assert tracker.totals["usage_secs"] == pytest.approx(sum(job.usage_secs for job in service.jobs))


def test_another_program_asks_for_a_charge_by_the_id(loopback, device, new_client):
    service = loopback()
    service.hold("usage")
    first = device()
    handle = first.submit([late_tape()])
    handle.result()
    first.close()
    service.release(stage="usage")
    second = device()
    assert second.usage(handle.batch_id) == service.jobs[0].usage_secs
    assert second.batches()[0].shards[0].usage_secs == service.jobs[0].usage_secs


def test_show_asks_for_a_charge_and_writes_it_down(loopback, device, new_client):
    service = loopback()
    service.hold("usage")
    dev = device()
    handle = dev.submit([late_tape()])
    handle.result()
    journal = str(dev._journal().path)

    def show(*more):
        told = CliRunner().invoke(main, ["show", handle.batch_id, "--journal", journal, "--json", *more])
        assert told.exit_code == 0, told.output
        return json.loads(told.stdout)["usage_secs"]

    charged = service.jobs[0].usage_secs
    assert show() == (None if new_client else charged)
    service.release(stage="usage")
    requests = service.counters.requests
    if new_client:
        assert show("--offline") is None
        assert service.counters.requests == requests
    assert show() == charged
    assert show("--offline") == charged, "it is in the journal"
    requests = service.counters.requests
    assert show() == charged
    assert service.counters.requests == requests, "and nobody is asked again"


@pytest.mark.parametrize("value", [None, 3, "", ["3f2a"], b"3f2a"], ids=str)
def test_nonsense_is_no_batch_to_ask_for(device, value):
    dev = qml.device("threaded.ibmq", wires=1)
    with pytest.raises(ConfigurationError, match="a handle or the id of a batch is needed") as caught:
        dev.usage(value)
    assert caught.value.argument == "batch"


def test_a_batch_that_nobody_knows_has_no_charge_to_ask_for(loopback, device):
    loopback()
    with pytest.raises(JournalError, match="'3f2a' is not in the journal"):
        device().usage("3f2a")


def test_nothing_is_charged_on_this_machine():
    dev = qml.device("threaded.ibmq", wires=1)
    handle = dev.submit([late_tape()])
    handle.result()
    assert dev.usage(handle) is None
    assert handle.metrics() == ()


TIMES = {
    "created": "2026-11-28T10:00:00Z",
    "running": "2026-11-28T10:00:07.5Z",
    "finished": "2026-11-28T10:00:10Z",
}


@pytest.mark.parametrize(
    ("metrics", "charge", "execution"),
    [
        ({"usage": {"quantum_seconds": 2.0, "seconds": 1.5}, "bss": {"seconds": 1.5}}, 2.0, 1.5),
        (
            {
                "usage": {
                    "qpu_charge_time_seconds": 2.0,
                    "status": "complete",
                    "circuits_execution_time_ns": 1_500_000_000,
                }
            },
            2.0,
            1.5,
        ),
        (
            {
                "usage": {"qpu_charge_time_seconds": 2.0, "status": "complete"},
                "circuits_execution_time_ns": 1_500_000_000,
            },
            2.0,
            1.5,
        ),
        ({"usage": {"qpu_charge_time_seconds": 0, "status": "pending"}}, None, None),
    ],
    ids=["2025-05-01", "2026-03-15", "2026-04-15", "pending"],
)
def test_metrics_in_all_forms(metrics, charge, execution):
    found = read_metrics("d1", {**metrics, "timestamps": TIMES})
    assert (found.job_id, found.charge_secs, found.execution_secs) == ("d1", charge, execution)
    assert (found.queue_secs, found.running_secs) == (7.5, 2.5)


def test_a_job_that_runs_is_charged_nothing_yet():
    running = {"usage": {"quantum_seconds": 0.0}, "timestamps": {**TIMES, "finished": None}}
    assert charged_secs(running) is None
    assert read_metrics("d1", running).queue_secs == 7.5
    assert read_metrics("d1", "<html>").queue_secs is None


def test_a_handle_gives_the_metrics_of_its_jobs(loopback, device):
    service = loopback(queue_secs=0.2)
    handle = device(shard_size=1).submit([late_tape(), late_tape()])
    handle.result()
    found = handle.metrics()
    assert [one.job_id for one in found] == list(handle.job_ids)
    by_id = {job.id: job for job in service.jobs}
    for one in found:
        assert one.charge_secs == pytest.approx(by_id[one.job_id].usage_secs)
        assert one.execution_secs == pytest.approx(by_id[one.job_id].run_secs, abs=1e-6)
        assert one.queue_secs >= 0.19
        assert one.running_secs >= 0


class _Response:
    def __init__(self, value):
        self.headers = {"Retry-After": value}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3", 3.0),
        ("-1", 0.0),
        ("inf", LONGEST_HEADER_SECS),
        ("1e9", LONGEST_HEADER_SECS),
        ("nan", None),
        ("Sat, 28 Nov 2026 07:00:00 GMT", None),
    ],
)
def test_no_header_makes_a_program_wait_without_end(value, seconds):
    """A header asks for minutes at most, whatever it says."""
    error = RuntimeError("too many requests")
    error.response = _Response(value)
    assert retry_after(error) == seconds
    assert inf > LONGEST_HEADER_SECS


def test_many_threads_ask_for_late_charges_at_once(loopback, device, new_client):
    """Each charge is told once, whoever asks."""
    service = loopback()
    service.hold("usage")
    dev = device()
    with qml.Tracker(dev) as tracker:
        for _ in range(3):
            dev.execute([late_tape()])
        service.release(stage="usage")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: dev.execute([late_tape()]), range(8)))
    dev.usage(dev.batches()[0].id)
    charged = [job.usage_secs for job in service.jobs]
    assert len(charged) == 11
    assert sorted(tracker.history["usage_secs"]) == pytest.approx(sorted(charged))
