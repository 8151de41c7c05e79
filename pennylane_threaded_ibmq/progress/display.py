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
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from .progress import Progress
from .tables import html_table
from .timeline import Span, Timeline

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

AUTO_SECS = 2.0
"""How long ``"auto"`` waits before it shows anything."""

TICK_SECS = 0.5
"""How often a display looks for something new; drawing a line takes a millisecond or two."""

PLAIN_SECS = 5.0
"""Shortest time between two plain lines of a program's first batch."""

LOOP_SECS = 120.0
"""Shortest time until the first plain line of a loop; each further one waits twice as long as the one before."""

MOST_LOOP_SECS = 3600.0
"""Longest time between two plain lines of a loop."""

Draw: TypeAlias = "Callable[[Progress], None]"


class Waitable(Protocol):
    """What is waited for."""

    def wait(self, timeout: float | None) -> bool:
        """Wait until it is finished; ``False`` if time ran out."""

    def progress(self) -> Progress:
        """How far it is."""


@dataclass
class Loop:
    """What a device has run so far, for whoever runs one batch after another.

    Attributes:
        started: When the first was waited for, on the monotonic clock.
        batches: Batches that were waited for to their end.
        tapes: Their tapes.
        jobs: Their jobs.
    """

    started: float
    batches: int = 0
    tapes: int = 0
    jobs: int = 0

    def add(self, progress: Progress) -> None:
        """A batch is finished."""
        self.batches += 1
        self.tapes += progress.tapes
        self.jobs += len(progress.job_ids)

    def describe(self) -> str:
        """Batches, circuits, jobs, time and rate; nothing before the first is finished."""
        if not self.batches:
            return ""
        seconds = max(time.monotonic() - self.started, 1e-3)
        rate = self.batches / seconds
        parts = [_count(self.batches, "batch", "batches"), _count(self.tapes, "circuit", "circuits")]
        if self.jobs:
            parts.append(_count(self.jobs, "job", "jobs"))
        pace = f"{rate:.1f} batches/s" if rate >= 1 else f"{1 / rate:.1f} s/batch"
        return f"{', '.join(parts)} in {clock(seconds)}, {pace}"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


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
        """What fits where the program runs; the error output, so that results can be piped."""
        if in_notebook():
            self._notebook = self._notebook or NotebookBar(loop)
            yield self._notebook
            return
        if _is_terminal(sys.stderr) and threading.current_thread() is threading.main_thread():
            from rich.console import Console
            from rich.live import Live

            # what is finished leaves no line behind, but what failed does
            with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:
                yield LiveLine(live, loop)
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


class LiveLine:
    """A line of a terminal that is drawn anew where it says something new: each second, and at each change.

    Args:
        live: Rich's display.
        loop: What has run before.
    """

    def __init__(self, live: Any, loop: Loop) -> None:
        self._live = live
        self._loop = loop
        self._last: tuple[object, ...] = ()

    def __call__(self, progress: Progress) -> None:
        """Draw it anew."""
        before = self._loop.describe()
        new = (describe(progress), progress.fraction, before)
        if new != self._last:
            self._last = new
            self._live.transient = not _went_wrong(progress)
            self._live.update(rich_line(progress, before), refresh=True)


def _went_wrong(progress: Progress) -> bool:
    return progress.failed + progress.cancelled > 0


def rich_line(progress: Progress, before: str = "") -> Any:
    """A bar and what is behind it, for rich; with what ran before, if anything did."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 1))
    style = "red" if _went_wrong(progress) else "green" if progress.finished else "cyan"
    bar = ProgressBar(
        total=1.0,
        completed=progress.fraction,
        width=8 if before else 24,
        complete_style=style,
        finished_style=style,
        pulse=progress.fraction == 0.0 and not progress.finished,
        pulse_style=style,
    )
    words = Text(describe(progress), no_wrap=True, overflow="ellipsis")
    if before:
        words = Text(f"{before}; now ", style="dim", no_wrap=True, overflow="ellipsis").append_text(words)
    grid.add_row(Text("threaded.ibmq", style="bold"), bar, words)
    return grid


class PlainLines:
    """For files and pipes: a line a change of the first batch, at most one every few seconds; then, now and then, the loop's.

    Args:
        stream: Where they go.
        loop: What has run before.
    """

    def __init__(self, stream: TextIO, loop: Loop) -> None:
        self.stream = stream
        self._loop = loop
        self._last: tuple[object, ...] = ()
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
        new = (
            progress.planned,
            progress.sending,
            progress.queued,
            progress.running,
            progress.done,
            progress.failed,
            progress.cancelled,
            progress.retries,
            int(progress.fraction * 10),
            progress.queue_position,
        )
        if new == self._last or (now < self._next and not progress.finished):
            return
        self._last, self._next = new, now + PLAIN_SECS
        self._write(describe(progress))

    def _tell_loop(self, progress: Progress, now: float) -> None:
        if not self._looping:
            self._looping, self._next = True, now + self._pause
        if now < self._next and not _went_wrong(progress):
            return
        self._pause = min(2 * self._pause, MOST_LOOP_SECS)
        self._next = now + self._pause
        self._write(f"{self._loop.describe()}; now {describe(progress)}")

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(f"threaded.ibmq: {text}\n")
            self.stream.flush()


class NotebookBar:
    """A bar that replaces itself, one a cell, in any notebook that shows HTML; it needs no widgets.

    Args:
        loop: What has run before.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._handle: Any = None
        self._cell: object = None
        self._last = ""

    def __call__(self, progress: Progress) -> None:
        """Draw it anew."""
        from IPython.display import HTML, display

        bar = html_bar(progress, self._loop.describe())
        cell = _cell_number()
        if bar == self._last and cell == self._cell:
            return
        self._last = bar
        if self._handle is None or cell != self._cell:
            self._cell = cell
            self._handle = display(HTML(bar), display_id=True)
        else:
            self._handle.update(HTML(bar))


def _cell_number() -> object:
    shell = sys.modules["IPython"].get_ipython()
    return getattr(shell, "execution_count", None)


def html_bar(progress: Progress, before: str = "") -> str:
    """A bar and what is behind it, as HTML that takes its colours from the page; with what ran before, if anything did."""
    percent = round(100 * progress.fraction)
    # a bar that is full says nothing
    bar = (
        ""
        if progress.finished and not _went_wrong(progress)
        else f"<progress max='100' value='{percent}' style='width:16em' aria-label='progress of the batch'></progress>"
    )
    behind = f"<span style='opacity:.7'>before: {before}</span>" if before else ""
    return (
        "<div style='display:flex;flex-wrap:wrap;gap:.75em;align-items:center;"
        f"font-family:var(--jp-ui-font-family,sans-serif)'>{bar}<span>{describe(progress)}</span>{behind}</div>"
    )


def html_shards(timeline: Timeline) -> str:
    """The shards of a batch that have left this machine, as a table for a notebook."""
    last: dict[int, Span] = {span.shard: span for span in timeline.spans}
    return html_table(
        ("shard", "try", "state", "last phase", "job"),
        (
            (
                shard,
                span.attempt,
                span.outcome or span.phase,
                f"{span.start:.1f} to {span.end:.1f} s",
                span.job_id,
            )
            for shard, span in sorted(last.items())
        ),
    )


def describe(progress: Progress) -> str:
    """What a person wants to know, in one line."""
    place = [] if progress.queue_position is None else [f"place {progress.queue_position}"]
    if progress.start_secs is not None:
        place.append(f"starts in ~{clock(progress.start_secs)}")
    counts = (
        (progress.planned, "planned"),
        (progress.sending, "sending"),
        (progress.queued, f"queued ({', '.join(place)})" if place else "queued"),
        (progress.running, "running"),
        (progress.done, "done"),
        (progress.failed, "failed"),
        (progress.cancelled, "cancelled"),
    )
    shards = f"{progress.shards} shard{'' if progress.shards == 1 else 's'}"
    parts = [f"{shards}: " + (", ".join(f"{n} {word}" for n, word in counts if n) or "nothing to run")]
    if progress.retries:
        parts.append(f"{progress.retries} sent again")
    if not progress.finished and 0 < progress.fraction < 1 and not progress.done:
        parts.append(f"{progress.fraction:.0%}")
    parts.append(clock(progress.elapsed_secs))
    if not progress.finished and progress.left_secs is not None:
        parts.append(f"~{clock(progress.left_secs)} left")
    if progress.qpu_secs is not None:
        parts.append(f"QPU ~{progress.qpu_secs:.0f} s")
    return " | ".join(parts)


def clock(seconds: float) -> str:
    """Seconds as ``m:ss`` or ``h:mm:ss``."""
    minutes, secs = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{secs:02}" if hours else f"{minutes}:{secs:02}"
