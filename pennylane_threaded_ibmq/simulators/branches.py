"""Circuits with branches on Aer, which loses qubits that a branch still names.

Aer leaves out qubits that no measurement depends on, but not the jumps around a branch, and then looks for their
qubits in vain: ``Circuit::remap_qubits`` ends in ``_Map_base::at``. Without that truncation a circuit laid out on a
chip would be simulated with all of its qubits. So the qubits in question are measured too, at the very end, and the
additional bits are dropped again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

BRANCHES = frozenset({"if_else", "switch_case", "while_loop", "for_loop"})
"""Operations of Qiskit that hold circuits."""


def has_branches(circuit: QuantumCircuit) -> bool:
    """Whether a circuit holds other circuits."""
    return not BRANCHES.isdisjoint(circuit.count_ops())


def simulation_kind(circuit: QuantumCircuit) -> Hashable:
    """The kind of a circuit, by which Aer chooses its method; with noise, only circuits of one kind may share a run.

    After a circuit whose noise is drawn shot by shot, as that of any with branches, Aer applies the noise of a density matrix
    twice, so that it has a trace of 2 and its outcomes are nonsense. A circuit that does no more than end in measurements is
    simulated by the number of qubits that these depend on. Any other is a kind of its own: how Aer draws it is its own affair.
    """
    if has_branches(circuit):
        return True, len({qubit for step in circuit.data for qubit in step.qubits})
    if not _ends_in_measurements(circuit):
        return id(circuit)
    ancestors: set[Any] = set()
    for step in reversed(circuit.data):
        if step.operation.name == "measure" or (
            step.operation.name != "barrier" and not ancestors.isdisjoint(step.qubits)
        ):
            ancestors.update(step.qubits)
    return False, len(ancestors)


def _ends_in_measurements(circuit: QuantumCircuit) -> bool:
    """Whether no qubit is reset, or used any more once it is measured."""
    measured: set[Any] = set()
    for step in circuit.data:
        if step.operation.name == "barrier":
            continue
        if step.operation.name == "reset" or not measured.isdisjoint(step.qubits):
            return False
        if step.operation.name == "measure":
            measured.update(step.qubits)
    return True


def measure_branches(circuit: QuantumCircuit) -> QuantumCircuit:
    """The circuit with all qubits of its branches measured; itself where they are already.

    Bits of what is added come after those of the circuit; :func:`drop_bits` takes them away.
    """
    if not has_branches(circuit):
        return circuit
    inside, ends = set(), set()
    for step in circuit.data:
        if step.operation.name in BRANCHES:
            inside.update(step.qubits)
        elif step.operation.name == "measure":
            ends.update(step.qubits)
    missing = [qubit for qubit in circuit.qubits if qubit in inside - ends]
    if not missing:
        return circuit
    from qiskit import ClassicalRegister

    whole = circuit.copy()
    register = ClassicalRegister(len(missing), "branched")
    whole.add_register(register)
    whole.measure(missing, register)
    return whole


def drop_bits(rows: Sequence[Mapping[str, int]], num_bits: int) -> list[dict[str, int]]:
    """Counts of the lowest bits only, of rows such as ``{"0x1f": n}``."""
    mask = (1 << num_bits) - 1
    counts_by_row = []
    for row in rows:
        counts: Counter[str] = Counter()
        for outcome, number in row.items():
            counts[hex(int(outcome, 16) & mask)] += number
        counts_by_row.append(dict(counts))
    return counts_by_row
