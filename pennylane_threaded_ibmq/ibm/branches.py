"""Circuits with branches on Aer, which loses qubits that a branch still names.

Aer leaves out qubits that no measurement depends on, but not the jumps around a branch, and then looks for their
qubits in vain: ``Circuit::remap_qubits`` ends in ``_Map_base::at``. Without that truncation a circuit laid out on a
chip would be simulated with all of its qubits. So the qubits in question are measured too, at the very end, and the
additional bits are dropped again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

BRANCHES = frozenset({"if_else", "switch_case", "while_loop", "for_loop"})
"""Operations of Qiskit that hold circuits."""


def has_branches(circuit: QuantumCircuit) -> bool:
    """Whether a circuit holds other circuits."""
    return not BRANCHES.isdisjoint(circuit.count_ops())


def simulation_kind(circuit: QuantumCircuit) -> tuple[bool, int]:
    """What Aer chooses its method by: whether shots differ before the end, and the number of qubits in use.

    Circuits of one kind may share a run with noise. After a circuit whose noise is drawn shot by shot, Aer applies
    the noise of a density matrix twice, so that it has a trace of 2 and its outcomes are nonsense.
    """
    midway = has_branches(circuit)
    used: set[Any] = set()
    measured: set[Any] = set()
    for step in circuit.data:
        used.update(step.qubits)
        if step.operation.name != "barrier":
            midway = midway or step.operation.name == "reset" or not measured.isdisjoint(step.qubits)
        if step.operation.name == "measure":
            measured.update(step.qubits)
    return midway, len(used)


def measure_branches(circuit: QuantumCircuit) -> QuantumCircuit:
    """The circuit with all qubits of its branches measured; itself where they are already.

    Bits of what is added come after those of the circuit; :func:`drop_bits` takes them away.
    """
    if not has_branches(circuit):
        return circuit
    branched, seen = set(), set()
    for step in circuit.data:
        if step.operation.name in BRANCHES:
            branched.update(step.qubits)
        elif step.operation.name == "measure":
            seen.update(step.qubits)
    missing = [qubit for qubit in circuit.qubits if qubit in branched - seen]
    if not missing:
        return circuit
    from qiskit import ClassicalRegister

    whole = circuit.copy()
    register = ClassicalRegister(len(missing), "branched")
    whole.add_register(register)
    whole.measure(missing, register)
    return whole


def drop_bits(rows: Sequence[Mapping[str, int]], num_bits: int) -> list[dict[str, int]]:
    """Counts of the lowest bits only.

    Args:
        rows: ``{"0x1f": n}`` for each row.
        num_bits: How many bits are kept.
    """
    mask = (1 << num_bits) - 1
    kept = []
    for row in rows:
        counts: Counter[str] = Counter()
        for outcome, number in row.items():
            counts[hex(int(outcome, 16) & mask)] += number
        kept.append(dict(counts))
    return kept
