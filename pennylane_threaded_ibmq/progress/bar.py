"""The line of a batch in a terminal: rich's progress with our words. Imported only where one is drawn."""

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

STYLES = "cyan", "green", "red"
"""Colours of what is under way, went well, and did not."""

NARROW = 80
"""Columns of a terminal from which on the bar is a long one."""


class BatchBar(RichProgress):
    """One line, drawn anew where it says something new: each second, and at each change.

    It is drawn while its context is open, and what is finished leaves no line behind, but what failed does.
    """

    def __init__(self, loop: Loop, console: Console) -> None:
        self._bar = BarColumn(style="bright_black")
        super().__init__(
            TextColumn("[bold]threaded.ibmq"),
            self._bar,
            TextColumn("{task.description}", table_column=Column(ratio=1, no_wrap=True)),
            console=console,
            auto_refresh=False,
            transient=True,
            expand=True,
        )
        self._loop = loop
        self._task = self.add_task("", total=100, visible=False)
        self._last: tuple[object, ...] = ()

    def show(self, progress: Progress) -> None:
        """Take in how far the batch is."""
        before = self._loop.describe()
        new = (describe(progress), progress.fraction, before)
        if new == self._last:
            return
        self._last = new
        is_bad = went_wrong(progress)
        going, good, bad = STYLES
        style = bad if is_bad else good if progress.finished else going
        self._bar.complete_style = self._bar.finished_style = self._bar.pulse_style = style
        self._bar.bar_width = SHORT_BAR if before or self.console.width < NARROW else LONG_BAR
        self.live.transient = not is_bad
        self.reset(
            self._task,
            # rich's bar pulses until its task is started
            start=progress.finished or progress.fraction > 0,
            completed=round(100 * progress.fraction),
            visible=True,
            description=f"[dim]{before}; now [/dim]{new[0]}" if before else new[0],
        )
