"""Progress: what is counted, who is told, what is shown and where."""

import gc
import io
import logging
import re
import sys
import textwrap
import threading
import types
from dataclasses import FrozenInstanceError
from functools import partial

import numpy as np
import pennylane as qml
import pytest
from rich.console import Console

from pennylane_threaded_ibmq import Progress
from pennylane_threaded_ibmq.exceptions import ConfigurationError
from pennylane_threaded_ibmq.execution.queue import (
    AGAIN_SECS,
    FIRST_SECS,
    TROUBLE_SECS,
    Listener,
    QueuePoller,
)
from pennylane_threaded_ibmq.execution.watcher import Watcher
from pennylane_threaded_ibmq.progress import display
from pennylane_threaded_ibmq.progress.bar import BatchBar
from pennylane_threaded_ibmq.progress.progress import LOOKING_SECS, ProgressTracker
from pennylane_threaded_ibmq.progress.words import Loop, clock
from pennylane_threaded_ibmq.service.job import SentJob
from pennylane_threaded_ibmq.service.metrics import QueueInfo, read_place
from pennylane_threaded_ibmq.service.outage import Outage
from pennylane_threaded_ibmq.service.states import State
from pennylane_threaded_ibmq.store.records import ShardState


class Screen(io.StringIO):
    """A stream that may be a terminal."""

    def __init__(self, *, terminal):
        super().__init__()
        self.terminal = terminal

    def isatty(self):
        return self.terminal


class Waited:
    """A batch that is finished after some looks."""

    def __init__(self, tracker, looks=0, step=None):
        self.tracker, self.looks, self.step = tracker, looks, step
        self.waits = []

    def wait(self, timeout):
        self.waits.append(timeout)
        if self.step:
            self.step()
        self.looks -= 1
        return self.looks < 0

    def progress(self):
        return self.tracker.progress()


@pytest.fixture
def streams(monkeypatch):
    def put(*, terminal, ci=False):
        out, err = Screen(terminal=terminal), Screen(terminal=terminal)
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        monkeypatch.setenv("TERM", "xterm")
        if ci:
            monkeypatch.setenv("CI", "true")
        else:
            monkeypatch.delenv("CI", raising=False)
        return out, err

    return put


def tapes(count):
    return [
        qml.tape.QuantumScript([qml.RY(x, 0)], [qml.expval(qml.Z(0))], shots=100)
        for x in np.linspace(0, 1, count)
    ]


# ------------------------------------------------------------------------------------------------------- counting


def test_each_shard_is_in_exactly_one_phase():
    tracker = ProgressTracker(6, 3, batch_id="b", qpu_secs=lambda: 7.0)
    tracker.report(0, ShardState.SENDING)
    tracker.report(1, ShardState.ACCEPTED, job_id="j1")
    tracker.report(2, ShardState.RUNNING, job_id="j2")
    now = tracker.progress()
    assert (now.planned, now.sending, now.queued, now.running, now.done) == (0, 1, 1, 1, 0)
    assert (now.tapes, now.shards, now.batch_id, now.qpu_secs) == (6, 3, "b", 7.0)
    assert now.job_ids == ("j1", "j2")
    assert not now.finished
    assert now.left_secs is None
    tracker.report(0, ShardState.FAILED)
    tracker.report(1, ShardState.DONE)
    tracker.report(2, ShardState.CANCELLED)
    now = tracker.progress()
    assert (now.done, now.failed, now.cancelled, now.fraction, now.finished) == (1, 1, 1, 1.0, True)
    assert now.elapsed_secs == tracker.progress().elapsed_secs


def test_a_shard_that_is_tried_again_is_counted_and_loses_its_job():
    tracker = ProgressTracker(1, 1)
    tracker.report(0, ShardState.ACCEPTED, job_id="first")
    tracker.report(0, ShardState.PLANNED)
    assert tracker.progress().retries == 1
    assert tracker.progress().job_ids == ()
    tracker.report(0, ShardState.ACCEPTED, job_id="second")
    tracker.report(0, ShardState.DONE)
    assert [(s.attempt, s.phase, s.job_id) for s in tracker.steps] == [
        (1, ShardState.PLANNED, ""),
        (1, ShardState.ACCEPTED, "first"),
        (2, ShardState.PLANNED, ""),
        (2, ShardState.ACCEPTED, "second"),
        (2, ShardState.DONE, "second"),
    ]


def test_the_rest_is_estimated_from_what_is_finished(monkeypatch):
    clock = iter([100.0, 104.0, 104.0])
    monkeypatch.setattr("time.time", lambda: next(clock))
    tracker = ProgressTracker(4, 4)
    tracker.report(0, ShardState.DONE)
    now = tracker.progress()
    assert (now.elapsed_secs, now.left_secs) == (4.0, 12.0)


def test_a_place_in_the_queue_is_kept_until_its_shard_moves_on(monkeypatch):
    monkeypatch.setattr("time.time", lambda: 100.0)
    seen = []
    tracker = ProgressTracker(2, 2, qpu_secs=lambda: 4.0, observers=[seen.append])
    tracker.report(0, ShardState.ACCEPTED, job_id="a")
    tracker.report(1, ShardState.ACCEPTED, job_id="b")
    tracker.report(0, ShardState.ACCEPTED, queue=QueueInfo(12, starts_at=160.0))
    tracker.report(0, ShardState.ACCEPTED, queue=QueueInfo(12, starts_at=160.0))
    tracker.report(0, ShardState.ACCEPTED)
    assert len(seen) == 3, "the same place is no news"
    now = tracker.progress()
    assert (now.queue_position, now.start_secs, now.left_secs) == (12, 60.0, 64.0)
    tracker.report(1, ShardState.RUNNING)
    assert tracker.progress().queue_position == 12
    tracker.report(0, ShardState.RUNNING)
    now = tracker.progress()
    assert (now.queue_position, now.start_secs, now.left_secs) == (None, None, None)
    tracker.report(0, ShardState.ACCEPTED, queue=QueueInfo(1))
    now = tracker.progress()
    assert (now.queue_position, now.running) == (None, 2), "what runs has no place, and stays where it is"


def test_somebody_looks_on_who_gave_a_function_or_asked_within_a_minute(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    assert ProgressTracker(1, 1, observers=[lambda _: None]).looked_at()
    tracker = ProgressTracker(1, 1)
    assert not tracker.looked_at()
    tracker.progress()
    assert tracker.looked_at()
    now[0] += LOOKING_SECS
    assert not tracker.looked_at()


def test_places_are_asked_for_seldom_however_many_jobs_there_are(monkeypatch):
    now, asked, answer = [100.0], [], [QueueInfo(3)]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    wants_queue_info = [True]
    jobs = [SentJob(f"j{i}", "sampler", 1, f"d-{i}", None) for i in range(50)]
    listener = Listener(wants_queue_info=lambda: wants_queue_info[0])
    waiting = [(job, 100.0, [listener]) for job in jobs]
    places = QueuePoller(lambda job: asked.append(job.job_id) or answer[0])

    def pass_time(secs):
        for _ in range(int(secs * 4)):
            now[0] += 0.25
            places.look(waiting)

    pass_time(FIRST_SECS - 0.25)
    assert asked == []
    pass_time(0.25)
    assert asked == ["j0"], "the first in line"
    pass_time(AGAIN_SECS * 3)
    assert asked == ["j0"] * 4
    wants_queue_info[0] = False
    pass_time(AGAIN_SECS * 3)
    assert len(asked) == 4, "nobody looks on"
    wants_queue_info[0], answer[0] = True, None
    pass_time(TROUBLE_SECS)
    assert len(asked) == 5, "a service in trouble is left alone"


@pytest.mark.parametrize(
    ("metrics", "place"),
    [
        ({"position_in_queue": 3, "timestamps": {"running": None}}, QueueInfo(3)),
        ({"estimated_start_time": "1970-01-01T00:01:00Z"}, QueueInfo(None, 60.0)),
        ({"estimated_start_time": "1970-01-01T00:01:00"}, QueueInfo(None, 60.0)),
        ({"timestamps": {"running": "2025-01-01T00:00:00Z", "finished": None}}, QueueInfo(running=True)),
        ({"timestamps": {"running": "x", "finished": "y"}}, QueueInfo()),
        ({"position_in_queue": "soon", "estimated_start_time": 7, "timestamps": None}, QueueInfo()),
        ({"position_in_queue": True}, QueueInfo()),
        (None, QueueInfo()),
    ],
)
def test_a_place_is_read_from_whatever_the_service_says(metrics, place):
    assert read_place(metrics) == place


def test_a_batch_without_shards_is_finished():
    now = ProgressTracker(1, 0).progress()
    assert now.finished
    assert now.fraction == 1.0


# ------------------------------------------------------------------------------------------------------- observers


def test_a_function_is_given_a_frozen_record_at_each_change():
    seen = []
    dev = qml.device("threaded.ibmq", wires=1, shard_size=1, progress=seen.append)
    dev.batch_execute(tapes(3))
    assert all(isinstance(p, Progress) for p in seen)
    assert len(seen) == 6  # each shard runs and is done
    assert seen[-1].finished
    assert seen[-1].done == 3
    assert [p.done for p in seen] == sorted(p.done for p in seen)
    assert all(sum((p.planned, p.sending, p.queued, p.running, p.done)) == 3 for p in seen)
    with pytest.raises(FrozenInstanceError):
        seen[0].done = 7


def test_a_function_that_raises_is_not_called_again_and_harms_nothing(caplog):
    calls = []

    def broken(record):
        calls.append(record)
        raise ZeroDivisionError

    dev = qml.device("threaded.ibmq", wires=1, shard_size=1, progress=broken)
    assert len(dev.batch_execute(tapes(3))) == 3
    assert len(calls) == 1
    assert "progress=" in caplog.text


def test_a_function_may_cancel_the_batch():
    tracker = ProgressTracker(2, 2)
    seen = []

    def stop(record):
        seen.append(record)
        if len(seen) == 1:
            tracker.report(1, ShardState.CANCELLED)

    tracker = ProgressTracker(2, 2, observers=[stop])
    tracker.report(0, ShardState.RUNNING)
    assert len(seen) == 2
    assert seen[-1].cancelled == 1


def test_a_handle_knows_its_progress():
    with qml.device("threaded.ibmq", wires=1, shard_size=1) as dev:
        handle = dev.submit(tapes(2))
        handle.result()
    assert handle.progress.done == 2


def test_a_live_line_is_drawn_only_when_it_says_something_new(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.time", lambda: now[0])
    screen = io.StringIO()
    tracker = ProgressTracker(2, 2)
    with BatchBar(Loop(0.0), Console(file=screen, force_terminal=True)) as line:

        def draws(at):
            now[0], before = at, len(screen.getvalue())
            line.show(tracker.progress())
            return len(screen.getvalue()) > before

        drawn = [draws(at) for at in (100.0, 100.4, 100.9, 101.0, 101.5)]
        assert drawn == [True, False, False, True, False], "the clock has two values"
        tracker.report(0, ShardState.RUNNING)
        assert draws(101.5)


@pytest.mark.parametrize(("done", "colour"), [(ShardState.DONE, 32), (ShardState.FAILED, 31), (None, 36)])
def test_a_live_line_has_the_colour_of_what_it_says(done, colour):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, color_system="standard", width=100)
    tracker = ProgressTracker(1, 1)
    tracker.report(0, done) if done else tracker.report(0, ShardState.RUNNING, fraction=0.5)
    with BatchBar(Loop(0.0), console) as line:
        line.show(tracker.progress())
    assert f"\x1b[{colour}m\u2501" in screen.getvalue()


@pytest.mark.parametrize("width", [30, 50, 80, 200])
def test_a_live_line_stays_a_line_with_words_in_it_however_narrow_the_terminal(width):
    screen = io.StringIO()
    tracker = ProgressTracker(876, 40, qpu_secs=lambda: 4.0)
    for shard in range(20):
        tracker.report(shard, ShardState.ACCEPTED, job_id=f"j{shard}")
    tracker.report(0, ShardState.ACCEPTED, queue=QueueInfo(12, starts_at=4e9))
    line = BatchBar(Loop(0.0, 1, 10, 100), Console(file=screen, width=width))
    line.show(tracker.progress())
    line.console.print(line.get_renderable())
    (shown,) = screen.getvalue().splitlines()
    assert len(shown) <= width
    assert "1 " in shown


def test_a_handle_keeps_the_device_that_nobody_else_keeps():
    handle = qml.device("threaded.ibmq", wires=1, shard_size=1).submit(tapes(6))
    gc.collect()
    assert len(handle.result()) == 6


@pytest.mark.parametrize("value", [1, "yes", None, 2.5])
def test_what_cannot_be_shown_with_is_refused(value):
    with pytest.raises(ConfigurationError, match="progress"):
        qml.device("threaded.ibmq", wires=1, progress=value)


# ------------------------------------------------------------------------------------------------------------- log


def test_one_line_a_batch_with_its_parts_as_fields(caplog):
    dev = qml.device("threaded.ibmq", wires=1, shard_size=1)
    with caplog.at_level(logging.INFO, "pennylane_threaded_ibmq"):
        dev.batch_execute(tapes(3))
    (line,) = [r for r in caplog.records if r.name == "pennylane_threaded_ibmq.progress.progress"]
    assert "3 tapes in 3 shards, 3 done" in line.getMessage()
    assert (line.batch_id, line.job_id, line.shard, line.state) == ("", "", None, "done")


def test_steps_are_logged_for_those_who_debug(caplog):
    dev = qml.device("threaded.ibmq", wires=1)
    with caplog.at_level(logging.DEBUG, "pennylane_threaded_ibmq.progress.progress"):
        dev.batch_execute(tapes(1))
    assert [(r.shard, r.state) for r in caplog.records][:2] == [(0, "running"), (0, "done")]


# --------------------------------------------------------------------------------------------------------- display


def test_nothing_is_shown_in_a_pipe_or_in_ci(streams):
    for terminal, ci in ((False, False), (True, True), (False, True)):
        out, err = streams(terminal=terminal, ci=ci)
        waited = Waited(ProgressTracker(1, 1))
        assert display.Display("auto").wait(waited, None)
        assert waited.waits == [None]
        assert out.getvalue() + err.getvalue() == ""


def test_a_short_wait_shows_nothing_in_a_terminal_either(streams):
    out, err = streams(terminal=True)
    waited = Waited(ProgressTracker(1, 1))
    assert display.Display("auto").wait(waited, None)
    assert waited.waits == [display.AUTO_SECS, 0]
    assert out.getvalue() + err.getvalue() == ""


def test_a_long_wait_shows_a_live_line_on_the_error_output(streams):
    out, err = streams(terminal=True)
    tracker = ProgressTracker(2, 2)
    waited = Waited(tracker, 3, lambda: tracker.report(0, ShardState.DONE))
    assert display.Display("auto").wait(waited, None)
    assert "1 planned, 1 done" in err.getvalue()
    assert out.getvalue() == ""


def test_true_writes_plain_lines_where_there_is_no_terminal(streams):
    out, err = streams(terminal=False)
    tracker = ProgressTracker(2, 2, qpu_secs=lambda: 5.0)

    def finish():
        for shard in (0, 1):
            tracker.report(shard, ShardState.DONE)

    assert display.Display(True).wait(Waited(tracker, 0, finish), None)
    first, last = err.getvalue().splitlines()
    assert re.fullmatch(r"threaded\.ibmq: 2 shards: 2 planned \| \d:\d\d \| QPU ~5 s", first)
    assert re.fullmatch(r"threaded\.ibmq: 2 shards: 2 done \| \d:\d\d \| QPU ~5 s", last)
    assert out.getvalue() == ""


def test_the_estimate_is_made_once_and_only_for_who_wants_to_know():
    asked = []
    tracker = ProgressTracker(1, 1, qpu_secs=lambda: asked.append(1) or 5.0)
    tracker.report(0, ShardState.DONE)
    assert not asked
    assert [tracker.progress().qpu_secs for _ in range(3)] == [5.0] * 3
    assert len(asked) == 1


def test_plain_lines_do_not_flood(streams):
    _, err = streams(terminal=False)
    lines = display.PlainLines(err, Loop(0.0))
    tracker = ProgressTracker(50, 50)
    for shard in range(50):
        tracker.report(shard, ShardState.DONE)
        lines(tracker.progress())
    assert len(err.getvalue().splitlines()) == 2


@pytest.mark.parametrize("mode", [True, "auto"])
def test_time_runs_out_while_it_is_shown(streams, mode):
    streams(terminal=True)
    assert not display.Display(mode).wait(Waited(ProgressTracker(1, 1), 1000), 0.0)


def test_false_shows_nothing(streams):
    _, err = streams(terminal=True)
    assert display.Display(False).wait(Waited(ProgressTracker(1, 1)), 3.0)
    assert err.getvalue() == ""


@pytest.mark.parametrize("mode", [True, "auto"])
def test_a_finished_batch_clears_its_line_and_a_failed_one_leaves_it(streams, monkeypatch, mode):
    monkeypatch.setattr(display, "AUTO_SECS", 0.0)
    for phase, left in ((ShardState.DONE, ""), (ShardState.FAILED, "2 failed")):
        _, err = streams(terminal=True)
        tracker = ProgressTracker(2, 2)

        def finish(tracker=tracker, phase=phase):
            for shard in (0, 1):
                tracker.report(shard, phase)

        assert display.Display(mode).wait(Waited(tracker, 1, finish), None)
        # what stands on the screen is what was written since the line was cleared the last time
        standing = err.getvalue().rsplit("\x1b[2K", 1)[1]
        assert (left in standing) if left else ("shard" not in standing)


def test_a_hundred_steps_of_training_print_three_lines_at_most(streams, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    _, err = streams(terminal=False)
    shown = display.Display(True)
    for _ in range(100):
        tracker = ProgressTracker(73, 2)

        def finish(tracker=tracker):
            now[0] += 1.5
            for shard in (0, 1):
                tracker.report(shard, ShardState.ACCEPTED, job_id=f"job-{shard}")
                tracker.report(shard, ShardState.DONE)

        assert shown.wait(Waited(tracker, 0, finish), None)
    first, last, loop = err.getvalue().splitlines()
    assert "2 planned" in first
    assert "2 done" in last
    assert loop.startswith(
        "threaded.ibmq: 80 batches, 5840 circuits, 160 jobs in 2:01, 1.5 s/batch; now 2 shards: "
    )


def test_a_loop_that_runs_over_night_says_so_now_and_then(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    stream, loop = io.StringIO(), Loop(0.0)
    lines = display.PlainLines(stream, loop)
    tracker = ProgressTracker(1, 1)
    tracker.report(0, ShardState.DONE)
    for _ in range(8 * 3600):
        now[0] += 1.0
        lines(tracker.progress())
        loop.add(tracker.progress())
    assert 8 <= len(stream.getvalue().splitlines()) <= 14


def test_a_failed_batch_of_a_loop_is_told_at_once():
    stream, loop = io.StringIO(), Loop(0.0)
    lines = display.PlainLines(stream, loop)
    tracker = ProgressTracker(1, 1)
    loop.add(tracker.progress())
    lines(tracker.progress())
    assert stream.getvalue() == ""
    tracker.report(0, ShardState.FAILED)
    lines(tracker.progress())
    assert "1 failed" in stream.getvalue()


@pytest.fixture
def notebook(monkeypatch):
    """What IPython would be told: the bars that are shown, and what they become."""
    shown, updated = [], []
    shell = type("ZMQInteractiveShell", (), {"kernel": object(), "execution_count": 1})()
    package = types.SimpleNamespace(get_ipython=lambda: shell)
    handle = types.SimpleNamespace(update=lambda bar: updated.append(bar._repr_html_()))
    module = types.SimpleNamespace(display=lambda bar, display_id: shown.append(bar._repr_html_()) or handle)
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    monkeypatch.delenv("CI", raising=False)
    return types.SimpleNamespace(shown=shown, updated=updated, shell=shell)


def test_a_notebook_gets_one_bar_that_replaces_itself(notebook):
    assert display.is_interactive()
    tracker = ProgressTracker(2, 2)
    waited = Waited(tracker, 3, lambda: tracker.report(0, ShardState.DONE))
    assert display.Display(True).wait(waited, None)
    (first,), (second,) = notebook.shown, notebook.updated
    assert "<progress max='100' value='0'" in first
    assert "2 planned" in first
    assert "<progress max='100' value='50'" in second
    assert "1 planned, 1 done" in second


@pytest.mark.parametrize(("end", "bar"), [(ShardState.DONE, False), (ShardState.FAILED, True)])
def test_a_notebook_shows_no_bar_of_what_went_well(notebook, end, bar):
    tracker = ProgressTracker(1, 1)
    assert display.Display(True).wait(Waited(tracker, 0, lambda: tracker.report(0, end)), None)
    assert ("<progress max='100' value='100'" in notebook.updated[-1]) is bar


def test_a_notebook_gets_one_bar_a_cell_however_many_batches(notebook):
    shown = display.Display(True)
    for cell in (1, 2):
        notebook.shell.execution_count = cell
        for _ in range(3):
            tracker = ProgressTracker(5, 1)
            assert shown.wait(
                Waited(tracker, 0, lambda tracker=tracker: tracker.report(0, ShardState.DONE)), None
            )
    assert len(notebook.shown) == 2
    assert "3 batches, 15 circuits in 0:" in notebook.shown[1]
    assert "5 batches, 25 circuits in 0:" in notebook.updated[-1]


def test_a_kernel_shows_a_bar_a_cell_as_a_page_and_as_text():
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    start = """
        import threading
        from pennylane_threaded_ibmq.progress.display import Display
        from pennylane_threaded_ibmq.progress.progress import ProgressTracker
        from pennylane_threaded_ibmq.store.records import ShardState

        class Batch:
            def __init__(self):
                self.tracker = ProgressTracker(4, 2)
                self.progress = self.tracker.progress

            def wait(self, timeout):
                for shard in (0, 1):
                    self.tracker.report(shard, ShardState.DONE)
                return True

        shown = Display(True)
    """
    cells = [
        textwrap.dedent(start),
        "shown.wait(Batch(), None)",
        "[shown.wait(Batch(), None) for _ in range(5)]",
    ]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(book, timeout=120).execute()
    bars = [[o.data for o in cell.outputs if o.output_type == "display_data"] for cell in book.cells]
    assert [len(bar) for bar in bars] == [0, 1, 1]
    (first,), (loop,) = bars[1:]
    assert "<span>2 shards: 2 done" in first["text/html"]
    assert "2 shards: 2 done" in first["text/plain"]
    assert "5 batches, 20 circuits in 0:" in loop["text/html"]


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0:00"), (61.9, "1:01"), (3723, "1:02:03")])
def test_times_are_read_at_a_glance(seconds, shown):
    assert clock(seconds) == shown


def test_an_observer_that_exits_does_not_end_the_watching(caplog):
    def leave(_):
        raise SystemExit

    tracker = ProgressTracker(1, 1, observers=(leave,))
    tracker.report(0, ShardState.RUNNING)
    tracker.report(0, ShardState.DONE)
    assert tracker.progress().finished
    assert caplog.text.count("is not called again") == 1


def test_both_who_follow_one_job_are_told_once_that_it_runs():
    class Jobs:
        outage = Outage("nobody")

        def __init__(self):
            self.looks = 0
            self.end = threading.Event()

        def pending(self, tag, most):
            return {}

        def state(self, job):
            self.looks += 1
            return State.DONE if self.end.is_set() and self.looks > 2 else State.RUNNING

        def place(self, job):
            raise AssertionError("nobody wants to know")

    jobs, seen = Jobs(), []
    both = threading.Event()

    def see(name, info):
        seen.append((name, info))
        if len(seen) == 2:
            both.set()

    watcher = Watcher(jobs)
    job = SentJob("job", "sampler", 1, "device-shard", None)
    first = watcher.follow(job, Listener(partial(see, "first")))
    second = watcher.follow(job, Listener(partial(see, "second")))
    assert both.wait(120)
    jobs.end.set()
    assert first.result(120) is second.result(120) is State.DONE
    assert seen == [("first", QueueInfo(running=True)), ("second", QueueInfo(running=True))]
    watcher.close()
