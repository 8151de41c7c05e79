"""Calls under way in lanes: kept fresh while they last, and taken from a lane that gets no answer."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..service.calls import BEAT_SECS, Call

logger = logging.getLogger(__name__)


class LaneThread(threading.Thread):
    """A lane's thread.

    Attributes:
        abandoned: It got no answer in time, and another thread goes on in its place.
    """

    abandoned = False


@dataclass(eq=False)
class _CallUnderWay:
    call: Call
    work: Any
    began: float = field(default_factory=time.monotonic)
    beat_at: float = field(init=False)

    def __post_init__(self) -> None:
        self.beat_at = self.began + BEAT_SECS

    @property
    def late_at(self) -> float:
        return self.began + self.call.limit_secs


class CallMonitor:
    """One thread that watches the calls of all lanes; there is none while nothing is called.

    Args:
        replace: Called with a lane's thread, the call that it is stuck in, and the work of which that is part. The thread
            has been abandoned before: from then on it takes no part in the work.
    """

    def __init__(self, replace: Callable[[LaneThread, Call, Any], None]) -> None:
        self._replace = replace
        self._changed = threading.Condition()
        self._calls: dict[LaneThread, _CallUnderWay] = {}
        self._thread: threading.Thread | None = None

    def begin(self, thread: LaneThread, call: Call, work: Any) -> None:
        """A lane's thread is about to make a call, as part of some work."""
        with self._changed:
            self._calls[thread] = _CallUnderWay(call, work)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="threaded-ibmq-monitor", daemon=True)
                self._thread.start()
            self._changed.notify()

    def end(self, thread: LaneThread) -> bool:
        """The call is over; whether the work is still the thread's."""
        with self._changed:
            return self._calls.pop(thread, None) is not None

    def close(self) -> None:
        """End the thread, as soon as no call is under way."""
        with self._changed:
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._calls:
                    self._thread = None
                    return
                due = min(min(one.beat_at, one.late_at) for one in self._calls.values())
                self._changed.wait(max(0.0, due - time.monotonic()))
                now = time.monotonic()
                late = [(thread, one) for thread, one in self._calls.items() if one.late_at <= now]
                for thread, _ in late:
                    thread.abandoned = True
                    del self._calls[thread]
                fresh = [one for one in self._calls.values() if one.beat_at <= now]
                for one in fresh:
                    one.beat_at = now + BEAT_SECS
            for thread, one in late:
                self._replace(thread, one.call, one.work)
            for one in fresh:
                _beat(one.call)


def _beat(call: Call) -> None:
    try:
        call.beat()
    except Exception:
        logger.exception("%s is waited for on, though that could not be noted", call.what)
