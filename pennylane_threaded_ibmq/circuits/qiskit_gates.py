"""Placed gates in a circuit of Qiskit's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from inspect import signature
from typing import TYPE_CHECKING, Any

from ..simulators.program import BARRIER, MEASURE, RESET, STATE, UNITARY, Placed

if TYPE_CHECKING:
    from qiskit import QuantumCircuit


def append_gates(circuit: QuantumCircuit, gates: Iterable[Placed], parameters: Sequence[Any]) -> None:
    """Append gates.

    Args:
        circuit: Where to.
        gates: The gates.
        parameters: The parameter of each column.
    """
    # each gate is new and nobody else's; Qiskit before 1.1 never copies
    no_copy = {"copy": False} if "copy" in signature(circuit.append).parameters else {}
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
            circuit.append(_of_library(gate, parameters), gate.qubits, **no_copy)


def _of_array(gate: Placed) -> Any:
    from qiskit.circuit.library import StatePreparation, UnitaryGate

    return {UNITARY: UnitaryGate, STATE: StatePreparation}[gate.gate](gate.array)


def _of_library(gate: Placed, parameters: Sequence[Any]) -> Any:
    from qiskit.circuit import library

    kind = getattr(library, gate.gate)
    if gate.column is not None:
        return kind(parameters[gate.column])
    return kind() if gate.angle is None else kind(gate.angle)
