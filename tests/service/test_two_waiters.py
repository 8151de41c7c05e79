"""Several that wait for one job: whoever sends it again is one of them, and the others follow."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing

import numpy as np
import pennylane as qml
import pytest
from waiting import wait_until

from pennylane_threaded_ibmq.exceptions import JournalError
from pennylane_threaded_ibmq.loopback import Fault, JobStatus
from pennylane_threaded_ibmq.store.journal import Journal
from pennylane_threaded_ibmq.store.records import NewShard, ShardState

PASSES = {"effect": "job", "on": "POST /jobs$", "reason": "Internal error.", "reason_code": 9999}


def ladder(count):
    return [
        qml.tape.QuantumScript([qml.RY(x, 0)], [qml.expval(qml.Z(0))], shots=1000)
        for x in np.linspace(0, np.pi, count)
    ]


def right(results):
    np.testing.assert_allclose(results, np.cos(np.linspace(0, np.pi, len(results))), atol=0.2)


def accepted(dev, jobs):
    return lambda: len({s.job_id for b in dev.batches() for s in b.shards if s.state == "accepted"}) == jobs


def kill(folder):
    """Let the journal believe that nobody waits for anything, as after a kill."""
    with closing(sqlite3.connect(folder / "journal.sqlite", isolation_level=None)) as db:
        db.execute("UPDATE batches SET owner='dead'")


@pytest.mark.parametrize("failures", [1, 2])
def test_an_owner_and_two_who_resume_send_a_failed_job_again_once(loopback, device, failures):
    """Each sent it again: three paid for one."""
    service = loopback()
    service.inject(Fault(**PASSES, times=failures))
    service.hold()
    owner = device()
    handle = owner.submit(ladder(3))
    wait_until(accepted(owner, 1))
    others = [device().resume(handle.batch_id) for _ in range(2)]
    service.wait_for_requests("GET /jobs/{id}", 2)
    service.release()
    results = [one.result(120) for one in (handle, *others)]
    right(results[0])
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])
    assert service.counters.jobs == 1 + failures
    assert sum(job.status is JobStatus.COMPLETED for job in service.jobs) == 1


def test_two_who_resume_what_was_never_sent_send_it_once(loopback, device, tmp_path):
    service = loopback(max_pending=1)
    service.hold()
    first = device(shard_size=1)
    handle = first.submit(ladder(4))
    service.wait_for_jobs(1, JobStatus.QUEUED)
    handle.detach()
    first.close()
    kill(tmp_path)
    others = [device(shard_size=1).resume(handle.batch_id) for _ in range(2)]
    service.release()
    results = [one.result(120) for one in others]
    right(results[0])
    np.testing.assert_array_equal(results[0], results[1])
    assert service.counters.jobs == 4


def test_who_follows_takes_the_turn_of_one_that_gives_up(loopback, device, tmp_path):
    service = loopback(max_pending=1)
    service.hold()
    first = device(shard_size=1, max_jobs=2)
    handle = first.submit(ladder(2))
    service.wait_for_jobs(1, JobStatus.QUEUED)
    wait_until(accepted(first, 1))
    tags = {s.tag for s in first.batches()[0].shards}
    first.close()
    kill(tmp_path)
    one, other = (device(shard_size=1).resume(handle.batch_id) for _ in range(2))
    # what was not sent is the turn of one of them, who waits for a slot
    wait_until(lambda: {s.tag for b in first.batches() for s in b.shards} - tags)
    one.detach()
    service.release()
    right(other.result(120))
    assert service.counters.jobs == 2


def test_one_of_eight_wins_an_attempt(tmp_path):
    journals = [Journal(tmp_path / "j") for _ in range(8)]
    new = [NewShard("same", n, (n,), f"tag-{n}") for n in range(20)]
    first, _ = journals[0].begin("b", "i", (), new)
    for number in range(20):
        journals[0].move(first, number, ShardState.ACCEPTED, job_id=f"job-{number}")
    batches = [first, *(j.begin("b", "i", (), new, resume=first)[0] for j in journals[1:])]
    won = []
    barrier = threading.Barrier(8)

    def work(journal, batch):
        barrier.wait()
        for number in range(20):
            if journal.again(batch, number, f"tag-{number}", f"{batch}-{number}"):
                won.append((number, batch))
                journal.move(batch, number, ShardState.SENDING, tag=f"{batch}-{number}")

    threads = [threading.Thread(target=work, args=pair) for pair in zip(journals, batches, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(number for number, _ in won) == list(range(20))
    for number, winner in won:
        attempts = {journals[0].attempt(batch, number) for batch in batches}
        assert {(a.tag, a.sender, a.state) for a in attempts} == {
            (f"{winner}-{number}", winner, ShardState.SENDING)
        }
        (loser, *_) = (batch for batch in batches if batch != winner)
        with pytest.raises(JournalError, match="another program"):
            journals[0].move(loser, number, ShardState.SENDING)
    for journal in journals:
        journal.close()


def test_what_failed_late_changes_nothing_of_the_next_attempt(tmp_path):
    journal = Journal(tmp_path / "j")
    batch, _ = journal.begin("b", "i", (), [NewShard("same", 1, (0,), "old")])
    journal.move(batch, 0, ShardState.ACCEPTED, job_id="job")
    assert journal.again(batch, 0, "old", "new")
    journal.move(batch, 0, ShardState.FAILED, tag="old", error="a slower one that waits")
    assert (journal.attempt(batch, 0).state, journal.attempt(batch, 0).tag) == (ShardState.PLANNED, "new")
    journal.close()


def test_what_one_of_those_who_wait_has_got_is_not_used_again(tmp_path):
    """One that resumes a batch and dies leaves nothing to take over of what the owner has got: its samples would repeat."""
    owner, other, later = (Journal(tmp_path / "j") for _ in range(3))
    new = [NewShard("same", n, (n,), f"tag-{n}") for n in range(2)]
    first, _ = owner.begin("b", "i", (), new)
    for number in range(2):
        owner.move(first, number, ShardState.ACCEPTED, job_id=f"job-{number}")
    second, _ = other.begin("b", "i", (), new, resume=first)
    owner.deliver(first, [1])
    other.close()
    assert owner.batch(first).taken_over_by == (second,)
    owner.close()
    claims = later.begin("b", "i", (), [NewShard("same", n, (n,), "new") for n in range(2)])[1]
    assert [claim and claim.job_id for claim in claims] == ["job-0", None]
    later.close()


def test_what_was_accepted_meanwhile_is_not_sent_again(tmp_path):
    """Between a look at an attempt and the next one, the attempt may have come to something."""
    slow, quick = Journal(tmp_path / "j"), Journal(tmp_path / "j")
    new = [NewShard("same", 1, (0,), "old")]
    first, _ = slow.begin("b", "i", (), new)
    slow.let_go(first)
    batches = [journal.begin("b", "i", (), new, resume=first)[0] for journal in (slow, quick)]
    seen = slow.attempt(batches[0], 0)
    assert not seen.is_being_sent
    quick.move(first, 0, ShardState.SENDING)
    quick.move(first, 0, ShardState.ACCEPTED, job_id="job")
    assert not slow.again(batches[0], 0, seen.tag, "new", state=seen.state)
    assert slow.attempt(batches[0], 0).job_id == "job"
    assert slow.again(batches[0], 0, "old", "new", state=ShardState.ACCEPTED)
    assert {slow.attempt(batch, 0).tag for batch in (first, *batches)} == {"new"}
    slow.close()
    quick.close()
