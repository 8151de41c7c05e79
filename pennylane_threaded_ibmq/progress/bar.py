"""The line of a batch in terminals and notebooks: rich's progress with our words. Imported only where one is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as RichProgress
from rich.table import Column

from .progress import Progress
from .words import Loop, describe, went_wrong

if TYPE_CHECKING:
    from rich.console import Console


LONG_BAR, SHORT_BAR = 24, 8
"""Columns of the bar of one batch, and beside more words or in a narrow terminal."""

TERMINAL_STYLES = "cyan", "green", "red"
PAGE_STYLES = "#0a84c1", "#1f9d55", "#d33a2c"
"""Colours of what is under way, went well, and did not: a terminal has its own reds, a page may be light or dark."""

PAGE_WORDS = 60
"""Columns of the words on a page; more go on in a next line."""

NARROW = 80
"""Columns of a terminal from which on the bar is a long one."""


class BatchBar(RichProgress):
    """One line, drawn anew where it says something new: each second, and at each change.

    A terminal draws it while its context is open, and what is finished leaves no line behind, but what failed does.
    A notebook is shown the object itself, as HTML and as text, which needs no widgets.

    Args:
        loop: The batches that have run before.
        console: The terminal; ``None`` for a notebook.
    """

    def __init__(self, loop: Loop, console: Console | None = None) -> None:
        # a terminal's line ends where the terminal does, a page has room below
        words = Column(max_width=PAGE_WORDS) if console is None else Column(ratio=1, no_wrap=True)
        self._bar = BarColumn(style="bright_black")
        super().__init__(
            TextColumn("[bold]threaded.ibmq"),
            self._bar,
            TextColumn("{task.description}", table_column=words),
            console=console,
            auto_refresh=False,
            transient=True,
            expand=console is not None,
        )
        self._styles = PAGE_STYLES if console is None else TERMINAL_STYLES
        self._loop = loop
        self._task = self.add_task("", total=100, visible=False)
        self._last: tuple[object, ...] = ()

    def show(self, progress: Progress) -> bool:
        """Take in how far the batch is.

        Returns:
            Whether the line says something new.
        """
        before = self._loop.describe()
        new = (describe(progress), progress.fraction, before)
        if new == self._last:
            return False
        self._last = new
        troubled = went_wrong(progress)
        going, good, bad = self._styles
        style = bad if troubled else good if progress.finished else going
        self._bar.complete_style = self._bar.finished_style = self._bar.pulse_style = style
        self._bar.bar_width = SHORT_BAR if before or self.console.width < NARROW else LONG_BAR
        self.live.transient = not troubled
        self.reset(
            self._task,
            # rich's bar pulses until its task is started
            start=progress.finished or progress.fraction > 0,
            completed=round(100 * progress.fraction),
            visible=True,
            description=f"[dim]{before}; now [/dim]{new[0]}" if before else new[0],
        )
        return True

    def html(self) -> str:
        """The line for a page."""
        return self.make_tasks_table(self.tasks)._repr_mimebundle_((), ())["text/html"]
