"""Backends on this machine: Aer, and IBM's backend snapshots with their noise."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._compat import cached_property, without_prefix, zip_strict
from .._fork import FORKS
from .._secrets import conceal
from ..exceptions import BackendError, ConfigurationError, nearest
from .aer_options import check_aer_options
from .branches import drop_bits, has_branches, measure_branches, simulation_kind
from .compile import Compiler
from .exact import SEED_STEP, CountTable, ExactForms, aer_tables, is_exact, sample_exactly
from .fusion import FusedCircuit
from .lightning import Lightning, find_lightning
from .snapshots import SnapshotSimulators, is_snapshot, open_snapshot

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from qiskit import QuantumCircuit
    from typing_extensions import TypeAlias

RowCounts: TypeAlias = "list[dict[str, int]] | CountTable"
"""Counts of the rows of a circuit: a table, or what Aer counted: ``{"0x1f": n}`` a row."""

AER_NAMES = frozenset({"aer_simulator", "ibmq_qasm_simulator"})
"""``ibmq_qasm_simulator`` was retired in IBM's cloud; its name stands for Aer on this machine."""

AER_NAME = "aer_simulator"
"""Aer's name for itself."""

AER_METHODS = (
    "automatic",
    "statevector",
    "density_matrix",
    "stabilizer",
    "matrix_product_state",
    "extended_stabilizer",
)


def is_local_name(name: str) -> bool:
    """Whether a backend's name means a simulation on this machine."""
    return name in AER_NAMES or name.startswith(("aer_simulator_", "fake_"))


def open_local(name: str, argument: str = "backend") -> Any:
    """Make the Qiskit backend of a local name.

    Args:
        name: The name.
        argument: The argument that names it, for the error.

    Raises:
        BackendError: There is no such simulator, method or snapshot.
    """
    from qiskit_aer import AerSimulator

    if name in AER_NAMES:
        return AerSimulator()
    if name.startswith("aer_simulator_"):
        method = without_prefix(name, "aer_simulator_")
        if method not in AER_METHODS:
            raise BackendError(
                f"{argument}={name!r}: Aer has no method {method!r}.{nearest(method, AER_METHODS)} "
                f"Methods: {', '.join(AER_METHODS)}.",
                argument=argument,
                value=name,
            )
        return AerSimulator(method=method)
    return open_snapshot(name, argument)


def larger_simulators(name: str) -> str:
    """Simulators of this machine that hold more qubits than one of its own; empty for what is none."""
    if name not in AER_NAMES and not name.startswith("aer_simulator"):
        return ""
    return (
        ": 'aer_simulator_matrix_product_state' takes 63 qubits if they are little entangled, and "
        "'aer_simulator_stabilizer' thousands for Clifford gates alone; a state vector needs 16 bytes times 2 to the number "
        "of qubits"
    )


class _Run(NamedTuple):
    """Circuits that are sampled together.

    Attributes:
        circuits: The circuits.
        values: One array of shape ``(rows, parameters)`` a circuit.
        shots: Shots of each row.
        seed: Seed of the first row; ``None`` for draws that are not repeated.
    """

    circuits: Sequence[Any]
    values: Sequence[NDArray[np.float64]]
    shots: int
    seed: int | None


class AerPool:
    """Aer's one thread for all simulations, which a forked process has not: what it gives to it would wait for ever."""

    def __init__(self) -> None:
        FORKS.watch(self)

    def before_fork(self) -> None:
        """Nothing: Aer makes its thread when it needs it."""

    def after_fork(self, *, in_child: bool) -> None:
        """Give the child an executor of its own; Aer has no option for that."""
        aer = sys.modules.get("qiskit_aer.jobs.aerjob")
        if in_child and isinstance(getattr(aer, "DEFAULT_EXECUTOR", None), ThreadPoolExecutor):
            setattr(aer, "DEFAULT_EXECUTOR", ThreadPoolExecutor(max_workers=1))  # noqa: B010 - no name that mypy knows


class LocalBackend:
    """A Qiskit backend that runs here.

    Without noise and measurements on the way, Aer computes probabilities and outcomes are drawn from them. Elsewhere Aer
    draws: it is given bindings, not bound circuits, and its counts are read instead of its memory, which is 2 to 3 times
    faster than its own Sampler. Rows of a run get different random streams.

    Args:
        backend: A Qiskit ``BackendV2``; or one of ``AER_NAMES``, for an Aer that is loaded when something needs it.
        compile_backend: What to transpile for, if not the same.
        transpile_options: Options of the preset pass manager.
        noise_model: Replaces the backend's noise.
        options: Options of Aer, checked.
        seed: Makes transpiling repeatable.
    """

    def __init__(
        self,
        backend: Any,
        *,
        compile_backend: Any = None,
        transpile_options: Mapping[str, Any] | None = None,
        noise_model: Any = None,
        options: Mapping[str, Any] | None = None,
        seed: int | None = None,
    ) -> None:
        self._source = backend
        self._aer_pool = AerPool()
        self.name = AER_NAME if isinstance(backend, str) else str(backend.name)
        self._noise_model = noise_model
        self._options = conceal(dict(options or {}))
        self._forms = ExactForms()
        transpiling = dict(transpile_options or {})
        transpiling.setdefault("optimization_level", 1)
        if seed is not None:
            transpiling.setdefault("seed_transpiler", seed)
        self.compiler = Compiler(compile_backend or (lambda: self.backend), transpiling)

    @cached_property
    def backend(self) -> Any:
        """The Qiskit backend."""
        return open_local(self._source) if isinstance(self._source, str) else self._source

    @property
    def num_qubits(self) -> int | None:
        """Qubits of the backend; ``None`` if it does not say."""
        number = getattr(self.backend, "num_qubits", None)
        return None if number is None else int(number)

    @property
    def is_aer(self) -> bool:
        """Whether Aer simulates, and not some other backend of Qiskit's."""
        return self._simulator is not None or is_snapshot(self.backend)

    def check(self) -> None:
        """Refuse options that Aer does not have here, what is no noise model, and a backend that takes neither.

        Raises:
            ConfigurationError: They cannot work.
        """
        if self._options:
            check_aer_options(self._options)
        if self._noise_model is not None:
            from qiskit_aer.noise import NoiseModel

            if not isinstance(self._noise_model, NoiseModel):
                raise ConfigurationError(
                    f"noise_model={self._noise_model!r}: a NoiseModel of qiskit_aer.noise is needed, not "
                    f"{type(self._noise_model).__name__}. Nothing was sent.",
                    argument="noise_model",
                    value=self._noise_model,
                )
        if self._options or self._noise_model is not None:
            _ = self._simulator

    @cached_property
    def _simulator(self) -> Any:
        """Aer with this backend's noise; ``None`` for a backend that is no simulator of Qiskit's."""
        from qiskit_aer import AerSimulator

        extra = dict(self._options)
        if self._noise_model is not None:
            extra["noise_model"] = self._noise_model
        if isinstance(self.backend, AerSimulator):
            if not extra:
                return self.backend
            simulator = self.backend.copy() if hasattr(self.backend, "copy") else self.backend
            simulator.set_options(**extra)
            return simulator
        if extra and is_snapshot(self.backend):
            return AerSimulator.from_backend(self.backend, **extra)
        if extra:
            argument = "noise_model" if "noise_model" in extra else "simulator_options"
            raise ConfigurationError(
                f"{argument}: backend {self.name!r} is not an Aer simulator and takes none. Nothing was sent.",
                argument=argument,
            )
        return None

    def _simulator_for(self, circuits: Sequence[QuantumCircuit]) -> Any:
        """The simulator for some circuits; ``None`` for a backend that is no simulator of Qiskit's."""
        if self._noise_model is None and is_snapshot(self.backend):
            return self._snapshots.of(circuits)
        return self._simulator

    @cached_property
    def _snapshots(self) -> SnapshotSimulators:
        return SnapshotSimulators(self.backend, self._options)

    @cached_property
    def lightning(self) -> Lightning | None:
        """Lightning's state vector, where it can be used."""
        return find_lightning(single=self._options.get("precision") == "single")

    def sample(
        self,
        circuits: Sequence[QuantumCircuit | FusedCircuit],
        values: Sequence[NDArray[np.float64]],
        shots: int,
        seed: int | None,
    ) -> list[RowCounts]:
        """Run circuits, each with rows of values, the same number of shots.

        Returns:
            Counts of the rows of each circuit.
        """
        whole = [one if isinstance(one, FusedCircuit) else measure_branches(one) for one in circuits]
        plain = [one for one in whole if not isinstance(one, FusedCircuit)]
        simulator = self._simulator_for(plain) if plain else None
        exact = simulator is not None and is_exact(simulator)

        def way(run: tuple[QuantumCircuit | FusedCircuit, Any]) -> tuple[Any, Hashable]:
            """How a circuit is sampled, and its kind: neighbours that have both in common share a run."""
            circuit, _ = run
            if isinstance(circuit, FusedCircuit):
                return self._by_lightning, None
            if simulator is None:
                return self._by_backend, None
            if exact and self._forms.of(circuit) is not None:
                return self._by_probabilities, None
            return self._by_shots, None if exact else simulation_kind(circuit)

        rows_by_circuit: list[RowCounts] = []
        row = 0
        for (sample, _), group in groupby(zip_strict(whole, values), key=way):
            some, arrays = zip(*group)
            first = None if seed is None else seed + SEED_STEP * row
            rows_by_circuit += sample(simulator, _Run(some, arrays, shots, first))
            row += sum(len(array) for array in arrays)
        return [
            rows if circuit is one or isinstance(rows, CountTable) else drop_bits(rows, circuit.num_clbits)
            for circuit, one, rows in zip_strict(circuits, whole, rows_by_circuit)
        ]

    def _by_lightning(self, _: Any, run: _Run) -> Sequence[RowCounts]:
        if self.lightning is None:
            raise RuntimeError("PennyLane Lightning, which is to simulate this, is not installed here.")
        bits = [circuit.num_clbits for circuit in run.circuits]
        return sample_exactly(self.lightning.tables(run.circuits), bits, run.values, run.shots, run.seed)

    def _by_probabilities(self, simulator: Any, run: _Run) -> Sequence[RowCounts]:
        """Draw from probabilities of Aer's."""
        forms = [form for form in map(self._forms.of, run.circuits) if form is not None]
        bits = [form.circuit.num_clbits for form in forms]
        return sample_exactly(aer_tables(simulator, forms), bits, run.values, run.shots, run.seed)

    def _by_shots(self, simulator: Any, run: _Run) -> Sequence[RowCounts]:
        """Let Aer draw shot by shot: noise and dynamic circuits need it."""
        options = self._side_by_side if run.seed is None else {"seed_simulator": run.seed}
        circuits: list[Any] = []
        binds: list[Any] = []
        for circuit, array in zip_strict(run.circuits, run.values):
            bind = {parameter: array[:, i] for i, parameter in enumerate(circuit.parameters)}
            if bind and has_branches(circuit):
                # Aer 0.17 ends the whole process when it binds parameters in a circuit that has branches
                circuits += [circuit.assign_parameters(row) for row in array]
                binds += [{}] * len(array)
                continue
            # a circuit without parameters has no row count of its own: it is repeated
            copies = 1 if bind else len(array)
            circuits += [circuit] * copies
            binds += [bind] * copies
        some = any(binds)
        job = simulator.run(
            circuits,
            parameter_binds=binds if some else None,
            shots=run.shots,
            runtime_parameter_bind_enable=some,
            **options,
        )
        result = job.result()
        if not result.success:
            raise RuntimeError(f"{self.name}: {result.status}")
        counts = (dict(getattr(r.data, "counts", None) or {"0x0": run.shots}) for r in result.results)
        return [list(islice(counts, len(array))) for array in run.values]

    @property
    def _side_by_side(self) -> dict[str, int]:
        """Let Aer run circuits side by side, as many as there are cores, unless the user has said how many.

        By itself it runs them one after the other, each on all cores, which costs small circuits more than it brings: 30
        noisy circuits of 4 qubits take 17 times as long on two cores. With a seed it has to, since its draws then
        depend on the threads of a circuit, hence on how many there are in a run.
        """
        return {} if "max_parallel_experiments" in self._options else {"max_parallel_experiments": 0}

    def _by_backend(self, _: Any, run: _Run) -> Sequence[RowCounts]:
        """Any other Qiskit backend, through Qiskit's own Sampler for backends."""
        from qiskit.primitives import BackendSamplerV2

        seed = {} if run.seed is None else {"seed_simulator": run.seed}
        sampler = BackendSamplerV2(backend=self.backend, options={"default_shots": run.shots, **seed})
        result = sampler.run(list(zip_strict(run.circuits, run.values)), shots=run.shots).result()
        bits = [pub.join_data() for pub in result]
        return [
            [{hex(k): n for k, n in one.get_int_counts(i).items()} for i in range(len(array))]
            for one, array in zip_strict(bits, run.values)
        ]

    def estimate(
        self,
        circuits: Sequence[QuantumCircuit],
        observables: Sequence[Sequence[Any]],
        values: Sequence[NDArray[np.float64]],
        precisions: Sequence[float],
        seed: int | None,
    ) -> list[NDArray[np.float64]]:
        """Expectation values by Aer's Estimator: exact, plus normal noise of the given standard error.

        Returns:
            For each circuit, an array of shape ``(observables, rows)``.
        """
        from qiskit_aer.primitives import EstimatorV2

        simulator = self._simulator_for(circuits)
        if simulator is None:
            raise ConfigurationError(
                f"primitive='estimator': backend {self.name!r} has no Estimator here; use primitive='sampler'.",
                argument="primitive",
                value="estimator",
            )
        options = {} if seed is None else {"run_options": {"seed_simulator": seed}}
        estimator = EstimatorV2.from_backend(simulator, options=options)
        pubs = [
            # rows without parameters would all but one be missing; a column of observables for each has its own noise
            (c, [[o] for o in obs], v, p) if v.shape[1] else (c, [[o] * len(v) for o in obs], None, p)
            for c, obs, v, p in zip_strict(circuits, observables, values, precisions)
        ]
        result = estimator.run(pubs).result()
        return [np.asarray(r.data.evs, dtype=np.float64) for r in result]
