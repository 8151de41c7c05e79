"""Qelectrons with PennyLane's device API: the QNode, the device it runs on, and its later calls."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pennylane as qml
from pennylane.devices import Device
from pennylane.devices.execution_config import ExecutionConfig
from pennylane.tape import QuantumScript
from pennylane.transforms.core import CompilePipeline
from pennylane.workflow.qnode import _convert_to_interface, _to_qfunc_output_type

from ...circuits.gradients import expand, gradient_method, shift_expanded
from ...circuits.tensors import wants_numpy
from ...device.recording import Guard
from ...executors.later import Deferral
from ...executors.node import QElectron
from ...executors.route import Selecting, Ticket
from .tracking import costs_of

if TYPE_CHECKING:
    from pennylane.typing import Result, ResultBatch
    from pennylane.wires import Wires
    from typing_extensions import Self

    from ...executors.base import BaseQExecutor


_BY_SHIFTS = ("best", "parameter-shift")
_BACKPROPAGATION = ExecutionConfig(gradient_method="backprop")


class SelectorDevice(Selecting, Device):
    """Hands circuits to executors and leaves the rest to PennyLane.

    To PennyLane it is a device without derivatives of its own, so interfaces, gradients, transforms, drawing and shots
    are those of any QNode.
    """

    name = "qelectron"

    def __init__(self, target: BaseQExecutor, wires: Wires | None) -> None:
        super().__init__(wires=wires)
        self.target, self.guard = target, Guard()

    def preprocess_transforms(self, execution_config: ExecutionConfig | None = None) -> CompilePipeline:
        """Nothing: the executor's device prepares the circuits for itself."""
        del execution_config
        return CompilePipeline()

    def setup_execution_config(
        self, config: ExecutionConfig | None = None, circuit: QuantumScript | None = None
    ) -> ExecutionConfig:
        """Fill in what this device decides."""
        del circuit
        config = config or ExecutionConfig()
        numpy = not self.target.takes_tensors or wants_numpy(config)
        return replace(
            config,
            use_device_gradient=False,
            gradient_method=gradient_method(config),
            convert_to_numpy=numpy,
        )

    def execute(
        self,
        circuits: QuantumScript | Sequence[QuantumScript],
        execution_config: ExecutionConfig | None = None,
    ) -> Result | ResultBatch:
        """Run circuits, each on its executor."""
        if isinstance(circuits, QuantumScript):
            return self.execute((circuits,), execution_config)[0]
        return tuple(self.run(circuits))

    def _costs(self, circuit: QuantumScript) -> dict[str, Any]:
        return costs_of(circuit)


class StackQElectron(QElectron):
    """A qelectron of a QNode that PennyLane runs by its device API."""

    _compile_pipeline: CompilePipeline

    def _own(self) -> None:
        super()._own()
        self._compile_pipeline = CompilePipeline(self._compile_pipeline)

    def _run_on(self, target: BaseQExecutor) -> None:
        self.device = SelectorDevice(target, self.original_qnode.device.wires)

    def update(self, **kwargs: Any) -> Self:
        """Return a qelectron with other settings; see PennyLane's ``QNode.update``."""
        fresh = copy(self)
        fresh.__dict__.update({**super().update(**kwargs).__dict__, "device": self.device})
        fresh.original_qnode = self.original_qnode.update(**kwargs)
        if "device" in kwargs:
            fresh.device = SelectorDevice(self.device.target, fresh.original_qnode.device.wires)
        return fresh

    def _later(self, args: Any, kwargs: Any) -> _LaterCall:
        return _LaterCall(self._one_call(args, kwargs), args, kwargs)

    def _one_call(self, args: Any, kwargs: Any) -> Self:
        """A copy for one call, as PennyLane keeps what belongs to a call on the QNode.

        It differentiates in the framework of the arguments: by backpropagation PennyLane does so whatever interface is named, but
        for JAX under Torch's; by shifts it would drop the derivatives.
        """
        call = copy(self)
        # what a user's executor runs may have rules of its own, as modes of light have
        if (
            self.diff_method in _BY_SHIFTS
            and self.device.target.takes_tensors
            and not self._compile_pipeline.has_final_transform
        ):
            call._compile_pipeline += expand  # noqa: SLF001 - the same class's
            call.diff_method = shift_expanded
        if self.interface in ("auto", "numpy", "torch") or not self._passes_through:
            return call
        shots, framework = self.device.common_shots, qml.math.get_interface(*args, *kwargs.values())
        if framework in ("jax", "torch") and not (self.shots if shots is None else shots):
            call.interface = framework
        return call

    @property
    def _passes_through(self) -> bool:
        plain = self.original_qnode
        return bool(plain.diff_method == "best" and plain.device.supports_derivatives(_BACKPROPAGATION))


class _LaterCall:
    """One later call."""

    def __init__(self, qnode: StackQElectron, args: Any, kwargs: Any) -> None:
        self._qnode, self._args, self._kwargs = qnode, args, kwargs
        self._tape = qnode.construct(args, kwargs)
        self._output = qnode._qfunc_output  # noqa: SLF001 - it says how the results are to be nested
        self._pipeline = qnode.compile_pipeline
        self._pipeline.set_classical_component(qnode, args, kwargs)
        self._tapes, self._post = self._pipeline((self._tape,))
        self._deferral = Deferral(
            qnode.device, qnode.execute_kwargs["cache"], convert=qnode.interface != "numpy"
        )

    def submit(self) -> Ticket | None:
        """Submit the circuits; none of a transform that gives information."""
        if self._pipeline.is_informative:
            return None
        return self._deferral.submit(self._tapes, lambda cache: self._execute(None, cache))

    def complete(self) -> Any:
        """The result of the call."""
        if self._pipeline.is_informative:
            return self._result(self._tapes)
        return self._deferral.replay(lambda cache: self._result(self._execute(self._qnode.interface, cache)))

    def _result(self, results: Any) -> Any:
        qnode, tape = self._qnode, self._tape
        (value,) = self._post(results)
        constant = not (self._pipeline.is_informative or tape.get_parameters(trainable_only=False))
        if constant and qnode.interface != "auto":
            value = _convert_to_interface(value, qml.math.Interface(qnode.interface))
        value = _to_qfunc_output_type(value, self._output, tape.shots.has_partitioned_shots)
        return qnode.as_plain(value, tape, self._args, self._kwargs)

    def _execute(self, interface: Any, cache: Any) -> Any:
        qnode = self._qnode
        return qml.execute(
            self._tapes,
            self._deferral.device,
            diff_method=qnode.diff_method,
            interface=interface,
            gradient_kwargs=qnode.gradient_kwargs,
            **{**qnode.execute_kwargs, "cache": cache},
        )
