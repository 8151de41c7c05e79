"""The lock that a call of a qelectron holds, and lets go while it waits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .runners import recording_lock


class Guard:
    """Holds PennyLane's recording lock around a call, and lets it go while the call waits for results.

    What PennyLane does around the recording of a circuit is not safe in several threads: operators made there land in
    the circuit that another thread records.
    """

    def __init__(self) -> None:
        self._mine = threading.local()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Around a call."""
        with recording_lock():
            self._mine.levels = getattr(self._mine, "levels", 0) + 1
            try:
                yield
            finally:
                self._mine.levels -= 1

    @contextmanager
    def released(self) -> Iterator[None]:
        """Around waiting in it."""
        if not getattr(self._mine, "levels", 0):
            yield
            return
        lock = recording_lock()
        lock.__exit__(None, None, None)
        try:
            yield
        finally:
            lock.__enter__()

    def __reduce__(self) -> tuple[type[Guard], tuple[()]]:
        return (type(self), ())
