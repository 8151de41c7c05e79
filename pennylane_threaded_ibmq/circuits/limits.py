"""Limits of one job of IBM Quantum, as IBM publishes them, and the share of them that a block takes. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from math import floor, inf
from typing import TYPE_CHECKING

from .._compat import zip_strict

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

    from .plan import Block
    from .readout import Setting
    from .template import Compiled

SOURCE = "https://quantum.cloud.ibm.com/docs/guides/job-limits"


@dataclass(frozen=True)
class JobSize:
    """Size of a job, or the most that one may have.

    A circuit counts as often as it has rows of values, as IBM counts the circuits of a job.

    Attributes:
        circuits: Circuits.
        executions: Circuits times shots; of a Sampler, since IBM cuts the jobs of an Estimator itself.
        instructions: Instructions of the control system for the busiest qubit.
        two_qubit_gates: Gates on two qubits, those of gate folding included.
        rz: ``rz`` gates.
        sx: ``sx`` gates.
        bytes: Bytes of the request, roughly and rather too many.
    """

    circuits: float = 0
    executions: float = 0
    instructions: float = 0
    two_qubit_gates: float = 0
    rz: float = 0
    sx: float = 0
    bytes: float = 0

    def __add__(self, other: JobSize) -> JobSize:
        return JobSize(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __mul__(self, times: float) -> JobSize:
        return JobSize(*(getattr(self, f.name) * times for f in fields(self)))

    def excess(self, most: JobSize) -> str:
        """The first of these of which there is more than a job may have; empty if all fits."""
        return next((f.name for f in fields(self) if getattr(self, f.name) > getattr(most, f.name)), "")


@dataclass(frozen=True)
class Weight:
    """Share of a job that a block takes.

    Attributes:
        fixed: Once, for its circuits.
        row: For each row.
    """

    fixed: JobSize
    row: JobSize

    def of(self, rows: int) -> JobSize:
        """All of it, for so many rows."""
        return self.fixed + self.row * rows

    def most_rows(self, most: JobSize) -> float:
        """Rows that fit in one job; 0 if not even one does, ``inf`` if any number does."""
        return max(0, min(_times(most, self, f.name) for f in fields(JobSize)))


def _times(most: JobSize, weight: Weight, name: str) -> float:
    each = getattr(weight.row, name)
    left = getattr(most, name) - getattr(weight.fixed, name)
    return (inf if left >= 0 else 0) if not each or left == inf else floor(left / each)


BODY_BYTES = 50_000_000
"""IBM's limit for the inputs of a job until July 2026. It is 300 MB since, but a request of 100 MB may take longer than the
network in front of the service waits (https://github.com/Qiskit/documentation/issues/5369,
https://github.com/Qiskit/qiskit-ibm-runtime/pull/662)."""

SERVICE_MOST = JobSize(
    circuits=inf,
    executions=10_000_000,
    instructions=26_800_000,
    two_qubit_gates=5_000_000,
    rz=30_000_000,
    sx=20_000_000,
    bytes=BODY_BYTES,
)
"""Most of each in one job. Source: :data:`SOURCE`, as it stood in autumn 2026; ``bytes``: :data:`BODY_BYTES`."""

CLASSIC_MOST = replace(SERVICE_MOST, instructions=inf, two_qubit_gates=inf, rz=inf, sx=inf)
"""The same for the classic API, whose limits were never published as a whole: the backend tells the number of circuits."""

_INSTRUCTIONS = {
    "rz": 1,
    "delay": 1,
    "sx": 2,
    "x": 2,
    "cx": 5,
    "cz": 5,
    "ecr": 5,
    "measure": 10,
    "reset": 17,
    "init": 50,
}
"""Instructions of the control system for one of the circuit's. Source: the same page."""

_OTHER, _OTHER_PAIR = 2, 5
"""The same for what the page does not name, on one qubit and on two: as its like."""

_PUB_BYTES, _GATE_BYTES, _VALUE_BYTES = 36_000, 80, 11
"""Bytes of a request, measured with qiskit-ibm-runtime 0.51.0 on 133 qubits: of an Estimator's PUB on the client side, which is
the largest, and of a gate of its circuit; a value is 8 bytes in base64 that cannot be made smaller."""


def circuit_size(circuit: QuantumCircuit) -> JobSize:
    """Size of a transpiled circuit, run once; each branch counts, and a loop once."""
    busy = [_INSTRUCTIONS["init"]] * circuit.num_qubits
    counts: Counter[str] = Counter()
    for name, qubits in _instructions(circuit, range(circuit.num_qubits)):
        pair = len(qubits) == 2
        counts["pairs"] += pair
        counts[name] += 1
        for qubit in qubits:
            busy[qubit] += _INSTRUCTIONS.get(name, _OTHER_PAIR if pair else _OTHER)
    return JobSize(
        circuits=1,
        instructions=max(busy, default=0),
        two_qubit_gates=counts["pairs"],
        rz=counts["rz"],
        sx=counts["sx"],
    )


def _instructions(circuit: QuantumCircuit, places: Sequence[int]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and qubits of what a circuit does, also in its branches."""
    place = dict(zip_strict(circuit.qubits, places))
    for instruction in circuit.data:
        qubits = tuple(place[bit] for bit in instruction.qubits)
        blocks = getattr(instruction.operation, "blocks", ())
        for block in blocks:
            yield from _instructions(block, qubits)
        if not blocks and instruction.operation.name != "barrier":
            yield instruction.operation.name, qubits


@dataclass(frozen=True)
class Overhead:
    """Executions that the options of a primitive make of one.

    Attributes:
        shots: Shots that are run for those that are asked for.
        folding: How many times as many gates on two qubits gate folding makes, all its runs together.
    """

    shots: Callable[[int], int] = lambda shots: shots
    folding: float = 1.0


def weigh(block: Block, overhead: Mapping[str, Overhead]) -> Weight:
    """Share that a block takes of a job of IBM Quantum Platform, with the overhead of each primitive; what it needs is transpiled."""
    template, extra = block.template, overhead[block.primitive]
    if block.primitive == "estimator":
        return _weigh_estimator(block, extra)
    fixed, row = JobSize(), JobSize()
    for index in block.settings:
        setting = template.settings[index]
        compiled = template.sampler_circuit(index)
        times = _bases(setting, block)
        shots = block.row_shots * extra.shots(1) if block.single_shots else extra.shots(block.row_shots)
        fixed += JobSize(bytes=_PUB_BYTES + _GATE_BYTES * len(compiled.circuit.data))
        row += _row(compiled, extra.folding) * times + JobSize(executions=shots)
    return Weight(fixed, row)


def _weigh_estimator(block: Block, overhead: Overhead) -> Weight:
    """The same for an Estimator, which measures in as many bases as the observables need."""
    compiled = block.template.estimator_circuit()[0]
    copies = len(block.copy_shots)
    row = _row(compiled, overhead.folding) + JobSize(instructions=_INSTRUCTIONS["measure"])
    fixed = JobSize(bytes=_PUB_BYTES + _GATE_BYTES * len(compiled.circuit.data))
    # the values are sent once, whatever the bases
    return Weight(fixed * copies, replace(row * max(1, len(block.settings)), bytes=row.bytes) * copies)


def _row(compiled: Compiled, folding: float) -> JobSize:
    size = compiled.size
    return replace(
        size, two_qubit_gates=size.two_qubit_gates * folding, bytes=_VALUE_BYTES * len(compiled.columns)
    )


def weigh_plainly(block: Block) -> Weight:
    """Share that a block takes of a job of the classic API, of which no more is known."""
    settings = [block.template.settings[i] for i in block.settings]
    circuits = sum(_bases(setting, block) for setting in settings)
    values = _VALUE_BYTES * max(1, block.values.shape[1]) * max(1, len(settings))
    return Weight(
        JobSize(),
        JobSize(circuits=circuits, executions=block.row_shots * max(1, len(settings)), bytes=values),
    )


def _bases(setting: Setting, block: Block) -> int:
    """Circuits of a row; a setting with a random basis has at most one for each basis or shot."""
    shots = max(1, block.row_shots)
    return min(3 ** len(setting.wires), shots) if setting.random_basis else 1


REFUSALS: Mapping[str, tuple[str, str]] = {
    "circuits": ("circuits", "Use fewer rows of values, or several tapes"),
    "executions": (
        "executions, which are circuits times shots",
        "Use fewer shots, or several tapes whose results you average",
    ),
    "instructions": ("instructions for its busiest qubit, as IBM counts them", "Use a shorter circuit"),
    "two_qubit_gates": (
        "gates on two qubits, those of gate folding included",
        "Use a shorter circuit, or less error mitigation",
    ),
    "rz": ("rz gates", "Use a shorter circuit"),
    "sx": ("sx gates", "Use a shorter circuit"),
}
