"""A structure as Qiskit circuits: parametrised, transpiled once, kept.

A template owns one circuit a setting (for the Sampler) and one without measurements (for the Estimator). Each is
built and transpiled when it is first needed. Its parameters are a plain vector; ``columns`` says how the data of a
tape become its values.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from inspect import signature
from math import pi
from typing import TYPE_CHECKING, Any

import numpy as np

from .._compat import zip_strict
from ..exceptions import UnsupportedCircuitError
from .dynamic import Condition, Stretch, has_gates, postselection, qiskit_condition, stretches
from .gates import ANGLES, LOWERING, STATE_GATES, Angle, is_mid_measure
from .measure import Setting, plan_measurements
from .precision import double_state, double_unitary
from .structure import TapeData

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pennylane.operation import Operator
    from pennylane.tape import QuantumScript
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp
    from typing_extensions import TypeAlias

Transpile: TypeAlias = "Callable[[QuantumCircuit], QuantumCircuit]"


@dataclass(frozen=True, eq=False)
class Compiled:
    """A circuit ready to run.

    Attributes:
        circuit: The transpiled circuit; its global phase is zero.
        columns: Which columns of the template's values are left, in the order of ``circuit.parameters``.
            Transpiling deletes parameters that do not matter, such as a rotation about Z before a measurement.
    """

    circuit: QuantumCircuit
    columns: NDArray[np.int64]

    def values(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Parameter values of this circuit: shape ``(rows, len(circuit.parameters))``."""
        return values[:, self.columns]


class Template:
    """One structure on one backend.

    Args:
        tape: An example of the structure.
        data: The same tape, read.
        wires: Wires of the register, in order.
        transpile: Turns a circuit into one that the backend runs.
        parametrise: ``False`` writes the angles of the example into the circuit.
    """

    def __init__(
        self,
        tape: QuantumScript,
        data: TapeData,
        wires: Sequence[Any],
        transpile: Transpile,
        *,
        parametrise: bool = True,
    ) -> None:
        self.wires = tuple(wires)
        self._qubit = {w: i for i, w in enumerate(self.wires)}
        self._transpile = transpile
        self._measured_before = sum(is_mid_measure(op) for op in tape.operations)
        self.postselection = postselection(tape)
        self.settings, self.readouts = plan_measurements(tape, data, self.wires, first=self._measured_before)
        self.words = tuple(dict.fromkeys(w for r in self.readouts for w in r.all_words))
        self._sources: list[int] = []
        self._scales: list[float] = []
        self._offsets: list[float] = []
        self._vector: tuple[Any, ...] = ()
        self._random: tuple[Any, ...] = ()
        self._base = self._build(tape, data.angles[0] if not parametrise else None)
        self._compiled: dict[int, Compiled] = {}
        self._estimator: tuple[Compiled, tuple[SparsePauliOp, ...]] | None = None
        self._lock = threading.Lock()

    def values(self, angles: NDArray[np.float64]) -> NDArray[np.float64]:
        """Parameter values from the angles of tapes: shape ``(rows, parameters)``, radians."""
        return angles[:, self._sources] * self._scales + self._offsets

    @property
    def dynamic(self) -> bool:
        """Whether it measures in the middle."""
        return self._measured_before > 0

    @property
    def random_size(self) -> int:
        """Number of angles that a random basis adds."""
        return len(self._random)

    def sampler_circuit(self, setting: int) -> Compiled:
        """The circuit that ends in a setting."""
        with self._lock:
            compiled = self._compiled.get(setting)
            if compiled is None:
                compiled = self._compile(self._measured(self.settings[setting]))
                self._compiled[setting] = compiled
            return compiled

    def estimator_circuit(self) -> tuple[Compiled, tuple[SparsePauliOp, ...]]:
        """The circuit without measurements, and the words as observables on its qubits."""
        with self._lock:
            if self._estimator is None:
                from qiskit.quantum_info import SparsePauliOp

                compiled = self._compile(self._base)
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

    def _compile(self, circuit: QuantumCircuit) -> Compiled:
        transpiled = self._transpile(circuit)
        # a symbolic phase makes binding slow and serialisation fail; a phase is never observable
        transpiled.global_phase = 0
        order = {p: i for i, p in enumerate([*self._vector, *self._random])}
        columns = np.array([order[p] for p in transpiled.parameters], dtype=np.int64)
        return Compiled(transpiled, columns)

    def _build(self, tape: QuantumScript, fixed: NDArray[np.float64] | None) -> QuantumCircuit:
        from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
        from qiskit.circuit import ParameterVector

        parts = list(stretches(tape))
        total = sum(
            isinstance(a, Angle)
            for part in parts
            for op in part.operations
            for s in LOWERING.get(op.name, ())
            for a in s.angles
        )
        vector = ParameterVector("p", total)
        self._random = tuple(ParameterVector("r", 2 * len(self.wires)))
        circuit = QuantumCircuit(QuantumRegister(len(self.wires), "q"))
        if self.dynamic:
            # one register for all bits: each setting reads its own part, and results decode as ever
            width = self._measured_before + max(len(s.wires) for s in self.settings)
            circuit.add_register(ClassicalRegister(width, "c"))
        # each gate is new and nobody else's; Qiskit before 1.1 never copies
        self._no_copy = {"copy": False} if "copy" in signature(circuit.append).parameters else {}
        self._append_stretches(circuit, parts, vector, fixed)
        self._vector = tuple(vector)[: len(self._sources)]
        return circuit

    def _append_stretches(
        self,
        circuit: QuantumCircuit,
        parts: Sequence[Stretch],
        vector: Any,
        fixed: NDArray[np.float64] | None,
    ) -> None:
        touched: set[Any] = set()
        start = measured = 0
        before: Condition | None = None
        otherwise: Any = None
        for part in parts:
            scope: Any = nullcontext()
            if part.condition is not None:
                if not has_gates(part):
                    start += sum(ANGLES.get(op.name, 0) for op in part.operations)
                    continue
                if otherwise is not None and part.condition.is_opposite(before):
                    scope = otherwise
                else:
                    scope = circuit.if_test(qiskit_condition(part.condition, circuit.clbits))
            with scope as otherwise:
                for op in part.operations:
                    if is_mid_measure(op):
                        circuit.measure(self._qubit[op.wires[0]], measured)
                        if op.reset:
                            circuit.reset(self._qubit[op.wires[0]])
                        measured += 1
                    else:
                        fresh = touched.isdisjoint(op.wires)
                        start = self._append(circuit, op, vector, start, fixed, fresh=fresh)
                    touched.update(op.wires)
            before = part.condition

    def _append(
        self,
        circuit: QuantumCircuit,
        op: Operator,
        vector: Any,
        start: int,
        fixed: NDArray[np.float64] | None,
        *,
        fresh: bool,
    ) -> int:
        """Append one gate; ``start`` is the first of its angles among those of the tape."""
        steps = LOWERING.get(op.name)
        qubits = [self._qubit[w] for w in op.wires]
        if steps is None:
            _append_constant(circuit, op, qubits, fresh=fresh)
            return start
        for step in steps:
            angles: list[Any] = []
            for angle in step.angles:
                if not isinstance(angle, Angle):
                    angles.append(angle)
                elif fixed is not None:
                    angles.append(float(fixed[start + angle.source] * angle.scale + angle.offset))
                else:
                    angles.append(vector[len(self._sources)])
                    self._sources.append(start + angle.source)
                    self._scales.append(angle.scale)
                    self._offsets.append(angle.offset)
            circuit.append(_gate(step.gate)(*angles), [qubits[i] for i in step.wires], **self._no_copy)
        return start + ANGLES[op.name]

    def _measured(self, setting: Setting) -> QuantumCircuit:
        from qiskit import ClassicalRegister

        circuit = self._base.copy()
        if not self.dynamic:
            circuit.add_register(ClassicalRegister(len(setting.wires), "c"))
        for op in setting.rotations:
            _append_fixed(circuit, op, [self._qubit[w] for w in op.wires])
        if setting.random_basis:
            for i, wire in enumerate(setting.wires):
                circuit.rz(self._random[2 * i], self._qubit[wire])
                circuit.ry(self._random[2 * i + 1], self._qubit[wire])
        for wire, letter in setting.basis:
            if letter == "X":
                circuit.h(self._qubit[wire])
            elif letter == "Y":
                circuit.rx(pi / 2, self._qubit[wire])
        for bit, wire in enumerate(setting.wires, start=setting.first):
            circuit.measure(self._qubit[wire], bit)
        return circuit


def _gate(name: str) -> Any:
    from qiskit.circuit import library

    return getattr(library, name)


def _append_fixed(circuit: QuantumCircuit, op: Operator, qubits: list[int]) -> None:
    """Append a gate with its numbers."""
    steps = LOWERING.get(op.name)
    if steps is None:
        _append_constant(circuit, op, qubits, fresh=False)
        return
    data = [float(d) for d in op.data]
    for step in steps:
        angles = [data[a.source] * a.scale + a.offset if isinstance(a, Angle) else a for a in step.angles]
        circuit.append(_gate(step.gate)(*angles), [qubits[i] for i in step.wires])


def _append_constant(circuit: QuantumCircuit, op: Operator, qubits: list[int], *, fresh: bool) -> None:
    """Append a gate whose data are part of the structure. Qiskit counts a matrix's qubits from the other end."""
    from qiskit.circuit import library

    reverse = qubits[::-1]
    if op.name == "QubitUnitary":
        circuit.append(library.UnitaryGate(double_unitary(op)), reverse)
    elif op.name in STATE_GATES:
        if not fresh:
            raise UnsupportedCircuitError(
                f"{op.name} on wires {op.wires.tolist()}, which other gates have used before, is a gate of its own in "
                "PennyLane and must be decomposed; submit the tape through a QNode, dev.submit or dev.batch_execute."
            )
        circuit.append(library.StatePreparation(double_state(op.data[0])), reverse)
    elif op.name == "BasisState":
        bits = np.asarray(op.data[0] if op.data else op.hyperparameters["state"]).astype(int)
        for qubit, bit in zip_strict(qubits, bits):
            if bit:
                circuit.x(qubit)
    else:
        circuit.barrier(qubits)


class TemplateStore:
    """Keeps templates across calls, the least used dropped first. Safe for several threads.

    Args:
        size: Most templates kept.
    """

    def __init__(self, size: int = 256) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._templates: OrderedDict[Hashable, Template] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Template]) -> Template:
        """The template of a key, made if it is not there."""
        with self._lock:
            template = self._templates.get(key)
            if template is None:
                template = make()
                self._templates[key] = template
                if len(self._templates) > self._size:
                    self._templates.popitem(last=False)
            else:
                self._templates.move_to_end(key)
            return template

    def __len__(self) -> int:
        return len(self._templates)
