"""Tags that hold while a block is open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .._tags import check_tags
from ..exceptions import ConfigurationError


class TagBlocks:
    """The tags of what a device sends: its own, and those of open blocks."""

    def __init__(self, own: Sequence[str]) -> None:
        self._own = tuple(own)
        self._outer: TagBlocks | None = None
        # appending and removing are one step each, so that threads need no lock, and a fork no new one
        self._open: list[tuple[str, ...]] = []

    def follow(self, outer: TagBlocks) -> None:
        """Take the blocks of another device too, from which this one was made."""
        self._outer = outer

    @contextmanager
    def block(self, tags: Sequence[str]) -> Iterator[None]:
        """Add tags until the block ends."""
        self._open.append(tuple(tags))
        try:
            yield
        finally:
            self._open.remove(tuple(tags))

    def now(self, before: Sequence[str] = ()) -> tuple[str, ...]:
        """The tags of what is sent now, each once; ``before`` are those that it was sent with before."""
        return tuple(dict.fromkeys([*before, *self._own, *self.open_tags()]))

    def open_tags(self) -> list[str]:
        """The tags of the blocks that are open."""
        outer = [] if self._outer is None else self._outer.open_tags()
        return [*outer, *(tag for tags in list(self._open) for tag in tags)]


def block_tags(tags: Any, argument: str = "job_tags") -> list[str]:
    """Tags of a block, checked when it is made.

    Args:
        tags: The tags.
        argument: The argument that gives them, for the error.

    Raises:
        ConfigurationError: There is none, or one that cannot be a tag.
    """
    try:
        return check_tags(tags, least=1)
    except ValueError as error:
        raise ConfigurationError(
            f"{argument}: {error}. Nothing was sent.", argument=argument, value=tags
        ) from None
