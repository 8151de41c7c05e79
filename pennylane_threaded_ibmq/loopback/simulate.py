"""Aer, behind one function: circuits, bindings and shots in, counts out."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from qiskit import ClassicalRegister, QuantumCircuit, transpile
from qiskit.providers import BackendV2, Options
from qiskit.quantum_info import PTM
from qiskit.transpiler import Target
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel
from qiskit_aer.noise.device import basic_device_gate_errors, basic_device_readout_errors

from .._compat import zip_strict
from .circuits import (
    active_qubits,
    ends_in_measurements,
    first_bits,
    measure_branches,
    update_digest,
    without_idle_wires,
)
from .machines import Machine
from .responses import JobRefusedError

if TYPE_CHECKING:
    import numpy.typing as npt
    from typing_extensions import TypeAlias

_MEMORY_MB = 1024
"""Most memory for one statevector: 26 qubits. Wider circuits that are not Clifford go to matrix product states."""

_THREADED_FROM = 16
"""Qubits from which on several threads pay. Below, they cost: OpenMP threads spin, and where the processor is
shared a simulation of 0.1 s was seen to take 1 s."""

_NOISE_MODELS_KEPT = 64

_ALWAYS_NATIVE = frozenset({"measure", "barrier", "reset", "delay"})


@dataclass(frozen=True)
class Run:
    """One circuit and all its bindings.

    Attributes:
        circuit: The circuit as submitted, as wide as the backend.
        bindings: Parameter values of shape ``(rows, parameters)``; ``(rows, 0)`` without parameters. The parameters
            are those of the qubits that are simulated.
        measured: Pauli, ``X``, ``Y`` or ``Z``, that is measured on each of these qubits at the end, into a register
            of its own behind all others.
        qubits: The qubits to simulate, which must be an independent part of the circuit; ``None`` for all that matter.
    """

    circuit: QuantumCircuit
    bindings: npt.NDArray[np.float64]
    measured: Mapping[int, str] | None = None
    qubits: Sequence[int] | None = None

    @property
    def num_bits(self) -> int:
        """Bits of an outcome."""
        return int(self.circuit.num_clbits) + len(self.measured or ())


Counts: TypeAlias = "Mapping[str, int]"
"""Outcomes over all classical bits, as Aer's hexadecimal text, and how often each occurred."""


@dataclass(frozen=True)
class QubitErrors:
    """Errors of one qubit.

    Attributes:
        gates: What follows a gate, by its name: Pauli transfer matrix of shape ``(4, 4)``.
        readout: Probability to read ``j`` in state ``i`` at ``[i, j]``.
    """

    gates: Mapping[str, npt.NDArray[np.float64]]
    readout: npt.NDArray[np.float64]


class Engine:
    """Simulates one backend. Used by one thread at a time.

    Args:
        machine: The backend.
        noise: Whether to add the errors of its snapshot; a simulator has none.
        seed: Makes the counts of a row depend on its content alone; ``None`` draws afresh.
        noise_model: Aer's noise model, for a simulator that is given one.
    """

    def __init__(self, machine: Machine, *, noise: bool, seed: int | None, noise_model: Any = None) -> None:
        self.seed = seed
        self.machine = machine
        self._noise = noise and not machine.simulator
        self._own_noise = noise_model
        self._aer = AerSimulator(max_memory_mb=_MEMORY_MB)
        self._native = _native_operations(self._aer)
        self._noise_models: dict[tuple[int, ...], Any] = {}
        self._qubit_errors: dict[int, QubitErrors] = {}

    def variant(self, *, seed: int | None, noise_model: Any) -> Engine:
        """The same backend for one job, which may have a seed and a noise model of its own."""
        seed = self.seed if seed is None else seed
        return Engine(self.machine, noise=self._noise, seed=seed, noise_model=noise_model)

    def sample(self, runs: Sequence[Run], shots: int) -> list[list[Counts]]:
        """Simulate circuits, each with all its bindings at once; with a seed, each row by itself.

        Returns:
            For each run the counts of its rows.

        Raises:
            JobRefusedError: The simulation failed, for example for lack of memory.
        """
        if self.machine.mock:
            return [[_random_counts(run.num_bits, shots, self.seed) for _ in run.bindings] for run in runs]
        counts: list[list[Counts]] = [[] for _ in runs]
        groups: dict[tuple[tuple[int, ...], int | None], list[int]] = defaultdict(list)
        wires = [self._wires(run) for run in runs]
        noisy = self._noise or self._own_noise is not None
        for index, qubits in enumerate(wires):
            # Only the noise of a circuit depends on where it runs, so that ideal circuits make one group.
            place = tuple(qubits) if self._noise else ()
            # Aer applies noise twice after a circuit whose noise it draws shot by shot in the same run.
            alone = noisy and not ends_in_measurements(runs[index].circuit)
            groups[place, index if alone else None].append(index)
        for (place, _), members in groups.items():
            circuits = [self._prepare(runs[index], wires[index]) for index in members]
            bindings = [runs[index].bindings for index in members]
            run = self._run if self.seed is None else self._run_row_by_row
            results = run(circuits, bindings, shots, self._noise_model(place) if place else self._own_noise)
            for index, circuit, rows in zip_strict(members, circuits, results):
                bits = runs[index].num_bits
                counts[index] = (
                    rows if circuit.num_clbits == bits else [first_bits(row, bits) for row in rows]
                )
        return counts

    def qubit_errors(self, qubit: int) -> QubitErrors:
        """Errors of one qubit by itself; none without noise."""
        if not self._noise:
            return QubitErrors({}, np.eye(2))
        if qubit not in self._qubit_errors:
            target = _Excerpt(self.machine.target, (qubit,)).target
            gates = {
                name: np.real(PTM(error).data) for name, _, error in basic_device_gate_errors(target=target)
            }
            readout = next((error for _, error in basic_device_readout_errors(target=target)), None)
            reading = np.eye(2) if readout is None else np.asarray(readout.probabilities)
            self._qubit_errors[qubit] = QubitErrors(gates, reading)
        return self._qubit_errors[qubit]

    def _wires(self, run: Run) -> list[int]:
        """Qubits to keep."""
        if self._own_noise is not None:  # it may name qubits, so that they keep their numbers
            return list(range(run.circuit.num_qubits))
        if run.qubits is not None:
            return sorted(run.qubits)
        return sorted(active_qubits(run.circuit) | set(run.measured or ())) or [0]

    def _run_row_by_row(
        self,
        circuits: list[QuantumCircuit],
        bindings: list[npt.NDArray[np.float64]],
        shots: int,
        noise_model: Any,
    ) -> list[list[Counts]]:
        """As :meth:`_run`, each row with a seed from its own content: Aer takes one seed for all that it runs at once."""
        return [
            [self._run_row(circuit.assign_parameters(row), shots, noise_model) for row in rows]
            for circuit, rows in zip_strict(circuits, bindings)
        ]

    def _run_row(self, bound: QuantumCircuit, shots: int, noise_model: Any) -> Counts:
        digest = hashlib.sha256(f"{self.seed} {shots} ".encode())
        update_digest(digest, bound)
        seed = int.from_bytes(digest.digest()[:4], "big") >> 1
        ((counts,),) = self._run([bound], [np.empty((1, 0))], shots, noise_model, seed)
        return counts

    def _prepare(self, run: Run, wires: list[int]) -> QuantumCircuit:
        circuit = without_idle_wires(run.circuit, wires)
        if run.measured is not None:
            _add_measurements(circuit, {wires.index(qubit): pauli for qubit, pauli in run.measured.items()})
        measure_branches(circuit)
        if any(instruction.operation.name not in self._native for instruction in circuit.data):
            # Only a simulator gets here: anything else was checked against the backend's gates.
            circuit = transpile(circuit, self._aer, optimization_level=0)
        return circuit

    def _run(
        self,
        circuits: list[QuantumCircuit],
        bindings: list[npt.NDArray[np.float64]],
        shots: int,
        noise_model: Any,
        seed: int | None = None,
    ) -> list[list[Counts]]:
        # Without parameters Aer takes no bindings: such a circuit is run once for each row.
        repeats = [
            1 if circuit.num_parameters else len(rows) for circuit, rows in zip_strict(circuits, bindings)
        ]
        copies = [circuit for circuit, times in zip_strict(circuits, repeats) for _ in range(times)]
        binds = [
            {parameter: rows[:, column] for column, parameter in enumerate(circuit.parameters)}
            for circuit, rows, times in zip_strict(circuits, bindings, repeats)
            for _ in range(times)
        ]
        if not copies:
            return [[] for _ in circuits]
        widest = max(circuit.num_qubits for circuit in copies)
        options: dict[str, Any] = {
            "shots": shots,
            "parameter_binds": binds if any(binds) else None,
            "max_parallel_threads": 0 if widest >= _THREADED_FROM else 1,
        }
        if seed is not None:
            options["seed_simulator"] = seed
        if noise_model is not None:
            options["noise_model"] = noise_model
        result = self._aer.run(copies, **options).result()
        if not result.success:
            result = self._aer.run(copies, method="matrix_product_state", **options).result()
        if not result.success:
            raise JobRefusedError(
                1010, f"Error returned at backend level: {result.status}", "Use a smaller circuit."
            )
        results = iter(result.results)
        # A circuit without measurements has no counts; all its bits are 0.
        return [
            [getattr(next(results).data, "counts", {"0x0": shots}) for _ in range(len(rows))]
            for rows in bindings
        ]

    def _noise_model(self, wires: tuple[int, ...]) -> Any:
        """Errors of some qubits only: those of a whole chip take seconds to derive and to load for each run."""
        if wires not in self._noise_models:
            if len(self._noise_models) >= _NOISE_MODELS_KEPT:
                self._noise_models.clear()
            self._noise_models[wires] = NoiseModel.from_backend(_Excerpt(self.machine.target, wires))
        return self._noise_models[wires]


def _random_counts(num_bits: int, shots: int, seed: int | None) -> Counts:
    outcomes = np.random.default_rng(seed).bytes(shots * (num_bits // 8 + 1))
    mask, width = (1 << num_bits) - 1, num_bits // 8 + 1
    return Counter(
        hex(int.from_bytes(outcomes[start : start + width], "little") & mask)
        for start in range(0, len(outcomes), width)
    )


class _Excerpt(BackendV2):
    """Some qubits of a backend, renumbered from 0."""

    def __init__(self, target: Any, wires: tuple[int, ...]) -> None:
        super().__init__(name="excerpt")
        places = {qubit: place for place, qubit in enumerate(wires)}
        self._target = Target(
            num_qubits=len(wires),
            dt=target.dt,
            qubit_properties=[target.qubit_properties[qubit] for qubit in wires],
        )
        for name in target.operation_names:
            properties = target[name]
            inside = {
                tuple(places[qubit] for qubit in qubits): value
                for qubits, value in properties.items()
                if qubits is not None and all(qubit in places for qubit in qubits)
            }
            if inside:
                self._target.add_instruction(target.operation_from_name(name), inside, name=name)

    @property
    def target(self) -> Any:
        return self._target

    @property
    def max_circuits(self) -> None:
        return None

    @classmethod
    def _default_options(cls) -> Any:
        return Options()

    def run(self, run_input: Any, **options: Any) -> Any:
        raise NotImplementedError


def _add_measurements(circuit: QuantumCircuit, paulis: Mapping[int, str]) -> None:
    """Rotate qubits into the bases of Paulis and measure them; bit ``i`` is the ``i``-th entry's."""
    start = circuit.num_clbits
    circuit.add_register(ClassicalRegister(len(paulis), "loopback_basis"))
    for offset, (qubit, pauli) in enumerate(paulis.items()):
        if pauli == "Y":
            circuit.sdg(qubit)
        if pauli in {"X", "Y"}:
            circuit.h(qubit)
        circuit.measure(qubit, start + offset)


def _native_operations(simulator: Any) -> frozenset[str]:
    """Names of what Aer takes as it is."""
    names = getattr(simulator, "operation_names", None)
    if names is None:  # Aer before 0.13
        names = simulator.configuration().basis_gates
    return frozenset(names) | _ALWAYS_NATIVE
