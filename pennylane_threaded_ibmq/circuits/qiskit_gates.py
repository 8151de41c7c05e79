"""Placed gates in a circuit of Qiskit's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
