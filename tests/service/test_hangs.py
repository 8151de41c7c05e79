"""Nothing hangs: not at a service that never answers, not without a network, not when a program wants to leave."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading

import pytest
from ladder import ladder, right
from waiting import wait_until

from pennylane_threaded_ibmq.exceptions import (
    DeviceClosedError,
    ServiceError,
    WaitTimeoutError,
)
from pennylane_threaded_ibmq.loopback import Fault, JobStatus
from pennylane_threaded_ibmq.service import account
from pennylane_threaded_ibmq.service import service as job_service

SOON = 1.0
"""What the limits of waiting are in these tests, in seconds."""


@pytest.fixture
def impatient(monkeypatch):
    """Waiting for an answer ends after a second."""
    for module, name in (
        (job_service, "ANSWER_SECS"),
        (job_service, "SEND_SECS"),
        (job_service, "CANCEL_SECS"),
    ):
        monkeypatch.setattr(module, name, SOON)


@pytest.mark.parametrize(
    ("route", "tapes"),
    [
        ("GET /jobs", 2),
        ("GET /jobs/{id}", 2),
        ("GET /jobs/{id}/results", 2),
        ("POST /jobs", 2),
        ("POST /sessions", 2),
        ("PATCH /sessions/{id}", 2),
    ],
)
def test_one_request_that_is_never_answered_costs_time_and_nothing_else(
    loopback, device, impatient, route, tapes
):
    service = loopback()
    dev = device(shard_size=1)
    service.inject(Fault(effect="stall", on=route.replace("{", r"\{").replace("}", r"\}"), times=1))
    right(dev.batch_execute(ladder(2)))
    assert service.counters.faults == {"stall": 1}
    assert service.counters.jobs - sum(job.status is JobStatus.CANCELLED for job in service.jobs) <= 3
    service.clear_faults()


@pytest.mark.parametrize("route", ["GET /jobs", r"GET /jobs/\{id\}", r"GET /jobs/\{id\}/results", ".*"])
def test_a_service_that_answers_no_more_is_waited_for_as_long_as_the_user_wants(
    loopback, device, impatient, route
):
    service = loopback()
    dev = device(timeout_secs=5.0)
    service.inject(Fault(effect="stall", on=route, times=None))
    with pytest.raises(WaitTimeoutError):
        dev.batch_execute(ladder(2))
    service.clear_faults()
    before = service.counters.jobs
    right(device().batch_execute(ladder(2)))  # in the same program: what was sent is taken over
    assert service.counters.jobs == max(before, 1)


@pytest.mark.parametrize("route", [r"GET /jobs/\{id\}", "POST /sessions"])
def test_a_service_that_asks_to_wait_for_an_hour_is_not_obeyed(loopback, device, impatient, route):
    """The client itself would sleep for as long, and nobody could wake it."""
    service = loopback()
    dev = device(shard_size=1)
    service.inject(Fault(effect="status", status=503, retry_after=3600, on=route))
    right(dev.batch_execute(ladder(2)))
    assert service.counters.faults == {"status": 1}


def test_a_login_that_is_never_answered_is_given_up(loopback, device, monkeypatch):
    monkeypatch.setattr(account, "LOGIN_SECS", 5.0)
    service = loopback(tokens=("key-of-a-stalled-login",))
    service.inject(Fault(effect="stall", times=None))
    with pytest.raises(ServiceError, match="gave no answer"):
        device(ibmqx_token="key-of-a-stalled-login", timeout_secs=1.0)
    service.clear_faults()


def test_no_network_is_not_called_a_wrong_token(device, monkeypatch):
    with socket.socket() as taken:  # bound and never listening: whoever connects is turned away
        taken.bind(("127.0.0.1", 0))
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(ServiceError, match="could not be reached from this machine"):
            device(ibmqx_token="a-key-that-nobody-saw", timeout_secs=1.0)


def test_a_dead_network_is_waited_for_as_long_as_the_user_wants(loopback, device, impatient):
    service = loopback()
    dev = device(timeout_secs=2.0)
    service.stop()
    with pytest.raises(WaitTimeoutError):
        dev.batch_execute(ladder(2))
    dev.close()


def test_cancelling_at_a_service_that_does_not_answer_ends(loopback, device, impatient):
    service = loopback()
    dev = device(shard_size=1)
    service.hold()
    handle = dev.submit(ladder(6))
    service.wait_for_jobs(6, JobStatus.QUEUED)
    service.inject(Fault(effect="stall", on=".*", times=None))
    handle.cancel()
    service.clear_faults()


def test_closing_a_device_tells_all_who_wait_for_it(loopback, device):
    """Futures of shards that no lane had taken yet are told too, and so is whoever waits for the whole."""
    service = loopback()
    service.hold()
    dev = device(shard_size=1, max_jobs=2)
    handle = dev.submit(ladder(6))
    futures = handle.futures
    service.wait_for_jobs(2, JobStatus.QUEUED)
    dev.close()
    for future in futures:
        with pytest.raises(DeviceClosedError):
            future.result(120)
    with pytest.raises(DeviceClosedError):
        handle.result(120)


# ---------------------------------------------------------------------------------------------- programs that leave


def test_a_program_leaves_with_jobs_pending(start, program):
    service = start()
    service.hold()
    child = program(service, leave=True)
    _, errors = child.communicate(timeout=120)
    assert child.returncode == 0
    assert errors == ""
    assert service.counters.pending == 4
    service.release()


def test_a_second_interrupt_leaves_at_once(start, program):
    """The first cancels, at a service that does not answer; the second does not wait for that."""
    service = start()
    service.hold()
    child = program(service, cancel_secs=600.0)
    service.wait_for_jobs(4, JobStatus.QUEUED, timeout_secs=200)
    service.wait_for_requests("GET /jobs", 1)  # the watcher looks at what the batch knows to be accepted
    service.inject(Fault(effect="stall", times=None))
    child.send_signal(signal.SIGINT)
    service.wait_for_requests("POST /jobs/{id}/cancel", 1)
    assert child.poll() is None
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=120)  # the cancellation would have taken five times as long
    assert child.returncode != 0
    service.clear_faults()


def test_an_interrupted_program_takes_over_what_it_left(start, program, tmp_path):
    """What finished before the interrupt, and what could not be cancelled, is paid for and used by the next run."""
    service = start()
    service.hold()
    child = program(service)
    service.wait_for_jobs(4, JobStatus.QUEUED, timeout_secs=200)
    service.release(2)
    service.wait_for_jobs(2, JobStatus.COMPLETED)
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=120)
    service.release()
    done = sum(job.status is JobStatus.COMPLETED for job in service.jobs)
    child = program(service)
    assert child.wait(120) == 0
    assert sum(job.usage_secs > 0 for job in service.jobs) == 12
    assert done >= 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_has_its_own_lanes_and_login(start, tmp_path):
    service = start()
    code = f"""
import os, sys, numpy as np, pennylane as qml
dev = qml.device("threaded.ibmq", wires=1, backend="ibm_manila", journal={str(tmp_path / "j")!r}, shard_size=1)
tapes = [qml.tape.QuantumScript([qml.RY(x, 0)], [qml.expval(qml.Z(0))], shots=100) for x in (0.1, 3.0)]
assert dev.batch_execute(tapes)[0] > 0.5
child = os.fork()
if child == 0:
    assert dev.batch_execute(tapes)[1] < -0.5
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert dev.batch_execute(tapes)[0] > 0.5
assert len(dev.batches()) == 3
"""
    variables = {
        **os.environ,
        **service.environment(token="loopback-token", instance=service.config.instances[0].crn),
    }
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert service.counters.jobs == 6


def test_no_thread_is_left_behind(loopback, device):
    loopback()
    before = set(threading.enumerate())
    dev = device(shard_size=1)
    dev.batch_execute(ladder(4))
    dev.close()
    wait_until(
        lambda: not any(t.name.startswith("threaded-ibmq") for t in set(threading.enumerate()) - before)
    )
