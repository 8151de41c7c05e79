"""Lanes by themselves: whose thread makes a call, what is noted while it lasts, and who goes on if no answer comes."""

from __future__ import annotations

import threading

import pytest

from pennylane_threaded_ibmq.execution import call_monitor
from pennylane_threaded_ibmq.execution.lanes import Lanes
from pennylane_threaded_ibmq.service.calls import Call
from pennylane_threaded_ibmq.service.errors import NoAnswerError

LONG = 60.0


@pytest.fixture
def lanes():
    """One lane; what it owns is the thread that has made it."""
    made = Lanes(1, threading.current_thread)
    yield made
    made.close()


def ask(call):
    """Steps that make one call, and hand on its answer with the thread that goes on."""
    try:
        answer = yield call
    except NoAnswerError as error:
        answer = error
    return answer, threading.current_thread()


def test_a_call_is_made_in_the_thread_that_owns_what_it_goes_through(lanes):
    call = Call(lambda owner: (owner, threading.current_thread()), "a question", LONG, LONG)
    (owner, caller), after = lanes.submit(lambda: ask(call)).result(LONG)
    assert owner is caller is after
    assert caller is not threading.current_thread()
    # and so is the next one
    (again, _), _ = lanes.submit(lambda: ask(call)).result(LONG)
    assert again is owner


def test_an_error_of_a_call_is_thrown_into_its_steps(lanes):
    def fail(_):
        raise NoAnswerError("said the service")

    answer, _ = lanes.submit(lambda: ask(Call(fail, "a question", LONG, LONG))).result(LONG)
    assert str(answer) == "said the service"


def test_a_call_that_lasts_is_noted_again_and_again(lanes, monkeypatch):
    monkeypatch.setattr(call_monitor, "BEAT_SECS", 0.01)
    thrice = threading.Semaphore(0)
    beats = []

    def beat():
        beats.append(threading.current_thread())
        thrice.release()
        if len(beats) == 1:
            raise OSError("a full disk ends nothing")

    def wait(_):
        return all(thrice.acquire(timeout=LONG) for _ in range(3))

    answer, after = lanes.submit(lambda: ask(Call(wait, "a question", LONG, LONG, beat))).result(LONG)
    assert answer
    assert after not in beats


def test_where_no_answer_comes_another_thread_goes_on(lanes):
    free, callers = threading.Event(), []

    def stay(owner):
        callers.append(owner)
        free.wait(LONG)
        return "too late"

    answer, after = lanes.submit(lambda: ask(Call(stay, "a question", 9.0, 0.05))).result(LONG)
    assert str(answer) == "The service gave no answer to a question within 9 s."
    (stuck,) = callers
    assert after is not stuck
    assert after.name == stuck.name
    assert stuck.abandoned
    assert not after.abandoned
    # one lane it is still, and it owns another thing
    call = Call(lambda owner: owner, "a question", LONG, LONG)
    assert lanes.submit(lambda: ask(call)).result(LONG) == (after, after)
    free.set()
    stuck.join(LONG)
    assert not stuck.is_alive()


def test_work_that_comes_meanwhile_waits_for_the_lane_and_not_for_the_answer(lanes):
    free = threading.Event()
    first = lanes.submit(lambda: ask(Call(lambda _: free.wait(LONG), "a question", 9.0, 0.05)))
    second = lanes.submit(lambda: ask(Call(lambda _: "here", "a question", LONG, LONG)))
    assert second.result(LONG)[0] == "here"
    assert isinstance(first.result(LONG)[0], NoAnswerError)
    free.set()
