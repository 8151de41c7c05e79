"""The one filter for text of a service or a file that may reach a terminal."""

from __future__ import annotations

import unicodedata

_HARMLESS = frozenset("\n\t")
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Control characters, which a terminal obeys, and characters that change how others are read; by category of Unicode."""


def printable(text: str, *, lines: bool = False) -> str:
    """Text in which everything can be seen: what a terminal would obey is written as an escape of Python's.

    Args:
        text: Any text.
        lines: Whether it may have several lines, and tabs.
    """
    if text.isprintable():
        return text
    return "".join(c if _can_be_seen(c, lines=lines) else _escape(c) for c in text)


def _can_be_seen(character: str, *, lines: bool) -> bool:
    if character in _HARMLESS:
        return lines
    return unicodedata.category(character) not in _UNSEEN


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
