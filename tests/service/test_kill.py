"""Programs that are interrupted or killed, as processes of their own."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pennylane_threaded_ibmq.loopback import JobStatus

PROGRAM = Path(__file__).with_name("program.py")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def program(tmp_path):
    """Start the program against a service; whatever is left of it is killed at the end."""
    running = []

    def start(service, **options):
        environment = {
            **os.environ,
            **service.environment(token="loopback-token", instance=service.config.instances[0].crn),
            "HOME": str(tmp_path),
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
        }
        arguments = [f"{name}={value!r}" for name, value in options.items()]
        child = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(tmp_path / "journal"), str(tmp_path / "result"), *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(child)
        return child

    yield start
    for child in running:
        child.kill()
        child.communicate()


def right(path):
    values = json.loads(path.read_text())
    np.testing.assert_allclose(values, np.cos(np.linspace(0, np.pi, 24)), atol=0.3)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143)])
def test_an_interrupt_cancels_what_is_queued(start, program, number, status):
    service = start()
    service.hold()
    child = program(service)
    service.wait_for_jobs(4, JobStatus.QUEUED, timeout_secs=60)
    child.send_signal(number)
    _, errors = child.communicate(timeout=30)
    assert child.returncode in {status, 1, 130}, errors
    assert {job.status for job in service.jobs} == {JobStatus.CANCELLED}
    assert sum(job.usage_secs for job in service.jobs) == 0


def test_an_interrupt_may_leave_the_jobs_to_the_next_run(start, program, tmp_path):
    service = start()
    service.hold()
    child = program(service, on_interrupt="detach")
    service.wait_for_jobs(4, JobStatus.QUEUED, timeout_secs=60)
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=30)
    assert {job.status for job in service.jobs} == {JobStatus.QUEUED}
    service.release()
    child = program(service)
    assert child.wait(60) == 0
    right(tmp_path / "result")
    assert service.counters.jobs == 12


def kills(start, program, tmp_path, count, seed):
    """Kill the program at a random moment and run it again, until it has run to its end ``count`` times."""
    chance = random.Random(seed)
    service = start(job_secs=0.02, queue_secs=0.02)
    result = tmp_path / "result"
    killed = 0
    while killed < count:
        result.unlink(missing_ok=True)
        before = {job.id for job in service.jobs}
        child = program(service)
        assert child.stdout.readline().startswith("ready"), child.communicate()
        time.sleep(chance.uniform(0, 1.2))
        child.send_signal(signal.SIGKILL)
        child.communicate()
        killed += not result.exists()
        if not result.exists():
            last = program(service)
            _, errors = last.communicate(timeout=120)
            assert last.returncode == 0, errors
        right(result)
        jobs = [job for job in service.jobs if job.id not in before]
        paid = [job for job in jobs if job.status is JobStatus.COMPLETED]
        assert len(paid) == 12, Counter(job.status for job in jobs)
        assert len({job.id for job in paid}) == 12
        tags = Counter(tag for job in paid for tag in job.tags if tag.count("-") == 3)
        assert set(tags.values()) == {1}
    assert service.counters.pending == 0


def test_a_program_killed_at_any_moment_is_finished_by_the_next_run(start, program, tmp_path):
    kills(start, program, tmp_path, count=3, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_two_hundred_kills(start, program, tmp_path):
    kills(start, program, tmp_path, count=200, seed=2)
