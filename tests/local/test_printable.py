"""What comes from a service or a file and goes to a terminal: it is read, and never obeyed."""

import os
import pickle
import pty
import sqlite3
import subprocess
import sys
import unicodedata
from contextlib import closing

import pytest
from click.testing import CliRunner

from pennylane_threaded_ibmq._printable import printable
from pennylane_threaded_ibmq.cli import main
from pennylane_threaded_ibmq.exceptions import BackendError, JobFailedError, ShardFailedError
from pennylane_threaded_ibmq.progress.pictures import draw_timeline, save_timeline
from pennylane_threaded_ibmq.store.journal import Journal
from pennylane_threaded_ibmq.store.records import NewShard, ShardState

EVIL = "\x1b]0;mine\x07\x1b[2J\x1b]52;c;cm0gLXJm\x07\x9b31m\r\x08\u202egnp.\u2066\u200f\x7f"
NAME = f"ibm{EVIL}$\\frac"


def is_harmless(text):
    return not any(unicodedata.category(c) in {"Cc", "Cf"} for c in text if c not in "\n\t")


@pytest.fixture
def journal(tmp_path):
    path = tmp_path / "journal.sqlite"
    made = Journal(path)
    batch, _ = made.begin(NAME, NAME, (), [NewShard("same", 1, (0,), "tag")], options={EVIL: EVIL})
    made.move(batch, 0, ShardState.SENDING)
    made.move(batch, 0, ShardState.FAILED, job_id=EVIL, error=f"first{EVIL}\nsecond")
    made.close()
    return path, batch


def test_text_stays_and_what_a_terminal_obeys_is_shown():
    assert printable("Größe 10⁻³ 量子 ½\u00a0") == "Größe 10⁻³ 量子 ½\u00a0"
    assert printable("a\x1b[2Jb\nc") == "a\\x1b[2Jb\\nc"
    assert printable("a\tb\nc\r", lines=True) == "a\tb\nc\\r"
    assert is_harmless(printable(EVIL))


@pytest.mark.parametrize(
    "words", [["batches"], ["show"], ["timeline"], ["show", "--json"], ["batches", "--json"]]
)
def test_no_command_hands_on_what_a_terminal_obeys(journal, words):
    path, batch = journal
    named = [] if words[0] == "batches" else [batch]
    done = CliRunner().invoke(main, [*words, *named, "--journal", str(path)])
    assert done.exit_code == 0, done.output
    assert is_harmless(done.output.replace("\x7f", "") if "--json" in words else done.output)
    assert "0;mine" in done.output


def test_a_terminal_shows_what_a_pipe_does(journal):
    """Tables are drawn in a terminal: a pseudo-terminal hears what a real one would."""
    path, _ = journal
    leader, follower = pty.openpty()
    subprocess.run(
        [sys.executable, "-m", "pennylane_threaded_ibmq.cli", "batches", "--journal", str(path)],
        stdout=follower,
        env={**os.environ, "TERM": "dumb", "NO_COLOR": "1"},
        check=True,
        timeout=120,
    )
    os.close(follower)
    said = b""
    while chunk := _read(leader):
        said += chunk
    os.close(leader)
    assert b"ibm" in said
    for sequence in (b"\x1b]0;", b"\x1b[2J", b"\x1b]52;", b"\x07", "\u202e".encode()):
        assert sequence not in said


def _read(leader):
    try:
        return os.read(leader, 65536)
    except OSError:  # nobody writes any more
        return b""


def test_an_id_of_a_damaged_journal_is_shown_and_not_obeyed(journal):
    path, batch = journal
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA foreign_keys=OFF")
        db.execute("UPDATE batches SET id=?, created='?'", (f"{batch[:4]}{EVIL}",))
    done = CliRunner().invoke(main, ["show", batch[:4], "--journal", str(path)])
    assert done.exit_code == 1
    assert is_harmless(done.output)


@pytest.mark.parametrize("kind", [JobFailedError, BackendError])
def test_the_text_of_an_error_can_be_printed(kind):
    error = kind(f"The job failed: {EVIL}")
    assert is_harmless(str(error))
    assert str(error).startswith("The job failed: \\x1b]0;mine")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert is_harmless(str(ShardFailedError(f"{error}", results=(), errors={0: error})))


@pytest.mark.parametrize("ending", ["png", "svg", "html"])
def test_a_name_is_no_formula(journal, tmp_path, ending):
    path, batch = journal
    opened = Journal(path)
    record = opened.batch(batch)
    opened.close()
    assert "$\\frac" in draw_timeline(record).get_suptitle()
    assert save_timeline(record, tmp_path / f"picture.{ending}").stat().st_size > 0


LOGS = """
import logging, sys, click
from pennylane_threaded_ibmq.cli import main

EVIL = sys.argv[1]

@main.command("log")
def log():
    import qiskit_ibm_runtime  # brings a handler of its own
    for name in ("qiskit_ibm_runtime.api", "pennylane_threaded_ibmq.ibm", "another"):
        logging.getLogger(name).warning("it said %s\\nand more", EVIL)
    try:
        raise ValueError(EVIL)
    except ValueError:
        logging.getLogger("qiskit_ibm_runtime.api").exception("it raised")

main(["log"], standalone_mode=False)
logging.getLogger("user").warning("%s", EVIL)
"""


def test_a_command_logs_nothing_that_a_terminal_obeys():
    """IBM's client writes by a handler of its own; a program of the user's logs as it likes."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOGS, EVIL],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    ours, users = done.stderr[: done.stderr.rindex("\x1b]0;mine")], done.stderr.count("\x1b]0;mine")
    assert is_harmless(ours)
    assert ours.count("0;mine") == 3 + 1
    assert ours.count("and more") == 3
    assert users == 1
