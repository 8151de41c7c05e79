"""Who calls some functions, in which thread: seen by Python's own hook for profilers, so that nothing is replaced."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any


@dataclass(frozen=True)
class Seen:
    """One call: its thread, and the values of its arguments."""

    thread: threading.Thread
    given: dict[str, Any]


class Calls:
    """Calls of functions in threads that start while the block runs.

    Args:
        functions: Functions written in Python.
    """

    def __init__(self, *functions: Any) -> None:
        self._seen: dict[Any, list[Seen]] = {function.__code__: [] for function in functions}

    def __enter__(self) -> Calls:
        threading.setprofile(self._look)
        return self

    def __exit__(self, *_: object) -> None:
        threading.setprofile(None)

    def of(self, function: Any) -> list[Seen]:
        """Calls of one of the functions, in their order."""
        return list(self._seen[function.__code__])

    def _look(self, frame: Any, event: str, _: Any) -> None:
        if event == "call" and frame.f_code in self._seen:
            self._seen[frame.f_code].append(Seen(threading.current_thread(), dict(frame.f_locals)))


REQUEST = HTTPConnection.putrequest
"""What begins each request of any client."""


def sending_threads(calls: Calls) -> list[threading.Thread]:
    """The threads from which requests left that create jobs."""
    return [
        seen.thread
        for seen in calls.of(REQUEST)
        if seen.given["method"] == "POST" and seen.given["url"].endswith("/jobs")
    ]
