"""Help as it is written: a block of examples keeps its lines."""

from __future__ import annotations

from typing import Any

import click


class Command(click.Command):
    r"""A command whose help may hold ``\b``, after which click breaks no line anew, in a raw docstring."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.help = unraw(self.help)


def unraw(text: str | None) -> str | None:
    r"""Turn ``\b`` as it is written into the one character that click looks for."""
    return None if text is None else text.replace("\\b\n", "\b\n")
