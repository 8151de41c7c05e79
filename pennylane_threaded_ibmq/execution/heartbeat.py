"""What is noted again and again while something lasts, so that its last word is never old."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)

BEAT_SECS = 5.0
"""Between two notes."""


class Heartbeat:
    """One thread that notes what lasts; there is none while nothing does."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._notes: dict[object, Callable[[], None]] = {}
        self._thread: threading.Thread | None = None

    @contextmanager
    def during(self, note: Callable[[], None]) -> Iterator[None]:
        """Note that the block still runs, as long as it does.

        Args:
            note: Called now and then; what it raises ends nothing.
        """
        key = object()
        with self._changed:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="threaded-ibmq-heartbeat", daemon=True)
                thread.start()
                self._thread = thread
            self._notes[key] = note
        try:
            yield
        finally:
            with self._changed:
                del self._notes[key]
                if not self._notes:
                    self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: not self._notes, timeout=BEAT_SECS)
                if not self._notes:
                    self._thread = None
                    return
                notes = list(self._notes.values())
            for note in notes:
                _beat(note)


def _beat(note: Callable[[], None]) -> None:
    try:
        note()
    except Exception:
        logger.exception("what lasts goes on, though that could not be noted")
