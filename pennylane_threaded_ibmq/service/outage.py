"""Waiting for a service that does not answer: for as long as it takes, with one word to the user when it begins.

An outage is a connection that is refused, reset or silent, an answer of the kind 5xx or 429, or a login that cannot be renewed.
Only an answer, or the user, ends the waiting for it. An answer that makes no sense is waited out for an hour: the page of a
proxy goes away, another form of the service does not.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from .._printable import printable
from ..exceptions import DeviceClosedError
from .clock import CLOCK, Clock
from .errors import PuzzlingAnswerError, is_outage
from .retry import RetryPolicy

logger = logging.getLogger(__name__)

T = TypeVar("T")

QUIET_SECS = 10.0
"""Trouble that is over sooner is not worth a word."""

LONGEST_PAUSE_SECS = 30.0
"""Longest pause between two questions to a service that does not answer."""

_QUESTIONS = RetryPolicy(0.5, LONGEST_PAUSE_SECS, spread=True)

PUZZLING_SECS = 3600.0
"""Longest wait while answers make no sense, or name a state of a job that is not known."""

LOOK_SECS = 0.2
"""Seconds after which whoever pauses looks whether the waiting is over for another reason."""


def wait_on() -> None:
    """Wait on."""


class Puzzle:
    """Watches for how long there have been only answers that make no sense."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: float | None = None

    def lasts_too_long(self, error: BaseException) -> bool:
        """Take in what a question failed with; whether its answers have made no sense for too long."""
        if is_outage(error):
            self._since = None
            return False
        now = self._clock.now()
        if self._since is None:
            self._since = now
        return now - self._since >= PUZZLING_SECS

    def solved(self) -> None:
        """Take in that an answer made sense."""
        self._since = None


class Outage:
    """Whether a service answers, and what the user is told of it.

    Args:
        service: Name of what is asked, for the user.
        timeout_secs: For how long the user wants to wait, for the words; ``None`` for ever.
        clock: Time.
    """

    def __init__(self, service: str, timeout_secs: float | None = None, clock: Clock = CLOCK) -> None:
        self.service = service
        self.clock = clock
        self._timeout_secs = timeout_secs
        self._lock = threading.Lock()
        self._since: dict[object, float] = {}
        self._user_knows = False
        self._closed = threading.Event()

    def failed(self, asker: object, error: BaseException) -> None:
        """A question failed; the user hears of it once that has lasted for :data:`QUIET_SECS`.

        Args:
            asker: Who asks, again and again: an outage lasts from its first failure to its next answer.
            error: What the question failed with.
        """
        with self._lock:
            now = self.clock.now()
            secs = now - self._since.setdefault(asker, now)
            lasts = secs >= QUIET_SECS
            first, self._user_knows = lasts and not self._user_knows, lasts or self._user_knows
        if first:
            began = time.strftime("%H:%M:%S", time.localtime(time.time() - self.clock.pause(secs)))
            logger.warning(
                "%s has not answered since %s (%s). %s Jobs that were sent run on meanwhile, and nothing is sent twice. "
                "Ctrl-C stops the waiting.",
                self.service,
                began,
                _first_line(error),
                self._patience(),
            )
        else:
            logger.info("%s does not answer: %s", self.service, _first_line(error))

    def answered(self, asker: object) -> None:
        """A question was answered: if it had failed before, the outage is over."""
        with self._lock:
            began = self._since.get(asker)
            if began is None:
                return
            self._since.clear()
            announced, self._user_knows = self._user_knows, False
        if announced:
            logger.warning("%s answers again, after %.0f s.", self.service, self.clock.now() - began)

    def forget(self, asker: object) -> None:
        """Somebody asks no more, answered or not."""
        with self._lock:
            self._since.pop(asker, None)

    def ask(
        self,
        question: Callable[[], T],
        check: Callable[[], None] = wait_on,
        secs: float | None = None,
    ) -> T:
        """Ask until there is an answer.

        Args:
            question: Asks once, within a bounded time.
            check: Called several times a second while nothing is asked; what it raises ends the waiting.
            secs: For how long to ask at most; ``None`` for as long as it takes.

        Raises:
            ServiceError: The answer is an error that will stay, or time ran out.
            DeviceClosedError: The device was closed meanwhile.
        """
        asker = object()
        began = self.clock.now()
        puzzle = Puzzle(self.clock)

        def over(error: BaseException) -> bool:
            late = secs is not None and self.clock.now() - began >= secs
            return late or puzzle.lasts_too_long(error)

        try:
            answer = _QUESTIONS.run(
                question,
                passes=lambda error: is_outage(error) or isinstance(error, PuzzlingAnswerError),
                pause=lambda pause: self.pause(pause if secs is None else min(pause, secs), check),
                failed=lambda error: self.failed(asker, error),
                over=over,
            )
            self.answered(asker)
        finally:
            self.forget(asker)
        return answer

    def pause(self, secs: float, check: Callable[[], None] = wait_on) -> None:
        """Do nothing for so many seconds; ``check`` is called several times in each, and what it raises ends the pause.

        Raises:
            DeviceClosedError: The device was closed meanwhile.
        """
        until = time.monotonic() + self.clock.pause(secs)
        while True:
            check()
            left = until - time.monotonic()
            if self._closed.wait(max(0.0, min(left, LOOK_SECS))):
                raise DeviceClosedError("The device was closed while it waited for the service.")
            if left <= 0:
                return

    def close(self) -> None:
        """End all waiting."""
        self._closed.set()

    def _patience(self) -> str:
        if self._timeout_secs is None:
            return "It is waited for, without a limit, as timeout_secs is not set."
        return f"It is waited for until timeout_secs={self._timeout_secs:g} are over."


def _first_line(error: BaseException) -> str:
    """The first line of an error, without the pages that some hold."""
    return printable((str(error).strip().splitlines() or [type(error).__name__])[0][:300])
