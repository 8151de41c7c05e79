"""A function of a test in an interpreter of its own: a fork of one that has many threads can wait for ever."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

LIMIT_SECS = 240


def run_fresh(function: Callable[[], None]) -> None:
    """Import the module of a function in a new interpreter, and call it there; what it raises fails the test."""
    folder = Path(function.__code__.co_filename).parent
    program = f"import {function.__module__} as module; module.{function.__name__}()"
    search = f"import sys; sys.path[:0] = {[str(folder), str(folder.parent)]!r}"
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", f"{search}; {program}"], check=True, timeout=LIMIT_SECS
    )
