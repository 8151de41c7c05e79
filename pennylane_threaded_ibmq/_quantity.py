"""Counts with their nouns, for every text that a person reads."""

from __future__ import annotations


def quantity(number: float, noun: str, plural: str = "") -> str:
    """A number and its noun, such as ``1 job`` and ``2 batches``.

    Args:
        number: The number; one that is not whole is written as short as it goes.
        noun: The noun for one.
        plural: The noun for any other number; by default, with an ``s``.
    """
    return f"{number:.12g} {noun if number == 1 else plural or noun + 's'}"
