"""Care for what a fork must not copy: the one place that asks Python to be told of forks.

A forked process has the memory of its parent and none of its threads. A lock that another thread held stays locked in
it for ever, a connection to SQLite takes the locks of its parent for its own, and a locked file stays locked by it
when the parent is dead. So whoever owns one of these is told: before a fork, to put away what cannot be copied; after
it, in the child, to begin anew.
"""

from __future__ import annotations

import os
import threading
from types import TracebackType
from typing import Protocol
from weakref import WeakValueDictionary


class Forkable(Protocol):
    """Somebody who is told of forks."""

    def before_fork(self) -> None:
        """Put away what cannot be copied, and let no other thread take it out until the fork is over.

        Called again where an interrupt ended it.
        """

    def after_fork(self, *, in_child: bool) -> None:
        """The fork is over; where it began, that is as if it had not been. In the child, begin anew."""


class Forks:
    """Those who are told of forks; each is known for as long as it lives."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        # whoever is made may be so by a finalizer, which runs in any thread at any moment
        self._lock = threading.RLock()
        self._known: WeakValueDictionary[int, Forkable] = WeakValueDictionary()
        self._ready: dict[int, Forkable] = {}
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._before, after_in_parent=self._after, after_in_child=self._in_child
            )

    def watch(self, owner: Forkable) -> None:
        """Tell an object of forks from now on."""
        with self._lock:
            self._known[id(owner)] = owner

    def _before(self) -> None:
        self._turn.acquire()
        trouble: BaseException | None = None
        unable: set[int] = set()
        while True:
            self._lock.acquire()
            # a finalizer may add some meanwhile
            owners = [owner for owner in (ref() for ref in self._known.valuerefs()) if owner is not None]
            new = [owner for owner in owners if id(owner) not in self._ready and id(owner) not in unable]
            if not new:
                break
            # whoever is asked may wait for a thread that makes an object which is to be told, too
            self._lock.release()
            for owner in new:
                # Python reports what is raised here and forks all the same: without the others ready, and nobody told of the end
                try:
                    owner.before_fork()
                except Exception as error:  # noqa: BLE001 - see above
                    trouble = error
                    unable.add(id(owner))
                except BaseException as interrupt:  # noqa: BLE001 - see above
                    trouble = interrupt
                    break
                else:
                    self._ready[id(owner)] = owner
        if trouble is not None:
            raise trouble

    def _after(self) -> None:
        self._lock.release()
        try:
            self._notify(in_child=False)
        finally:
            self._turn.release()

    def _in_child(self) -> None:
        self._lock, self._turn = threading.RLock(), threading.Lock()
        self._notify(in_child=True)

    def _notify(self, *, in_child: bool) -> None:
        ready, self._ready = self._ready, {}
        trouble: BaseException | None = None
        for owner in ready.values():
            try:
                owner.after_fork(in_child=in_child)
            except BaseException as error:  # noqa: BLE001 - the others would stay put away
                trouble = error
        if trouble is not None:
            raise trouble


FORKS = Forks()
"""The one owner of that list: Python tells a process once, and forgets nobody whom it was told to tell."""


class ForkLock:
    """A lock that is free in a forked process, whoever held it in the parent."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        FORKS.watch(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def before_fork(self) -> None:
        """Nothing: what the lock guards is forgotten in the child, or right at any moment."""

    def after_fork(self, *, in_child: bool) -> None:
        """Begin anew in the child."""
        if in_child:
            self._lock = threading.Lock()
