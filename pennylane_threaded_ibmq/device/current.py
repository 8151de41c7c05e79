"""The device on today's stack: PennyLane's device API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from pennylane.devices import Device
from pennylane.devices.execution_config import ExecutionConfig
from pennylane.measurements import Shots
from pennylane.tape import QuantumScript
from pennylane.transforms.core import CompilePipeline

from ..exceptions import BackendError, ConfigurationError
from ..execution.decode import decode_block
from ..execution.local import run_local
from ..execution.plan import plan
from ..execution.pubs import make_request
from ..execution.structure import TapeData
from ..execution.template import Template, TemplateStore
from ..ibm.local import LocalBackend, is_local_name, open_local
from ..settings import DEFAULT_SHOTS, load_settings
from .preprocess import Rules, prepare
from .tracking import track

if TYPE_CHECKING:
    from pennylane.typing import Result, ResultBatch


class ThreadedIBMQDevice(Device):
    """Run batches of tapes on IBM Quantum, or on a simulator of this machine.

    Tapes of one structure become one parametrised circuit, transpiled once; a batch becomes as few jobs as it takes.

    Args:
        wires: Number of wires, or their labels. Labels name wires only; the transpiler chooses qubits.
        shots: Shots of a circuit that sets none.
        **options: See :class:`~pennylane_threaded_ibmq.settings.Settings`.

    Raises:
        ConfigurationError: An option is unknown or has a value that cannot work.
    """

    def __init__(self, wires: Any, shots: Any = DEFAULT_SHOTS, **options: Any) -> None:
        self._settings = load_settings(options)
        if wires is None:
            raise ConfigurationError(
                "wires=None: give the number of wires or their labels, for example wires=4.", argument="wires"
            )
        checked = check_shots(shots)
        # PennyLane deprecates shots on a device; the default of this one is no choice of the user's
        super().__init__(wires=wires, shots=None if shots == DEFAULT_SHOTS else checked)
        self._shots = checked
        self._default_shots = int(checked.total_shots or DEFAULT_SHOTS)
        self._rng = np.random.default_rng(self._settings.seed_simulator)
        self._templates = TemplateStore()
        name = self._settings.backend
        if isinstance(name, str) and not is_local_name(name):
            raise BackendError(f"backend={name!r}: not available.", argument="backend", value=name)

    @property
    def name(self) -> str:
        """Name of the device."""
        return "threaded.ibmq"

    @cached_property
    def _local(self) -> LocalBackend:
        s = self._settings
        backend = open_local(s.backend) if isinstance(s.backend, str) else s.backend
        return LocalBackend(
            backend,
            compile_backend=s.compile_backend,
            transpile_options=s.transpile_options,
            noise_model=s.noise_model,
            seed=s.seed_simulator,
        )

    def preprocess_transforms(
        self,
        execution_config: ExecutionConfig | None = None,  # noqa: ARG002 - PennyLane's signature
    ) -> CompilePipeline:
        """What happens to each tape before it runs."""
        pipeline = CompilePipeline()
        pipeline.add_transform(prepare, rules=Rules(self.name, self.wires, self._default_shots))
        return pipeline

    def setup_execution_config(
        self,
        config: ExecutionConfig | None = None,
        circuit: QuantumScript | None = None,  # noqa: ARG002 - PennyLane's signature
    ) -> ExecutionConfig:
        """Fill in what this device decides."""
        config = config or ExecutionConfig()
        return replace(config, use_device_gradient=False)

    def execute(
        self,
        circuits: QuantumScript | Sequence[QuantumScript],
        execution_config: ExecutionConfig | None = None,  # noqa: ARG002 - PennyLane's signature
    ) -> Result | ResultBatch:
        """Run preprocessed tapes.

        Args:
            circuits: One tape, or ``n`` tapes; ``n`` may be 0.
            execution_config: Not used.

        Returns:
            The result of the one tape, or a tuple of ``n`` results in the order of the tapes.
        """
        if isinstance(circuits, QuantumScript):
            return self.execute((circuits,))[0]
        tapes = tuple(circuits)
        if not tapes:
            return ()
        blocks = plan(
            tapes,
            self._templates,
            self._make_template,
            estimator=self._settings.primitive == "estimator",
            parametrise=self._settings.parametrise,
        )
        requests = [make_request(b, self._rng) for b in blocks]
        parts: dict[tuple[int, int], list[Any]] = {}
        for block, result in zip(blocks, run_local(requests, self._local, self._rng), strict=True):
            parts.update(decode_block(block, result, self._rng))
        results = tuple(_assemble(tape, position, parts) for position, tape in enumerate(tapes))
        track(self.tracker, tapes, results, jobs=1)
        return results

    def batch_execute(self, circuits: Sequence[QuantumScript]) -> ResultBatch:
        """Run any tapes, preprocessing included.

        Returns:
            A tuple of results in the order of the tapes; ``()`` for an empty batch.
        """
        config = self.setup_execution_config()
        tapes, post = self.preprocess_transforms(config)(tuple(circuits))
        return tuple(post(self.execute(tapes, config)))

    def _make_template(self, tape: QuantumScript, data: TapeData) -> Template:
        used = set(tape.wires)
        wires = [w for w in self.wires if w in used]
        wires += [w for w in tape.wires if w not in set(wires)]
        most = self._local.num_qubits
        if most is not None and len(wires) > most:
            raise BackendError(
                f"A tape uses {len(wires)} wires; backend {self._local.name!r} has {most} qubits. Nothing was sent.",
                argument="wires",
                value=len(wires),
            )
        return Template(tape, data, wires, self._local.compiler, parametrise=self._settings.parametrise)


def check_shots(shots: Any) -> Shots:
    """Read the ``shots`` argument.

    Raises:
        ConfigurationError: Shots are not ``None``, a positive integer or a shot vector.
    """
    try:
        if not isinstance(shots, (float, bool, str)):
            return Shots(shots)
    except ValueError:
        pass
    raise ConfigurationError(
        f"shots={shots!r}: give a whole number of at least 1, or a sequence of such numbers. Nothing was sent.",
        argument="shots",
        value=shots,
    )


def _assemble(tape: QuantumScript, position: int, parts: dict[tuple[int, int], list[Any]]) -> Result:
    """Nest results as PennyLane wants them: shot copies outside, measurements inside."""
    columns = [parts[position, i] for i in range(len(tape.measurements))]
    copies = [tuple(c) if len(c) > 1 else c[0] for c in zip(*columns, strict=True)]
    return tuple(copies) if tape.shots.has_partitioned_shots else copies[0]
