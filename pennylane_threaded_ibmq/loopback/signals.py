"""Waiting for something to happen, without polling."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class Change:
    """Wakes everybody who waits for a condition each time something changed. Owned by the event loop."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def notify(self) -> None:
        """Say that something changed."""
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        self._waiting.clear()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return as soon as a condition holds; it is looked at now and after each change."""
        while not condition():
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(future)
            try:
                await future
            finally:
                self._waiting.discard(future)


class Gate:
    """A door that jobs pass in order: open, held, or held but for a number of them. Owned by the event loop."""

    def __init__(self) -> None:
        self._held = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def held(self) -> bool:
        """Whether the door is closed."""
        return self._held

    def hold(self) -> None:
        """Close the door."""
        self._held = True

    def release(self, count: int | None = None) -> int:
        """Let jobs through.

        Args:
            count: How many of those waiting, first come first served; the door stays closed. ``None`` opens it.

        Returns:
            How many were let through.
        """
        if count is None:
            self._held = False
        released = 0
        while self._waiting and (count is None or released < count):
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                released += 1
        return released

    async def passage(self) -> None:
        """Wait until the door lets this caller through."""
        if not self._held:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future
