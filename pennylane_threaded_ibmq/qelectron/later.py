"""``run_later``: submit now, finish when the result is asked for.

A call is made twice. The first time PennyLane does all that comes before the circuits run; there they are submitted,
and the call is left by raising. The second time, when the result is wanted, PennyLane does the same again, gets the
results where it asks for them, and does what comes after: so types, shapes and gradients are those of a plain call.
What must not happen twice is kept from the first time: the recorded circuit, and what the QNode's transforms made of
it, for they may draw random numbers.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, Protocol

from ..execution.futures import TapeFuture
from .routing import Ticket
from .runners import recording_lock


class LaterFuture(TapeFuture):
    """The result of a call that was submitted, as in ``concurrent.futures``; it can also be awaited.

    It is done when its circuits are. What PennyLane does with their results happens once, in the thread that first
    asks for the result.
    """

    def __init__(self) -> None:
        super().__init__()
        self._ticket: Ticket | None = None
        self._finish: Callable[[], Any] | None = None
        self._made = threading.RLock()
        self._outcome: tuple[Any, BaseException | None] | None = None

    @property
    def job_ids(self) -> tuple[str, ...]:
        """Ids of the jobs accepted so far; calls that were sent together share them."""
        return () if self._ticket is None else self._ticket.job_ids

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the result.

        Args:
            timeout: Longest wait in seconds; ``None`` for the executors' ``timeout_secs``.

        Raises:
            TimeoutError: Time ran out; the circuits run on.
            CancelledError: The call was cancelled.
            Exception: Whatever the call failed with.
        """
        self._hasten()
        self._wait(timeout)
        super().result(0)
        value, error = self._complete()
        if error is not None:
            raise error
        return value

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait; what the call failed with, or ``None``."""
        self._hasten()
        self._wait(timeout)
        return super().exception(0) or self._complete()[1]

    def cancel(self) -> bool:
        """Give the call up; its jobs are cancelled unless other calls share them. ``False`` if it is done."""
        if not self._give_up():
            return False
        if self._ticket is not None:
            self._ticket.cancel()
        return True

    def __await__(self) -> Generator[Any, None, Any]:
        self._hasten()
        return asyncio.wrap_future(self).__await__()

    def follow(self, ticket: Ticket, finish: Callable[[], Any]) -> None:
        """Be done when the circuits are; ``finish`` makes the result from theirs."""
        self._ticket, self._finish = ticket, finish
        left = len(ticket.futures)
        lock = threading.Lock()

        def done(future: Future[Any]) -> None:
            nonlocal left
            with lock:
                left -= 1
                last = left == 0
            if future.cancelled():
                self._give_up()
                return
            error = future.exception()
            if error is not None:
                self._settle(lambda: self.set_exception(error))
            elif last:
                self._settle(lambda: self.set_result(None))

        for future in ticket.futures:
            future.add_done_callback(done)

    def _give_up(self) -> bool:
        with self._made:
            before = self.cancelled()
            if not super().cancel():
                return False
            if not before:
                # what waits for several futures wakes up only at this
                self.set_running_or_notify_cancel()
            return True

    def _settle(self, settle: Callable[[], None]) -> None:
        try:
            settle()
        except InvalidStateError:
            # cancelled, or another circuit failed before
            return

    def _wait(self, timeout: float | None) -> None:
        limit = self._ticket.timeout_s if timeout is None and self._ticket is not None else timeout
        try:
            super().exception(limit)
        except FutureTimeoutError:
            if timeout is None and self._ticket is not None and not self.done():
                raise self._ticket.overdue() from None
            # before Python 3.11 the other is no TimeoutError
            raise TimeoutError from None

    def _hasten(self) -> None:
        if self._ticket is not None and not self.done():
            self._ticket.help()

    def _complete(self) -> tuple[Any, BaseException | None]:
        with recording_lock(), self._made:
            if self._outcome is None:
                try:
                    self._outcome = (self._finish() if self._finish else super().result(0), None)
                except Exception as error:  # noqa: BLE001 - it is the call's, and raised where that is asked for
                    self._outcome = (None, error)
                self._finish = None
            return self._outcome


class Submitted(BaseException):
    """The circuits were submitted; there is nothing more to do for now."""


class Call(Protocol):
    """One call of a qelectron, made twice."""

    @property
    def sent(self) -> Ticket | None:
        """What the first time submitted."""

    def first(self, args: Any, kwargs: Any) -> Any:
        """Up to the submission, where it raises ``Submitted``; if the call ends without one, its result."""

    def second(self, args: Any, kwargs: Any) -> Any:
        """From the results on."""


def run_later(make: Callable[[], Call], args: Any, kwargs: Any) -> LaterFuture:
    """Submit a call of a qelectron.

    Args:
        make: Makes the call.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
    """
    future = LaterFuture()
    try:
        with recording_lock():
            call = make()
            value = call.first(args, kwargs)
    except Submitted:
        assert call.sent is not None
        future.follow(call.sent, lambda: call.second(args, kwargs))
    except Exception as error:  # noqa: BLE001 - raised where the result is asked for
        future.set_exception(error)
    else:
        # nothing had to run, or jax.jit will run it
        future.set_result(value)
    return future
