"""PennyLane's locks around the recording of circuits.

PennyLane records circuits in one list for the whole process: an operator that is made in one thread lands in the circuit that
another thread records at that moment. Whatever makes operators beside a QNode does so under :func:`recording_lock`, which
PennyLane itself holds while a circuit is recorded.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from pennylane.queuing import AnnotatedQueue, QueuingManager
from pennylane.tape import QuantumTape

WAIT_SECS = 2.0
"""Seconds for which a fork waits for a thread that records; one that needs longer waits itself, perhaps for whoever forks."""


def recording_lock() -> AbstractContextManager[Any]:
    """The re-entrant lock under which PennyLane records circuits."""
    lock: AbstractContextManager[Any] = getattr(AnnotatedQueue, "_lock", None) or nullcontext()
    return lock


def holds_recording_lock() -> bool:
    """Whether this thread holds it, so that another that needs it would wait for this one."""
    owned = getattr(recording_lock(), "_is_owned", None)
    return owned is not None and bool(owned())


def making_operators() -> AbstractContextManager[Any]:
    """Make operators that land in nobody's circuit; also inside a circuit that this thread records."""
    lock = recording_lock()
    # whoever records holds the lock, so without it this thread does not
    records = QueuingManager.recording() and (holds_recording_lock() or isinstance(lock, nullcontext))
    return QueuingManager.stop_recording() if records else lock


class Guard:
    """Holds PennyLane's recording lock around a call, and releases it while the call waits for results.

    What PennyLane does around the recording of a circuit is not safe in several threads: operators made there land in
    the circuit that another thread records.
    """

    def __init__(self) -> None:
        self._thread = threading.local()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Around a call."""
        with recording_lock():
            self._thread.levels = getattr(self._thread, "levels", 0) + 1
            try:
                yield
            finally:
                self._thread.levels -= 1

    @contextmanager
    def released(self) -> Iterator[None]:
        """Around waiting in it."""
        if not getattr(self._thread, "levels", 0):
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


class RecordingLocks:
    """Held while this process forks, so that no other thread records just then: the child would wait for it for ever.

    PennyLane has one list of open recordings for a process. What another thread was recording would be in it for ever, too.
    """

    def __init__(self) -> None:
        self._locks: list[Any] = []

    def take(self) -> None:
        """Wait until no other thread records."""
        for owner in (QuantumTape, AnnotatedQueue):  # in the order in which a tape takes them
            lock = getattr(owner, "_lock", None)
            if lock is not None and lock.acquire(timeout=WAIT_SECS):
                self._locks.append(lock)

    def give_back(self) -> None:
        """Let others record again, in the process that forked and in the child."""
        while self._locks:
            self._locks.pop().release()
