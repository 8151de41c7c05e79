"""Outcomes of circuits that measure a whole chip: each independent part of them is simulated by itself.

A client that prepares its circuits itself measures every qubit of a chip, and turns each before, although a few carry the
computation. No simulator holds 133 qubits at once, but most of them are alone: those are followed here, all rows at
once; what is entangled is left to Aer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from qiskit.circuit import Gate, Parameter
from qiskit.quantum_info import PTM, Operator

from .._compat import zip_strict
from .circuits import bit_columns, independent_parts, shuffled_picks
from .simulate import Counts, Engine, Run

if TYPE_CHECKING:
    import numpy.typing as npt
    from qiskit import QuantumCircuit
    from typing_extensions import TypeAlias

Rows: TypeAlias = "npt.NDArray[np.float64]"
Bits: TypeAlias = "npt.NDArray[np.bool_]"

_CERTAIN = 1e-9
"""Chances nearer than this to 0 or 1 are 0 or 1: most qubits of a chip are idle, and cost no random numbers."""

_TURNS = {"rz": (1, 2), "p": (1, 2), "rx": (2, 3), "ry": (3, 1)}
"""The two axes, of the Bloch vector behind its leading 1, that a rotation by an angle turns into each other."""


@dataclass(frozen=True)
class Work:
    """One circuit with all its bindings.

    Attributes:
        circuit: The circuit, as wide as the backend.
        bindings: Parameter values of shape ``(rows, parameters)``, in the order of ``circuit.parameters``.
    """

    circuit: QuantumCircuit
    bindings: Rows


@dataclass
class _Split:
    """A circuit in its parts: qubits that are alone, with their instructions, and what is left to the engine."""

    work: Work
    lone: dict[int, list[Any]] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)


def sample_bits(engine: Engine, works: Sequence[Work], shots: int) -> list[Bits]:
    """Sample circuits with so many shots a row, the entangled parts of all of them in one simulation.

    Returns:
        For each circuit an array of shape ``(rows, shots, classical bits)``.
    """
    if engine.machine.mock:
        rng = np.random.default_rng(engine.seed)
        return [rng.random((len(w.bindings), shots, w.circuit.num_clbits)) < 0.5 for w in works]
    splits = [_split(work) for work in works]
    counts = iter(engine.sample([run for split in splits for run in split.runs], shots))
    return [_join(engine, split, [next(counts) for _ in split.runs], shots) for split in splits]


def _split(work: Work) -> _Split:
    split = _Split(work)
    of_qubit: dict[Any, list[Any]] = {qubit: [] for qubit in work.circuit.qubits}
    for instruction in work.circuit.data:
        if instruction.operation.name not in {"barrier", "delay"}:
            for qubit in instruction.qubits:
                of_qubit[qubit].append(instruction)
    for part in independent_parts(work.circuit):
        content = [of_qubit[work.circuit.qubits[qubit]] for qubit in part]
        if len(part) == 1 and _is_simple(content[0]):
            split.lone[part[0]] = content[0]
        else:
            split.runs.append(Run(work.circuit, _bindings(work, content), qubits=part))
    return split


def _bindings(work: Work, content: list[list[Any]]) -> Rows:
    """The bindings of those parameters that occur in a part."""
    operations = [instruction.operation for instructions in content for instruction in instructions]
    parameters = {parameter for operation in operations for parameter in _parameters(operation)}
    columns = [index for index, parameter in enumerate(work.circuit.parameters) if parameter in parameters]
    return work.bindings[:, columns]


def _parameters(operation: Any) -> set[Parameter]:
    parameters = {parameter for value in operation.params for parameter in getattr(value, "parameters", ())}
    for block in getattr(operation, "blocks", ()):
        parameters.update(block.parameters)
    return parameters


def _is_simple(instructions: list[Any]) -> bool:
    """Whether a qubit goes through gates that are understood here, and is measured once at most, at the end."""
    gates = instructions[:-1] if instructions[-1].operation.name == "measure" else instructions
    return all(_is_simple_gate(instruction.operation) for instruction in gates)


def _is_simple_gate(operation: Any) -> bool:
    if not isinstance(operation, Gate):
        return False
    if all(isinstance(value, (int, float)) for value in operation.params):
        return True
    return operation.name in _TURNS and isinstance(operation.params[0], Parameter)


def _join(engine: Engine, split: _Split, counts: list[list[Counts]], shots: int) -> Bits:
    circuit, bindings = split.work.circuit, split.work.bindings
    bits = np.zeros((len(bindings), shots, circuit.num_clbits), dtype=np.bool_)
    for rows in counts:
        for row, row_counts in enumerate(rows):
            outcomes = bit_columns(row_counts, circuit.num_clbits).astype(np.bool_)
            # parts that are put side by side must not be sorted alike
            bits[row] |= outcomes[shuffled_picks(row_counts, engine.seed)]
    places = {
        qubit: circuit.find_bit(instructions[-1].clbits[0]).index
        for qubit, instructions in split.lone.items()
        if instructions[-1].operation.name == "measure"
    }
    if places:
        columns = np.array(list(places.values()))
        # row by row: the random numbers of all would take a multiple of the memory of the bits
        for row, chances in zip_strict(bits, _chances(engine, split, list(places))):
            uncertain = (chances > _CERTAIN) & (chances < 1 - _CERTAIN)
            rng = _generator(chances, list(places), shots, engine.seed)
            draws = rng.random((shots, uncertain.sum()), dtype=np.float32)
            row[:, columns[uncertain]] |= draws < chances[uncertain]
            row[:, columns[~uncertain]] |= chances[~uncertain] > 0.5
    return bits


def _chances(engine: Engine, split: _Split, qubits: list[int]) -> Rows:
    """Chances of lone qubits to read 1: array of shape ``(rows, qubits)``."""
    bindings, parameters = split.work.bindings, split.work.circuit.parameters
    columns = {parameter: bindings[:, index] for index, parameter in enumerate(parameters)}
    return np.stack(
        [_chance(engine, qubit, split.lone[qubit], columns, len(bindings)) for qubit in qubits], axis=1
    )


def _generator(chances: Rows, qubits: list[int], shots: int, seed: int | None) -> np.random.Generator:
    """Randomness for one row of lone qubits; with a seed it follows from its content alone."""
    if seed is None:
        return np.random.default_rng()
    content = f"{seed} {shots} {qubits} ".encode() + (np.round(chances, 9) + 0.0).tobytes()
    return np.random.default_rng(list(hashlib.sha256(content).digest()))


def _chance(engine: Engine, qubit: int, instructions: list[Any], columns: dict[Any, Any], rows: int) -> Rows:
    """Chance of each row to read 1 on a lone qubit."""
    errors = engine.qubit_errors(qubit)
    state = np.tile([1.0, 0.0, 0.0, 1.0], (rows, 1))  # 1 and the Bloch vector
    for instruction in instructions:
        operation = instruction.operation
        if operation.name == "measure":
            continue
        if operation.name in _TURNS:
            (angle,) = operation.params
            state = _turn(state, *_TURNS[operation.name], columns.get(angle, angle))
        else:
            state = state @ np.real(PTM(Operator(operation)).data).T
        if operation.name in errors.gates:
            state = state @ errors.gates[operation.name].T
    one = np.clip((1.0 - state[:, 3]) / 2.0, 0.0, 1.0)
    chances: Rows = (1.0 - one) * errors.readout[0, 1] + one * errors.readout[1, 1]
    return chances


def _turn(state: Rows, first: int, second: int, angle: Any) -> Rows:
    cosine, sine = np.cos(angle), np.sin(angle)
    result = state.copy()
    result[:, first] = state[:, first] * cosine - state[:, second] * sine
    result[:, second] = state[:, first] * sine + state[:, second] * cosine
    return result
