"""A classic service that is out for twenty minutes of a device's: batches finish, nothing is sent twice."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from ladder import ladder, right
from outages import FAULTS, OUTAGE_SECS, FastDevice

from pennylane_threaded_ibmq.exceptions import JobCancelledError
from pennylane_threaded_ibmq.loopback import Fault, JobStatus
from pennylane_threaded_ibmq.service import arrival


@pytest.fixture(autouse=True)
def quick_arrival(monkeypatch):
    """The machine does not run as fast as the clock, so a request may take longer."""
    monkeypatch.setattr(arrival, "ARRIVAL_SECS", 600.0)
    monkeypatch.setattr(arrival, "ANSWERED_SECS", 30.0)


@pytest.fixture
def fast(start, tmp_path):
    """Start a service and make a device on it whose clock runs fast."""
    made = []

    def make(**options):
        service = start(inline_bytes=options.pop("inline_bytes", 1024**2))
        options = {"shard_size": 2, "journal": tmp_path / "journal.sqlite", **options}
        made.append(
            FastDevice(
                wires=2, ibmqx_token="loopback-token", ibmqx_url=service.classic_url, shots=300, **options
            )
        )
        return service, made[-1]

    yield make
    for dev in made:
        dev.close()


def be_out(service, fault, dev, secs=OUTAGE_SECS):
    """Let twenty minutes, or another time, pass from the moment that the device notices."""
    service.reset_counters()
    service.inject(fault)

    def end():
        while not service.counters.faults:
            threading.Event().wait(0.05)
        threading.Event().wait(dev._clock.pause(secs))
        service.clear_faults()

    return end


@pytest.fixture
def told(caplog):
    """The user is told of the beginning and of the end."""
    caplog.set_level(logging.INFO, "pennylane_threaded_ibmq")

    def check():
        ours = [
            r for r in caplog.records if r.levelno >= logging.WARNING and r.name.startswith("pennylane_thr")
        ]
        seen = [r.getMessage() for r in ours if "not cancelled yet" not in r.getMessage()]
        assert len(seen) == 2, seen
        assert "has not answered since" in seen[0]
        assert "answers again" in seen[1]

    return check


@pytest.mark.parametrize("kind", ["503", "silent"])
def test_while_jobs_are_sent(fast, told, kind):
    service, dev = fast()
    end = be_out(service, FAULTS[kind], dev)
    with ThreadPoolExecutor(1) as pool:
        results = pool.submit(dev.batch_execute, ladder(6))
        end()
        right(results.result(120))
    assert len([job for job in service.jobs if job.status is JobStatus.COMPLETED]) == 3
    told()


@pytest.mark.parametrize("kind", ["reset", "silent"])
def test_while_jobs_are_waited_for(fast, told, kind):
    service, dev = fast()
    service.hold()
    handle = dev.submit(ladder(6))
    service.wait_for_jobs(3, JobStatus.QUEUED)
    end = be_out(service, FAULTS[kind], dev)
    service.release()
    end()
    right(handle.result(120))
    assert len(service.jobs) == 3
    told()


def test_while_the_storage_of_long_results_is_out(fast, told):
    service, dev = fast(inline_bytes=100)
    fault = Fault(effect="status", status=503, on="GET /storage/{id}", times=None)
    end = be_out(service, fault, dev, secs=120.0)
    with ThreadPoolExecutor(1) as pool:
        results = pool.submit(dev.batch_execute, ladder(6))
        end()
        right(results.result(120))
    assert len(service.jobs) == 3
    told()


def test_while_jobs_are_cancelled(fast, told):
    service, dev = fast()
    service.hold()
    handle = dev.submit(ladder(6))
    service.wait_for_jobs(3, JobStatus.QUEUED)
    end = be_out(service, FAULTS["503"], dev)
    handle.cancel()
    end()
    assert len(service.wait_for_jobs(3, JobStatus.CANCELLED)) == 3
    assert isinstance(handle.exception(30), JobCancelledError)
    told()
