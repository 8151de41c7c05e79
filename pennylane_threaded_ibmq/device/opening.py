"""The things that a device opens when it first needs them, and closes once."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable

from ..exceptions import DeviceClosedError
from .context import ExecutionContext
from .gather import LOCAL_GAP, REMOTE_GAP, Gatherer
from .interrupts import handle_termination


class Opening:
    """The execution context of a device, and the gatherer of its calls. Safe for several threads.

    Whoever forgets it closes the context.

    Args:
        open_context: Opens the context.
        cancels_on_interrupt: SIGTERM is handled from then on where shards become jobs of a service.
    """

    def __init__(self, open_context: Callable[[], ExecutionContext], *, cancels_on_interrupt: bool) -> None:
        self._open_context = open_context
        self._cancels_on_interrupt = cancels_on_interrupt
        self._lock = threading.Lock()
        self._context: ExecutionContext | None = None
        self._gatherer: Gatherer | None = None
        self._closed = False

    @property
    def known(self) -> ExecutionContext | None:
        """The context, if it is open."""
        return self._context

    def context(self) -> ExecutionContext:
        """The context; opened if it is not. After the end of the device it takes no work."""
        with self._lock:
            if self._context is None:
                context = self._open_context()
                if self._closed:
                    context.close()
                if context.remote and self._cancels_on_interrupt:
                    handle_termination()
                self._context = context
                weakref.finalize(self, _close_here, context, os.getpid())
            return self._context

    def gatherer(self) -> Gatherer:
        """The gatherer.

        Raises:
            DeviceClosedError: The device was closed.
        """
        context = self.context()
        with self._lock:
            if self._closed:
                raise DeviceClosedError("The device was closed and takes no more work.")
            if self._gatherer is None:
                self._gatherer = Gatherer(REMOTE_GAP if context.remote else LOCAL_GAP, context.lanes.most)
            return self._gatherer

    def close(self) -> None:
        """Close what is open: calls that wait fail, and threads end."""
        with self._lock:
            self._closed = True
            context, gatherer = self._context, self._gatherer
        if gatherer is not None:
            gatherer.close()
        if context is not None:
            context.close()
            # not where a finalizer closes it, which may run in the middle of a transaction
            context.batches.close()

    def begin_anew(self) -> None:
        """Forget what is open, in a forked process, which has none of its threads."""
        self._lock, self._context, self._gatherer = threading.Lock(), None, None


def _close_here(context: ExecutionContext, pid: int) -> None:
    """Close what this process opened; a fork has copies of its locks, which nobody may ever release."""
    if pid == os.getpid():
        context.close()
