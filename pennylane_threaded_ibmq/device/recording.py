"""PennyLane's locks around the recording of circuits, and forks."""

from __future__ import annotations

from typing import Any

from pennylane.queuing import AnnotatedQueue
from pennylane.tape import QuantumTape

WAIT_SECS = 2.0
"""How long a fork waits for a thread that records; one that needs longer waits itself, perhaps for whoever forks."""


class RecordingLocks:
    """Held while this process forks, so that no other thread records just then: the child would wait for it for ever.

    PennyLane has one list of open recordings for a process. What another thread was recording would be in it for ever, too.
    """

    def __init__(self) -> None:
        self._held: list[Any] = []

    def take(self) -> None:
        """Wait until no other thread records."""
        for owner in (QuantumTape, AnnotatedQueue):  # in the order in which a tape takes them
            lock = getattr(owner, "_lock", None)
            if lock is not None and lock.acquire(timeout=WAIT_SECS):
                self._held.append(lock)

    def give_back(self) -> None:
        """Let others record again, in the process that forked and in the child."""
        while self._held:
            self._held.pop().release()
