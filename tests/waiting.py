"""Waiting for what no event tells, and counting what does not depend on how long something takes."""

from __future__ import annotations

import time
from collections.abc import Callable

from pennylane_threaded_ibmq.loopback import Loopback

LIMIT_SECS = 120.0
"""Longer than the busiest machine needs for anything here."""


def wait_until(happened: Callable[[], object]) -> None:
    """Ask until it is so."""
    deadline = time.monotonic() + LIMIT_SECS
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


LOOKS = ("GET /jobs", "GET /jobs/{id}")
"""Looks at jobs, at all and at one that is alone: they are as many as the jobs take time."""


def count_requests(service: Loopback, *, besides: tuple[str, ...] = LOOKS) -> int:
    """Requests to a service besides those of some routes."""
    counters = service.counters
    return counters.requests - sum(counters.by_route.get(route, 0) for route in besides)
