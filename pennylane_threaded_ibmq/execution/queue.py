"""Ask for a place in the queue: of one job at a time, seldom, and only while somebody wants to know."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..service.job import SentJob
from ..service.metrics import QueueInfo

FIRST_SECS = 5.0
"""Seconds that a job waits before its place is asked for: most jobs of a simulator are done by then."""

AGAIN_SECS = 30.0
"""Shortest time between two questions of a device, however many jobs it has."""

TROUBLE_SECS = 300.0
"""The same after one that was not answered properly."""


def _ignore(_: QueueInfo) -> None:
    """Do not care where it stands."""


def _no() -> bool:
    return False


@dataclass(frozen=True, eq=False)
class Listener:
    """The ear of whoever follows a job.

    Attributes:
        seen: Called with where the job stands, as far as a look happens to show that; once if it runs, which a list of
            jobs does not show.
        wants_queue_info: Whether somebody wants to know its place in the queue now.
    """

    seen: Callable[[QueueInfo], None] = _ignore
    wants_queue_info: Callable[[], bool] = _no


class QueuePoller:
    """Asks for places, and knows when to ask next. Used by the watcher's thread alone.

    Args:
        ask: Asks for the place of one job.
    """

    def __init__(self, ask: Callable[[SentJob], QueueInfo | None]) -> None:
        self._ask = ask
        self._next = 0.0

    def look(
        self, waiting: Iterable[tuple[SentJob, float, list[Listener]]]
    ) -> tuple[SentJob, QueueInfo] | None:
        """Ask for the place of the first job that somebody wants to know about, if it is time.

        Args:
            waiting: Jobs that are not known to run, oldest first: each with the time since which it is followed, as
                ``time.monotonic`` has it, and its listeners.

        Returns:
            The job and its place; ``None`` if nothing was asked, or the service did not say.
        """
        now = time.monotonic()
        if now < self._next:
            return None
        for job, since, listeners in waiting:
            if now - since < FIRST_SECS or not any(listener.wants_queue_info() for listener in listeners):
                continue
            info = self._ask(job)
            self._next = time.monotonic() + (TROUBLE_SECS if info is None else AGAIN_SECS)
            return None if info is None else (job, info)
        return None
