"""The batches of a device that are under way, so that whoever closes it can release them."""

from __future__ import annotations

from typing import Protocol
from weakref import WeakSet

from .._fork import ForkLock


class Releasable(Protocol):
    """A batch."""

    def close(self) -> None:
        """Its device is closed."""


class OpenBatches:
    """The batches that were started and that somebody still has. Safe for several threads."""

    def __init__(self) -> None:
        self._lock = ForkLock()
        self._batches: WeakSet[Releasable] = WeakSet()

    def add(self, batch: Releasable) -> None:
        """A batch is started."""
        with self._lock:
            self._batches.add(batch)

    def close(self) -> None:
        """The device is closed: no batch gets what it does not have yet."""
        with self._lock:
            batches = list(self._batches)
        for batch in batches:
            batch.close()
