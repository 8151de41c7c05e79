"""Programs that are interrupted or killed, as processes of their own."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import time
from collections import Counter
from contextlib import closing

import numpy as np
import pytest

from pennylane_threaded_ibmq.loopback import Fault, JobStatus

needs_pidfd = pytest.mark.skipif(
    not hasattr(os, "pidfd_open"), reason="knows the forks of others by what Linux alone has"
)


def right(path):
    values = json.loads(path.read_text())
    np.testing.assert_allclose(values, np.cos(np.linspace(0, np.pi, 24)), atol=0.3)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143)])
def test_an_interrupt_cancels_what_is_queued(start, program, tmp_path, number, status):
    service = start()
    service.hold()
    child = program(service)
    service.wait_for_jobs(4, JobStatus.QUEUED, timeout_secs=200)
    child.send_signal(number)
    _, errors = child.communicate(timeout=120)
    assert child.returncode in {status, 1, 130}, errors
    assert {job.status for job in service.jobs} == {JobStatus.CANCELLED}
    assert sum(job.usage_secs for job in service.jobs) == 0
    with closing(sqlite3.connect(tmp_path / "journal")) as db:
        states = Counter(state for (state,) in db.execute("SELECT state FROM shards"))
    assert states == {"cancelled": 4, "planned": 8}, "nothing is left to collect"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_cancels_what_is_just_being_sent(start, program, number):
    """Submissions that are under way arrive later; the program stays until their jobs are cancelled."""
    service = start(job_secs=0.1)
    service.hold()
    service.inject(Fault(effect="stall", on="POST /jobs$", times=None))
    child = program(service, cancel_secs=120.0)
    service.wait_for_requests("POST /jobs", 4, timeout_secs=200)
    child.send_signal(number)
    while "to cancel their jobs" not in child.stderr.readline():
        assert child.poll() is None
    service.clear_faults()
    _, errors = child.communicate(timeout=200)
    service.release()
    assert [job.status for job in service.jobs] == [JobStatus.CANCELLED] * 4, errors
    assert service.counters.by_route["POST /jobs"] == 4


def test_an_interrupt_names_what_may_still_arrive(start, program, tmp_path):
    """Nobody waits for a service that does not answer; what it may still do is said, and the next run finds it."""
    service = start()
    service.inject(Fault(effect="stall", on="POST /jobs$", times=4))
    child = program(service, cancel_secs=1.0)
    service.wait_for_requests("POST /jobs", 4, timeout_secs=200)
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=120)
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
    service.wait_for_jobs(4, JobStatus.QUEUED, timeout_secs=200)
    child.send_signal(signal.SIGTERM)
    _, errors = child.communicate(timeout=120)
    assert child.returncode == 143, errors
    assert {job.status for job in service.jobs} == {JobStatus.CANCELLED}
    assert sum(job.usage_secs for job in service.jobs) == 0


def test_sigterm_where_nobody_waits_ends_a_program_as_ever(start, program):
    service = start()
    child = program(service, idle=True)
    assert child.stdout.readline().startswith("ready")
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=120)
    assert child.returncode == -signal.SIGTERM


def test_an_interrupt_may_leave_the_jobs_to_the_next_run(start, program, tmp_path):
    service = start()
    service.hold()
    child = program(service, on_interrupt="detach")
    service.wait_for_jobs(4, JobStatus.QUEUED, timeout_secs=200)
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=120)
    assert {job.status for job in service.jobs} == {JobStatus.QUEUED}
    service.release()
    child = program(service)
    assert child.wait(200) == 0
    right(tmp_path / "result")
    assert service.counters.jobs == 12


class Spawned:
    """The program as a process of its own, from its first import on."""

    worker = None

    def __init__(self, child):
        self._child = child

    def wait_ready(self):
        assert self._child.stdout.readline().startswith("ready"), self._child.communicate()

    def runs(self):
        return self._child.poll() is None

    def kill(self):
        self._child.send_signal(signal.SIGKILL)
        self._child.communicate()

    def end(self, timeout_secs):
        _, errors = self._child.communicate(timeout=timeout_secs)
        assert self._child.returncode == 0, errors


class Kills:
    """Programs that are killed at moments drawn at random, against one service and in one journal.

    A third of all submissions take a second, so that many a program is killed while some are under way; a third of all logins
    take half a second; one of twenty jobs fails, and is sent again.
    """

    def __init__(self, start, launch, folder, seed):
        self._chance = random.Random(seed)
        self._service = start(job_secs=0.02, queue_secs=0.02)
        self._service.inject(
            Fault(
                effect="job",
                on="POST /jobs$",
                times=None,
                probability=0.05,
                seed=seed,
                reason="Internal error.",
                reason_code=9999,
            ),
            Fault(effect="stall", secs=1.0, on="POST /jobs$", times=None, probability=0.33, seed=seed),
            Fault(
                effect="stall", secs=0.5, on="POST /identity/token", times=None, probability=0.33, seed=seed
            ),
        )
        self._launch = launch
        self._journal = folder / "journal"
        self._results = {name: folder / f"result{name}" for name in ("", ".first", ".second")}
        self.seen = Counter()

    def play(self, role):
        """Let programs of a role be killed, then the program run to its end unless it was; nothing is lost or paid twice."""
        for path in self._results.values():
            path.unlink(missing_ok=True)
        before = {job.id for job in self._service.jobs}
        old = self._batches()
        self.seen[role] += 1
        {"alone": self._alone, "parent": self._family, "busy_parent": self._family, "waiter": self._pair}[
            role
        ](role)
        killed = len(self._batches())
        self.seen["after sending"] += killed > len(old)
        if self._finished():
            self.seen["too late"] += 1
        else:
            last = self._started("alone")
            last.end(600)
        self._check_results()
        jobs = [job for job in self._service.jobs if job.id not in before]
        paid = [job for job in jobs if job.status is JobStatus.COMPLETED or job.usage_secs > 0]
        # a program that has its results and dies before it writes them anywhere is no business of the journal's: what
        # was delivered is never used again, and the next run pays
        delivered = self._delivered(old)
        tags = Counter(tag for job in paid for tag in job.tags if tag.count("-") == 3)
        assert tags == dict.fromkeys(delivered, 1), (role, Counter(job.status for job in jobs), self.seen)
        assert len(delivered) % (6 if "parent" in role else 12) == 0
        assert {job.results_read for job in paid} <= set(
            range(1, 5)
        )  # a result may be read again, and is paid once
        self.seen["failed"] += sum(job.status is JobStatus.FAILED for job in jobs)
        self.seen["delivered, then killed"] += len(delivered) // 12 - 1
        print(role, dict(self.seen), flush=True)

    # ------------------------------------------------------------------------------------------------- what happens

    def _alone(self, role):
        """One program is killed, once or twice in a row."""
        for _ in range(self._chance.choice([1, 1, 2])):
            child = self._started(role)
            self._wait_for_a_moment(child)
            self._kill(child)
            if self._finished():
                return

    def _family(self, role):
        """A parent, its worker or both are killed, one after the other; who lives goes on to the end."""
        child = self._started(role)
        family = [child, child.worker]
        for victim in self._chance.choice([[0], [1], [0, 1], [1, 0]]):
            self._wait_for_a_moment(*family)
            self._kill(family[victim])
        for one in family:
            if one.runs():
                one.end(600)

    def _pair(self, role):
        """A program and one that resumes its batch: one of them is killed, or both, one after the other."""
        last = (self._batches() or [""])[-1]
        pair = [self._started("alone"), self._started(role, last)]
        for victim in self._chance.choice([[], [0], [1], [0, 1], [1, 0]]):
            self._wait_for_a_moment(*pair)
            self._kill(pair[victim])
        owner, other = pair
        if owner.runs():
            owner.end(600)
        if (self._batches() or [""])[-1] == last:
            other.kill()  # there is nothing to wait for
        elif other.runs():
            self.seen["waiters to the end"] += 1
            other.end(600)

    def _started(self, role, *more):
        child = self._launch(self._service, role, *more)
        child.wait_ready()
        return child

    def _wait_for_a_moment(self, *children):
        """Wait until some more submissions have come, or nobody is there to send them, and for a moment more."""
        count = self._submissions() + self._chance.randint(0, 8)
        while self._submissions() < count and any(child.runs() for child in children):
            time.sleep(0.01)
        time.sleep(self._chance.uniform(0, 0.5))

    def _kill(self, child):
        self.seen["killed"] += child.runs()
        child.kill()

    # ------------------------------------------------------------------------------------------- what has come of it

    def _submissions(self):
        return self._service.counters.by_route.get("POST /jobs", 0)

    def _finished(self):
        whole, first, second = (path.exists() for path in self._results.values())
        return whole or (first and second)

    def _check_results(self):
        expected = np.cos(np.linspace(0, np.pi, 24))
        parts = {"": expected, ".first": expected[:12], ".second": expected[12:]}
        assert self._finished()
        for name, values in parts.items():
            if self._results[name].exists():
                np.testing.assert_allclose(json.loads(self._results[name].read_text()), values, atol=0.3)

    def _batches(self):
        """All batches of the journal, oldest first."""
        if not self._journal.exists():
            return []
        with closing(sqlite3.connect(self._journal)) as db:
            return [batch for (batch,) in db.execute("SELECT id FROM batches ORDER BY created, rowid")]

    def _delivered(self, old):
        """Tags of the results that programs got, but for those of old batches."""
        with closing(sqlite3.connect(self._journal)) as db:
            rows = db.execute(
                "SELECT DISTINCT tag FROM shards WHERE delivered=1 AND batch NOT IN (SELECT value FROM json_each(?))",
                (json.dumps(old),),
            )
            return [tag for (tag,) in rows]


def test_a_program_killed_at_any_moment_is_finished_by_the_next_run(start, program, tmp_path):
    kills = Kills(start, lambda service, _: Spawned(program(service)), tmp_path, seed=1)
    kills.play("alone")


ROLES = ["alone", "parent", "busy_parent", "waiter"]


@needs_pidfd
def test_forks_and_waiters_that_are_killed(start, forked_program, tmp_path):
    kills = Kills(start, forked_program, tmp_path, seed=1)
    for role in ("alone", "busy_parent", "waiter"):
        kills.play(role)


@needs_pidfd
@pytest.mark.sweep
@pytest.mark.timeout(7200)
def test_many_kills(start, forked_program, tmp_path):
    count, seed = (
        int(os.environ.get(name, default)) for name, default in (("TESTS_SWEEP", "200"), ("TESTS_SEED", "2"))
    )
    kills = Kills(start, forked_program, tmp_path, seed=seed)
    chance = random.Random(seed)
    while kills.seen["killed"] < count:
        kills.play(chance.choice(ROLES))
