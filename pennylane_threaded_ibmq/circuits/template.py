"""A structure as Qiskit circuits: parametrised, transpiled once, kept.

A template owns one circuit a setting (for the Sampler) and one without measurements (for the Estimator). Each is
built and transpiled when it is first needed; settings share what comes before their rotations. Its parameters are a plain
vector; ``columns`` says how the data of a tape become its values.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..settings import DEFAULT_TEMPLATE_BYTES
from ..simulators.fusion import FusedCircuit
from ..simulators.program import Program
from ..simulators.routed import Routed
from .dynamic import Condition, postselection, qiskit_condition
from .gates import is_mid_measure
from .limits import JobSize, circuit_size
from .lowering import basis_change, last_diagonals, lower
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
Route: TypeAlias = "Callable[[QuantumCircuit], Routed | None]"
Fuse: TypeAlias = "Callable[[Program], FusedCircuit | None]"


BASE_BYTES, INSTRUCTION_BYTES, WORD_BYTES = 64_000, 700, 1_000
"""What a template takes for itself, for each instruction of its circuits and for each word. Measured as growth of the process:
circuits of 140 and of 921 instructions for 133 qubits take 157 and 658 kB."""

RECENT_SHARE = 0.2
QUESTIONS_EACH, LEAST_TEMPLATES = 10, 100
"""Counts of a store are halved after so many questions for each template that it holds."""


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
        self._lock = threading.Lock()

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
        with self._lock:
            compiled = self._compiled.get(setting)
            if compiled is None:
                compiled = self._direct(self.settings[setting]) or self._transpiled(self.settings[setting])
                self._compiled[setting] = compiled
            return compiled

    def estimator_circuit(self) -> tuple[Compiled, tuple[SparsePauliOp, ...]]:
        """The circuit without measurements, and the words as observables on its qubits."""
        with self._lock:
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
        """What its settings have in common, transpiled; ``None`` where each is transpiled for itself."""
        shared = sum(setting.is_local for setting in self.settings)
        if self._route is None or self.dynamic or shared < 2:
            return None
        return self._route(self._base)

    def _ends_diagonally(self, setting: Setting) -> bool:
        """Whether gates on two qubits need not be routed for a setting."""
        if setting.rotations or setting.random_basis or any(letter != "Z" for _, letter in setting.basis):
            return False
        measured = {self._qubit[wire] for wire in setting.wires}
        return any(measured.issuperset(pair) for pair in last_diagonals(self._lowered.parts[-1].gates))

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
        measured = tuple(self._qubit[w] for w in setting.wires)
        ending = basis_change(setting, self._qubit, len(self._lowered.sources))
        program = Program(len(self.wires), (*gates, *ending), measured)
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


class TemplateStore:
    """Keeps templates across calls. Safe for several threads.

    Those used last are kept, a fifth of the room, and of the others those asked for most often, whether they were there or
    not. So a long series of structures drives out nothing that is used again and again, and where it is itself repeated
    and too long to be kept, a part of it stays.

    Args:
        room: Bytes that all templates may take, about; what was asked for last is kept in any case.
    """

    def __init__(self, room: int = DEFAULT_TEMPLATE_BYTES) -> None:
        self._room = room
        self._lock = threading.Lock()
        # by the hashes of keys, least recently used first: a key is long, and to hash it takes time
        self._templates: OrderedDict[int, tuple[Hashable, Template]] = OrderedDict()
        self._asked: dict[int, int] = {}
        self._questions = 0

    def get(self, key: Hashable, make: Callable[[], Template]) -> Template:
        """The template of a key, made if it is not there."""
        short = hash(key)
        with self._lock:
            self._count(short)
            known = self._templates.get(short)
            if known is not None and known[0] == key:
                self._templates.move_to_end(short)
                return known[1]
            template = make()
            self._templates.pop(short, None)
            self._templates[short] = (key, template)
            self._make_room()
            return template

    def _count(self, short: int) -> None:
        self._asked[short] = self._asked.get(short, 0) + 1
        self._questions += 1
        if self._questions > QUESTIONS_EACH * max(LEAST_TEMPLATES, len(self._templates)):
            # what was asked for long ago must not hold its place for ever
            self._asked = {k: n // 2 for k, n in self._asked.items() if n > 1}
            self._questions = sum(self._asked.values())

    def _make_room(self) -> None:
        # templates grow when their circuits are made, so they are weighed anew
        sizes = {short: template.size for short, (_, template) in self._templates.items()}
        total = sum(sizes.values())
        while total > self._room and len(sizes) > 1:
            short = min(self._rivals(sizes), key=lambda k: self._asked.get(k, 0))
            total -= sizes.pop(short)
            del self._templates[short]

    def _rivals(self, sizes: Mapping[int, int]) -> list[int]:
        """All but those used last, the latest first: of equals the one that came last goes."""
        latest_first = list(sizes)[::-1]
        ends = np.cumsum([sizes[short] for short in latest_first])
        recent = int(np.searchsorted(ends, RECENT_SHARE * self._room, side="right"))
        return latest_first[min(max(1, recent), len(latest_first) - 1) :]

    def __len__(self) -> int:
        return len(self._templates)
