"""Gates of one qubit in a row as one gate of Aer's: without noise it makes the same outcomes in fewer steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .fusion import GENERATORS, OneQubit

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from qiskit import QuantumCircuit
    from qiskit.circuit import CircuitInstruction, Parameter

TURNS = {
    "rx": GENERATORS["RXGate"],
    "ry": GENERATORS["RYGate"],
    "rz": GENERATORS["RZGate"],
    "p": GENERATORS["RZGate"],
    "u1": GENERATORS["RZGate"],
}
"""Generator of each gate of one qubit that turns by one angle, up to a phase of the whole state."""

PLAIN = frozenset({"cx", "cy", "cz", "cp", "crx", "cry", "crz", "ch", "swap", "cswap", "ccx", "ccz"})
"""Gates of several qubits that take Aer less than the dense matrices that it fuses them into. Measured with 16 and 18 qubits:
layers of rotations and CNOTs take twice as long when they are fused, rotations of two qubits two thirds of the time."""


@dataclass(frozen=True, eq=False)
class JoinedCircuit:
    """A circuit in which gates of one qubit are joined.

    Attributes:
        circuit: The circuit.
        common: Parameters that it has in common with the circuit that it was made of, and their columns.
        turns: Joined gates that depend on angles, and the parameters of each: polar angle, and the two about ``Z``.
        is_plain: Whether Aer is faster if it fuses nothing.
    """

    circuit: QuantumCircuit
    common: tuple[tuple[Parameter, int], ...]
    turns: tuple[tuple[OneQubit, tuple[Parameter, ...]], ...]
    is_plain: bool

    def bind(self, values: NDArray[np.float64]) -> dict[Parameter, NDArray[np.float64]]:
        """Values of the parameters for some rows.

        Args:
            values: A column for each parameter of the circuit that this was made of: shape ``(rows, parameters)``.
        """
        bound = {parameter: values[:, column] for parameter, column in self.common}
        for turn, parameters in self.turns:
            bound.update(zip(parameters, euler_angles(turn.matrices(values))))
        return bound


def euler_angles(matrices: NDArray[np.complex128]) -> tuple[NDArray[np.float64], ...]:
    """Angles of Qiskit's gate ``u`` that is a matrix up to a phase: shape ``(rows,)`` each, of ``(rows, 2, 2)``."""
    (a, b), (c, d) = np.moveaxis(matrices, 0, -1)
    phase = np.angle(a)
    first = np.angle(c) - phase
    # by the determinant, as where ``a`` or ``c`` is 0 their own phases mean nothing
    return 2 * np.arctan2(np.abs(c), np.abs(a)), first, np.angle(a * d - b * c) - 2 * phase - first


def join(circuit: QuantumCircuit) -> JoinedCircuit:
    """Join the gates of one qubit of a circuit without measurements."""
    from qiskit.circuit import ParameterVector
    from qiskit.circuit.library import UGate

    columns = {parameter: column for column, parameter in enumerate(circuit.parameters)}
    joined = circuit.copy_empty_like()
    turns: list[tuple[OneQubit, tuple[Parameter, ...]]] = []
    plain = True
    for run in _runs(circuit, columns):
        if len(run) == 1:
            joined.append(run[0])
            plain = plain and (len(run[0].qubits) == 1 or run[0].operation.name in PLAIN)
            continue
        turn = OneQubit((0,), tuple(_factor(gate.operation, columns) for gate in run))
        angles: Any
        if turn.columns:
            angles = tuple(ParameterVector(f"turn {len(turns)}", 3))
            turns.append((turn, angles))
        else:
            angles = [float(angle[0]) for angle in euler_angles(turn.matrices(np.zeros((1, 0))))]
        joined.append(UGate(*angles), run[0].qubits)
    left = joined.parameters
    common = tuple((parameter, column) for parameter, column in columns.items() if parameter in left)
    return JoinedCircuit(joined, common, tuple(turns), plain)


def _runs(circuit: QuantumCircuit, columns: dict[Parameter, int]) -> Iterator[Sequence[CircuitInstruction]]:
    """Gates of one qubit that follow each other together, everything else by itself."""
    waiting: dict[Any, list[CircuitInstruction]] = {}
    for gate in circuit.data:
        if _can_join(gate, columns):
            waiting.setdefault(gate.qubits[0], []).append(gate)
            continue
        for qubit in gate.qubits:
            if qubit in waiting:
                yield waiting.pop(qubit)
        yield [gate]
    yield from waiting.values()


def _can_join(gate: CircuitInstruction, columns: dict[Parameter, int]) -> bool:
    operation = gate.operation
    if len(gate.qubits) != 1:
        return False
    if operation.is_parameterized():
        return operation.name in TURNS and operation.params[0] in columns
    return hasattr(operation, "to_matrix")


def _factor(
    operation: Any, columns: dict[Parameter, int]
) -> NDArray[np.complex128] | tuple[NDArray[np.complex128], int]:
    if operation.is_parameterized():
        return TURNS[operation.name], columns[operation.params[0]]
    return np.asarray(operation.to_matrix(), dtype=np.complex128)
