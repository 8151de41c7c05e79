"""A structure as Qiskit circuits: parametrised, transpiled once, kept.

A template owns one circuit a setting (for the Sampler) and one without measurements (for the Estimator). Each is
built and transpiled when it is first needed; settings share what comes before their rotations. Its parameters are a plain
vector; ``columns`` says how the data of a tape become its values. It keeps no lock: where several threads ask, its owner does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._compat import cached_property
from ..simulators.fusion import FusedCircuit
from ..simulators.program import BARRIER, MEASURE, RESET, STATE, UNITARY, Placed, Program
from ..simulators.routed import Routed
from .dynamic import Condition, postselection, qiskit_condition
from .gates import is_mid_measure
from .limits import JobSize, circuit_size
from .lowering import basis_change, last_diagonals, lower
from .measure import plan_measurements
from .readout import Setting
from .structure import TapeData

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pennylane.tape import QuantumScript
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp
    from typing_extensions import TypeAlias

Transpile: TypeAlias = "Callable[[QuantumCircuit], QuantumCircuit]"
Route: TypeAlias = "Callable[[QuantumCircuit], Routed | None]"
Fuse: TypeAlias = "Callable[[Program], FusedCircuit | None]"

BASE_BYTES, INSTRUCTION_BYTES, WORD_BYTES = 64_000, 700, 1_000
"""Memory of a template itself, of each instruction of its circuits and of each word. Measured as growth of the process:
circuits of 140 and of 921 instructions for 133 qubits take 157 and 658 kB."""


@dataclass(frozen=True, eq=False)
class Compiled:
    """A circuit ready to run.

    Attributes:
        circuit: The transpiled circuit, whose global phase is zero; or a fused one, which is never transpiled.
        columns: Which columns of the template's values are left, in the order of ``circuit.parameters``.
            Transpiling deletes parameters that do not matter, such as a rotation about Z before a measurement.
    """

    circuit: Any
    columns: NDArray[np.int64]

    def values(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Parameter values of this circuit: shape ``(rows, len(circuit.parameters))``."""
        return values[:, self.columns]

    @cached_property
    def size(self) -> JobSize:
        """Size as IBM counts it, run once."""
        return circuit_size(self.circuit)


class Template:
    """One structure on one backend.

    Args:
        tape: An example of the structure.
        data: The same tape, read.
        wires: Wires of the register, in order.
        transpile: Turns a circuit into one that the backend runs.
        parametrise: ``False`` writes the angles of the example into the circuit.
        fuse: Makes a program run without Qiskit, or gives ``None`` for one that cannot; ``None`` where Qiskit runs all.
        route: Transpiles what several endings have in common; ``None`` where each is transpiled for itself.
    """

    def __init__(
        self,
        tape: QuantumScript,
        data: TapeData,
        wires: Sequence[Any],
        transpile: Transpile,
        *,
        parametrise: bool = True,
        fuse: Fuse | None = None,
        route: Route | None = None,
    ) -> None:
        self.wires = tuple(wires)
        self._qubit = {w: i for i, w in enumerate(self.wires)}
        self._transpile = transpile
        self._fuse = fuse
        self._route = route
        self._measured_before = sum(is_mid_measure(op) for op in tape.operations)
        self.postselection = postselection(tape)
        self.settings, self.readouts = plan_measurements(tape, data, self.wires, first=self._measured_before)
        self.words = tuple(dict.fromkeys(w for r in self.readouts for w in r.all_words))
        self._lowered = lower(tape, self._qubit, None if parametrise else data.angles[0])
        self._compiled: dict[int, Compiled] = {}
        self._estimator: tuple[Compiled, tuple[SparsePauliOp, ...]] | None = None

    def values(self, angles: NDArray[np.float64]) -> NDArray[np.float64]:
        """Parameter values from the angles of tapes: shape ``(rows, parameters)``, radians."""
        return self._lowered.values(angles)

    @property
    def size(self) -> int:
        """Bytes that it takes, about."""
        circuits = [compiled.circuit for compiled in list(self._compiled.values())]
        if self._estimator is not None:
            circuits.append(self._estimator[0].circuit)
        routed = self.__dict__.get("_routed")
        if routed is not None:
            circuits.append(routed.circuit)
        gates = sum(len(circuit.data) for circuit in circuits if hasattr(circuit, "data"))
        gates += sum(len(part.gates) for part in self._lowered.parts)
        return BASE_BYTES + INSTRUCTION_BYTES * gates + WORD_BYTES * len(self.words)

    @property
    def dynamic(self) -> bool:
        """Whether it measures in the middle."""
        return self._measured_before > 0

    @property
    def random_size(self) -> int:
        """Number of angles that a random basis adds."""
        return 2 * len(self.wires)

    def sampler_circuit(self, setting: int) -> Compiled:
        """The circuit that ends in a setting."""
        compiled = self._compiled.get(setting)
        if compiled is None:
            compiled = self._direct(self.settings[setting]) or self._transpiled(self.settings[setting])
            self._compiled[setting] = compiled
        return compiled

    def estimator_circuit(self) -> tuple[Compiled, tuple[SparsePauliOp, ...]]:
        """The circuit without measurements, and the words as observables on its qubits."""
        if self._estimator is None:
            from qiskit.quantum_info import SparsePauliOp

            compiled = self._unmeasured()
            circuit = compiled.circuit
            observables = tuple(
                SparsePauliOp.from_sparse_list(
                    [("".join(p for _, p in word), [self._qubit[w] for w, _ in word], 1.0)],
                    num_qubits=len(self.wires),
                ).apply_layout(circuit.layout, circuit.num_qubits)
                for word in self.words
            )
            self._estimator = (compiled, observables)
        return self._estimator

    def _unmeasured(self) -> Compiled:
        """The circuit without measurements."""
        if self._routed is None:
            return self._compile(self._base)
        return self._as_compiled(self._routed.finish(self._routed.circuit))

    def _transpiled(self, setting: Setting) -> Compiled:
        """The circuit that ends in a setting, by Qiskit."""
        if not setting.is_local or self._routed is None:
            return self._compile(self._measured(setting))
        circuit = self._routed.circuit.copy()
        self._append_ending(circuit, setting, self._routed.places)
        compiled = self._as_compiled(self._routed.finish(circuit))
        if not (self._routed.trims and self._ends_diagonally(setting)):
            return compiled
        whole = self._compile(self._measured(setting))
        return min(compiled, whole, key=lambda one: one.size.two_qubit_gates)

    @cached_property
    def _routed(self) -> Routed | None:
        """The circuit that its settings have in common, transpiled; ``None`` where each is transpiled for itself."""
        local = sum(setting.is_local for setting in self.settings)
        if self._route is None or self.dynamic or local < 2:
            return None
        return self._route(self._base)

    def _ends_diagonally(self, setting: Setting) -> bool:
        """Whether gates on two qubits need not be routed for a setting."""
        if setting.rotations or setting.random_basis or any(letter != "Z" for _, letter in setting.basis):
            return False
        qubits = {self._qubit[wire] for wire in setting.wires}
        return any(qubits.issuperset(pair) for pair in last_diagonals(self._lowered.parts[-1].gates))

    def _compile(self, circuit: QuantumCircuit) -> Compiled:
        return self._as_compiled(self._transpile(circuit))

    def _as_compiled(self, transpiled: QuantumCircuit) -> Compiled:
        # a symbolic phase makes binding slow and serialisation fail; a phase is never observable
        transpiled.global_phase = 0
        order = {p: i for i, p in enumerate(self._parameters)}
        columns = np.array([order[p] for p in transpiled.parameters], dtype=np.int64)
        return Compiled(transpiled, columns)

    def _direct(self, setting: Setting) -> Compiled | None:
        """The circuit that ends in a setting without Qiskit; ``None`` where that cannot be."""
        if self._fuse is None or self.dynamic:
            return None
        gates = [gate for part in self._lowered.parts for gate in part.gates]
        qubits = tuple(self._qubit[w] for w in setting.wires)
        ending = basis_change(setting, self._qubit, len(self._lowered.sources))
        program = Program(len(self.wires), (*gates, *ending), qubits)
        fused = self._fuse(program)
        if fused is None:
            return None
        columns = len(self._lowered.sources) + self.random_size * setting.random_basis
        return Compiled(fused, np.arange(columns))

    @cached_property
    def _parameters(self) -> tuple[Any, ...]:
        """Parameters of the circuits, in the order of columns: those of the tape, then those of a random basis."""
        from qiskit.circuit import ParameterVector

        return (
            *ParameterVector("p", len(self._lowered.sources)),
            *ParameterVector("r", self.random_size if any(s.random_basis for s in self.settings) else 0),
        )

    @cached_property
    def _base(self) -> QuantumCircuit:
        """The circuit without final measurements."""
        from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister

        circuit = QuantumCircuit(QuantumRegister(len(self.wires), "q"))
        if self.dynamic:
            # one register for all bits: each setting reads its own part, and results decode as ever
            width = self._measured_before + max(len(s.wires) for s in self.settings)
            circuit.add_register(ClassicalRegister(width, "c"))
        before: Condition | None = None
        otherwise: Any = None
        for part in self._lowered.parts:
            scope: Any = nullcontext()
            if part.condition is not None:
                if otherwise is not None and part.condition.is_opposite(before):
                    scope = otherwise
                else:
                    scope = circuit.if_test(qiskit_condition(part.condition, circuit.clbits))
            with scope as otherwise:
                append_gates(circuit, part.gates, self._parameters)
            before = part.condition
        return circuit

    def _measured(self, setting: Setting) -> QuantumCircuit:
        """The circuit that ends in a setting, as it was lowered."""
        circuit = self._base.copy()
        self._append_ending(circuit, setting, range(len(self.wires)))
        return circuit

    def _append_ending(self, circuit: QuantumCircuit, setting: Setting, places: Sequence[int]) -> None:
        """Append rotations and measurements of a setting, where each qubit has its place."""
        from qiskit import ClassicalRegister

        if not self.dynamic:
            circuit.add_register(ClassicalRegister(len(setting.wires), "c"))
        place_of = {wire: places[qubit] for wire, qubit in self._qubit.items()}
        append_gates(circuit, basis_change(setting, place_of, len(self._lowered.sources)), self._parameters)
        for bit, wire in enumerate(setting.wires, start=setting.first):
            circuit.measure(place_of[wire], bit)


def append_gates(circuit: QuantumCircuit, gates: Iterable[Placed], parameters: Sequence[Any]) -> None:
    """Append gates to a circuit; ``parameters`` has that of each column."""
    for gate in gates:
        if gate.gate == BARRIER:
            circuit.barrier(gate.qubits)
        elif gate.gate == MEASURE:
            circuit.measure(gate.qubits[0], gate.bit)
        elif gate.gate == RESET:
            circuit.reset(gate.qubits[0])
        elif gate.array is not None:
            # Qiskit counts a matrix's qubits from the other end
            circuit.append(_of_array(gate), gate.qubits[::-1])
        else:
            # Qiskit has a short way for each gate of its library: the method of its name
            method = getattr(circuit, gate.gate[: -len("Gate")].lower())
            method(*_angles(gate, parameters), *gate.qubits)


def _of_array(gate: Placed) -> Any:
    from qiskit.circuit.library import StatePreparation, UnitaryGate

    return {UNITARY: UnitaryGate, STATE: StatePreparation}[gate.gate](gate.array)


def _angles(gate: Placed, parameters: Sequence[Any]) -> tuple[Any, ...]:
    if gate.column is not None:
        return (parameters[gate.column],)
    return () if gate.angle is None else (gate.angle,)
