"""Backends on this machine: Aer, and IBM's backend snapshots with their noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from .._compat import cached_property, without_prefix, zip_strict
from ..exceptions import BackendError, ConfigurationError, nearest
from .aer_options import check_aer_options
from .aer_pool import AerPool
from .branches import drop_bits, has_branches, measure_branches, simulation_kind
from .compile import Compiler
from .exact import CountTable, ExactForms, aer_tables, is_exact, sample_exactly
from .fusion import FusedCircuit
from .lightning import Lightning, find_lightning
from .snapshots import SnapshotSimulators, is_snapshot, open_snapshot

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from qiskit import QuantumCircuit
    from typing_extensions import TypeAlias

RowCounts: TypeAlias = "list[dict[str, int]] | CountTable"
"""Counts of the rows of a circuit: a table, or what Aer counted: ``{"0x1f": n}`` a row."""

SEED_STEP = 2113
"""Distance between the seeds of two neighbours in a run of Aer: ``Controller::execute`` in its sources."""

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


def open_local(name: str) -> Any:
    """Make the Qiskit backend of a local name.

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
                f"backend={name!r}: Aer has no method {method!r}.{nearest(method, AER_METHODS)} "
                f"Methods: {', '.join(AER_METHODS)}.",
                argument="backend",
                value=name,
            )
        return AerSimulator(method=method)
    return open_snapshot(name)


def larger_simulators(name: str) -> str:
    """Simulators of this machine that hold more qubits than one of its own; empty for what is none.

    Args:
        name: Name of a backend.
    """
    if name not in AER_NAMES and not name.startswith("aer_simulator"):
        return ""
    return (
        ": 'aer_simulator_matrix_product_state' takes 63 qubits if they are little entangled, and "
        "'aer_simulator_stabilizer' thousands for Clifford gates alone; a state vector needs 16 bytes times 2 to the number "
        "of qubits"
    )


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
        self._given = backend
        self._aer_pool = AerPool()
        self.name = AER_NAME if isinstance(backend, str) else str(backend.name)
        self._noise_model = noise_model
        self._options = dict(options or {})
        self._forms = ExactForms()
        transpiling = dict(transpile_options or {})
        transpiling.setdefault("optimization_level", 1)
        if seed is not None:
            transpiling.setdefault("seed_transpiler", seed)
        self.compiler = Compiler(compile_backend or (lambda: self.backend), transpiling)

    @cached_property
    def backend(self) -> Any:
        """The Qiskit backend."""
        return open_local(self._given) if isinstance(self._given, str) else self._given

    @property
    def num_qubits(self) -> int | None:
        """Qubits of the backend; ``None`` if it does not say."""
        number = getattr(self.backend, "num_qubits", None)
        return None if number is None else int(number)

    @property
    def is_aer(self) -> bool:
        """Whether Aer simulates, and not some other backend of Qiskit's."""
        return self._simulator is not None or is_snapshot(self.backend)

    def check_options(self) -> None:
        """Refuse options that Aer does not have here, and a backend that is not Aer's.

        Raises:
            ConfigurationError: They cannot work.
        """
        check_aer_options(self._options)
        _ = self._simulator

    def check_noise_model(self) -> None:
        """Refuse what is no noise model, or a backend that takes none.

        Raises:
            ConfigurationError: It cannot work.
        """
        from qiskit_aer.noise import NoiseModel

        if not isinstance(self._noise_model, NoiseModel):
            raise ConfigurationError(
                f"noise_model={self._noise_model!r}: a NoiseModel of qiskit_aer.noise is needed, not "
                f"{type(self._noise_model).__name__}. Nothing was sent.",
                argument="noise_model",
                value=self._noise_model,
            )
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
        out: list[RowCounts] = []
        row = 0
        runs = zip_strict(circuits, values)
        for fused, group in groupby(runs, key=lambda run: isinstance(run[0], FusedCircuit)):
            some: Any
            some, arrays = zip(*group)
            first = None if seed is None else seed + SEED_STEP * row
            sample = self._sample_fused if fused else self._sample_circuits
            out += sample(some, arrays, shots, first)
            row += sum(len(array) for array in arrays)
        return out

    def _sample_fused(
        self,
        circuits: Sequence[FusedCircuit],
        values: Sequence[NDArray[np.float64]],
        shots: int,
        seed: int | None,
    ) -> list[RowCounts]:
        lightning = self.lightning
        if lightning is None:
            raise RuntimeError("PennyLane Lightning, which is to simulate this, is not installed here.")
        bits = [circuit.num_clbits for circuit in circuits]
        compute = lightning.tables(circuits)
        return list(sample_exactly(compute, bits, values, shots, seed, SEED_STEP))

    def _sample_circuits(
        self,
        circuits: Sequence[QuantumCircuit],
        values: Sequence[NDArray[np.float64]],
        shots: int,
        seed: int | None,
    ) -> list[RowCounts]:
        whole = [measure_branches(circuit) for circuit in circuits]
        simulator = self._simulator_for(whole)
        if simulator is None:
            options = {} if seed is None else {"seed_simulator": seed}
            sampled = self._sample_anywhere(whole, values, shots, options)
        else:
            sampled = self._sample_here(simulator, whole, values, shots, seed)
        return [
            rows if circuit is one or isinstance(rows, CountTable) else drop_bits(rows, circuit.num_clbits)
            for circuit, one, rows in zip_strict(circuits, whole, sampled)
        ]

    def _sample_here(
        self,
        simulator: Any,
        circuits: Sequence[QuantumCircuit],
        values: Sequence[NDArray[np.float64]],
        shots: int,
        seed: int | None,
    ) -> list[RowCounts]:
        """Draw from probabilities where that is the same, and let Aer draw elsewhere, with noise one kind a run."""
        exact = is_exact(simulator)

        def kind(run: tuple[Any, QuantumCircuit, Any]) -> Any:
            return run[0] is not None if exact else simulation_kind(run[1])

        runs = [(self._forms.of(c) if exact else None, c, v) for c, v in zip_strict(circuits, values)]
        out: list[RowCounts] = []
        row = 0
        for _, group in groupby(runs, key=kind):
            forms, plain, arrays = zip(*group)
            first = None if seed is None else seed + SEED_STEP * row
            if forms[0] is not None:
                bits = [form.bits for form in forms]
                compute = aer_tables(simulator, forms)
                out += sample_exactly(compute, bits, arrays, shots, first, SEED_STEP)
            else:
                out += self._sample_by_aer(simulator, plain, arrays, shots, first)
            row += sum(len(array) for array in arrays)
        return out

    @property
    def _side_by_side(self) -> dict[str, int]:
        """Let Aer run circuits side by side, as many as there are cores, unless the user has said how many.

        By itself it runs them one after the other, each on all cores, which costs small circuits more than it brings: 30
        noisy circuits of 4 qubits take 17 times as long on two cores. With a seed it has to, since its draws then
        depend on the threads of a circuit, hence on how many there are in a run.
        """
        return {} if "max_parallel_experiments" in self._options else {"max_parallel_experiments": 0}

    def _sample_by_aer(
        self,
        simulator: Any,
        circuits: Sequence[QuantumCircuit],
        values: Sequence[NDArray[np.float64]],
        shots: int,
        seed: int | None,
    ) -> list[RowCounts]:
        """Let Aer draw shot by shot: noise and dynamic circuits need it."""
        options = self._side_by_side if seed is None else {"seed_simulator": seed}
        binds = [
            {p: array[:, i] for i, p in enumerate(circuit.parameters)}
            for circuit, array in zip_strict(circuits, values)
        ]
        # a circuit without parameters has no row count of its own: it is repeated
        many: list[Any] = []
        many_binds: list[Any] = []
        for circuit, array, bind in zip_strict(circuits, values, binds):
            if bind and has_branches(circuit):
                # Aer 0.17 ends the whole process when it binds parameters in a circuit that has branches
                many += [circuit.assign_parameters(row) for row in array]
                many_binds += [{}] * len(array)
                continue
            copies = 1 if bind else len(array)
            many += [circuit] * copies
            many_binds += [bind] * copies
        job = simulator.run(
            many,
            parameter_binds=many_binds if any(many_binds) else None,
            shots=shots,
            runtime_parameter_bind_enable=any(bool(b) for b in many_binds),
            **options,
        )
        result = job.result()
        if not result.success:
            raise RuntimeError(f"{self.name}: {result.status}")
        counts = [dict(getattr(r.data, "counts", None) or {"0x0": shots}) for r in result.results]
        out: list[RowCounts] = []
        start = 0
        for array in values:
            out.append(counts[start : start + len(array)])
            start += len(array)
        return out

    def _sample_anywhere(
        self,
        circuits: Sequence[QuantumCircuit],
        values: Sequence[NDArray[np.float64]],
        shots: int,
        options: dict[str, Any],
    ) -> list[RowCounts]:
        """Any other Qiskit backend, through Qiskit's own Sampler for backends."""
        from qiskit.primitives import BackendSamplerV2

        sampler = BackendSamplerV2(backend=self.backend, options={"default_shots": shots, **options})
        result = sampler.run([(c, v) for c, v in zip_strict(circuits, values)], shots=shots).result()
        out: list[RowCounts] = []
        for pub, array in zip_strict(result, values):
            bits = pub.join_data()
            rows = [bits.get_int_counts(i) for i in range(len(array))]
            out.append([{hex(k): n for k, n in row.items()} for row in rows])
        return out

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
