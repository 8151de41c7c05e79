"""Let Python's garbage collector rest while a large batch is prepared.

Thousands of tapes are thousands of objects that all live on, and Python looks through all of them again and again for cycles
to free: a fifth of the time that a batch of 4000 tapes of a template takes.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from .._fork import FORKS, ForkLock
from ..resources import RESOURCES

MANY = 500
"""Tapes from which on it pays."""


class Collector:
    """The collector of this process: off while anybody needs it to rest, if it was on."""

    def __init__(self) -> None:
        self._lock = ForkLock()
        self._users = 0
        self._was_on = False
        FORKS.watch(self)

    @contextmanager
    def rest(self, tapes: int) -> Iterator[None]:
        """Rest while so many tapes are prepared; nothing happens for few."""
        if tapes < MANY:
            yield
            return
        with self._lock:
            if self._users == 0:
                self._was_on = gc.isenabled()
                gc.disable()
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    self._go_on()

    def _go_on(self) -> None:
        if self._was_on:
            gc.enable()

    def before_fork(self) -> None:
        """Nothing: it rests in a child for no longer than it takes to say so."""

    def after_fork(self, *, in_child: bool) -> None:
        """Go on in a child, where nobody prepares anything."""
        if in_child and self._users:
            self._users = 0
            self._go_on()


def collector() -> Collector:
    """The one that may switch Python's off and on, which is one for all devices."""
    return RESOURCES.get(Collector)
