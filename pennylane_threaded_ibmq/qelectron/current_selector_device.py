"""The device that a qelectron runs on: it hands circuits to executors and leaves the rest to PennyLane.

To PennyLane it is a device without derivatives of its own, so interfaces, gradients, transforms, drawing and shots are
those of any QNode.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pennylane.devices import Device
from pennylane.devices.execution_config import ExecutionConfig
from pennylane.devices.qubit.sampling import get_num_shots_and_executions
from pennylane.tape import QuantumScript
from pennylane.transforms.core import CompilePipeline

from .._compat import zip_strict
from .base import BaseQExecutor
from .cluster import common_shots, leaves_of
from .guard import Guard
from .routing import Ticket, submit
from .runners import recording_lock

if TYPE_CHECKING:
    from pennylane.typing import Result, ResultBatch
    from pennylane.wires import Wires


class SelectorDevice(Device):
    """Runs each circuit on the executor that the selector chooses.

    Args:
        target: An executor, or a cluster with its selector.
        wires: Wires of the QNode's own device; ``None`` if it has any.
    """

    def __init__(self, target: BaseQExecutor, wires: Wires | None) -> None:
        super().__init__(wires=wires)
        self.target = target
        self.guard = Guard()

    @property
    def name(self) -> str:
        """Name of the device."""
        return "qelectron"

    def __repr__(self) -> str:
        names = ", ".join(leaf.backend_name for leaf in self.leaves)
        return (
            f"<qelectron device: wires={None if self.wires is None else len(self.wires)}, backends={names}>"
        )

    @property
    def executors(self) -> tuple[BaseQExecutor, ...]:
        """Same as ``leaves``, under Covalent's name."""
        return self.leaves

    @property
    def leaves(self) -> tuple[BaseQExecutor, ...]:
        """All executors that may be chosen."""
        return leaves_of(self.target)

    def with_common_shots(self, circuit: QuantumScript) -> QuantumScript:
        """A circuit with the shots that all executors put in the place of the QNode's, if they agree on any.

        PennyLane then sees the shots that will be used, as it must where they are a vector.
        """
        shots = common_shots(self.target)
        if shots is None or shots == circuit.shots:
            return circuit
        trainable = circuit.trainable_params
        circuit = circuit.copy(shots=shots)
        circuit.trainable_params = trainable
        return circuit

    def preprocess_transforms(
        self,
        execution_config: ExecutionConfig | None = None,  # noqa: ARG002 - PennyLane's signature
    ) -> CompilePipeline:
        """Nothing: the executor's device prepares the circuits for itself."""
        return CompilePipeline()

    def setup_execution_config(
        self,
        config: ExecutionConfig | None = None,
        circuit: QuantumScript | None = None,  # noqa: ARG002 - PennyLane's signature
    ) -> ExecutionConfig:
        """Fill in what this device decides."""
        return replace(config or ExecutionConfig(), use_device_gradient=False)

    def send(self, circuits: Sequence[QuantumScript]) -> Ticket:
        """Choose executors and hand the circuits over.

        Args:
            circuits: The circuits, at least one.
        """
        with recording_lock():
            return submit(self.target, circuits, self.wires)

    def collect(self, circuits: Sequence[QuantumScript], ticket: Ticket) -> tuple[Result, ...]:
        """Wait for results and tell the tracker.

        Raises:
            Exception: What the first circuit without a result failed with.
        """
        with self.guard.released():
            results = ticket.results()
        if self.tracker.active:
            self._track(circuits, results, ticket.job_ids)
        return results

    def execute(
        self,
        circuits: QuantumScript | Sequence[QuantumScript],
        execution_config: ExecutionConfig | None = None,  # noqa: ARG002 - PennyLane's signature
    ) -> Result | ResultBatch:
        """Run circuits, each on its executor, the executors side by side.

        Args:
            circuits: One circuit, or ``n``; ``n`` may be 0.
            execution_config: Not used.

        Returns:
            The result of the one circuit, or a tuple of ``n`` results in order.
        """
        if isinstance(circuits, QuantumScript):
            return self.execute((circuits,))[0]
        if not circuits:
            return ()
        return self.collect(circuits, self.send(circuits))

    def _track(
        self, circuits: Sequence[QuantumScript], results: Sequence[Any], job_ids: Sequence[str]
    ) -> None:
        self.tracker.update(batches=1, jobs=len(job_ids))
        for job_id in job_ids:
            self.tracker.update(job_ids=job_id)
        self.tracker.record()
        for circuit, result in zip_strict(circuits, results):
            executions, shots = get_num_shots_and_executions(circuit)
            specs = circuit.specs
            self.tracker.update(
                executions=executions,
                shots=shots,
                results=result,
                resources=specs["resources"],
                errors=specs["errors"],
            )
            self.tracker.record()
