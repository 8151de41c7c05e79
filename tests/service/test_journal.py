"""The journal's file: its formats, what is forgotten, several writers, places that fail."""

from __future__ import annotations

import multiprocessing
import sqlite3
import threading
import time
from contextlib import closing
from itertools import chain
from pathlib import Path

import numpy as np
import pennylane as qml
import pytest
from journal_writer import write_batches
from waiting import wait_until

from pennylane_threaded_ibmq.exceptions import ConfigurationError, JournalError
from pennylane_threaded_ibmq.loopback import Instance, JobStatus
from pennylane_threaded_ibmq.store import journal as module
from pennylane_threaded_ibmq.store import schema
from pennylane_threaded_ibmq.store.journal import Journal
from pennylane_threaded_ibmq.store.records import NewShard, ShardState

FORMAT_1 = """
CREATE TABLE batches (id TEXT PRIMARY KEY, owner TEXT NOT NULL, backend TEXT NOT NULL, instance TEXT NOT NULL,
    created REAL NOT NULL, tapes INTEGER NOT NULL, content BLOB);
CREATE TABLE shards (batch TEXT NOT NULL REFERENCES batches(id) ON DELETE CASCADE, number INTEGER NOT NULL,
    content TEXT NOT NULL, seed TEXT NOT NULL, tapes TEXT NOT NULL, state TEXT NOT NULL, tag TEXT NOT NULL,
    job_id TEXT NOT NULL DEFAULT '', attempt INTEGER NOT NULL DEFAULT 1, delivered INTEGER NOT NULL DEFAULT 0,
    adopted INTEGER NOT NULL DEFAULT 0, usage_secs REAL, error TEXT NOT NULL DEFAULT '', changed REAL NOT NULL,
    PRIMARY KEY (batch, number));
CREATE INDEX shards_by_content ON shards (content, delivered, adopted);
PRAGMA user_version=1;
"""
"""As the first release wrote it: never to be changed, whatever becomes of the package."""

ROOT = Path(__file__).resolve().parents[2]


def tapes(count=1):
    return [
        qml.tape.QuantumScript([qml.RY(x, 0)], [qml.expval(qml.Z(0))], shots=100)
        for x in np.linspace(0, np.pi, count)
    ]


def cell(path, query):
    with closing(sqlite3.connect(path)) as db:
        return db.execute(query).fetchone()[0]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.sqlite"


def test_a_journal_of_the_first_format_opens(path):
    with sqlite3.connect(path) as db:
        db.executescript(FORMAT_1)
        db.execute("INSERT INTO batches VALUES ('old', 'dead', 'b', 'i', ?, 1, NULL)", (time.time(),))
        db.execute(
            "INSERT INTO shards (batch, number, content, seed, tapes, state, tag, job_id, changed) "
            "VALUES ('old', 0, 'same', '7', '0', 'accepted', 'tag', 'job', ?)",
            (time.time(),),
        )
    journal = Journal(path)
    (record,) = journal.batches()
    assert (record.id, record.shards[0].job_id, record.shards[0].state) == ("old", "job", ShardState.ACCEPTED)
    _, (claim,) = journal.begin("b", "i", tapes(), [NewShard("same", 1, (0,), "new")])
    assert (claim.job_id, claim.seed) == ("job", 7)
    assert cell(path, "PRAGMA user_version") == schema.FORMAT
    assert [(step.phase, step.job_id) for step in record.steps] == [
        (ShardState.PLANNED, ""),
        (ShardState.ACCEPTED, "job"),
    ]
    journal.close()


def test_a_new_journal_has_the_tables_that_the_manual_describes(path):
    Journal(path).close()
    page = (ROOT / "docs" / "reference" / "journal.md").read_text(encoding="utf-8")
    with sqlite3.connect(path) as db:
        for table in ("batches", "shards", "steps"):
            for _, column, *_ in db.execute(f"PRAGMA table_info({table})"):
                assert f"| `{column}` |" in page, f"{table}.{column}"
    for state in ShardState:
        assert f"`{state}`" in page


def test_old_batches_are_forgotten_when_a_journal_is_opened(path):
    first = Journal(path)
    ids = {}
    for name in ("delivered", "pending", "fresh"):
        ids[name], _ = first.begin("b", "i", tapes(), [NewShard(name, 1, (0,), name)])
        first.move(ids[name], 0, ShardState.ACCEPTED, job_id=name)
    first.deliver(ids["delivered"], [0])
    first.deliver(ids["fresh"], [0])
    first.close()
    long_ago = time.time() - module.KEPT_SECS - 10
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(
            "UPDATE batches SET created=? WHERE id IN (?, ?)", (long_ago, ids["delivered"], ids["pending"])
        )
    second = Journal(path)
    assert {record.id for record in second.batches()} == {ids["pending"], ids["fresh"]}
    assert cell(path, "SELECT COUNT(*) FROM shards") == 2
    second.close()


def test_a_batch_is_written_and_taken_over_in_one_step(path, monkeypatch):
    """A crash between taking a shard over and writing the new batch down must not lose the job."""
    dead = Journal(path)
    batch, _ = dead.begin("b", "i", tapes(), [NewShard("same", 1, (0,), "tag")])
    dead.move(batch, 0, ShardState.ACCEPTED, job_id="job")
    dead.close()
    second = Journal(path)
    with monkeypatch.context() as broken:
        broken.setattr(module, "origin", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            second.begin("b", "i", tapes(), [NewShard("same", 2, (0,), "new")])
    new, (claim,) = second.begin("b", "i", tapes(), [NewShard("same", 2, (0,), "new")])
    assert claim.job_id == "job"
    (shard,) = second.batch(new).shards
    assert (shard.state, shard.job_id, shard.tag, shard.seed) == (ShardState.ACCEPTED, "job", "tag", 1)
    second.close()


def test_a_journal_that_cannot_be_opened_leaves_no_lock(path):
    Journal(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=99")
    with pytest.raises(JournalError):
        Journal(path)
    assert not list(path.parent.glob("*.lock"))


def test_a_damaged_journal_is_a_clear_error(path):
    path.write_bytes(b"no database at all" * 1000)
    with pytest.raises(JournalError, match=r"journal\.sqlite cannot be"):
        Journal(path)


def test_eight_processes_write_one_journal(path):
    """Each begins, moves and delivers batches; no row is lost, none is given twice, and nobody is locked out."""
    dead = Journal(path)
    shards = [NewShard("shared", n, (0,), f"tag-{n}") for n in range(40)]
    batch, _ = dead.begin("b", "i", tapes(), shards)
    for n in range(40):
        dead.move(batch, n, ShardState.ACCEPTED, job_id=f"job-{n}")
    dead.close()
    # nothing of this process, which has many threads, is forked, and the writers import neither PennyLane nor Qiskit
    with multiprocessing.get_context("spawn").Pool(8) as pool:
        claimed = list(chain.from_iterable(pool.map(write_batches, [path] * 8, chunksize=1)))
    assert sorted(claimed) == sorted(f"job-{n}" for n in range(40))
    journal = Journal(path)
    assert cell(path, "SELECT COUNT(*) FROM batches") == 81
    assert cell(path, "SELECT COUNT(*) FROM shards WHERE delivered=1") == 80
    journal.close()
    assert not list(path.parent.glob("*.lock"))


def test_what_cannot_be_written_down_is_not_sent(loopback, device, monkeypatch):
    service = loopback()
    dev = device()
    journal = dev._journal()
    with monkeypatch.context() as broken:
        broken.setattr(journal, "move", fails_on("sending", journal))
        with pytest.raises(JournalError):
            dev.batch_execute(tapes(2))
    assert service.counters.jobs == 0
    dev.batch_execute(tapes(2))  # its slot was given back
    assert dev._open().runner._pacer._in_flight == 0


def test_what_was_sent_is_finished_though_the_disk_is_full(loopback, device, monkeypatch, caplog):
    service = loopback()
    dev = device()
    journal = dev._journal()
    monkeypatch.setattr(journal, "move", fails_on("accepted", journal))
    assert len(dev.batch_execute(tapes(2))) == 2
    assert service.counters.jobs == 1
    assert "disk is full" in caplog.text


def fails_on(state, journal):
    move = journal.move

    def full(batch, number, found, **given):
        if found == state:
            raise JournalError("The disk is full.")
        move(batch, number, found, **given)

    return full


def test_a_delivery_that_the_disk_had_no_room_for_is_written_when_results_are_asked_for_again(
    loopback, device, monkeypatch
):
    def full(*_):
        raise JournalError("The disk is full.")

    loopback()
    dev = device()
    handle = dev.submit(tapes())
    with monkeypatch.context() as disk:
        disk.setattr(dev._open().journal.journal, "deliver", full)
        first = handle.result(60)
    assert not dev.batches()[0].delivered
    assert handle.result() == first
    assert dev.batches()[0].delivered


# ---------------------------------------------------------------------------------------- nothing is paid for twice


def test_what_timed_out_before_it_was_sent_is_not_sent_behind_ones_back(loopback, device):
    """Shards that wait for a slot when the program stops waiting are given up: the next run sends them."""
    service = loopback(max_pending=2)
    service.hold()
    dev = device(shard_size=1, timeout_secs=2)
    from pennylane_threaded_ibmq.exceptions import WaitTimeoutError

    with pytest.raises(WaitTimeoutError):
        dev.batch_execute(tapes(6))
    handle = dev.submit(tapes(6))  # the same program
    service.release()
    handle.result(60)
    assert service.counters.jobs == 6


def test_a_failed_batch_leaves_what_is_done_to_the_next_run(loopback, device):
    from pennylane_threaded_ibmq.exceptions import ShardFailedError
    from pennylane_threaded_ibmq.loopback import Fault

    service = loopback()
    service.inject(Fault(effect="job", on="POST /jobs$", skip=1, reason="No."))
    dev = device(shard_size=1, max_jobs=1)
    with pytest.raises(ShardFailedError):
        dev.batch_execute(tapes(4))
    assert service.counters.jobs == 4
    dev.batch_execute(tapes(4))
    assert service.counters.jobs == 5  # only what was missing
    dev.batch_execute(tapes(4))
    assert service.counters.jobs == 9  # delivered: new samples


def test_a_batch_that_is_still_being_sent_is_not_resumed(loopback, device):
    service = loopback(max_pending=1)
    service.hold()
    dev = device(shard_size=1)
    handle = dev.submit(tapes(3))
    service.wait_for_jobs(1, JobStatus.QUEUED)
    with pytest.raises(JournalError, match="still being sent"):
        dev.resume(handle.batch_id)
    service.release()
    handle.result(60)
    dev.resume(handle.batch_id).result(60)
    assert service.counters.jobs == 3


def test_two_who_resume_one_batch_both_get_it(loopback, device):
    service = loopback()
    service.hold()
    dev = device()
    handle = dev.submit(tapes(3))
    service.wait_for_jobs(1, JobStatus.QUEUED)
    wait_until(lambda: dev.batches()[0].shards[0].state is ShardState.ACCEPTED)
    others = [dev.resume(handle.batch_id) for _ in range(2)]
    service.wait_for_requests("GET /jobs/{id}", 2)
    service.release()
    results = [one.result(60) for one in (handle, *others)]
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])
    assert service.counters.jobs == 1


def test_a_batch_of_another_instance_is_not_paid_for_here(loopback, device):
    crns = [
        f"crn:v1:bluemix:public:quantum-computing:us-east:a/0000000000000000000000000000000{n}:"
        f"00000000-0000-4000-8000-00000000000{n}::"
        for n in (1, 2)
    ]
    service = loopback(instances=(Instance(crn=crns[0], name="first"), Instance(crn=crns[1], name="second")))
    handle = device(instance=crns[0]).submit(tapes(1))
    handle.result(60)
    with pytest.raises(ConfigurationError, match="instance"):
        device(instance=crns[1]).resume(handle.batch_id)
    assert service.counters.jobs == 1


def test_a_future_asked_for_at_the_last_moment_hangs_nobody(device):
    """A future that is made while its tape settles was resolved twice, and then nobody was told of the end."""
    dev = device(backend="ibmq_qasm_simulator", journal=False)
    for _ in range(20):
        handle = dev.submit(tapes(3))
        asking = [threading.Thread(target=lambda h=handle: h.futures) for _ in range(2)]
        for thread in asking:
            thread.start()
        assert len(handle.result(60)) == 3
        for thread in asking:
            thread.join()
