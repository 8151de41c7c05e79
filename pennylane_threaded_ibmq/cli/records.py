"""Log records of this process, for a terminal: IBM's client has a handler of its own, which writes what a service said as it is."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .._printable import printable

_TRACES = logging.Formatter()


class PrintableRecord(logging.LogRecord):
    """A record whose text no terminal obeys, whoever writes it."""

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
