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


def count_requests(service: Loopback) -> int:
    """Requests to a service without the looks at its jobs, which are as many as the jobs take time."""
    return service.counters.requests - service.counters.by_route.get("GET /jobs", 0)
