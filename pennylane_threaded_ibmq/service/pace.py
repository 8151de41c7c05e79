"""The pace at which jobs may be sent: one pacer for each backend of an instance, shared by all devices of the process.

IBM limits the jobs that wait or run (3 on the open plan) and the jobs a minute. The limits are not told, so they are
learned from refusals: as many jobs as were in flight when one was refused is the limit, until a minute has passed. The speed of a
service's simulator is learned from its finished jobs.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from math import inf
from weakref import WeakValueDictionary

from .clock import CLOCK, Clock
from .retry import RetryPolicy

LEARNED_SECS = 60.0
"""Seconds for which a learned limit holds; other programs may have held the slots."""

FIRST_PAUSE_SECS = 1.0
LONGEST_PAUSE_SECS = 30.0

ENOUGH = 4
"""Jobs that are remembered."""

FEW = 4
"""A job of fewer circuits may be all overhead, and tells their speed only beside one of another size."""

AGAIN_SECS = 10.0
"""Pause between two jobs that are asked for their times, once there are enough: circuits change while a program runs."""

_REFUSED = RetryPolicy(FIRST_PAUSE_SECS, LONGEST_PAUSE_SECS)


class Pacer:
    """Slots of one backend.

    Attributes:
        speed: How fast it runs circuits, if it is a simulator.
    """

    def __init__(self, clock: Clock = CLOCK) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._in_flight = 0
        self._limit: int | None = None
        self._limit_until = 0.0
        self._not_before = 0.0
        self._refusals = 0
        self.speed = Speed(clock)

    @property
    def slots(self) -> float:
        """Jobs that may be in flight, as far as a refusal has told; ``inf`` if none has lately."""
        with self._changed:
            return inf if self._limit is None or self._clock.now() >= self._limit_until else self._limit

    def enter(self, given_up: threading.Event) -> bool:
        """Wait for a slot.

        Args:
            given_up: Ends the waiting when it is set.

        Returns:
            Whether there is a slot; it must be given back with :meth:`leave`.
        """
        with self._changed:
            while not given_up.is_set():
                now = self._clock.now()
                if now >= self._limit_until:
                    self._limit = None
                free = self._limit is None or self._in_flight < self._limit
                if free and now >= self._not_before:
                    self._in_flight += 1
                    return True
                # woken by a slot; a look now and then at the clock and at whether anybody still waits
                secs = min(0.2, max(0.01, self._not_before - now)) if free else 0.2
                self._changed.wait(self._clock.pause(secs))
            return False

    def leave(self) -> None:
        """Give a slot back: the job is finished, or was not accepted."""
        with self._changed:
            self._in_flight -= 1
            self._changed.notify_all()

    def accepted(self) -> None:
        """A job was accepted."""
        with self._changed:
            self._refusals = 0

    def no_slot(self) -> None:
        """A job was refused because too many wait; its own slot is given back."""
        with self._changed:
            self._in_flight -= 1
            now = self._clock.now()
            if self._in_flight:
                self._limit, self._limit_until = self._in_flight, now + LEARNED_SECS
            else:  # others hold all slots
                self._not_before = now + self._grown_pause()
            self._changed.notify_all()

    def too_fast(self, seconds: float | None) -> None:
        """A job was refused because too many came in a short time; its own slot is given back.

        Args:
            seconds: How long the service asked to wait, if it did.
        """
        with self._changed:
            self._in_flight -= 1
            wait = self._grown_pause() if seconds is None else seconds
            self._not_before = max(self._not_before, self._clock.now() + wait)
            self._changed.notify_all()

    def _grown_pause(self) -> float:
        """Twice as long as the last; many refusals at once are one."""
        left = self._not_before - self._clock.now()
        if left > 0:
            return left
        self._refusals += 1
        return _REFUSED.pause_secs(self._refusals)


class Pacers:
    """The pacers of devices that share them; a forked process has none of the jobs, and begins anew."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pacers: WeakValueDictionary[tuple[str, str], Pacer] = WeakValueDictionary()

    def of(self, instance: str, backend: str) -> Pacer:
        """The pacer of one backend of an instance."""
        with self._lock:
            pacer = self._pacers.get((instance, backend))
            if pacer is None:
                pacer = self._pacers[instance, backend] = Pacer()
            return pacer


class Speed:
    """The speed of one simulator."""

    def __init__(self, clock: Clock = CLOCK) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._jobs: deque[tuple[int, float]] = deque(maxlen=ENOUGH)
        self._latest = 0.0
        self._asking = False

    @property
    def circuit_secs(self) -> float | None:
        """Seconds that each circuit adds to a job; ``None`` while that is not known."""
        with self._lock:
            sizes = {size for size, _ in self._jobs}
            return _slope(self._jobs) if len(sizes) > 1 or max(sizes, default=0) >= FEW else None

    def begin(self, circuits: int) -> bool:
        """Whether a finished job is worth a question for its times; who is told so must call :meth:`end`.

        Args:
            circuits: Its circuits. Jobs of two sizes tell apart what a circuit takes and what a job takes by itself.
        """
        with self._lock:
            sizes = {size for size, _ in self._jobs}
            known = len(self._jobs) == ENOUGH and (len(sizes) > 1 or circuits in sizes)
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
                self._jobs.append((circuits, secs))
                self._latest = self._clock.now()


def _slope(jobs: Sequence[tuple[int, float]]) -> float:
    """Seconds a circuit by least squares; what a job takes by itself is told apart where jobs differ in size."""
    mean = sum(circuits for circuits, _ in jobs) / len(jobs)
    mean_secs = sum(secs for _, secs in jobs) / len(jobs)
    spread = sum((circuits - mean) ** 2 for circuits, _ in jobs)
    if not spread:
        return mean_secs / mean
    slope = sum((circuits - mean) * (secs - mean_secs) for circuits, secs in jobs) / spread
    # no circuit makes a job shorter, and no job takes less than nothing by itself
    return min(max(0.0, slope), mean_secs / mean)
