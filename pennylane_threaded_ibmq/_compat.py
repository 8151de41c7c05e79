"""Substitutes for what older Pythons lack. The only module that asks for the Python version."""

from __future__ import annotations

import sys
from concurrent.futures import Future, ThreadPoolExecutor
from enum import Enum
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from enum import StrEnum
    from importlib.metadata import EntryPoint

__all__ = [
    "AnyFuture",
    "StrEnum",
    "end_pool",
    "entry_points",
    "load_toml",
    "without_prefix",
    "without_suffix",
    "zip_strict",
]

_ABSENT = object()


def _zip_strict(*iterables: Any) -> Iterator[tuple[Any, ...]]:
    for row in zip_longest(*iterables, fillvalue=_ABSENT):
        if any(item is _ABSENT for item in row):
            raise ValueError("zip_strict() got arguments of different lengths")
        yield row


# Type checkers see the names of today's Python, whichever they are told to check for.
if TYPE_CHECKING:
    AnyFuture = Future[Any]
    """Base class for futures of anything."""
    zip_strict = zip
    """``zip`` of arguments that must have the same length; raises ``ValueError`` if they have not."""
else:
    AnyFuture = Future
    zip_strict = partial(zip, strict=True) if sys.version_info >= (3, 10) else _zip_strict
    if sys.version_info >= (3, 11):
        from enum import StrEnum
    else:

        class StrEnum(str, Enum):
            """An enumeration whose members are text, and print as such."""

            __str__ = str.__str__
            __format__ = str.__format__


def without_prefix(text: str, prefix: str) -> str:
    """``text.removeprefix(prefix)``."""
    return text[len(prefix) :] if text.startswith(prefix) else text


def without_suffix(text: str, suffix: str) -> str:
    """``text.removesuffix(suffix)``."""
    return text[: len(text) - len(suffix)] if text.endswith(suffix) else text


def load_toml(text: str) -> dict[str, Any]:
    """Read TOML.

    Raises:
        ValueError: It is none; the text ends with the place, as ``(at line 3, column 7)``.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(text)


def entry_points(group: str) -> list[EntryPoint]:
    """The installed entry points of a group."""
    from importlib import metadata

    new = sys.version_info >= (3, 10)
    return list(metadata.entry_points(group=group) if new else metadata.entry_points().get(group, ()))


def end_pool(pool: ThreadPoolExecutor) -> None:
    """Shut a pool down. What has not begun is dropped; Python 3.8 cannot, and finishes it."""
    if sys.version_info >= (3, 9):
        pool.shutdown(cancel_futures=True)
    else:
        pool.shutdown()
