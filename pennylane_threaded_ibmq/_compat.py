"""Substitutes for what older Pythons lack. The only module that asks for the Python version."""

from __future__ import annotations

import sys
from concurrent.futures import Future, ThreadPoolExecutor
from enum import Enum
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from enum import StrEnum
    from functools import cached_property
    from importlib.metadata import EntryPoint

__all__ = [
    "AnyFuture",
    "StrEnum",
    "cached_property",
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


class _CachedProperty:
    """``functools.cached_property`` as it is from Python 3.12 on.

    Before, all objects of a class share one lock: who computes it for one object would keep others waiting, and a fork for ever.
    """

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function
        self.__doc__ = function.__doc__

    def __set_name__(self, _: type[Any], name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, _: type[Any] | None = None) -> Any:
        if instance is None:
            return self
        value = instance.__dict__[self._name] = self._function(instance)
        return value


# Type checkers see the names of today's Python, whichever they are told to check for.
if TYPE_CHECKING:
    AnyFuture = Future[Any]
    """Base class for futures of anything."""
    zip_strict = zip
    """``zip`` of arguments that must have the same length; raises ``ValueError`` if they have not."""
else:
    AnyFuture = Future
    zip_strict = partial(zip, strict=True) if sys.version_info >= (3, 10) else _zip_strict
    if sys.version_info >= (3, 12):
        from functools import cached_property
    else:
        cached_property = _CachedProperty
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
