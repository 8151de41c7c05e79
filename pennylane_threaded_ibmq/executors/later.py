"""``run_later``: submit now, finish when the result is asked for.

The circuit is recorded once, and the QNode's transforms are applied once. PennyLane then runs what they made on a device
that submits it; when the result is wanted, it runs the same again, as it does in a plain call, on a device that has the
results. So types, shapes and gradients are those of a plain call.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator, Iterable, MutableMapping, Sequence
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from copy import copy
from functools import partial
from typing import Any, Protocol, cast

import pennylane as qml
from pennylane.tape import QuantumScript
from pennylane.transforms import convert_to_numpy_parameters

from ..device.gather import overdue
from ..device.recording import Guard, recording_lock
from ..execution.futures import TapeFuture
from .route import Selecting, Ticket


class LaterFuture(TapeFuture):
    """The result of a call that was submitted, as in ``concurrent.futures``; it can also be awaited.

    It is done when its circuits are. What PennyLane does with their results happens once, in the thread that first
    asks for the result.

    Args:
        ticket: The circuits; ``None`` for a call that is done.
        complete: Makes the result from theirs.
    """

    handle: Ticket | None

    def __init__(self, ticket: Ticket | None = None, complete: Callable[[], Any] | None = None) -> None:
        super().__init__(ticket)
        self._complete = complete
        self._lock = threading.RLock()
        self._outcome: tuple[Any, Exception | None] | None = None
        self._left = set(() if ticket is None else ticket.futures)
        for future in tuple(self._left):
            future.add_done_callback(self._arrive)

    @property
    def job_ids(self) -> tuple[str, ...]:
        """Ids of the jobs accepted so far; calls that were sent together share them."""
        return () if self.handle is None else self.handle.job_ids

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the result.

        Args:
            timeout: Longest wait in seconds; ``None`` for the executors' ``timeout_secs``.

        Raises:
            TimeoutError: Time ran out; the circuits run on.
            CancelledError: The call was cancelled.
            Exception: Whatever the call failed with.
        """
        value, error = self._wait(timeout)
        if error is not None:
            raise error
        return value

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait; what the call failed with, or ``None``."""
        return self._wait(timeout)[1]

    def cancel(self) -> bool:
        """Give the call up; its jobs are cancelled unless other calls share them. ``False`` if it is done."""
        if not super().cancel():
            return False
        if self.handle is not None:
            self.handle.cancel()
        return True

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait in a coroutine, as :meth:`result` does. A task that is cancelled meanwhile cancels the call."""
        self._flush()
        return self._awaited().__await__()

    async def _awaited(self) -> Any:
        future, ticket = asyncio.wrap_future(self), self.handle
        if ticket is None or ticket.timeout_s is None:
            return await future
        try:
            await asyncio.wait({future}, timeout=ticket.timeout_s)
        except asyncio.CancelledError:
            future.cancel()
            raise
        if not future.done():
            # its outcome is left to whoever asks again
            future.add_done_callback(lambda late: late.cancelled() or late.exception())
            raise overdue(ticket.futures, ticket.timeout_s)
        return future.result()

    def _arrive(self, future: Future[Any]) -> None:
        self._left.discard(future)
        if future.cancelled():
            super().cancel()
            return
        error = future.exception()
        if error is not None or not self._left:
            # cancelled meanwhile, or another circuit failed before
            with suppress(InvalidStateError):
                self.set_result(None) if error is None else self.set_exception(error)

    def _wait(self, timeout: float | None) -> tuple[Any, BaseException | None]:
        """The result, or what the call failed with."""
        ticket = self.handle
        limit = ticket.timeout_s if timeout is None and ticket is not None else None
        try:
            wait = partial(super().exception, timeout if limit is None else limit)
            error = wait() if ticket is None else ticket.wait(wait)
        except FutureTimeoutError:
            if limit is not None and ticket is not None and not self.done():
                raise overdue(ticket.futures, limit) from None
            # before Python 3.11 the other is no TimeoutError
            raise TimeoutError from None
        return (None, error) if error is not None else self._finish()

    def _finish(self) -> tuple[Any, Exception | None]:
        if self._outcome is None and self._complete is None:
            return super().result(0), None
        with recording_lock(), self._lock:
            if self._outcome is None and self._complete is not None:
                try:
                    self._outcome = (self._complete(), None)
                except Exception as error:  # noqa: BLE001 - it is the call's, and raised where that is asked for
                    self._outcome = (None, error)
                self._complete = None
            assert self._outcome is not None
            return self._outcome


class LaterCall(Protocol):
    """One later call: its circuit is recorded, and the QNode's transforms are applied once."""

    def submit(self) -> Ticket | None:
        """Submit its circuits; ``None`` if there are none to submit now."""

    def complete(self) -> Any:
        """The result of the call, from theirs; runs what was not submitted."""


def submit_later(make: Callable[[], LaterCall], guard: Guard) -> LaterFuture:
    """Submit a call of a qelectron."""
    done = LaterFuture()
    try:
        with guard.held():
            call = make()
            ticket = call.submit()
            if ticket is not None:
                return LaterFuture(ticket, call.complete)
            # nothing has to run, or jax.jit will run it
            done.set_result(call.complete())
    except Exception as error:  # noqa: BLE001 - raised where the result is asked for
        done.set_exception(error)
    return done


class Deferral:
    """The device of a later call: submits circuits when it is first asked for them, and gives results the next time."""

    def __init__(self, device: Selecting, cache: Any, *, convert: bool) -> None:
        self._inner = device
        self._convert = convert
        self._cache = cache if isinstance(cache, MutableMapping) else None
        self._cached = dict(cache) if isinstance(cache, MutableMapping) else cache
        self._first: Sequence[QuantumScript] = ()
        self._submitting = True
        self._ticket: Ticket | None = None
        self.device = cast(Any, copy(device))
        self.device.run = self._run

    def submit(self, tapes: Iterable[QuantumScript], run: Callable[[Any], Any]) -> Ticket | None:
        """Submit the circuits that PennyLane asks for; nothing inside ``jax.jit``, which asks for them when it runs."""
        values = (value for tape in tapes for value in tape.get_parameters(trainable_only=False))
        if any(qml.math.is_abstract(value) for value in values):
            return None
        try:
            run(self._cached if self._cache is None else dict(self._cached))
        except Exception:
            # whatever PennyLane makes of results that are not there yet does not matter
            if self._ticket is None:
                raise
        self._submitting = False
        return self._ticket

    def replay(self, run: Callable[[Any], Any]) -> Any:
        """Let PennyLane make of their results what a call returns."""
        self._submitting = False
        if self._cache is None:
            return run(self._cached)
        cache = dict(self._cached)
        value = run(cache)
        self._cache.update(cache)
        return value

    def _run(self, batch: Sequence[QuantumScript]) -> Sequence[Any]:
        if self._submitting:
            self._first = [_as_numpy(tape) for tape in batch] if self._convert else batch
            self._ticket = self._inner.send(self._first)
            return [0.0] * len(batch)
        first, self._first = self._first, ()
        if self._ticket is None or not first:
            return self._inner.run(batch)
        results = self._inner.collect(first, self._ticket)
        if self._cache is None:
            # a gradient may ask for further circuits together with the call's own, which come first
            return [*results, *self._inner.run(batch[len(first) :])]
        by_hash = dict(zip((tape.hash for tape in first), results))
        rest = iter(self._inner.run([tape for tape in batch if tape.hash not in by_hash]))
        return [by_hash[tape.hash] if tape.hash in by_hash else next(rest) for tape in batch]


def _as_numpy(tape: QuantumScript) -> QuantumScript:
    if qml.math.get_interface(*tape.get_parameters(trainable_only=False)) == "numpy":
        return tape
    result = convert_to_numpy_parameters(tape)
    return result if isinstance(result, QuantumScript) else result[0][0]
