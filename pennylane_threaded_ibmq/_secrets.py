"""Secrets among the values of options: what has the name of one, and who stands before the host of an address.

Nothing here shows them: they are left in place for those who are given them, and covered for those who look.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

COVER = "**********"
"""What is shown in a secret's place, as pydantic does it."""

_WORDS = ("token", "secret", "password", "apikey", "api_key", "credential")
_USER = re.compile(r"(?<=://)[^\s/]+(?=@)")


def is_secret(name: str) -> bool:
    """Whether a value of this name may be a secret, also where the name is mistyped: ``tokn``, ``pasword``."""
    plain = name.lower()
    if any(word in plain for word in _WORDS):
        return True
    parts = re.split(r"[^a-z]+", plain)
    return any(get_close_matches(part, _WORDS, n=1, cutoff=0.85) for part in parts)


def covered(value: Any) -> Any:
    """The value with its secrets covered, however deep they are: the same object where it has none."""
    if isinstance(value, str):
        return _USER.sub(COVER, value) if "://" in value and _USER.search(value) else value
    if isinstance(value, Mapping):
        items = {name: _covered_item(name, one) for name, one in value.items()}
        return value if all(items[name] is value[name] for name in items) else items
    if type(value) in (list, tuple):
        parts = [covered(one) for one in value]
        return value if all(part is one for part, one in zip(parts, value)) else type(value)(parts)
    return value


def _covered_item(name: Any, value: Any) -> Any:
    if value and isinstance(value, (str, bytes, list, tuple)) and isinstance(name, str) and is_secret(name):
        return COVER
    return covered(value)


def is_confidential(value: Any) -> bool:
    """Whether a value is a dictionary with a secret somewhere in it."""
    return isinstance(value, dict) and covered(value) is not value


class ConfidentialDict(dict):  # type: ignore[type-arg]
    """A dictionary with a secret somewhere in it: its text has it covered."""

    def __repr__(self) -> str:
        return repr(dict(covered(self)))


def conceal(value: Any) -> Any:
    """The value, or for a dictionary with a secret in it one that is equal and does not show it."""
    if not is_confidential(value):
        return value
    return ConfidentialDict({name: conceal(one) for name, one in value.items()})
