"""Qelectrons with PennyLane's legacy device API: the QNode, the device it runs on, and its later calls.

The legacy API keeps shots on the device and changes them there for a call. So each call has a device of its own, a
copy: calls in several threads would run with each other's shots otherwise, and leave them behind.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any

import pennylane as qml
from pennylane.measurements import Shots
from pennylane.tape import QuantumScript  # noqa: TC002 - PennyLane evaluates the annotations of batch_transform
from pennylane.transforms.core import TransformProgram
from pennylane.wires import Wires

from ...circuits.changes import with_shots
from ...device.legacy import WholeBatchDevice
from ...device.recording import Guard
from ...executors.later import Deferral
from ...executors.node import QElectron
from ...executors.route import Selecting, Ticket

if TYPE_CHECKING:
    from pennylane.typing import Result
    from typing_extensions import Self

    from ...executors.base import BaseQExecutor


class SelectorDevice(Selecting, WholeBatchDevice):
    """Hands circuits to executors."""

    name = short_name = "qelectron"
    operations: frozenset[str] = frozenset()
    observables: frozenset[str] = frozenset()

    def __init__(self, target: BaseQExecutor, wires: Wires | None, shots: Shots) -> None:
        super().__init__(wires=Wires([]) if wires is None else wires, shots=_legacy(shots))
        self.target, self.guard = target, Guard()
        self._first = self

    def for_one_call(self, shots: Shots) -> Self:
        """A device for one call: with its shots, or those that all executors put in their place."""
        fresh, common = copy(self), self.common_shots
        fresh.shots = _legacy(shots if common is None else common)
        return fresh

    def send(self, circuits: Sequence[QuantumScript]) -> Ticket:
        """Hand circuits over with the shots of the call; gradients may have made circuits that have none."""
        shots = shots_of(self)
        return super().send([c if c.shots == shots else with_shots(c, shots) for c in circuits])

    def collect(self, circuits: Sequence[QuantumScript], ticket: Ticket) -> tuple[Any, ...]:
        """Wait for results and tell the tracker."""
        self._first._num_executions += 1  # noqa: SLF001 - the same class's
        return super().collect(circuits, ticket)

    def batch_execute(self, circuits: Iterable[QuantumScript], **_: Any) -> list[Result]:
        """Run circuits, each on its executor."""
        return list(self.run(tuple(circuits)))

    def _costs(self, circuit: QuantumScript) -> dict[str, Any]:
        return {"executions": 1, "shots": circuit.shots.total_shots}


class StackQElectron(QElectron):
    """A qelectron of a QNode that PennyLane runs by its legacy device API."""

    _of_last_call = ("_tape", "_qfunc_output", "gradient_fn", "gradient_kwargs")
    _autograd_like = ("autograd", "numpy")

    _transform_program: Any

    def _run_on(self, target: BaseQExecutor) -> None:
        # QNode.device may be one that PennyLane made for its gradients
        own = self.original_qnode._original_device  # noqa: SLF001 - see above
        self._on(SelectorDevice(target, own.wires, shots_of(own)))
        self.gradient_fn, self.gradient_kwargs = None, {}
        self._update_gradient_fn()

    def _one_call(self, args: Any, kwargs: Any) -> Self:  # noqa: ARG002 - both stacks' face
        """A copy for one call, whose ``shots`` are taken out of its keyword arguments.

        PennyLane keeps what belongs to a call on the QNode and on its device.
        """
        shots = shots_of(self.original_qnode._original_device)  # noqa: SLF001 - see _run_on
        if "shots" in kwargs and not self._qfunc_uses_shots_arg:
            shots = Shots(kwargs.pop("shots"))
        call = copy(self)
        call._on(self.device.for_one_call(shots))  # noqa: SLF001 - the same class's
        return call

    @property
    def _passes_through(self) -> bool:
        plain = self.original_qnode
        device = plain._original_device  # noqa: SLF001 - see _run_on
        if not hasattr(device, "short_name"):
            simulates = type(device).__name__ in {"DefaultQubit", "DefaultMixed"}
        else:
            simulates = not {"passthru_interface", "passthru_devices"}.isdisjoint(device.capabilities())
        return bool(plain.diff_method == "best" and simulates)

    def _own(self) -> None:
        super()._own()
        program = TransformProgram()
        for container in self._transform_program:
            program.push_back(container)
        self._transform_program = program

    def _on(self, device: SelectorDevice) -> None:
        self.device = self._original_device = device

    def _later(self, args: Any, kwargs: Any) -> _LaterCall:
        return _LaterCall(self._one_call(args, kwargs), args, kwargs)

    def __repr__(self) -> str:
        return f"<QElectron: device={self.device!r}, interface='{self.interface}', diff_method='{self.diff_method}'>"


class _Once:
    """A transform that is applied once to each of its tapes, in order; after that, it gives what it made."""

    def __init__(self, transform: Callable[..., Any]) -> None:
        functools.update_wrapper(self, transform)
        self._transform = transform
        self._results: list[Any] = []
        self.turn = 0

    def __call__(self, tape: Any, *args: Any, **kwargs: Any) -> Any:
        """Apply it, or give what it made."""
        if self.turn == len(self._results):
            self._results.append(self._transform(tape, *args, **kwargs))
        self.turn += 1
        return self._results[self.turn - 1]


class _LaterCall(qml.QNode):
    """One later call."""

    execute_kwargs: dict[str, Any]

    def __init__(self, call: StackQElectron, args: Any, kwargs: Any) -> None:
        self.__dict__.update(call.__dict__)
        self._call, self._args, self._kwargs = call, args, kwargs
        self._deferral = Deferral(
            call.device, call.execute_kwargs.get("cache"), convert=call.interface is not None
        )
        self.device = self._original_device = self._deferral.device
        self._once: list[_Once] = []
        self._transform_program = self._each_once(call.transform_program)
        shots = {} if call._qfunc_uses_shots_arg else {"shots": _legacy(shots_of(call.device))}  # noqa: SLF001 - our own QNode
        call.construct(args, {**kwargs, **shots})
        self._recording: tuple[Any, Any] | None = None

    def construct(self, args: Any, kwargs: Any) -> None:
        """Give the recorded circuit; PennyLane records others in between, to differentiate the classical part."""
        if self._recording is None:
            super().construct(args, kwargs)
            return
        (self._tape, self._qfunc_output), self._recording = self._recording, None
        kwargs.pop("shots", None)

    def submit(self) -> Ticket | None:
        """Submit the circuits."""
        return self._deferral.submit([self._call.tape], lambda cache: self._run(None, cache))

    def complete(self) -> Any:
        """The result of the call."""
        value = self._deferral.replay(lambda cache: self._run(self._call.interface, cache))
        return self._call.as_plain(value, self._call._tape, self._args, self._kwargs)  # noqa: SLF001 - our own QNode

    def _run(self, interface: Any, cache: Any) -> Any:
        self._interface = interface
        self.execute_kwargs = {**self._call.execute_kwargs, "cache": cache}
        self._recording = (self._call._tape, self._call._qfunc_output)  # noqa: SLF001 - our own QNode
        for transform in self._once:
            transform.turn = 0
        return super().__call__(*self._args, **dict(self._kwargs))

    def _each_once(self, program: Any) -> Any:
        if any(container.classical_cotransform for container in program):
            # PennyLane applies such a program to further circuits in between
            return program
        result = TransformProgram()
        for container in program:
            once = _Once(container.transform)
            self._once.append(once)
            fresh = copy(container)
            fresh._transform = once  # noqa: SLF001 - there is no other way to change it
            result.push_back(fresh)
        return result


def shots_of(device: Any) -> Shots:
    """Shots of a device of either API."""
    if isinstance(device.shots, Shots):
        return device.shots
    return Shots(device._raw_shot_sequence if device._shot_vector else device.shots)  # noqa: SLF001 - as PennyLane's QNode


def _legacy(shots: Shots) -> Any:
    """Shots as devices of the legacy API take them."""
    return list(shots) if shots.has_partitioned_shots else shots.total_shots
