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
from collections.abc import Callable, Generator, MutableMapping, Sequence
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING, Any

import pennylane as qml
from pennylane.devices import Device
from pennylane.tape import QuantumScript

from .._compat import AnyFuture
from .routing import Routed
from .runners import recording_lock

if TYPE_CHECKING:
    from pennylane.devices.execution_config import ExecutionConfig
    from pennylane.transforms.core import CompilePipeline

    from .decorator import QElectron
    from .selector_device import SelectorDevice

# Gradients that make the same circuits whenever they are made from the same circuit. JAX asks for them together with
# the circuit itself, so they can be submitted together too.
_REPEATABLE = ("param_shift", "param_shift_cv", "finite_diff", "hadamard_grad")


class LaterFuture(AnyFuture):
    """The result of a call that was submitted, as in ``concurrent.futures``; it can also be awaited.

    It is done when its circuits are. What PennyLane does with their results happens once, in the thread that first
    asks for the result.
    """

    def __init__(self) -> None:
        super().__init__()
        self._routed: Routed | None = None
        self._finish: Callable[[], Any] | None = None
        self._made = threading.RLock()
        self._outcome: tuple[Any, BaseException | None] | None = None

    @property
    def job_ids(self) -> tuple[str, ...]:
        """Ids of the jobs accepted so far; calls that were sent together share them."""
        return () if self._routed is None else self._routed.job_ids

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
        if self._routed is not None:
            self._routed.cancel()
        return True

    def __await__(self) -> Generator[Any, None, Any]:
        self._hasten()
        return asyncio.wrap_future(self).__await__()

    def follow(self, routed: Routed, finish: Callable[[], Any]) -> None:
        """Be done when the circuits are; ``finish`` makes the result from theirs."""
        self._routed, self._finish = routed, finish
        left = len(routed.futures)
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

        for future in routed.futures:
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
        limit = self._routed.timeout_s if timeout is None and self._routed is not None else timeout
        try:
            super().exception(limit)
        except FutureTimeoutError:
            if timeout is None and self._routed is not None and not self.done():
                raise self._routed.overdue() from None
            # before Python 3.11 the other is no TimeoutError
            raise TimeoutError from None

    def _hasten(self) -> None:
        if self._routed is not None and not self.done():
            self._routed.help()

    def _complete(self) -> tuple[Any, BaseException | None]:
        with recording_lock(), self._made:
            if self._outcome is None:
                try:
                    self._outcome = (self._finish() if self._finish else super().result(0), None)
                except Exception as error:  # noqa: BLE001 - it is the call's, and raised where that is asked for
                    self._outcome = (None, error)
                self._finish = None
            return self._outcome


class _Submitted(BaseException):
    """The circuits were submitted; there is nothing more to do for now."""


class _TwiceDevice(Device):
    """Submits what it is asked to run the first time, and gives those results the second time.

    Args:
        inner: The qelectron's device.
    """

    def __init__(self, inner: SelectorDevice) -> None:
        super().__init__(wires=inner.wires)
        self._inner = inner
        self.circuits = 1
        self.sent: tuple[tuple[QuantumScript, ...], Routed] | None = None
        self.submitting = True

    @property
    def name(self) -> str:
        """Name of the device."""
        return self._inner.name

    def preprocess_transforms(self, execution_config: ExecutionConfig | None = None) -> CompilePipeline:
        """As the qelectron's device."""
        return self._inner.preprocess_transforms(execution_config)

    def setup_execution_config(
        self, config: ExecutionConfig | None = None, circuit: QuantumScript | None = None
    ) -> ExecutionConfig:
        """As the qelectron's device."""
        return self._inner.setup_execution_config(config, circuit)

    def execute(
        self,
        circuits: QuantumScript | Sequence[QuantumScript],
        execution_config: ExecutionConfig | None = None,
    ) -> Any:
        """Submit and leave; or give the results, and run what was not submitted."""
        if isinstance(circuits, QuantumScript):
            return self.execute((circuits,), execution_config)[0]
        batch = tuple(circuits)
        if self.submitting:
            first = batch if _repeats(execution_config) else batch[: self.circuits]
            self.sent = (first, self._inner.send(first, later=True))
            raise _Submitted
        if self.sent is None:
            return self._inner.execute(batch, execution_config)
        (first, routed), self.sent = self.sent, None
        results = self._inner.collect(first, routed)
        rest = batch[len(first) :]
        return results + tuple(self._inner.execute(rest, execution_config)) if rest else results


class _OncePipeline:
    """The transforms of a QNode; applied once, whatever they make is given again.

    Args:
        pipeline: The transforms.
        qnode: Their QNode, for transforms that ask what it does with its arguments.
        made: Told how many circuits they made.
    """

    def __init__(self, pipeline: Any, qnode: QElectron, made: Callable[[int], None]) -> None:
        self._pipeline = pipeline
        self._qnode = qnode
        self._made = made
        self._kept: tuple[Any, Any] | None = None
        self.is_informative = pipeline.is_informative

    def set_classical_component(self, _: Any, args: Any, kwargs: Any) -> None:
        """As PennyLane's, with the QNode that can be called anew."""
        if self._kept is None:
            self._pipeline.set_classical_component(self._qnode, args, kwargs)

    def __call__(self, tapes: Any) -> tuple[Any, Any]:
        """Apply the transforms, or give what they made."""
        if self._kept is None:
            made, post = self._pipeline(tapes)
            self._kept = (tuple(made), post)
            self._made(len(self._kept[0]))
        return self._kept


class _Twice(qml.QNode):
    """One call of a qelectron, made twice.

    Args:
        qnode: The qelectron.
    """

    def __init__(self, qnode: QElectron) -> None:
        self.__dict__.update(qnode.__dict__)
        self.execute_kwargs: dict[str, Any] = dict(qnode.execute_kwargs)
        self._qelectron = qnode
        self._kept: QuantumScript | None = None
        self.device = _TwiceDevice(qnode.device)
        self._compile_pipeline = _OncePipeline(
            qml.CompilePipeline(qnode.compile_pipeline), qnode, self._count
        )
        self._cache = qnode.execute_kwargs["cache"]
        self._snapshot = dict(self._cache) if isinstance(self._cache, MutableMapping) else None

    def construct(self, args: Any, kwargs: Any) -> QuantumScript:
        """Record the circuit, once."""
        if self._kept is None:
            self._kept = self._qelectron.device.with_common_shots(super().construct(args, kwargs))
            self._tape = self._kept
        return self._kept

    def first(self, args: Any, kwargs: Any) -> Any:
        """Up to the submission; if the call ends without one, its result."""
        self._use_cache()
        try:
            value = super().__call__(*args, **kwargs)
        except BaseException:
            # some frameworks raise an error of their own in the place of one that passes through them
            if self.device.sent is None:
                raise
            raise _Submitted from None
        finally:
            self.device.submitting = False
        return value

    def second(self, args: Any, kwargs: Any) -> Any:
        """From the results on."""
        used = self._use_cache()
        value = super().__call__(*args, **kwargs)
        if used is not None:
            self._cache.update(used)
        return value

    def _use_cache(self) -> dict[Any, Any] | None:
        """A cache of the user's as it was at first: each time sees the same, so asks for the same circuits."""
        if self._snapshot is None:
            return None
        used = dict(self._snapshot)
        self.execute_kwargs = {**self.execute_kwargs, "cache": used}
        return used

    def _count(self, circuits: int) -> None:
        self.device.circuits = circuits


def run_later(qnode: QElectron, args: Any, kwargs: Any) -> LaterFuture:
    """Submit a call of a qelectron.

    Args:
        qnode: The qelectron.
        args: Positional arguments of the call.
        kwargs: Its keyword arguments.
    """
    future = LaterFuture()
    try:
        with recording_lock():
            call = _Twice(qnode)
            value = call.first(args, kwargs)
    except _Submitted:
        assert call.device.sent is not None
        future.follow(call.device.sent[1], lambda: call.second(args, kwargs))
    except Exception as error:  # noqa: BLE001 - raised where the result is asked for
        future.set_exception(error)
    else:
        # nothing had to run, or jax.jit will run it
        future.set_result(value)
    return future


def _repeats(config: ExecutionConfig | None) -> bool:
    method = getattr(config, "gradient_method", None)
    return any(method is getattr(qml.gradients, name, None) for name in _REPEATABLE)
