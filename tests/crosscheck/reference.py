"""What a circuit gives exactly, by the state that ``default.qubit`` computes."""

from __future__ import annotations

import itertools

import numpy as np
import pennylane as qml

PAULIS = {
    "I": np.eye(2),
    "X": np.array([[0, 1], [1, 0]]),
    "Y": np.array([[0, -1j], [1j, 0]]),
    "Z": np.diag([1, -1]),
}


class Exact:
    """The state of one circuit: one entry of a broadcast.

    Args:
        state: Shape ``(2, 2, ...)``.
        wires: Label of each axis.
        outcomes: Wires that hold the outcomes of mid-circuit measurements.
        wanted: What of them must be measured for a shot to count: ``{number: value}``.
    """

    def __init__(self, state, wires, outcomes=(), wanted=None):
        self.wires = list(wires)
        self.outcomes = list(outcomes)
        for number, value in (wanted or {}).items():
            axis = self.wires.index(self.outcomes[number])
            state = state.copy()
            state[(slice(None),) * axis + (1 - value,)] = 0
        self.valid = float(np.sum(np.abs(state) ** 2))
        self.state = state / np.sqrt(self.valid) if self.valid > 1e-12 else state

    def probabilities(self, wires):
        """Probability of each outcome of some wires: shape ``(2**n,)``."""
        axes = [self.wires.index(w) for w in wires]
        rest = tuple(i for i in range(len(self.wires)) if i not in axes)
        table = np.minimum((np.abs(self.state) ** 2).sum(axis=rest), 1.0)
        order = np.argsort(np.argsort(axes))
        return np.transpose(table, order).ravel()

    def density(self, wires):
        """Density matrix of some wires."""
        axes = [self.wires.index(w) for w in wires]
        rest = [i for i in range(len(self.wires)) if i not in axes]
        matrix = np.transpose(self.state, axes + rest).reshape(2 ** len(axes), -1)
        return matrix @ matrix.conj().T


def exact_state(tape, wires):
    """The state of a tape without broadcasting.

    Args:
        tape: Any such tape.
        wires: Labels of the device.
    """
    wires = list(wires)
    operations, outcomes, wanted = tape.operations, [], {}
    if any(op.name == "MidMeasureMP" or op.name.startswith("Conditional(") for op in operations):
        operations, outcomes, wanted = _deferred([*map(qml.Identity, wires), *operations])
    order = [*wires, *(w for w in outcomes if w not in wires)]
    order += [w for op in operations for w in op.wires if w not in order]
    order = list(dict.fromkeys(order))
    script = qml.tape.QuantumScript(operations, [qml.state()])
    state = qml.execute([script], qml.device("default.qubit", wires=order), None)[0]
    state = np.asarray(state, dtype=np.complex128).reshape((2,) * len(order))
    norm = np.linalg.norm(state)
    if abs(norm - 1) > 1e-3:
        raise ValueError("PennyLane's matrices are not unitary, as of some roots of a turn")
    return Exact(state / norm, order, outcomes, wanted)


def _deferred(operations):
    """The circuit with its measurements at the end, the wires that hold their outcomes, and what is wanted of them."""
    from pennylane.measurements import SampleMP
    from pennylane.ops import MeasurementValue, MidMeasure

    middle = [op for op in operations if op.name == "MidMeasureMP"]
    wanted = {i: op.postselect for i, op in enumerate(middle) if op.postselect is not None}
    free = [
        MidMeasure(op.wires, reset=op.reset, meas_uid=op.meas_uid) if op.name == "MidMeasureMP" else op
        for op in operations
    ]
    probes = [SampleMP(MeasurementValue([op])) for op in free if op.name == "MidMeasureMP"]
    (made,), _ = qml.defer_measurements(
        qml.tape.QuantumScript(free, probes, shots=1), reduce_postselected=False
    )
    return made.operations, [mp.wires[0] for mp in made.measurements], wanted


def pauli_terms(matrix):
    """Coefficient of each Pauli word in a matrix, words with a coefficient of 0 left out."""
    count = int(np.log2(len(matrix)))
    terms = {}
    for letters in itertools.product("IXYZ", repeat=count):
        word = np.eye(1)
        for letter in letters:
            word = np.kron(word, PAULIS[letter])
        coefficient = np.trace(word @ matrix) / len(matrix)
        if abs(coefficient) > 1e-10:
            terms["".join(letters)] = (coefficient, word)
    return terms
