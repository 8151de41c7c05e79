"""Speed at which a simulator of a service runs circuits, as far as its finished jobs show it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

from .clock import CLOCK, Clock

ENOUGH = 4
"""Jobs that are remembered."""

FEW = 4
"""A job of fewer circuits may be all overhead, and tells their speed only beside one of another size."""

AGAIN_SECS = 10.0
"""Between two jobs that are asked for their times, once there are enough: circuits change while a program runs."""


class Speed:
    """The speed of one simulator.

    Args:
        clock: Time.
    """

    def __init__(self, clock: Clock = CLOCK) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: deque[tuple[int, float]] = deque(maxlen=ENOUGH)
        self._latest = 0.0
        self._asking = False

    @property
    def circuit_secs(self) -> float | None:
        """Seconds that each circuit adds to a job; ``None`` while that is not known."""
        with self._lock:
            sizes = {size for size, _ in self._seen}
            return _slope(self._seen) if len(sizes) > 1 or max(sizes, default=0) >= FEW else None

    def begin(self, circuits: int) -> bool:
        """Whether a finished job is worth a question for its times; who is told so must call :meth:`end`.

        Args:
            circuits: Its circuits. Jobs of two sizes tell apart what a circuit takes and what a job takes by itself.
        """
        with self._lock:
            sizes = {size for size, _ in self._seen}
            known = len(self._seen) == ENOUGH and (len(sizes) > 1 or circuits in sizes)
            if self._asking or (known and self._clock.now() - self._latest < AGAIN_SECS):
                return False
            self._asking = True
            return True

    def end(self, circuits: int, secs: float | None) -> None:
        """Take in what a job has told.

        Args:
            circuits: Its circuits.
            secs: How long they ran; ``None`` if the service does not say.
        """
        with self._lock:
            self._asking = False
            if secs is not None and circuits:
                self._seen.append((circuits, secs))
                self._latest = self._clock.now()


def _slope(seen: Sequence[tuple[int, float]]) -> float:
    """Seconds a circuit by least squares; what a job takes by itself is told apart where jobs differ in size."""
    mean = sum(circuits for circuits, _ in seen) / len(seen)
    mean_secs = sum(secs for _, secs in seen) / len(seen)
    spread = sum((circuits - mean) ** 2 for circuits, _ in seen)
    if not spread:
        return mean_secs / mean
    slope = sum((circuits - mean) * (secs - mean_secs) for circuits, secs in seen) / spread
    # no circuit makes a job shorter, and no job takes less than nothing by itself
    return min(max(0.0, slope), mean_secs / mean)
