"""Output of commands: JSON, a table in a terminal, plain columns in a pipe; and log records that no terminal obeys."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click

from .._compat import zip_strict
from .._printable import printable


def say_json(value: Any) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, indent=2, default=str))


def say(text: str, *, err: bool = False) -> None:
    """Print text; nothing that a service or a file has put there moves a cursor or a title."""
    click.echo(printable(text, lines=True), err=err)


def note(text: str) -> None:
    """Say something that is no result, on standard error."""
    say(text, err=True)


def say_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, empty: str = "") -> None:
    """Print a table: drawn in a terminal, plain columns in a pipe.

    Args:
        columns: Titles.
        rows: Cells; ``None`` is an empty one.
        empty: What to say instead of a table without rows.
    """
    if not rows and empty:
        say(empty)
        return
    cells = [["" if cell is None else printable(str(cell)) for cell in row] for row in rows]
    if sys.stdout is not None and sys.stdout.isatty():
        _draw(columns, cells)
        return
    widths = [max(map(len, column)) for column in zip_strict(columns, *cells)]
    for row in (columns, *cells):
        say("  ".join(cell.ljust(width) for cell, width in zip_strict(row, widths)).rstrip())


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system says when a file or a folder cannot be written into one clear error.

    Raises:
        ClickException: It cannot.
    """
    try:
        yield
    except OSError as error:
        raise click.ClickException(
            f"{path} cannot be written: {error.strerror or error}. Choose another place with -o."
        ) from None


def say_facts(facts: Mapping[str, Any], *, indent: str = "", err: bool = False) -> None:
    """Print names and values, one a line; what is ``None`` is left out."""
    lines = {name: value for name, value in facts.items() if value is not None}
    width = max(map(len, lines), default=0)
    for name, value in lines.items():
        say(f"{indent}{name.ljust(width)}  {printable(str(value))}", err=err)


def _draw(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for title, is_whole in zip_strict(columns, _whole_columns(columns, cells, console.width)):
        table.add_column(title, no_wrap=is_whole)
    for row in cells:
        # as Text, since brackets in a cell are no markup
        table.add_row(*(Text(cell, overflow="fold") for cell in row))
    console.print(table)


def _whole_columns(columns: Sequence[str], cells: Sequence[Sequence[str]], width: int) -> list[bool]:
    """Which columns are never folded: those of ids and the like, without a blank, where there is room for the words of the others."""
    texts = list(zip_strict(columns, *cells))
    words = [max(len(word) for text in column for word in (text.split() or [""])) for column in texts]
    if sum(words) + 2 * len(columns) > width:
        return [False] * len(columns)
    return [not any(" " in text for text in column[1:]) for column in texts]


def moment(seconds: float) -> str:
    """A time of the journal, for people, in the zone of this machine."""
    return datetime.fromtimestamp(seconds, timezone.utc).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def iso(seconds: float) -> str:
    """A time of the journal, for programs."""
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat()


def span(seconds: float) -> str:
    """A length of time, for people."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


_TRACES = logging.Formatter()


class PrintableRecord(logging.LogRecord):
    """A record whose text no terminal obeys, whoever writes it: IBM's client has a handler of its own."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        if self.exc_info and self.exc_info[0] is not None:
            self.exc_text = printable(_TRACES.formatException(self.exc_info), lines=True)

    def getMessage(self) -> str:  # noqa: N802 - the name of logging
        """The text."""
        return printable(super().getMessage(), lines=True)


@contextmanager
def printable_records() -> Iterator[None]:
    """Make such records in this process, in which no program of the user's logs."""
    before = logging.getLogRecordFactory()
    logging.setLogRecordFactory(PrintableRecord)
    try:
        yield
    finally:
        logging.setLogRecordFactory(before)


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Say each of our own warnings once, in a line, without the place in our code that it comes from."""
    before, package, texts = warnings.showwarning, __name__.partition(".")[0], set()

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if category.__module__.partition(".")[0] != package:
            before(message, category, *place, **more)
        elif str(message) not in texts:
            texts.add(str(message))
            note(f"Warning: {message}")

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before
