"""Show how far a batch has got while a program waits for it: a live line, plain lines, or a bar in a notebook.

The thread that waits draws, so nothing runs beside it and nothing is drawn that nobody waits for.
"""

from __future__ import annotations

import contextlib
import html
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from ..execution.progress import Progress
from ..execution.timeline import Span, Timeline

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

AUTO_SECS = 2.0
"""How long ``"auto"`` waits before it shows anything."""

TICK_SECS = 0.5
"""How often a display looks for something new; drawing a line takes a millisecond or two."""

PLAIN_SECS = 5.0
"""Shortest time between two plain lines."""

MOST_ROWS = 20
"""Shards that a notebook shows of a batch."""

Draw: TypeAlias = "Callable[[Progress], None]"


class Waitable(Protocol):
    """What is waited for."""

    def wait(self, timeout: float | None) -> bool:
        """Wait until it is finished; ``False`` if time ran out."""

    def progress(self) -> Progress:
        """How far it is."""


def wait_and_show(batch: Waitable, timeout: float | None, mode: object) -> bool:
    """Wait for a batch and show how far it is.

    Args:
        batch: What is waited for.
        timeout: Longest wait in seconds; ``None`` waits without end.
        mode: ``True``, ``False`` or ``"auto"``; anything else shows nothing.

    Returns:
        Whether it is finished.
    """
    if mode not in (True, "auto") or (mode == "auto" and not is_interactive()):
        return batch.wait(timeout)
    until = None if timeout is None else time.monotonic() + timeout
    if mode == "auto" and (batch.wait(_left(until, AUTO_SECS)) or _left(until, 1.0) == 0.0):
        return batch.wait(0)
    with open_display() as draw:
        while True:
            draw(batch.progress())
            if batch.wait(_left(until, TICK_SECS)):
                draw(batch.progress())
                return True
            if _left(until, TICK_SECS) == 0.0:
                return False


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


@contextmanager
def open_display() -> Iterator[Draw]:
    """The display that fits where the program runs; the error output, so that results can be piped."""
    if in_notebook():
        yield NotebookBar()
        return
    if _is_terminal(sys.stderr) and threading.current_thread() is threading.main_thread():
        from rich.console import Console
        from rich.live import Live

        with Live(console=Console(stderr=True), auto_refresh=False, transient=False) as live:
            yield LiveLine(live)
        return
    yield PlainLines(sys.stderr)


class LiveLine:
    """A line of a terminal that is drawn anew where it says something new: each second, and at each change.

    Args:
        live: Rich's display.
    """

    def __init__(self, live: Any) -> None:
        self._live = live
        self._last: tuple[object, ...] = ()

    def __call__(self, progress: Progress) -> None:
        """Draw it anew."""
        new = (describe(progress), progress.fraction)
        if new != self._last:
            self._last = new
            self._live.update(rich_line(progress), refresh=True)


def rich_line(progress: Progress) -> Any:
    """A bar and what is behind it, for rich."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 1))
    bad = progress.failed + progress.cancelled
    style = "red" if bad else "green" if progress.finished else "cyan"
    bar = ProgressBar(
        total=1.0,
        completed=progress.fraction,
        width=24,
        complete_style=style,
        finished_style=style,
        pulse=progress.fraction == 0.0 and not progress.finished,
        pulse_style=style,
    )
    grid.add_row(Text("threaded.ibmq", style="bold"), bar, Text(describe(progress)))
    return grid


class PlainLines:
    """One line a change, at most one every few seconds, and one at the end.

    Args:
        stream: Where they go.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last: tuple[object, ...] = ()
        self._next = 0.0

    def __call__(self, progress: Progress) -> None:
        """Write a line if there is something new."""
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
        now = time.monotonic()
        if new == self._last or (now < self._next and not progress.finished):
            return
        self._last, self._next = new, now + PLAIN_SECS
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(f"threaded.ibmq: {describe(progress)}\n")
            self._stream.flush()


class NotebookBar:
    """A bar that replaces itself, in any notebook that shows HTML; it needs no widgets."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._last = ""

    def __call__(self, progress: Progress) -> None:
        """Draw it anew."""
        from IPython.display import HTML, display

        bar = html_bar(progress)
        if bar == self._last:
            return
        self._last = bar
        if self._handle is None:
            self._handle = display(HTML(bar), display_id=True)
        else:
            self._handle.update(HTML(bar))


def html_bar(progress: Progress) -> str:
    """A bar and what is behind it, as HTML that takes its colours from the page."""
    percent = round(100 * progress.fraction)
    return (
        "<div style='display:flex;gap:.75em;align-items:center;font-family:var(--jp-ui-font-family,sans-serif)'>"
        f"<progress max='100' value='{percent}' style='width:16em' aria-label='progress of the batch'></progress>"
        f"<span>{describe(progress)}</span></div>"
    )


def html_shards(timeline: Timeline) -> str:
    """The shards of a batch that have left this machine, as a table for a notebook."""
    last: dict[int, Span] = {span.shard: span for span in timeline.spans}
    rows = [
        f"<tr><td>{shard}</td><td>{span.attempt}</td><td>{span.outcome or span.phase}</td>"
        f"<td>{span.start:.1f} to {span.end:.1f} s</td><td>{html.escape(span.job_id)}</td></tr>"
        for shard, span in sorted(last.items())
    ]
    if not rows:
        return ""
    shown, more = rows[:MOST_ROWS], len(rows) - MOST_ROWS
    if more > 0:
        shown.append(f"<tr><td colspan='5'>and {more} more</td></tr>")
    return (
        "<table><thead><tr><th>shard</th><th>try</th><th>state</th><th>last phase</th><th>job</th></tr></thead>"
        f"<tbody>{''.join(shown)}</tbody></table>"
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
