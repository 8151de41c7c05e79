"""The journal's file: who may read it, what is kept, what is read, what damage says, who has taken over what."""

from __future__ import annotations

import json
import os
import pickle
import sqlite3
import stat
import subprocess
import sys
import time
import zlib
from contextlib import closing

import numpy as np
import pennylane as qml
import pytest
from click.testing import CliRunner
from waiting import wait_until

from pennylane_threaded_ibmq._private import who_else_can_write
from pennylane_threaded_ibmq.cli import main
from pennylane_threaded_ibmq.exceptions import JournalError
from pennylane_threaded_ibmq.loopback import Fault, JobStatus
from pennylane_threaded_ibmq.store.database import Database
from pennylane_threaded_ibmq.store.journal import Journal, journals
from pennylane_threaded_ibmq.store.ledger import Ledger
from pennylane_threaded_ibmq.store.records import NewShard, ShardState

posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="modes and locks of POSIX")


def tapes():
    return [qml.tape.QuantumScript([qml.RY(0.4, 0)], [qml.expval(qml.Z(0))], shots=200)]


def run(*arguments):
    done = CliRunner().invoke(main, list(arguments), prog_name="threaded-ibmq")
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return done


def change(path, statement, *values):
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(statement, values)


def begun(journal, name, content=()):
    batch, _ = journal.begin("ibm_manila", "i", content, [NewShard(name, 1, (0,), name)])
    return batch


def wait_until_accepted(dev):
    wait_until(lambda: dev.batches()[0].shards[0].state is ShardState.ACCEPTED)


# ------------------------------------------------------------------------------------------------- whose it is


@posix
@pytest.mark.parametrize("first", ["journal", "records", "budgets"])
@pytest.mark.parametrize("umask", [0o000, 0o277])
def test_all_is_for_its_owner_alone_whatever_the_umask(tmp_path, first, umask):
    folder = tmp_path / "a" / "b"
    make = {
        "journal": lambda: Journal(folder / "x"),
        "records": lambda: Database(folder / "x", lambda db: db.execute("CREATE TABLE t (n)")),
        "budgets": lambda: Ledger(folder / "x").set("i", 5.0, 1.0),
    }[first]
    before = os.umask(umask)
    try:
        made = make()
        modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "a").rglob("*")}
    finally:
        os.umask(before)
    if first != "budgets":
        made.close()
    assert modes.pop(folder) == stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    assert folder / "x" in modes
    assert set(modes.values()) == {0o600}


@posix
def test_a_file_that_others_could_read_is_closed_to_them(tmp_path):
    path = tmp_path / "journal"
    Journal(path).close()
    path.chmod(0o644)
    Journal(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


class Bomb:
    def __reduce__(self):
        return (os.mkdir, (os.environ["BOMB"],))


@posix
def test_tapes_that_others_may_have_written_are_not_unpickled(tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    path, hit = folder / "journal", tmp_path / "hit"
    monkeypatch.setenv("BOMB", str(hit))
    journal = Journal(path)
    batch = begun(journal, "a", tapes())
    assert journal.tapes(batch)[0].operations == tapes()[0].operations
    change(path, "UPDATE batches SET content=?, tape_format=0", zlib.compress(pickle.dumps(Bomb())))
    for place in (folder, path):
        mode = stat.S_IMODE(place.stat().st_mode)
        place.chmod(mode | 0o002)
        assert str(place) in who_else_can_write(path)
        with pytest.raises(JournalError, match="can be written by others"):
            journal.tapes(batch)
        place.chmod(mode)
    assert not hit.exists()
    assert who_else_can_write(path) == ""
    journal.close()


@posix
def test_lock_files_of_dead_programs_are_removed(tmp_path):
    path = tmp_path / "journal"
    code = (
        "import os, signal, sys; from pathlib import Path; from pennylane_threaded_ibmq.store.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1])); os.kill(os.getpid(), signal.SIGKILL)"
    )
    for _ in range(2):
        subprocess.run([sys.executable, "-W", "ignore", "-c", code, str(path)], check=False, timeout=120)
    assert len(list(tmp_path.glob("*.lock"))) == 1  # the second has removed that of the first
    journal = Journal(path)
    assert list(tmp_path.glob("*.lock")) == [journal._lock_file(journal.owner)]
    journal.close()
    assert not list(tmp_path.glob("*.lock"))


# ----------------------------------------------------------------------------------------- what is read and kept


def test_show_reads_one_batch(tmp_path):
    path = tmp_path / "journal"
    journal = journals().at(path)
    ids = [begun(journal, str(n)) for n in range(30)]
    asked = []
    with journal._database.reading() as connection:
        connection.set_trace_callback(asked.append)
    done = run("show", ids[7], "--journal", str(path))
    connection.set_trace_callback(None)
    journal.close()
    assert done.exit_code == 0, done.output
    assert ids[7] in done.stdout
    assert len(asked) <= 4, asked


def test_what_is_pruned_makes_the_file_smaller(tmp_path):
    path = tmp_path / "journal"
    journal = Journal(path)
    for n in range(20):
        batch, _ = journal.begin(
            "b", "i", (), [NewShard(str(n), 1, (0,), str(n))], options={"x": "y" * 50_000}
        )
        journal.deliver(batch, [0])
    kept = begun(journal, "kept")
    journal.close()
    before = path.stat().st_size
    journal = Journal(path)
    assert journal.prune(time.time() + 10) in {20, 21}
    journal.close()
    assert before > 1_000_000
    assert path.stat().st_size < before / 5
    assert kept


DAMAGE = [
    ("batches", "created", "x"),
    ("batches", "created", 1e300),
    ("batches", "tapes", "x"),
    ("batches", "options", "no JSON"),
    ("batches", "options", "[1]"),
    ("batches", "backend", b"\0"),
    ("shards", "state", "lost"),
    ("shards", "tapes", "a b"),
    ("shards", "seed", "x"),
    ("shards", "attempt", "x"),
    ("shards", "usage_secs", "x"),
    ("shards", "changed", "x"),
    ("shards", "job_id", b"\0"),
    ("steps", "at", "x"),
    ("steps", "state", "lost"),
]


@pytest.mark.parametrize(("table", "column", "value"), DAMAGE)
def test_damage_is_one_clear_error(tmp_path, loopback, table, column, value):
    loopback()
    path = tmp_path / "journal"
    journal = Journal(path)
    batch = begun(journal, "a", tapes())
    journal.close()
    change(path, f"UPDATE {table} SET {column}=?", value)
    for command in (("batches",), ("show", batch), ("timeline", batch), ("cancel", batch), ("resume", batch)):
        done = run(*command, "--journal", str(path))
        assert done.exit_code == 1, done.output
        assert f"is damaged: {column} of" in done.stderr, done.output
        assert "Traceback" not in done.output
    assert run("prune", "--journal", str(path)).exit_code == 0
    journals().at(path).close()


def test_damaged_tapes_are_one_clear_error(tmp_path):
    path = tmp_path / "journal"
    journal = Journal(path)
    batch = begun(journal, "a", tapes())
    for content, kept_as in (
        (b"\0", 1),
        (zlib.compress(b"[]"), 1),
        (zlib.compress(b"no pickle"), 0),
        (b"", 2),
    ):
        change(path, "UPDATE batches SET content=?, tape_format=?", content, kept_as)
        with pytest.raises(JournalError, match="is damaged: the tapes of batch"):
            journal.tapes(batch)
    journal.close()


# ------------------------------------------------------------------------------------------- who sends, who follows


def test_one_of_two_wins_the_next_attempt(tmp_path):
    first, second = (Journal(tmp_path / "journal") for _ in range(2))
    batch = begun(first, "tag")
    first.move(batch, 0, ShardState.FAILED, error="passes")
    assert first.again(batch, 0, "tag", "first")
    assert not second.again(batch, 0, "tag", "second")
    assert second.attempt(batch, 0).tag == "first"
    assert second.attempt(batch, 0).is_being_sent
    first.close()
    assert not second.attempt(batch, 0).is_being_sent  # whoever was to send it is dead
    assert second.again(batch, 0, "first", "second")
    second.close()


def test_two_who_wait_for_a_job_that_fails_send_it_again_once(loopback, device):
    service = loopback()
    service.inject(Fault(effect="job", on="POST /jobs$", times=1, reason="Internal error.", reason_code=9999))
    service.hold()
    dev = device(wires=1)
    handle = dev.submit(tapes())
    service.wait_for_jobs(1, JobStatus.QUEUED)
    wait_until_accepted(dev)
    other = device(wires=1).resume(handle.batch_id)
    service.wait_for_requests("GET /jobs/{id}", 2)
    service.release()
    np.testing.assert_array_equal(handle.result(60), other.result(60))
    assert service.counters.jobs == 2
    assert {batch.shards[0].attempt for batch in dev.batches()} <= {1, 2}
    assert len({batch.job_ids for batch in dev.batches()}) == 1


def test_what_a_later_batch_has_taken_over_is_not_open(loopback, device, tmp_path):
    service = loopback()
    service.hold()
    dev = device(wires=1)
    left = dev.submit(tapes())
    service.wait_for_jobs(1, JobStatus.QUEUED)
    wait_until_accepted(dev)
    left.detach()
    dev.close()
    dev = device(wires=1)
    later = dev.submit(tapes())
    service.release()
    later.result(60)
    assert service.counters.jobs == 1
    path = str(tmp_path / "journal.sqlite")
    assert json.loads(run("batches", "--open", "--json", "--journal", path).stdout) == []
    told = json.loads(run("show", left.batch_id, "--json", "--journal", path).stdout)
    assert (told["open"], told["taken_over_by"]) == (False, [later.batch_id])
    shown = run("show", left.batch_id, "--journal", path)
    assert f"taken over by {later.batch_id}" in shown.stdout
    assert "resume" not in shown.output
    assert f"threaded-ibmq show {later.batch_id}" in shown.output
    assert f"taken over by {later.batch_id}" in run("batches", "--journal", path).stdout
