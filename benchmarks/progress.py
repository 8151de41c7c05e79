"""What ``progress=`` costs a local run.

Two runs differ by more than one percent on most machines, so they are not compared. The processor time that goes into
reporting, drawing and telling is taken where it is spent, and set against that of the whole run.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import pennylane as qml

from pennylane_threaded_ibmq import Progress
from pennylane_threaded_ibmq.progress import display
from pennylane_threaded_ibmq.progress.progress import ProgressTracker

from .many import make_tapes
from .report import THIS, Target, Work
from .timing import Effort, Samples, take_turns

WIRES = 4
MOST_PERCENT = 1.0


class Terminal(io.StringIO):
    """What is drawn for a person goes here."""

    def isatty(self) -> bool:
        return True


def run(effort: Effort) -> Work:
    """A live line, plain lines and a function, for a batch in twenty shards."""
    tapes = make_tapes(effort.size(1000, 20))
    ways: dict[str, tuple[Any, type[io.StringIO]]] = {
        "live line": (True, Terminal),
        "plain lines": (True, io.StringIO),
        "function": (lambda _: None, io.StringIO),
    }
    for way in ways.values():
        sample(tapes, *way)  # compiles, and imports what draws
    found: dict[str, list[float]] = {}

    def turn() -> dict[str, float]:
        numbers = {}
        for name, way in ways.items():
            whole, spent = sample(tapes, *way)
            numbers[f"{name}: whole run, processor s"] = whole
            numbers[f"{name}: progress, processor s"] = spent
            found.setdefault(name, []).append(100 * spent / whole)
        return numbers

    samples: Samples = take_turns({THIS: turn}, effort.rounds)
    targets = tuple(
        Target(f"{name}, part of a run", MOST_PERCENT, sorted(parts)[len(parts) // 2], unit="%")
        for name, parts in found.items()
    )
    title = f"Progress: {len(tapes)} tapes in 20 shards on this machine"
    return Work(title, samples, targets, ("parts are medians; both numbers are of the same run",))


def sample(tapes: list[Any], progress: bool | Callable[[Progress], None], screen: type[io.StringIO]) -> Any:
    """Processor seconds of one run, and those that progress took of it."""
    with (
        qml.device("threaded.ibmq", wires=WIRES, shard_size=len(tapes) // 20, progress=progress) as dev,
        patch.object(sys, "stderr", screen()),
        patch.dict("os.environ", {"TERM": "xterm-256color"}),
    ):
        dev.batch_execute(tapes[:1])
        with spending() as spent:
            begun = time.process_time()
            dev.batch_execute(tapes)
            whole = time.process_time() - begun
    return whole, sum(spent)


@contextmanager
def spending() -> Iterator[list[float]]:
    """Take the time of the threads that report, and of the thread that waits and draws."""
    spent: list[float] = []

    def watched(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            begun = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                spent.append(time.thread_time() - begun)

        return call

    with ExitStack() as stack:
        stack.enter_context(patch.object(ProgressTracker, "report", watched(ProgressTracker.report)))
        stack.enter_context(patch.object(display.Display, "wait", watched(display.Display.wait)))
        yield spent
