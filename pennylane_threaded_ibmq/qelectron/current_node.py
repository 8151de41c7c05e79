"""The QNode whose circuits run on executors, with PennyLane's device API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pennylane as qml

from .base import BaseQExecutor
from .current_later import Twice
from .current_selector_device import SelectorDevice
from .later import LaterFuture, run_later
from .plain_types import as_plain

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript
    from typing_extensions import Self


class QElectron(qml.QNode):
    """A QNode whose circuits run on executors. Made by :func:`~pennylane_threaded_ibmq.qelectron.qelectron`.

    Args:
        qnode: The QNode; it is not changed.
        target: What runs its circuits.

    Attributes:
        original_qnode: The QNode it was made from.
        name: What the decorator was given, or the function's name.
        description: What the decorator was given, or the function's documentation.
    """

    name: str
    description: str

    def __init__(self, qnode: qml.QNode, target: BaseQExecutor) -> None:
        self.__dict__.update(qnode.__dict__)
        # what PennyLane changes in a QNode is copied, as QNode.__copy__ does
        self.execute_kwargs = dict(qnode.execute_kwargs)
        self.gradient_kwargs = dict(qnode.gradient_kwargs)
        self._compile_pipeline = qml.CompilePipeline(qnode.compile_pipeline)
        self.original_qnode = qnode
        self.device = SelectorDevice(target, qnode.device.wires)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the circuit and wait for its result, of the types and shapes of the plain QNode's."""
        with self.device.guard.held():
            value = super().__call__(*args, **kwargs)
            return as_plain(value, self.original_qnode, self._tape, args, kwargs)

    def run_later(self, *args: Any, **kwargs: Any) -> LaterFuture:
        """Choose executors and submit now, and return at once.

        Args:
            *args: Arguments of the circuit.
            **kwargs: Its keyword arguments.

        Returns:
            A future whose ``result()`` is what a plain call would have returned; whatever goes wrong is raised there.
        """
        return run_later(lambda: Twice(self), args, kwargs)

    @property
    def executors(self) -> tuple[BaseQExecutor, ...]:
        """All executors that may be chosen."""
        return self.device.leaves

    def construct(self, args: Any, kwargs: Any) -> QuantumScript:
        """Record the circuit; with the executors' shots, if they all say the same."""
        self._tape = self.device.with_common_shots(super().construct(args, kwargs))
        return self._tape

    def update(self, **kwargs: Any) -> Self:
        """Return a qelectron with other settings; see PennyLane's ``QNode.update``."""
        updated = super().update(**kwargs)
        return self._like(updated, updated.device if "device" in kwargs else self.original_qnode.device)

    def __copy__(self) -> Self:
        copied = super().__copy__()
        fresh = type(self).__new__(type(self))
        fresh.__dict__.update(copied.__dict__)
        return fresh

    def _like(self, qnode: qml.QNode, device: Any) -> Self:
        fresh = type(self).__new__(type(self))
        fresh.__dict__.update(qnode.__dict__)
        fresh.original_qnode = self.original_qnode
        fresh.name, fresh.description = self.name, self.description
        fresh.device = SelectorDevice(self.device.target, device.wires)
        return fresh

    def __repr__(self) -> str:
        return f"<QElectron: device={self.device!r}, interface='{self.interface}', diff_method='{self.diff_method}'>"
