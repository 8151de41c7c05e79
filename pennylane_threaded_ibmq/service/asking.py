"""Ask a service once, for so long and no longer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from contextvars import ContextVar
from math import inf
from typing import TypeVar

from .clock import CLOCK, Clock
from .errors import is_outage, no_answer

T = TypeVar("T")

ANSWER_SECS = 90.0
"""Longest wait for one answer. The client itself waits for ever; its own retries of a server error take 15 s."""

_until: ContextVar[float] = ContextVar("until", default=inf)
"""Moment at which whoever asks in this thread waits no more."""


def secs_left() -> float:
    """Seconds for which whoever asks in this thread still waits for an answer; ``inf`` without a limit."""
    return max(0.0, _until.get() - time.monotonic())


@contextmanager
def _limit(secs: float) -> Iterator[None]:
    token = _until.set(min(_until.get(), time.monotonic() + secs))
    try:
        yield
    finally:
        _until.reset(token)


def ask_within(seconds: float, ask: Callable[[], T], what: str, clock: Clock = CLOCK) -> T:
    """Ask a service, and wait for its answer.

    Args:
        seconds: Longest wait, as the user is told.
        ask: Sends requests through sessions that :func:`.sessions.bound_waits` has bounded, and returns the answer.
        what: What is asked, for the error.
        clock: Time.

    Raises:
        NoAnswerError: There was no answer in time.
    """
    with _limit(clock.limit(seconds)):
        try:
            return ask()
        except Exception as error:
            if not secs_left() and is_outage(error):
                raise no_answer(what, seconds) from error
            raise


def ask_aside(seconds: float, ask: Callable[[], T], what: str, clock: Clock = CLOCK) -> T:
    """Ask a service in a thread of its own, and leave that behind where there is no answer in time.

    For what no session can bound: logins and looks around an account, since the client makes its sessions on the way.

    Args:
        seconds: Longest wait, as the user is told.
        ask: Sends requests, and returns the answer.
        what: What is asked, for the error.
        clock: Time.

    Raises:
        NoAnswerError: There was no answer in time.
    """
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:  # noqa: BLE001 - raised again by the waiter
            answer.set_exception(error)

    threading.Thread(target=run, name="threaded-ibmq-request", daemon=True).start()
    wait([answer], min(clock.limit(seconds), secs_left()))
    if not answer.done():
        raise no_answer(what, seconds)
    return answer.result()
