"""The same work by hand in Qiskit on Aer: circuits transpiled once, all rows of angles in one call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np


class ByHand:
    """Expectation values of rows of angles.

    Args:
        circuits: Circuits with one parameter vector and one register ``c``.
        shots: Shots of a row.
    """

    def __init__(self, circuits: Sequence[Any], shots: int) -> None:
        from qiskit.transpiler import generate_preset_pass_manager
        from qiskit_aer import AerSimulator

        self._simulator = AerSimulator()
        manager = generate_preset_pass_manager(target=self._simulator.target, optimization_level=1)
        self._circuits = manager.run(list(circuits))
        # transpiling may drop parameters that do not matter
        self._columns = [[p.index for p in circuit.parameters] for circuit in self._circuits]
        self._shots = shots

    def parities(self, rows: np.ndarray, masks: Sequence[Sequence[int]]) -> list[np.ndarray]:
        """Expectation values of ``Z`` on some bits.

        Args:
            rows: Angles: shape ``(rows, angles)``.
            masks: For each circuit, the bits of each word.

        Returns:
            For each circuit, an array of shape ``(rows, words)``.
        """
        raise NotImplementedError

    def gradient(self, angles: np.ndarray) -> np.ndarray:
        """Parameter-shift gradient of the parity of the first two bits: two rows an angle."""
        flat = angles.ravel()
        shifts = np.pi / 2 * np.eye(len(flat))
        found = self.parities(np.concatenate([flat + shifts, flat - shifts]), [[0b11]])[0][:, 0]
        return ((found[: len(flat)] - found[len(flat) :]) / 2).reshape(angles.shape)


class ByRun(ByHand):
    """``AerSimulator.run`` with bindings. Counts are read, not single shots."""

    def parities(self, rows: np.ndarray, masks: Sequence[Sequence[int]]) -> list[np.ndarray]:
        binds = [
            {
                parameter: rows[:, column]
                for parameter, column in zip(circuit.parameters, columns, strict=True)
            }
            for circuit, columns in zip(self._circuits, self._columns, strict=True)
        ]
        job = self._simulator.run(
            self._circuits, parameter_binds=binds, shots=self._shots, runtime_parameter_bind_enable=True
        )
        results = iter(job.result().results)
        return [np.array([self._row(next(results), words) for _ in rows]) for words in masks]

    def _row(self, result: Any, words: Sequence[int]) -> list[float]:
        counts = [(int(outcome, 16), number) for outcome, number in result.data.counts.items()]
        return [
            1 - 2 * sum(n for outcome, n in counts if (outcome & word).bit_count() & 1) / self._shots
            for word in words
        ]


class BySampler(ByHand):
    """``SamplerV2`` of qiskit-aer: one PUB a circuit."""

    def __init__(self, circuits: Sequence[Any], shots: int) -> None:
        from qiskit_aer.primitives import SamplerV2

        super().__init__(circuits, shots)
        self._sampler = SamplerV2.from_backend(self._simulator)

    def parities(self, rows: np.ndarray, masks: Sequence[Sequence[int]]) -> list[np.ndarray]:
        pubs = [
            (circuit, rows[:, columns], self._shots)
            for circuit, columns in zip(self._circuits, self._columns, strict=True)
        ]
        results = self._sampler.run(pubs).result()
        return [self._words(result.data.c.array, words) for result, words in zip(results, masks, strict=True)]

    @staticmethod
    def _words(packed: np.ndarray, words: Sequence[int]) -> np.ndarray:
        found = np.empty((packed.shape[0], len(words)))
        for column, word in enumerate(words):
            chosen = np.frombuffer(word.to_bytes(packed.shape[-1], "big"), np.uint8)
            ones = np.bitwise_count(packed & chosen).sum(axis=-1)
            found[:, column] = 1 - 2 * (ones & 1).mean(axis=-1)
        return found


def word_circuits(
    words: Sequence[dict[int, str]], wires: int, prepare: Callable[[Any], None]
) -> tuple[list[Any], list[list[int]], list[list[int]]]:
    """Circuits that measure words, those together that agree on the wires they share, as Qiskit groups them.

    Args:
        words: Letters by wire.
        wires: Wires of the circuits.
        prepare: Appends what comes before the measurement.

    Returns:
        The circuits; for each the bits of its words, and which words they are.
    """
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import PauliList

    texts = ["".join(word.get(wire, "I") for wire in reversed(range(wires))) for word in words]
    number = {text: index for index, text in enumerate(texts)}
    circuits, masks, numbers = [], [], []
    for group in PauliList(texts).group_commuting(qubit_wise=True):
        found = [number[text] for text in group.to_labels()]
        basis: dict[int, str] = {}
        for index in found:
            basis.update(words[index])
        circuit = QuantumCircuit(wires, wires)
        prepare(circuit)
        measure(circuit, basis)
        circuits.append(circuit)
        numbers.append(found)
        masks.append([sum(1 << wire for wire in words[index]) for index in found])
    return circuits, masks, numbers


def measure(circuit: Any, basis: dict[int, str]) -> None:
    """Measure all qubits, some of them in another basis."""
    for wire, letter in basis.items():
        if letter == "Y":
            circuit.sdg(wire)
        if letter in "XY":
            circuit.h(wire)
    circuit.measure(range(circuit.num_qubits), range(circuit.num_qubits))


def rotations_circuit(wires: int, measured: Iterable[int]) -> Any:
    """A rotation of each qubit, and a ring of CNOTs."""
    from qiskit import QuantumCircuit
    from qiskit.circuit import ParameterVector

    measured = tuple(measured)
    circuit = QuantumCircuit(wires, len(measured))
    for wire, angle in enumerate(ParameterVector("p", wires)):
        circuit.ry(angle, wire)
    for wire in range(wires):
        circuit.cx(wire, (wire + 1) % wires)
    circuit.measure(measured, range(len(measured)))
    return circuit
