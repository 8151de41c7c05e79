"""Waiting for what no event tells."""

from __future__ import annotations

import time
from collections.abc import Callable

LIMIT_SECS = 120.0
"""Longer than the busiest machine needs for anything here."""


def wait_until(happened: Callable[[], object]) -> None:
    """Ask until it is so."""
    deadline = time.monotonic() + LIMIT_SECS
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)
