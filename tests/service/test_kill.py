"""Programs that are interrupted or killed, as processes of their own."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import time
from collections import Counter

import numpy as np
import pytest

from pennylane_threaded_ibmq.loopback import Fault, JobStatus


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_cancels_what_is_just_being_sent(start, program, number):
    """Submissions that are under way arrive some seconds later; the program stays until their jobs are cancelled."""
    service = start(job_secs=0.1)
    service.hold()
    service.inject(Fault(effect="stall", secs=5.0, on="POST /jobs$", times=None))
    child = program(service)
    service.wait_for_requests("POST /jobs", 4, timeout_secs=60)
    child.send_signal(number)
    _, errors = child.communicate(timeout=60)
    service.release()
    assert [job.status for job in service.jobs] == [JobStatus.CANCELLED] * 4, errors
    assert "to cancel their jobs" in errors
    assert service.counters.by_route["POST /jobs"] == 4


def test_an_interrupt_names_what_may_still_arrive(start, program, tmp_path):
    """Nobody waits for a service that does not answer; what it may still do is said, and the next run finds it."""
    service = start()
    service.inject(Fault(effect="stall", on="POST /jobs$", times=4))
    child = program(service, cancel_secs=1.0)
    service.wait_for_requests("POST /jobs", 4, timeout_secs=60)
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=60)
    assert service.jobs == ()
    assert "4 submissions were not answered yet" in errors
    service.clear_faults()
    jobs = service.wait_for_jobs(4, JobStatus.COMPLETED)
    for job in jobs:
        assert max(job.tags, key=len) in errors
    child = program(service)
    assert child.wait(120) == 0
    right(tmp_path / "result")
    assert service.counters.jobs == 12


@pytest.mark.parametrize("kind", ["plain", "daemon"])
def test_sigterm_while_another_thread_waits(start, program, kind):
    service = start()
    service.hold()
    child = program(service, thread=kind)
    service.wait_for_jobs(4, JobStatus.QUEUED, timeout_secs=60)
    child.send_signal(signal.SIGTERM)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 143, errors
    assert {job.status for job in service.jobs} == {JobStatus.CANCELLED}
    assert sum(job.usage_secs for job in service.jobs) == 0


def test_sigterm_where_nobody_waits_ends_a_program_as_ever(start, program):
    service = start()
    child = program(service, idle=True)
    assert child.stdout.readline().startswith("ready")
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=60)
    assert child.returncode == -signal.SIGTERM


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


def journalled(folder):
    """The batches of the journal, oldest first: for each, whether each of its shards was delivered."""
    with sqlite3.connect(folder / "journal") as db:
        rows = db.execute(
            "SELECT b.id, MIN(s.delivered) FROM batches b JOIN shards s ON s.batch = b.id GROUP BY b.id ORDER BY b.created"
        ).fetchall()
    return [bool(delivered) for _, delivered in rows]


class Spawned:
    """The program as a process of its own, from its first import on."""

    def __init__(self, child):
        self._child = child

    def wait_ready(self):
        assert self._child.stdout.readline().startswith("ready"), self._child.communicate()

    def kill(self):
        self._child.send_signal(signal.SIGKILL)
        self._child.communicate()

    def end(self, timeout_secs):
        _, errors = self._child.communicate(timeout=timeout_secs)
        assert self._child.returncode == 0, errors


def kills(start, launch, tmp_path, count, seed):
    """Kill the program at random moments, once or twice in a row, then run it to its end; until ``count`` were killed.

    A third of all submissions take a second, so that many a program is killed while some are under way.
    """
    chance = random.Random(seed)
    service = start(job_secs=0.02, queue_secs=0.02)
    service.inject(Fault(effect="stall", secs=1.0, on="POST /jobs$", times=None, probability=0.33, seed=seed))
    result = tmp_path / "result"
    seen = Counter()
    while seen["killed"] < count:
        result.unlink(missing_ok=True)
        before = {job.id for job in service.jobs}
        batches = len(journalled(tmp_path)) if (tmp_path / "journal").exists() else 0
        for _ in range(chance.choice([1, 1, 2])):
            child = launch(service)
            child.wait_ready()
            time.sleep(chance.uniform(0, 2.0))
            child.kill()
            if result.exists():
                break
            seen["killed"] += 1
        seen["too late"] += result.exists()
        if not result.exists():
            last = launch(service)
            last.wait_ready()
            last.end(600)
        right(result)
        jobs = [job for job in service.jobs if job.id not in before]
        paid = [job for job in jobs if job.status is JobStatus.COMPLETED]
        # a program that has its results and dies before it writes them anywhere is no business of the journal's: what
        # was delivered is never used again, and the next run pays
        delivered = sum(journalled(tmp_path)[batches:])
        seen["delivered, then killed"] += delivered - 1
        seen["after sending"] += len(journalled(tmp_path)) - batches > 1
        assert len(paid) == 12 * delivered, (Counter(job.status for job in jobs), seen)
        assert sum(job.usage_secs > 0 for job in jobs) == 12 * delivered
        assert {job.results_read for job in paid} <= {1, 2, 3}  # a result may be read again, and is paid once
        tags = Counter(tag for job in paid for tag in job.tags if tag.count("-") == 3)
        assert set(tags.values()) == {1}
        print(dict(seen), flush=True)
    assert service.counters.pending == 0
    print(service.counters.by_route["POST /jobs"], "submissions")


def test_a_program_killed_at_any_moment_is_finished_by_the_next_run(start, program, tmp_path):
    kills(start, lambda service: Spawned(program(service)), tmp_path, count=3, seed=1)


@pytest.mark.sweep
@pytest.mark.timeout(7200)
def test_many_kills(start, forked_program, tmp_path):
    count, seed = (
        int(os.environ.get(name, default))
        for name, default in (("THREADED_IBMQ_SWEEP", "200"), ("THREADED_IBMQ_SEED", "2"))
    )
    kills(start, forked_program, tmp_path, count=count, seed=seed)
