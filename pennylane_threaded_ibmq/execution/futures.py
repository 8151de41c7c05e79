"""The futures that users get: no callback of theirs can end what fulfils them, and no fork waits for them in vain."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

from .._compat import AnyFuture
from .._fork import FORKS
from ..exceptions import DeviceClosedError

logger = logging.getLogger(__name__)


class Waiting(Protocol):
    """A batch that may still have to be sent, or run."""

    def flush(self) -> None:
        """Send all that wait, in this thread."""


class TapeFuture(AnyFuture):
    """The result of one tape. A thread that asks for it sends what waits.

    Args:
        handle: What it is part of, where that may still have to be sent.

    Attributes:
        keeps: What must not be forgotten before the future is fulfilled, such as the device.
        batch_id: The batch of the journal that brings the result; empty if there is none, or not one alone.
        over: It is done.
    """

    keeps: object = None
    batch_id = ""
    over = False

    def __init__(self, handle: Waiting | None = None) -> None:
        super().__init__()
        self.handle = handle
        self._pid = os.getpid()
        super().add_done_callback(_mark)
        FORKS.watch(self)

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the result."""
        self._flush()
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait; what the tape failed with, or ``None``."""
        self._flush()
        return super().exception(timeout)

    def _flush(self) -> None:
        if self.handle is not None and not self.done():
            self.handle.flush()

    def set_running_or_notify_cancel(self) -> bool:
        """Whether it is to be run; ``False`` if it was cancelled, of which whoever waits for it has been told."""
        with self._condition:
            return not self.cancelled() and super().set_running_or_notify_cancel()

    def before_fork(self) -> None:
        """Nothing: it goes on where it was made."""

    def after_fork(self, *, in_child: bool) -> None:
        """Be done in the child, with an error: nobody is there who would fulfil it, or call its callbacks."""
        if in_child and not self.over:
            super().__init__()
            self.set_exception(forked_error(self._pid, self.batch_id))

    def add_done_callback(self, fn: Callable[[Future[Any]], object]) -> None:
        """Call a function when the future is done.

        A callback that leaves by an exit (``sys.exit``, ``pytest.fail``) in a thread of ours ends neither the thread nor
        the callbacks after it; it is logged, as other errors of callbacks are.
        """
        owner = threading.get_ident()

        def guarded(future: Future[Any]) -> None:
            try:
                fn(future)
            except Exception:
                raise
            except BaseException:
                if threading.get_ident() == owner:
                    raise
                logger.exception("a callback of a future left by an exit; what else waits for it goes on")

        super().add_done_callback(guarded)


def forked_error(pid: int, batch_id: str) -> DeviceClosedError:
    """The error that a forked process gets instead of results that its parent waits for.

    Args:
        pid: The parent.
        batch_id: The batch in the journal; empty if there is none.
    """
    back = f" dev.resume({batch_id!r}) takes it up here." if batch_id else ""
    return DeviceClosedError(
        f"Process {pid} has submitted this batch and was forked then; its results arrive there.{back}"
    )


def _mark(future: Future[Any]) -> None:
    assert isinstance(future, TapeFuture)
    future.over = True
    if future.cancelled():
        # what waits for several futures wakes up only at this
        AnyFuture.set_running_or_notify_cancel(future)
