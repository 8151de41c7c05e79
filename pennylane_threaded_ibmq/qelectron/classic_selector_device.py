"""The device that a qelectron runs on, with PennyLane's legacy device API: it hands circuits to executors.

The legacy API keeps shots on the device and changes them there for a call. So each call has a device of its own, a
copy: calls in several threads would run with each other's shots otherwise, and leave them behind.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pennylane.tape import QuantumScript  # noqa: TC002 - PennyLane evaluates the annotations of batch_transform
from pennylane.wires import Wires

from .._compat import zip_strict
from ..device.legacy import WholeBatchDevice
from .base import BaseQExecutor
from .classic_tapes import legacy_shots, shots_of, with_shots
from .cluster import common_shots, leaves_of
from .guard import Guard
from .routing import Ticket, submit
from .runners import recording_lock

if TYPE_CHECKING:
    from pennylane.measurements import Shots
    from pennylane.typing import Result
    from typing_extensions import Self


class SelectorDevice(WholeBatchDevice):
    """Runs each circuit on the executor that the selector chooses.

    Args:
        target: An executor, or a cluster with its selector.
        wires: Wires of the QNode's own device; ``None`` if it has any.
        shots: Its shots.
    """

    name = "qelectron"
    short_name = "qelectron"
    operations: frozenset[str] = frozenset()
    observables: frozenset[str] = frozenset()

    def __init__(self, target: BaseQExecutor, wires: Wires | None, shots: Shots) -> None:
        super().__init__(wires=Wires([]) if wires is None else wires, shots=legacy_shots(shots))
        self.target = target
        self.guard = Guard()
        self._first = self

    def __repr__(self) -> str:
        names = ", ".join(leaf.backend_name for leaf in self.leaves)
        return f"<qelectron device: wires={len(self.wires) or None}, backends={names}>"

    @property
    def executors(self) -> tuple[BaseQExecutor, ...]:
        """Same as ``leaves``, under Covalent's name."""
        return self.leaves

    @property
    def leaves(self) -> tuple[BaseQExecutor, ...]:
        """All executors that may be chosen."""
        return leaves_of(self.target)

    def for_one_call(self, shots: Shots) -> Self:
        """A device for one call: with its shots, or those that all executors put in their place."""
        fresh = copy.copy(self)
        common = common_shots(self.target)
        fresh.shots = legacy_shots(shots if common is None else common)
        return fresh

    def send(self, circuits: Sequence[QuantumScript]) -> Ticket:
        """Choose executors and hand the circuits over.

        Args:
            circuits: The circuits, at least one.
        """
        ready = [self._with_shots(circuit) for circuit in circuits]
        with recording_lock():
            return submit(self.target, ready, self.wires or None)

    def collect(self, circuits: Sequence[QuantumScript], ticket: Ticket) -> list[Result]:
        """Wait for results and tell the tracker.

        Raises:
            Exception: What the first circuit without a result failed with.
        """
        with self.guard.released():
            results = ticket.results()
        if self.tracker.active:
            self._track(circuits, results, ticket.job_ids)
        return list(results)

    def batch_execute(self, circuits: Iterable[QuantumScript], **_: Any) -> list[Result]:
        """Run circuits, each on its executor, the executors side by side.

        Args:
            circuits: ``n`` circuits; ``n`` may be 0.

        Returns:
            A list of ``n`` results in order.
        """
        batch = tuple(circuits)
        if not batch:
            return []
        self._first._num_executions += 1  # noqa: SLF001 - the same class's
        return self.collect(batch, self.send(batch))

    def _with_shots(self, circuit: QuantumScript) -> QuantumScript:
        """The circuit with the shots of the call; gradients may have made circuits that have none."""
        shots = shots_of(self)
        return circuit if circuit.shots == shots else with_shots(circuit, shots)

    def _track(
        self, circuits: Sequence[QuantumScript], results: Sequence[Any], job_ids: Sequence[str]
    ) -> None:
        for circuit, result in zip_strict(circuits, results):
            self.tracker.update(executions=1, shots=circuit.shots.total_shots, results=result)
            self.tracker.record()
        self.tracker.update(batches=1, batch_len=len(circuits), jobs=len(job_ids))
        for job_id in job_ids:
            self.tracker.update(job_ids=job_id)
        self.tracker.record()
