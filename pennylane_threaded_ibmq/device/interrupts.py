"""SIGTERM while waiting: the same as Ctrl-C, so that queued jobs are not paid for by a program that is gone."""

from __future__ import annotations

import atexit
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ..progress.display import Waitable
from ..progress.progress import Progress

LOOK_SECS = 0.2
"""Seconds between two looks of a waiting thread whether the program is to end: no signal reaches any but the main thread."""

DEAF = os.name == "nt"
"""Whether Ctrl-C does not reach the main thread either while it waits without end."""

LEAVE_SECS = 60.0
"""Seconds for which a program that is to end waits for threads that cancel jobs."""


class Termination:
    """Handles SIGTERM: ends the waits of all threads and then the program; where nobody waits, at once, as without it."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._waiting: set[object] = set()
        self._ended = False

    def __call__(self, number: int, _: FrameType | None) -> None:
        """Be told of the signal, in the main thread.

        Raises:
            SystemExit: Somebody waits.
        """
        if not self._waits():
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self._ended = True
        raise SystemExit(128 + number)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """This thread waits while the block runs, what it does when it is to end included."""
        if self._pid != os.getpid():  # threads of the parent do not wait here
            self._pid, self._waiting, self._ended = os.getpid(), set(), False
        wait = object()
        self._waiting.add(wait)
        try:
            yield
        finally:
            self._waiting.discard(wait)

    def check(self) -> None:
        """Look whether this thread is to end.

        Raises:
            SystemExit: It is.
        """
        if self._ended and threading.current_thread() is not threading.main_thread():
            raise SystemExit(128 + signal.SIGTERM)

    def join(self) -> None:
        """Wait for threads that were told to end: those that are daemons would be cut off while they cancel."""
        until = time.monotonic() + LEAVE_SECS
        while self._ended and self._waits() and time.monotonic() < until:
            time.sleep(0.05)

    def _waits(self) -> bool:
        return self._pid == os.getpid() and bool(self._waiting)


class _Looking:
    """A batch that is waited for by a thread that looks up now and then."""

    def __init__(self, batch: Waitable, termination: Termination | None) -> None:
        self._batch = batch
        self._termination = termination

    def wait(self, timeout: float | None) -> bool:
        """Wait until it is finished; ``False`` if time ran out."""
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            left = LOOK_SECS if until is None else min(LOOK_SECS, max(0.0, until - time.monotonic()))
            if self._batch.wait(left):
                return True
            if self._termination is not None:
                self._termination.check()
            if until is not None and time.monotonic() >= until:
                return False

    def progress(self) -> Progress:
        """The progress so far."""
        return self._batch.progress()


def handle_termination() -> Termination | None:
    """Handle SIGTERM from here on, where nobody does: threads other than the main one cannot ask for that themselves.

    Returns:
        The new handler; ``None`` if there is one, or this is not the main thread.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return None
    termination = Termination()
    signal.signal(signal.SIGTERM, termination)
    atexit.register(termination.join)
    return termination


@contextmanager
def termination_interrupts(batch: Waitable) -> Iterator[Waitable]:
    """Turn SIGTERM into ``SystemExit`` for as long as the block runs, where nobody else handles it.

    Yields:
        The batch, for a thread that must look up now and then.
    """
    main = threading.current_thread() is threading.main_thread()
    handling = handle_termination()
    termination = signal.getsignal(signal.SIGTERM)
    if not isinstance(termination, Termination):
        yield _Looking(batch, None) if DEAF else batch
        return
    try:
        with termination.waiting():
            yield batch if main and not DEAF else _Looking(batch, termination)
    finally:
        if handling is not None:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            atexit.unregister(handling.join)
