"""The QNode whose circuits run on executors, with PennyLane's legacy device API."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

import pennylane as qml
from pennylane.measurements import Shots
from pennylane.transforms.core import TransformProgram

from .base import BaseQExecutor
from .classic_later import Twice
from .classic_selector_device import SelectorDevice
from .classic_tapes import shots_of, with_shots
from .cluster import common_shots
from .later import LaterFuture, run_later
from .plain_types import as_plain

if TYPE_CHECKING:
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

    execute_kwargs: dict[str, Any]
    gradient_kwargs: dict[str, Any]
    _tape: Any
    _transform_program: Any

    def __init__(self, qnode: qml.QNode, target: BaseQExecutor) -> None:
        self.__dict__.update(qnode.__dict__)
        self._own()
        self.original_qnode = qnode
        own = qnode._original_device  # noqa: SLF001 - QNode.device may be one that PennyLane made for its gradients
        self._on(SelectorDevice(target, own.wires, shots_of(own)))
        self.gradient_fn, self.gradient_kwargs = None, {}
        self._update_gradient_fn()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the circuit and wait for its result, of the types and shapes of the plain QNode's."""
        call = self.one_call(kwargs)
        try:
            with self.device.guard.held():
                value = super(QElectron, call).__call__(*args, **kwargs)
                return as_plain(value, self.original_qnode, call._tape, args, kwargs)  # noqa: SLF001 - the same class's
        finally:
            # what PennyLane's own tools look at after a call
            for name in ("_tape", "_qfunc_output", "gradient_fn", "gradient_kwargs"):
                setattr(self, name, getattr(call, name))

    def run_later(self, *args: Any, **kwargs: Any) -> LaterFuture:
        """Choose executors and submit now, and return at once.

        Args:
            *args: Arguments of the circuit.
            **kwargs: Its keyword arguments.

        Returns:
            A future whose ``result()`` is what a plain call would have returned; whatever goes wrong is raised there.
        """
        return run_later(lambda: Twice(self.one_call(kwargs)), args, kwargs)

    @property
    def executors(self) -> tuple[BaseQExecutor, ...]:
        """All executors that may be chosen."""
        return tuple(self.device.leaves)

    def one_call(self, kwargs: dict[str, Any]) -> Self:
        """A copy for one call: PennyLane keeps what belongs to a call on the QNode and on its device.

        Args:
            kwargs: Keyword arguments of the call; ``shots`` is taken out of them.
        """
        shots = shots_of(self.original_qnode._original_device)  # noqa: SLF001 - see __init__
        if "shots" in kwargs and not self._qfunc_uses_shots_arg:
            shots = Shots(kwargs.pop("shots"))
        call = copy(self)
        call._on(self.device.for_one_call(shots))  # noqa: SLF001 - the same class's
        return call

    def construct(self, args: Any, kwargs: Any) -> None:
        """Record the circuit; with the executors' shots, if they all say the same."""
        super().construct(args, kwargs)
        shots = common_shots(self.device.target)
        if shots is not None and shots != self._tape.shots:
            self._tape = with_shots(self._tape, shots)

    def __copy__(self) -> Self:
        fresh = type(self).__new__(type(self))
        fresh.__dict__.update(self.__dict__)
        fresh._own()  # noqa: SLF001 - the same class's
        return fresh

    def _own(self) -> None:
        """Copy what PennyLane changes in a QNode."""
        self.execute_kwargs = dict(self.execute_kwargs)
        self.gradient_kwargs = dict(self.gradient_kwargs)
        program = TransformProgram()
        for container in self._transform_program:
            program.push_back(container)
        self._transform_program = program

    def _on(self, device: SelectorDevice) -> None:
        self.device = self._original_device = device

    def __repr__(self) -> str:
        return f"<QElectron: device={self.device!r}, interface='{self.interface}', diff_method='{self.diff_method}'>"
