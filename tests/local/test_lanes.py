"""Lanes by themselves: whose thread carries a task, and what is noted while a submission lasts."""

from __future__ import annotations

import threading

import pytest

from pennylane_threaded_ibmq.execution import heartbeat
from pennylane_threaded_ibmq.execution.lanes import Lanes

LONG = 60.0


@pytest.fixture
def lanes():
    """One lane; what it owns is the thread that has made it."""
    made = Lanes(1, threading.current_thread)
    yield made
    made.close()


def test_a_task_is_carried_in_the_thread_that_owns_what_it_goes_through(lanes):
    owner, carrier = lanes.submit(lambda inner: (inner, threading.current_thread())).result(LONG)
    assert owner is carrier
    assert carrier is not threading.current_thread()
    # and so is the next one
    assert lanes.submit(lambda inner: inner).result(LONG) is owner


def test_an_error_of_a_task_is_its_futures_and_the_lane_goes_on(lanes):
    def fail(_):
        raise ValueError("said the task")

    with pytest.raises(ValueError, match="said the task"):
        lanes.submit(fail).result(LONG)
    assert lanes.submit(lambda _: "here").result(LONG) == "here"


def test_a_lane_that_cannot_be_opened_fails_its_tasks_one_by_one():
    opened = []

    def open_inner():
        opened.append(threading.current_thread())
        raise OSError("no device")

    lanes = Lanes(1, open_inner)
    for _ in range(2):
        with pytest.raises(OSError, match="no device"):
            lanes.submit(lambda _: "never").result(LONG)
    assert len(set(opened)) == 1
    assert len(opened) == 2
    lanes.close()


class Refused(threading.Thread):
    """A thread that the system does not start any more."""

    def start(self):
        raise RuntimeError("can't start new thread")


def test_the_lanes_that_there_are_carry_all_where_no_other_can_be_started(monkeypatch):
    lanes, go = Lanes(2, lambda: None), threading.Event()
    first = lanes.submit(lambda _: go.wait(LONG))
    with monkeypatch.context() as patch:
        patch.setattr(threading, "Thread", Refused)
        second = lanes.submit(lambda _: threading.current_thread())
    # there are threads again
    assert lanes.submit(lambda _: "here").result(LONG)
    go.set()
    assert first.result(LONG)
    assert second.result(LONG)
    lanes.close()


def test_a_task_that_no_lane_can_carry_is_refused_and_the_next_is_carried(lanes, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(threading, "Thread", Refused)
        with pytest.raises(RuntimeError, match="new thread"):
            lanes.submit(lambda _: "never")
    assert lanes.submit(lambda _: "here").result(LONG) == "here"


def test_what_lasts_is_noted_after_no_thread_could_be_started_for_it(beating, monkeypatch):
    noted = threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr(threading, "Thread", Refused)
        with pytest.raises(RuntimeError, match="new thread"), beating.during(noted.set):
            raise AssertionError
    with beating.during(noted.set):
        assert noted.wait(LONG)


@pytest.fixture
def beating(monkeypatch):
    """Notes come fast."""
    monkeypatch.setattr(heartbeat, "BEAT_SECS", 0.01)
    return heartbeat.Heartbeat()


def test_what_lasts_is_noted_again_and_again(beating):
    noted = threading.Semaphore(0)
    threads = []

    def note():
        threads.append(threading.current_thread())
        noted.release()
        if len(threads) == 1:
            raise OSError("a full disk ends nothing")

    with beating.during(note):
        assert all(noted.acquire(timeout=LONG) for _ in range(3))
    assert threading.current_thread() not in threads
    threads[-1].join(LONG)
    assert not threads[-1].is_alive()


def test_one_thread_notes_all_that_lasts(beating):
    threads = {"one": [], "other": []}
    noted = {name: threading.Semaphore(0) for name in threads}

    def note(name):
        threads[name].append(threading.current_thread())
        noted[name].release()

    with beating.during(lambda: note("one")):
        with beating.during(lambda: note("other")):
            assert all(noted[name].acquire(timeout=LONG) for name in threads)
        # what is over is not waited for, and what lasts is noted on
        before = len(threads["one"])
        while len(threads["one"]) < before + 2:
            assert noted["one"].acquire(timeout=LONG)
    assert len({*threads["one"], *threads["other"]}) == 1
