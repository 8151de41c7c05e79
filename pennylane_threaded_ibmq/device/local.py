"""Another PennyLane device of this machine, in the place of ``threaded.ibmq``.

PennyLane's simulators make operators while they run and are not safe in several threads, so runs take turns. Whoever asks for a
result first runs the circuits; one thread does it for those that nobody waits for.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

import pennylane as qml
from pennylane.wires import Wires

from .._compat import end_pool, zip_strict
from .._fork import FORKS
from ..execution.futures import TapeFuture
from ..stack import Stack, stack
from ..store.archive import CallRecord, archives
from .recording import making_operators

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript


class LocalDevice:
    """Runs tapes on a device of PennyLane's."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._devices: dict[Wires, Any] = {}
        self._pool = _one_thread()
        FORKS.watch(self)

    def submit(
        self,
        tapes: Sequence[QuantumScript],
        *,
        gather: bool = True,
        record: CallRecord | None = None,
        wires: Wires | None = None,
    ) -> LocalRun:
        """Take tapes and return at once."""
        del gather, wires
        run = LocalRun(self, tapes)
        if record is not None:
            archives().here().follow(record, tapes, run.futures)
        self._pool.submit(run.flush).add_done_callback(run.give_up)
        return run

    def run(self, tapes: Sequence[QuantumScript]) -> Sequence[Any]:
        """Run tapes; one result a tape."""
        wires = Wires.all_wires([tape.wires for tape in tapes])
        if wires not in self._devices:
            self._devices[wires] = qml.device(self._name, wires=wires)
        device = self._devices[wires]
        if stack() is Stack.CURRENT:
            return cast("Sequence[Any]", qml.execute(tapes, device, diff_method=None, interface=None))
        if not isinstance(device, qml.QubitDevice):
            return list(qml.execute(tapes, device, gradient_fn=None, interface=None))
        # a device of the legacy API has one number of shots for all tapes of a call
        results = []
        for tape in tapes:
            shots = tape.shots
            device.shots = list(shots) if shots.has_partitioned_shots else shots.total_shots
            results += qml.execute([tape], device, gradient_fn=None, interface=None)
        return results

    def close(self) -> None:
        """Take no more; what waits is cancelled."""
        end_pool(self._pool)

    def before_fork(self) -> None:
        """Nothing: what waits is the parent's."""

    def after_fork(self, *, in_child: bool) -> None:
        """The child has no thread of the parent's, and gets one of its own."""
        if in_child:
            self._pool = _one_thread()


def _one_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="threaded-ibmq-simulator")


class LocalRun:
    """Tapes that were taken, and run once."""

    job_ids: tuple[str, ...] = ()

    def __init__(self, device: LocalDevice, tapes: Sequence[QuantumScript]) -> None:
        self._device = device
        self._tapes = tuple(tapes)
        self.futures: tuple[Future[Any], ...] = tuple(TapeFuture(self) for _ in self._tapes)

    def flush(self) -> None:
        """Run the tapes in this thread, unless that has happened."""
        with making_operators():
            fresh = (f for f in self.futures if not (f.done() or f.running()))
            waiting = [f for f in fresh if f.set_running_or_notify_cancel()]
            if not waiting:
                return
            try:
                results = self._device.run(self._tapes)
            except BaseException as error:  # noqa: BLE001 - whoever waits must hear
                for future in waiting:
                    future.set_exception(error)
                return
            for future, result in zip_strict(self.futures, results):
                if future in waiting:
                    future.set_result(result)

    def cancel(self) -> None:
        """Do not run them, if that has not begun."""
        for future in self.futures:
            future.cancel()

    leave = cancel

    def give_up(self, turn: Future[None]) -> None:
        """The device was closed before their turn came."""
        if turn.cancelled():
            self.cancel()
