"""The device on today's stack: PennyLane's device API."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from pennylane.devices import Device
from pennylane.devices.execution_config import ExecutionConfig
from pennylane.tape import QuantumScript
from pennylane.transforms.core import CompilePipeline

from ...circuits.derivatives import can_differentiate, expand_trainable_batches, gradient_tapes
from ...circuits.gradients import gradient_method
from ...circuits.mid_circuit import MidCircuitRules, check_mcm_method
from ...circuits.tensors import convert_tensors, wants_numpy
from ...device.checks import check_shots, check_wires
from ...device.context import is_on_this_machine
from ...device.core import BatchDevice
from ...device.garbage import collector
from ...device.handle import BatchHandle, Origin
from ...device.planner import Preparation
from ...execution.batch import Batch
from ...settings import DEFAULT_SHOTS, hide_token, load_settings
from .context import open_platform
from .preprocess import Rules, prepare, prepare_tape
from .raw_tapes import RawTapes
from .tracking import track

if TYPE_CHECKING:
    from pennylane.measurements import Shots
    from pennylane.typing import PostprocessingFn, Result, ResultBatch
    from typing_extensions import Unpack

    from ...options import DeviceOptions


class ThreadedIBMQDevice(BatchDevice, Device):
    """Run batches of tapes on IBM Quantum, or on a simulator of this machine.

    Tapes of one structure become one parametrised circuit, transpiled once; a batch becomes as few jobs as it takes.

    Args:
        wires: Number of wires, or their labels. Labels name wires only; the transpiler chooses qubits. ``None`` takes circuits
            on any wires, as many as the backend has qubits.
        shots: Shots of a circuit that sets none.
        **options: See :class:`~pennylane_threaded_ibmq.settings.Settings`.

    Raises:
        ConfigurationError: An option is unknown or has a value that cannot work.
        CredentialsError: A real backend was named, and there is no account or IBM refuses it.
        BackendError: There is no such backend, or it has fewer qubits than ``wires``.
    """

    def __init__(
        self, wires: Any = None, shots: Any = DEFAULT_SHOTS, **options: Unpack[DeviceOptions]
    ) -> None:
        arguments = cast("dict[str, Any]", options)
        hide_token(arguments)
        settings = load_settings(arguments)
        checked = check_shots(shots)
        # PennyLane deprecates shots on a device; the default of this one is no choice of the user's
        super().__init__(wires=check_wires(wires), shots=None if shots == DEFAULT_SHOTS else checked)
        self._shots = checked
        self._default_shots = int(checked.total_shots or DEFAULT_SHOTS)
        self._set_up(settings, open_platform, later=is_on_this_machine(settings.backend))

    @property
    def name(self) -> str:
        """Name of the device."""
        return "threaded.ibmq"

    @property
    def num_wires(self) -> int | None:
        """Number of wires of the device; ``None`` where it takes any."""
        return None if self.wires is None else len(self.wires)

    def preprocess_transforms(
        self,
        execution_config: ExecutionConfig | None = None,
    ) -> CompilePipeline:
        """The transforms of each tape before it runs."""
        pipeline = CompilePipeline()
        if execution_config is not None and execution_config.use_device_gradient:
            pipeline.add_transform(expand_trainable_batches)
        pipeline.add_transform(prepare, rules=self._rules(execution_config))
        return pipeline

    def supports_derivatives(
        self, execution_config: ExecutionConfig | None = None, circuit: QuantumScript | None = None
    ) -> bool:
        """Whether the device itself gives the gradient of a circuit, as rows of the circuit's own template.

        Args:
            execution_config: ``gradient_method`` must be ``"best"`` or ``"device"``, without options of a gradient
                transform, for first derivatives.
            circuit: The circuit; without one the answer is for a circuit of gates that have shift rules.
        """
        if execution_config is None:
            return True
        if execution_config.gradient_method in {"adjoint", "backprop"}:
            # PennyLane's own error, which comes next, does not say what to do
            warnings.warn(
                f"diff_method={execution_config.gradient_method!r} needs a state vector; this device runs circuits with shots. "
                "'best' (shifts as rows of one circuit), 'parameter-shift', 'hadamard', 'finite-diff' and 'spsa' work.",
                stacklevel=3,
            )
        return (
            execution_config.gradient_method in {"best", "device"}
            # rows need parameters to bind
            and self._settings.parametrise
            and not execution_config.gradient_keyword_arguments
            and execution_config.derivative_order == 1
            and (circuit is None or can_differentiate(circuit))
        )

    def setup_execution_config(
        self,
        config: ExecutionConfig | None = None,
        circuit: QuantumScript | None = None,
    ) -> ExecutionConfig:
        """Fill in what this device decides."""
        config = config or ExecutionConfig()
        check_mcm_method(config.mcm_config.mcm_method)
        by_device = bool(config.use_device_gradient) or self.supports_derivatives(config, circuit)
        return replace(
            config,
            use_device_gradient=by_device,
            # a plain value must not pay for a gradient
            grad_on_execution=bool(config.grad_on_execution) if by_device else config.grad_on_execution,
            gradient_method="device" if by_device else gradient_method(config),
            convert_to_numpy=wants_numpy(config),
        )

    def execute(
        self,
        circuits: QuantumScript | Sequence[QuantumScript],
        execution_config: ExecutionConfig | None = None,
    ) -> Result | ResultBatch:
        """Run tapes that PennyLane has preprocessed; one that it has not is prepared first.

        Args:
            circuits: One tape, or ``n`` tapes; ``n`` may be 0.
            execution_config: How tapes that were not preprocessed are prepared.

        Returns:
            The result of the one tape, or a tuple of ``n`` results in the order of the tapes.
        """
        if isinstance(circuits, QuantumScript):
            return self.execute((circuits,), execution_config)[0]
        tapes = convert_tensors(circuits)
        if not tapes:
            return ()
        raw = RawTapes(self._rules(execution_config))
        with collector().rest(len(tapes)):
            handle = self._start(self._plan(tapes, raw.prepare))
            if not self._open().remote:
                # a simulation is over soon, and half of its time would go into looking through the tapes
                return self._wait(handle)
        return self._wait(handle)

    def compute_derivatives(
        self,
        circuits: QuantumScript | Sequence[QuantumScript],
        execution_config: ExecutionConfig | None = None,  # noqa: ARG002 - PennyLane's signature
    ) -> Any:
        """Jacobians of preprocessed tapes.

        Args:
            circuits: One tape, or ``n`` tapes.
            execution_config: Not used.

        Returns:
            The Jacobian of the one tape, or a tuple of ``n``. A Jacobian nests as results do, with one entry a trainable
            parameter inside.
        """
        if isinstance(circuits, QuantumScript):
            return self.compute_derivatives((circuits,))[0]
        return self._run_parts([gradient_tapes(tape) for tape in circuits])

    def execute_and_compute_derivatives(
        self,
        circuits: QuantumScript | Sequence[QuantumScript],
        execution_config: ExecutionConfig | None = None,  # noqa: ARG002 - PennyLane's signature
    ) -> Any:
        """Results and Jacobians of preprocessed tapes, in one batch.

        Args:
            circuits: One tape, or ``n`` tapes.
            execution_config: Not used.

        Returns:
            What :meth:`execute` gives, and what :meth:`compute_derivatives` gives.
        """
        if isinstance(circuits, QuantumScript):
            (result,), (jacobian,) = self.execute_and_compute_derivatives((circuits,))
            return result, jacobian
        results = self._run_parts([*(((tape,), None) for tape in circuits), *map(gradient_tapes, circuits)])
        return results[: len(circuits)], results[len(circuits) :]

    def _run_parts(
        self, parts: Sequence[tuple[Sequence[QuantumScript], PostprocessingFn | None]]
    ) -> ResultBatch:
        """Run tapes that stand for others as one batch."""
        tapes = [tape for made, _ in parts for tape in made]
        origins, start = [], 0
        for made, post in parts:
            origins.append(Origin(start, start + len(made), post))
            start += len(made)
        if not tapes:
            return tuple(post(()) for _, post in parts if post is not None)
        return self._wait(
            self._start(self._planner.plan_ready(self._open(), convert_tensors(tapes), origins))
        )

    def _rules(self, config: ExecutionConfig | None = None) -> Rules:
        mid_circuit = MidCircuitRules.of(
            config, lambda: self._open().compiler.operation_names, lambda: self._open().name
        )
        return Rules(
            self.name, self.wires, self._default_shots, mid_circuit, parametrise=self._settings.parametrise
        )

    def _preparation(self) -> Preparation:
        rules = self._rules()
        return lambda tape: prepare_tape(convert_tensors((tape,))[0], rules)

    def _own_shots(self) -> Shots:
        return self._shots

    def _notify(self, tracker: Any, batch: Batch, handle: BatchHandle) -> None:
        track(tracker, batch, handle.usage_secs)
