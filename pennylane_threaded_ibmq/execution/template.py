"""A structure as Qiskit circuits: parametrised, transpiled once, kept.

A template owns one circuit a setting (for the Sampler) and one without measurements (for the Estimator). Each is
built and transpiled when it is first needed. Its parameters are a plain vector; ``columns`` says how the data of a
tape become its values.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..ibm.fusion import FusedCircuit
from ..ibm.program import Placed, Program
from .dynamic import Condition, postselection, qiskit_condition
from .gates import is_mid_measure
from .limits import JobSize, circuit_size
from .lowering import basis_change, lower
from .measure import Setting, plan_measurements
from .qiskit_gates import append_gates
from .structure import TapeData

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pennylane.tape import QuantumScript
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp
    from typing_extensions import TypeAlias

Transpile: TypeAlias = "Callable[[QuantumCircuit], QuantumCircuit]"
Fuse: TypeAlias = "Callable[[Program], FusedCircuit | None]"


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
        """How large it is, as IBM counts, run once."""
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
    ) -> None:
        self.wires = tuple(wires)
        self._qubit = {w: i for i, w in enumerate(self.wires)}
        self._transpile = transpile
        self._fuse = fuse
        self._measured_before = sum(is_mid_measure(op) for op in tape.operations)
        self.postselection = postselection(tape)
        self.settings, self.readouts = plan_measurements(tape, data, self.wires, first=self._measured_before)
        self.words = tuple(dict.fromkeys(w for r in self.readouts for w in r.all_words))
        self._lowered = lower(tape, self._qubit, None if parametrise else data.angles[0])
        self._compiled: dict[int, Compiled] = {}
        self._estimator: tuple[Compiled, tuple[SparsePauliOp, ...]] | None = None
        self._lock = threading.Lock()

    def values(self, angles: NDArray[np.float64]) -> NDArray[np.float64]:
        """Parameter values from the angles of tapes: shape ``(rows, parameters)``, radians."""
        return self._lowered.values(angles)

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
        with self._lock:
            compiled = self._compiled.get(setting)
            if compiled is None:
                compiled = self._direct(self.settings[setting]) or self._compile(
                    self._measured(self.settings[setting])
                )
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
        order = {p: i for i, p in enumerate(self._parameters)}
        columns = np.array([order[p] for p in transpiled.parameters], dtype=np.int64)
        return Compiled(transpiled, columns)

    def _direct(self, setting: Setting) -> Compiled | None:
        """The circuit that ends in a setting without Qiskit; ``None`` where that cannot be."""
        if self._fuse is None or self.dynamic:
            return None
        gates = [gate for part in self._lowered.parts for gate in part.gates]
        measured = tuple(self._qubit[w] for w in setting.wires)
        program = Program(len(self.wires), (*gates, *self._basis_change(setting)), measured)
        fused = self._fuse(program)
        if fused is None:
            return None
        columns = len(self._lowered.sources) + self.random_size * setting.random_basis
        return Compiled(fused, np.arange(columns))

    def _basis_change(self, setting: Setting) -> Iterator[Placed]:
        return basis_change(setting, self._qubit, len(self._lowered.sources))

    @cached_property
    def _parameters(self) -> tuple[Any, ...]:
        """Parameters of the circuits, in the order of columns: those of the tape, then those of a random basis."""
        from qiskit.circuit import ParameterVector

        return (
            *ParameterVector("p", len(self._lowered.sources)),
            *ParameterVector("r", self.random_size),
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
        from qiskit import ClassicalRegister

        circuit = self._base.copy()
        if not self.dynamic:
            circuit.add_register(ClassicalRegister(len(setting.wires), "c"))
        append_gates(circuit, self._basis_change(setting), self._parameters)
        for bit, wire in enumerate(setting.wires, start=setting.first):
            circuit.measure(self._qubit[wire], bit)
        return circuit


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
