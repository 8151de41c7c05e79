"""Show how far batches have got while a program waits for them: a live line, plain lines, or a bar in a notebook.

The thread that waits draws, so nothing runs beside it and nothing is drawn that nobody waits for.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from .progress import Progress
from .words import Loop, describe, went_wrong

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

AUTO_SECS = 2.0
"""Seconds for which ``"auto"`` waits before it shows anything."""

TICK_SECS = 0.5
"""Seconds between two looks of a display for something new; drawing a line takes a millisecond or two."""

PLAIN_SECS = 5.0
"""Shortest time between two plain lines of a program's first batch."""

LOOP_SECS = 120.0
"""Shortest time until the first plain line of a loop; each further one waits twice as long as the one before."""

MOST_LOOP_SECS = 3600.0
"""Longest time between two plain lines of a loop."""

Draw: TypeAlias = "Callable[[Progress], object]"


class Waitable(Protocol):
    """A batch, or a call, that can be waited for."""

    def wait(self, timeout: float | None) -> bool:
        """Wait until it is finished; ``False`` if time ran out."""

    def progress(self) -> Progress:
        """The progress so far."""


class Display:
    """Shows the batches of a device while a program waits for them: one line, for a batch as for a loop of them.

    Args:
        mode: ``True``, ``False`` or ``"auto"``; anything else shows nothing.
    """

    def __init__(self, mode: object) -> None:
        self._mode = mode if mode in (True, "auto") else False
        self._lock = threading.Lock()
        self._loop: Loop | None = None
        self._shown = False
        self._plain: PlainLines | None = None
        self._notebook: NotebookBar | None = None

    def wait(self, batch: Waitable, timeout: float | None) -> bool:
        """Wait for a batch and show how far it is.

        Args:
            batch: What is waited for.
            timeout: Longest wait in seconds; ``None`` waits without end.

        Returns:
            Whether it is finished.
        """
        if not self._mode or (self._mode == "auto" and not is_interactive()):
            return batch.wait(timeout)
        with self._lock:
            self._loop = loop = self._loop or Loop(time.monotonic())
        finished = self._wait(batch, timeout, loop)
        if finished:
            with self._lock:
                loop.add(batch.progress())
        return finished

    def _wait(self, batch: Waitable, timeout: float | None, loop: Loop) -> bool:
        until = None if timeout is None else time.monotonic() + timeout
        # who has seen the line of a loop once sees it again soon, so that it stands rather than flickers
        quiet = TICK_SECS if self._shown else AUTO_SECS
        if self._mode == "auto" and (batch.wait(_left(until, quiet)) or _left(until, 1.0) == 0.0):
            return batch.wait(0)
        self._shown = True
        with self._open(loop) as draw:
            while True:
                draw(batch.progress())
                if batch.wait(_left(until, TICK_SECS)):
                    draw(batch.progress())
                    return True
                if _left(until, TICK_SECS) == 0.0:
                    return False

    @contextmanager
    def _open(self, loop: Loop) -> Iterator[Draw]:
        """Open the display that fits where the program runs; on the error output, so that results can be piped."""
        if in_notebook():
            self._notebook = self._notebook or NotebookBar(loop)
            yield self._notebook
            return
        if _is_terminal(sys.stderr) and threading.current_thread() is threading.main_thread():
            from rich.console import Console

            from .bar import BatchBar

            with BatchBar(loop, Console(stderr=True)) as bar:
                yield bar.show
            return
        if self._plain is None or self._plain.stream is not sys.stderr:
            self._plain = PlainLines(sys.stderr, loop)
        yield self._plain


def _left(until: float | None, most: float) -> float:
    return most if until is None else max(0.0, min(most, until - time.monotonic()))


def is_interactive() -> bool:
    """Whether a person watches: a notebook or a terminal, no pipe, no CI, and the program's main thread."""
    if os.environ.get("CI") or threading.current_thread() is not threading.main_thread():
        return False
    return in_notebook() or (_is_terminal(sys.stderr) and _is_terminal(sys.stdout))


def in_notebook() -> bool:
    """Whether this is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return type(shell).__name__ in {"ZMQInteractiveShell", "Shell"} and hasattr(shell, "kernel")


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"
    except ValueError:  # a closed stream
        return False


class PlainLines:
    """For files and pipes: a line a change of the first batch, at most one every few seconds; then, now and then, the loop's."""

    def __init__(self, stream: TextIO, loop: Loop) -> None:
        self.stream = stream
        self._loop = loop
        self._last: Progress | None = None
        self._next = 0.0
        self._pause = LOOP_SECS
        self._looping = False

    def __call__(self, progress: Progress) -> None:
        """Write a line if there is something new."""
        now = time.monotonic()
        if self._loop.batches:
            self._tell_loop(progress, now)
        else:
            self._tell_batch(progress, now)

    def _tell_batch(self, progress: Progress, now: float) -> None:
        new = replace(
            progress, fraction=int(10 * progress.fraction), elapsed_secs=0.0, left_secs=None, start_secs=None
        )
        if new == self._last or (now < self._next and not progress.finished):
            return
        self._last, self._next = new, now + PLAIN_SECS
        self._write(describe(progress))

    def _tell_loop(self, progress: Progress, now: float) -> None:
        if not self._looping:
            self._looping, self._next = True, now + self._pause
        if now < self._next and not went_wrong(progress):
            return
        self._pause = min(2 * self._pause, MOST_LOOP_SECS)
        self._next = now + self._pause
        self._write(f"{self._loop.describe()}; now {describe(progress)}")

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(f"threaded.ibmq: {text}\n")
            self.stream.flush()


@dataclass(frozen=True)
class PageLine:
    """The line of a batch for a page, which needs no widgets: HTML that takes its colours from the page, and text.

    Attributes:
        words: How far the batch is, in words.
        percent: The same as a number; ``None`` for one that went well, whose full bar would say nothing.
        before: What has run before it; empty for nothing.
    """

    words: str
    percent: int | None
    before: str = ""

    def __repr__(self) -> str:
        return (
            f"threaded.ibmq: {self.before}; now {self.words}"
            if self.before
            else f"threaded.ibmq: {self.words}"
        )

    def _repr_html_(self) -> str:
        bar = (
            ""
            if self.percent is None
            else f"<progress max='100' value='{self.percent}' style='width:16em' aria-label='progress of the batch'></progress>"
        )
        before = f"<span style='opacity:.7'>before: {self.before}</span>" if self.before else ""
        return (
            "<div style='display:flex;flex-wrap:wrap;gap:.75em;align-items:center;"
            f"font-family:var(--jp-ui-font-family,sans-serif)'>{bar}<span>{self.words}</span>{before}</div>"
        )


def page_line(progress: Progress, before: str = "") -> PageLine:
    """The line of a batch at one moment, with what ran before it, if anything did."""
    is_good = progress.finished and not went_wrong(progress)
    return PageLine(describe(progress), None if is_good else round(100 * progress.fraction), before)


class NotebookBar:
    """A bar that replaces itself, one a cell, in any notebook."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._handle: Any = None
        self._last: tuple[object, PageLine] | None = None

    def __call__(self, progress: Progress) -> None:
        """Draw it anew, if it says something new."""
        from IPython import get_ipython
        from IPython.display import display

        line, cell = page_line(progress, self._loop.describe()), get_ipython().execution_count
        before, self._last = self._last, (cell, line)
        if before is None or before[0] != cell:
            self._handle = display(line, display_id=True)
        elif before[1] != line:
            self._handle.update(line)
