"""Pictures of a batch: spans and lanes, the journal's steps, figures and files."""

import sqlite3
import sys

import numpy as np
import pennylane as qml
import pytest

from pennylane_threaded_ibmq.exceptions import ConfigurationError, JournalError
from pennylane_threaded_ibmq.progress.pictures import draw_timeline, save_timeline
from pennylane_threaded_ibmq.progress.timeline import make_timeline, timeline_of
from pennylane_threaded_ibmq.store.journal import Journal
from pennylane_threaded_ibmq.store.records import NewShard, ShardState, Step

P, S, Q, R = ShardState.PLANNED, ShardState.SENDING, ShardState.ACCEPTED, ShardState.RUNNING
DONE, FAILED, CANCELLED = ShardState.DONE, ShardState.FAILED, ShardState.CANCELLED


def way(shard, *steps):
    return [Step(at, shard, attempt, phase, job) for at, attempt, phase, job in steps]


def line(*ways, shards=None, now=None):
    steps = sorted((s for w in ways for s in w), key=lambda s: s.at)
    return make_timeline(steps, "a batch", shards=len(ways) if shards is None else shards, now=now)


def simple(shard, start, end):
    return way(
        shard, (0, 1, P, ""), (start, 1, S, ""), (start + 1, 1, Q, f"j{shard}"), (end, 1, DONE, f"j{shard}")
    )


# ------------------------------------------------------------------------------------------------------------- spans


def test_the_earlier_names_of_states_are_still_there():
    from pennylane_threaded_ibmq.store import steps

    assert steps.Phase.QUEUED is ShardState.ACCEPTED
    assert steps.Step is Step
    assert [state.shown for state in ShardState] == [
        "planned",
        "sending",
        "queued",
        "running",
        "done",
        "failed",
        "cancelled",
    ]


def test_a_shard_is_sent_queued_and_runs():
    what = line(
        way(0, (100, 1, P, ""), (101, 1, S, ""), (102, 1, Q, "j"), (110, 1, R, "j"), (115, 1, DONE, "j"))
    )
    assert [(s.phase, s.start, s.end, s.outcome) for s in what.spans] == [
        (S, 1, 2, None),
        (Q, 2, 10, None),
        (R, 10, 15, DONE),
    ]
    assert (what.lanes, what.secs, what.finished, what.retries) == (1, 15, True, 0)


def test_a_lane_is_used_again_when_it_is_free():
    what = line(simple(0, 1, 10), simple(1, 1, 5), simple(2, 5, 9), simple(3, 10, 12))
    assert {s.shard: s.lane for s in what.spans} == {0: 0, 1: 1, 2: 1, 3: 0}


@pytest.mark.parametrize("journal", [True, False])
def test_a_retry_stays_on_its_lane_and_shows_its_failure(journal):
    failure = [(10, 1, FAILED, "a")] if journal else []
    what = line(
        way(
            0,
            (0, 1, P, ""),
            (1, 1, S, ""),
            (2, 1, Q, "a"),
            *failure,
            (10, 2, P, ""),
            (14, 2, S, ""),
            (15, 2, Q, "b"),
            (20, 2, DONE, "b"),
        )
    )
    drawn = [(s.phase, s.attempt, s.start, s.end, s.outcome) for s in what.spans if s.end > s.start]
    assert drawn == [
        (S, 1, 1, 2, None),
        (Q, 1, 2, 10, FAILED),
        (P, 2, 10, 14, None),
        (S, 2, 14, 15, None),
        (Q, 2, 15, 20, DONE),
    ]
    assert what.retries == 1
    assert what.lanes == 1
    assert sum(s.outcome is FAILED for s in what.spans) == 1


@pytest.mark.parametrize("end", [DONE, FAILED, CANCELLED])
def test_nothing_waits_until_a_batch_is_collected_again(end):
    first = (0, 1, P, ""), (1, 1, S, ""), (2, 1, Q, "j"), (10, 1, end, "j")
    what = line(way(0, *first, (90, 1, Q, "j"), (91, 1, end, "j")))
    drawn = [(s.phase, s.attempt, s.start, s.end, s.outcome) for s in what.spans]
    assert drawn == [(S, 1, 1, 2, None), (Q, 1, 2, 10, end), (Q, 1, 90, 91, end)]
    assert (what.lanes, what.secs, what.retries) == (1, 91, 0)
    assert what.finished


def test_nothing_waits_where_a_finished_shard_is_sent_again_later():
    what = line(
        way(
            0,
            (0, 1, P, ""),
            (1, 1, S, ""),
            (2, 1, Q, "a"),
            (10, 1, DONE, "a"),
            (90, 2, S, ""),
            (91, 2, Q, "b"),
            (95, 2, DONE, "b"),
        )
    )
    assert [(s.phase, s.start, s.end) for s in what.spans] == [
        (S, 1, 2),
        (Q, 2, 10),
        (S, 90, 91),
        (Q, 91, 95),
    ]
    assert what.retries == 1


def test_what_is_not_finished_reaches_to_now():
    what = line(way(0, (0, 1, P, ""), (1, 1, S, ""), (2, 1, Q, "j")), way(1, (0, 1, P, "")), now=30)
    assert not what.finished
    assert what.spans[-1].end == 30
    assert what.secs == 30
    assert {s.shard for s in what.spans} == {0}


def test_a_journal_of_the_first_format_still_gives_a_picture():
    what = line(way(0, (0, 1, P, ""), (9, 1, DONE, "j")))
    assert [(s.phase, s.start, s.end, s.outcome) for s in what.spans] == [(Q, 0, 9, DONE)]


def test_a_shard_that_was_never_sent_is_on_no_lane():
    what = line(way(0, (0, 1, P, ""), (3, 1, CANCELLED, "")))
    assert what.spans == ()
    assert what.lanes == 0


# ----------------------------------------------------------------------------------------------------------- journal


def begun(journal, shards=2):
    new = [NewShard(f"c{i}", i, (i,), f"t{i}") for i in range(shards)]
    batch = journal.begin("ibm_torino", "crn", [qml.tape.QuantumScript([], [qml.probs(wires=0)])], new)
    return batch[0]


def test_the_journal_keeps_each_step_with_its_time(tmp_path):
    journal = Journal(tmp_path / "j.sqlite")
    batch = begun(journal)
    journal.move(batch, 0, ShardState.SENDING)
    journal.move(batch, 0, ShardState.ACCEPTED, job_id="a")
    journal.move(batch, 0, ShardState.FAILED, error="passes")
    journal.again(batch, 0, "t0", "t9")
    journal.move(batch, 0, ShardState.SENDING)
    journal.move(batch, 0, ShardState.ACCEPTED, job_id="b")
    journal.running(batch, 0)
    journal.move(batch, 0, ShardState.DONE)
    journal.running(batch, 0)  # too late: it is finished
    journal.deliver(batch, [0])
    record = journal.batch(batch)
    mine = [s for s in record.steps if s.shard == 0]
    assert [(s.attempt, s.phase, s.job_id) for s in mine] == [
        (1, P, ""),
        (1, S, ""),
        (1, Q, "a"),
        (1, FAILED, "a"),
        (2, P, ""),
        (2, S, ""),
        (2, Q, "b"),
        (2, R, "b"),
        (2, DONE, "b"),
    ]
    assert [s.at for s in mine] == sorted(s.at for s in mine)
    assert timeline_of(record).retries == 1
    journal.close()


def test_a_journal_of_the_first_format_is_brought_up_to_date(tmp_path):
    journal = Journal(tmp_path / "j.sqlite")
    batch = begun(journal)
    journal.move(batch, 0, ShardState.DONE, job_id="a")
    journal.close()
    with sqlite3.connect(tmp_path / "j.sqlite") as db:
        for statement in ("TRIGGER shard_planned", "TRIGGER shard_moved", "TABLE steps"):
            db.execute(f"DROP {statement}")
        db.execute("DROP INDEX shards_by_tag")
        for table, column in (
            ("batches", "options"),
            ("batches", "tape_format"),
            ("batches", "tags"),
            ("shards", "queue_position"),
            ("shards", "starts_at"),
            ("shards", "sender"),
            ("shards", "adopter"),
        ):
            db.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        db.execute("PRAGMA user_version=1")
    db.close()
    journal = Journal(tmp_path / "j.sqlite")
    record = journal.batch(batch)
    assert [(s.shard, s.phase) for s in record.steps if s.shard == 0] == [(0, P), (0, DONE)]
    assert len(timeline_of(record).spans) == 1
    journal.move(batch, 1, ShardState.SENDING)
    assert journal.batch(batch).steps[-1].phase is S
    journal.close()


def test_a_shard_that_is_taken_over_begins_in_the_state_that_it_is_in(tmp_path):
    dead = Journal(tmp_path / "j.sqlite")
    batch = begun(dead, 4)
    dead.move(batch, 0, ShardState.SENDING)
    dead.move(batch, 1, ShardState.ACCEPTED, job_id="b")
    dead.move(batch, 2, ShardState.DONE, job_id="c")
    dead.close()
    journal = Journal(tmp_path / "j.sqlite")
    batch = begun(journal, 4)
    assert [(s.shard, s.attempt, s.phase, s.job_id) for s in journal.batch(batch).steps] == [
        (0, 1, S, ""),
        (1, 1, Q, "b"),
        (2, 1, DONE, "c"),
        (3, 1, P, ""),
    ]
    journal.move(batch, 2, ShardState.ACCEPTED, job_id="c")
    journal.move(batch, 2, ShardState.DONE)
    journal.again(batch, 0, "t0", "t9")  # its job does not exist
    what = timeline_of(journal.batch(batch))
    assert [(s.shard, s.phase, s.outcome) for s in what.spans if s.shard != 1] == [
        (0, S, FAILED),
        (2, Q, DONE),
        (0, P, None),
    ]
    journal.close()


def test_steps_go_with_their_batch(tmp_path):
    journal = Journal(tmp_path / "j.sqlite")
    begun(journal)
    journal.close()
    journal = Journal(tmp_path / "j.sqlite")
    assert journal.prune(1e12) == 1
    journal.close()
    with sqlite3.connect(tmp_path / "j.sqlite") as db:
        assert db.execute("SELECT count(*) FROM steps").fetchone()[0] == 0


# ---------------------------------------------------------------------------------------------------------- pictures


@pytest.mark.parametrize("dark", [False, True])
def test_a_figure_has_a_bar_a_span(dark):
    pytest.importorskip("matplotlib")
    what = line(simple(0, 1, 40), simple(1, 1, 30))
    (axes,) = draw_timeline(what, dark=dark).axes
    assert len(axes.patches) == len(what.spans)
    assert {t.get_text() for t in axes.texts} == {"0", "1"}
    names = {t.get_text() for t in axes.get_legend().get_texts()}
    assert names == {"sending", "queued, or not known to run"}


def test_a_crowd_of_lanes_is_not_labelled_and_not_endless():
    pytest.importorskip("matplotlib")
    figure = draw_timeline(line(*(simple(i, 1, 30) for i in range(90))))
    assert not figure.axes[0].texts
    assert figure.get_size_inches()[1] <= 16


def test_nothing_sent_says_so():
    pytest.importorskip("matplotlib")
    (axes,) = draw_timeline(line(way(0, (0, 1, P, "")), now=1)).axes
    assert "nothing was sent" in axes.texts[0].get_text()


@pytest.mark.parametrize(
    ("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("html", b"<!doctype")]
)
def test_files_are_what_their_ending_says(tmp_path, suffix, start):
    pytest.importorskip("matplotlib")
    path = save_timeline(line(simple(0, 1, 10)), tmp_path / f"t.{suffix}")
    assert path.read_bytes().startswith(start)


def test_a_page_is_safe_and_has_both_pictures(tmp_path):
    pytest.importorskip("matplotlib")
    steps = way(0, (0, 1, P, ""), (1, 1, S, ""), (2, 1, Q, "<b>j</b>"), (3, 1, FAILED, "<b>j</b>"))
    what = make_timeline(steps, "<script>", shards=1)
    text = save_timeline(what, tmp_path / "t.html").read_text()
    assert "<script>" not in text
    assert "<b>" not in text
    assert text.count("data:image/svg+xml") == 2
    assert "prefers-color-scheme: dark" in text


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match=r"\.png, \.svg, \.pdf, \.html"):
        save_timeline(line(simple(0, 1, 10)), tmp_path / "t.gif")


def test_without_matplotlib_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.delitem(sys.modules, "pennylane_threaded_ibmq.progress.figure", raising=False)
    with pytest.raises(ConfigurationError, match=r"\[pictures\]"):
        draw_timeline(line(simple(0, 1, 10)))


# ------------------------------------------------------------------------------------------------- handle and device


def test_a_handle_draws_its_batch_and_shows_itself():
    pytest.importorskip("matplotlib")
    dev = qml.device("threaded.ibmq", wires=1, shard_size=1)
    tapes = [
        qml.tape.QuantumScript([qml.RY(x, 0)], [qml.expval(qml.Z(0))], shots=10) for x in np.arange(25.0)
    ]
    handle = dev.submit(tapes)
    handle.result()
    (axes,) = handle.timeline().axes
    assert len(axes.patches) == 25
    shown = handle._repr_html_()
    assert "25 shards: 25 done" in shown
    assert "and 5 more" in shown
    assert dev.submit([])._repr_html_().count("<table>") == 0


def test_a_device_draws_only_what_is_in_the_journal(tmp_path):
    dev = qml.device("threaded.ibmq", wires=1, journal=tmp_path / "j.sqlite")
    with pytest.raises(JournalError, match="nothing-here"):
        dev.timeline("nothing-here")
    with pytest.raises(ConfigurationError, match=r"^limit='all': a whole number"):
        dev.batches(limit="all")
