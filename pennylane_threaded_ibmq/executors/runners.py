"""What an executor hands its tapes to: a ``threaded.ibmq`` device, or another PennyLane device of this machine.

PennyLane records circuits in one list for the whole process: an operator that is made in one thread lands in the
circuit that another thread records at that moment. Whatever makes operators here does so under
:func:`recording_lock`, the lock that PennyLane itself holds while a circuit is recorded.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol, cast

import pennylane as qml
from pennylane.queuing import AnnotatedQueue, QueuingManager
from pennylane.wires import Wires

from .._compat import zip_strict
from ..device import ThreadedIBMQDevice
from ..exceptions import DeviceClosedError
from ..stack import Stack, stack
from .futures import CircuitFuture, Submission

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pennylane.tape import QuantumScript
    from pennylane.typing import Result


def recording_lock() -> AbstractContextManager[Any]:
    """The re-entrant lock under which PennyLane records circuits."""
    return cast("AbstractContextManager[Any]", getattr(AnnotatedQueue, "_lock", None) or nullcontext())


@contextmanager
def making_operators() -> Iterator[None]:
    """Make operators that land in nobody's circuit; also inside a circuit that this thread records."""
    with ExitStack() as stack:
        stack.enter_context(recording_lock())
        # With the lock held, whoever records is this thread.
        if QueuingManager.recording():
            stack.enter_context(QueuingManager.stop_recording())
        yield


class Runner(Protocol):
    """Takes tapes and gives a submission at once."""

    def submit(self, tapes: Sequence[QuantumScript], wires: Wires) -> Submission:
        """Hand tapes over."""

    def prepare(self, wires: Wires) -> None:
        """Do what can be done before the first tapes are there."""

    def close(self) -> None:
        """Take no more."""


class HandedOver:
    """Tapes that a ``threaded.ibmq`` device has taken."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    @property
    def futures(self) -> tuple[Future[Result], ...]:
        """One future a tape."""
        return cast("tuple[Future[Any], ...]", self._handle.futures)

    @property
    def job_ids(self) -> tuple[str, ...]:
        """Ids of the jobs accepted so far."""
        return cast("tuple[str, ...]", self._handle.job_ids)

    def flush(self) -> None:
        """Nothing: the device works by itself."""

    def cancel(self) -> None:
        """Cancel the jobs."""
        self._handle.cancel()


class IBMRunner:
    """Hands tapes to a ``threaded.ibmq`` device, made when first needed.

    The device has all wires that were asked for so far. Tapes with wires that it lacks get a device with those too;
    the one before finishes what it has.

    Args:
        options: Arguments of the device, apart from ``wires``.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._device: Any = None
        self._retired: list[Any] = []
        self._closed = False

    def submit(self, tapes: Sequence[QuantumScript], wires: Wires) -> HandedOver:
        """Send tapes."""
        device = self._device_with(wires)
        with making_operators():
            return HandedOver(device.submit(tapes))

    def prepare(self, wires: Wires) -> None:
        """Make the device, which logs in."""
        self._device_with(wires)

    def close(self) -> None:
        """Close the devices."""
        with self._lock:
            self._closed = True
            devices, self._retired = [*self._retired, self._device], []
        for device in devices:
            if device is not None:
                device.close()

    def _device_with(self, wires: Wires) -> Any:
        with self._lock:
            if self._closed:
                raise DeviceClosedError("The executor was closed and takes no more circuits.")
            device = self._device
            if device is not None and (wires is device.wires or all(w in device.wires for w in wires)):
                return device
            known = Wires([]) if device is None else device.wires
            fresh = ThreadedIBMQDevice(Wires.all_wires([known, wires]), **self._options)
            if device is not None:
                self._retired.append(device)
                fresh.share_budget(device)
            self._device = fresh
            return fresh


class OneRun:
    """Tapes for another PennyLane device: run by whoever comes first, a waiting thread or the runner's own."""

    def __init__(
        self, tapes: Sequence[QuantumScript], run: Callable[[Sequence[QuantumScript]], Sequence[Any]]
    ) -> None:
        self._tapes = tuple(tapes)
        self._run = run
        self.futures: tuple[Future[Any], ...] = tuple(CircuitFuture(self) for _ in self._tapes)

    @property
    def job_ids(self) -> tuple[str, ...]:
        """None: nothing leaves this machine."""
        return ()

    def flush(self) -> None:
        """Run the tapes, unless that has happened."""
        with making_operators():
            open_ones = [f for f in self.futures if not (f.done() or f.running())]
            wanted = [f.set_running_or_notify_cancel() for f in open_ones]
            if not any(wanted):
                return
            try:
                results = self._run(self._tapes)
            except BaseException as error:  # noqa: BLE001 - whoever waits must hear
                for future in self.futures:
                    if not future.done():
                        future.set_exception(error)
            else:
                for future, result in zip_strict(self.futures, results):
                    if not future.done():
                        future.set_result(result)

    def cancel(self) -> None:
        """Do not run them, if that has not begun."""
        for future in self.futures:
            future.cancel()


class LocalRunner:
    """Runs tapes on another PennyLane device.

    Simulators make operators while they run, so runs take turns; see the module's text. One thread is enough, and it
    is only used by those who do not wait.

    Args:
        name: Name of the device for ``qml.device``.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._devices: dict[Wires, Any] = {}
        self._lock = threading.Lock()
        self._queue: deque[OneRun] = deque()
        self._busy = False
        self._closed = False

    def submit(self, tapes: Sequence[QuantumScript], wires: Wires) -> OneRun:
        """Take tapes; nothing runs until :meth:`start` or the submission's ``help``."""
        if self._closed:
            raise DeviceClosedError("The executor was closed and takes no more circuits.")
        device = self._device_with(wires)
        return OneRun(tapes, lambda batch: run_on(device, batch))

    def start(self, run: OneRun) -> None:
        """Run it in the background, after those before it."""
        with self._lock:
            self._queue.append(run)
            if not self._busy:
                self._busy = True
                threading.Thread(target=self._work, name="threaded-ibmq-simulator", daemon=True).start()

    def prepare(self, wires: Wires) -> None:
        """Nothing: a simulator is made in no time."""

    def close(self) -> None:
        """Take no more; what waits is cancelled."""
        self._closed = True
        with self._lock:
            waiting = tuple(self._queue)
            self._queue.clear()
        for run in waiting:
            run.cancel()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._queue:
                    self._busy = False
                    return
                run = self._queue.popleft()
            run.flush()

    def _device_with(self, wires: Wires) -> Any:
        with self._lock:
            device = self._devices.get(wires)
            if device is None:
                device = self._devices[wires] = qml.device(self._name, wires=wires)
            return device


def run_on(device: Any, tapes: Sequence[QuantumScript]) -> Sequence[Any]:
    """Run tapes on a device of PennyLane; one result a tape."""
    if stack() is Stack.CURRENT:
        return cast("Sequence[Any]", qml.execute(tapes, device, diff_method=None, interface=None))
    if not isinstance(device, qml.QubitDevice):
        return list(qml.execute(tapes, device, gradient_fn=None, interface=None))
    # a device of the legacy API has one number of shots for all tapes of a call
    results: list[Any] = [None] * len(tapes)
    for shots in dict.fromkeys(tape.shots for tape in tapes):
        positions = [i for i, tape in enumerate(tapes) if tape.shots == shots]
        device.shots = list(shots) if shots.has_partitioned_shots else shots.total_shots
        done = qml.execute([tapes[i] for i in positions], device, gradient_fn=None, interface=None)
        for position, result in zip(positions, done):
            results[position] = result
    return results
