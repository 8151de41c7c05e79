"""Random templates, and what their compiled circuits do by linear algebra, on both stacks."""

from __future__ import annotations

import numpy as np
import pennylane as qml

from pennylane_threaded_ibmq.circuits.readout import Kind
from pennylane_threaded_ibmq.circuits.structure import StructureReader
from pennylane_threaded_ibmq.circuits.template import Template
from pennylane_threaded_ibmq.simulators.targets import foreign_instruction

WIRES = 5
PAULI = {"X": qml.PauliX, "Y": qml.PauliY, "Z": qml.PauliZ}


def gates(rng, count=16):
    """Random gates, the last of which are often swaps and gates that a measurement may not see."""
    for _ in range(count):
        (a, b), angle = map(int, rng.choice(WIRES, 2, replace=False)), float(rng.uniform(-3, 3))
        yield [
            qml.RX(angle, a),
            qml.RY(angle, a),
            qml.RZ(angle, a),
            qml.Hadamard(a),
            qml.CNOT([a, b]),
            qml.CZ([a, b]),
            qml.IsingZZ(angle, [a, b]),
            qml.SWAP([a, b]),
            qml.CRX(angle, [a, b]),
            qml.QubitUnitary(qml.RY(angle, 0).matrix(), a),
        ][rng.integers(10)]


def word(rng):
    """A random word as an observable."""
    wires = rng.choice(WIRES, rng.integers(1, WIRES + 1), replace=False)
    return qml.prod(*[PAULI["XYZ"[rng.integers(3)]](int(w)) for w in wires])


def random_tape(seed):
    """Words, probabilities, observables with a basis of their own on one wire and on two, and a shadow."""
    rng = np.random.default_rng(seed)
    operations = list(gates(rng))
    measurements = [qml.expval(word(rng)) for _ in range(6)]
    measurements.append(qml.probs(wires=range(WIRES)))
    for wires in ([0], [1, 3]):
        matrix = rng.normal(size=(2 ** len(wires),) * 2) + 1j * rng.normal(size=(2 ** len(wires),) * 2)
        measurements.append(qml.expval(qml.Hermitian(matrix + matrix.conj().T, wires=wires)))
    measurements.append(qml.classical_shadow(wires=[0, 2]))
    return qml.tape.QuantumScript(operations, measurements, shots=10)


def template(tape, compiler, *, shared=True):
    """The template of a tape, and a row of its values, with some for a random basis."""
    data = StructureReader().read(tape, 0)
    made = Template(tape, data, range(WIRES), compiler, route=compiler.route if shared else None)
    angles = np.random.default_rng(5).uniform(-3, 3, (1, made.random_size))
    return made, np.concatenate([made.values(data.angles), angles], axis=1)


def only_active(circuit):
    """A circuit on the qubits that do something, without measurements; and the qubit of each classical bit."""
    from qiskit import QuantumCircuit

    steps = [one for one in circuit.data if one.operation.name not in {"barrier", "delay"}]
    place = {}
    for one in steps:
        for qubit in one.qubits:
            place.setdefault(qubit, len(place))
    small, read = QuantumCircuit(len(place)), {}
    for one in steps:
        if one.operation.name == "measure":
            read[circuit.find_bit(one.clbits[0]).index] = place[one.qubits[0]]
        else:
            small.append(one.operation, [place[qubit] for qubit in one.qubits])
    return small, [read[bit] for bit in sorted(read)]


def distribution(compiled, values):
    """Probabilities of outcomes, the first classical bit least significant."""
    from qiskit.quantum_info import Statevector

    circuit, read = only_active(compiled.circuit.assign_parameters(compiled.values(values)[0]))
    return Statevector(circuit).probabilities(read)


def parity(probabilities, bits):
    """Expectation value of the product of some bits, as signs."""
    outcomes = np.arange(len(probabilities))
    signs = np.ones(len(probabilities))
    for bit in bits:
        signs *= 1 - 2 * ((outcomes >> bit) & 1)
    return float(probabilities @ signs)


def check(seed, compiler, target):
    """Every setting has the distribution that it has when it is compiled by itself, and words the values of PennyLane's simulator.

    Returns:
        Full transpiles with one routed circuit, and without.
    """
    tape = random_tape(seed)
    made, values = template(tape, compiler)
    distributions = []
    before = compiler.transpiles
    for index in range(len(made.settings)):
        compiled = made.sampler_circuit(index)
        assert foreign_instruction(compiled.circuit, target) == ""
        assert compiled.circuit.layout is not None
        distributions.append(distribution(compiled, values))
    with_one = compiler.transpiles - before
    alone, _ = template(tape, compiler, shared=False)
    for index, found in enumerate(distributions):
        np.testing.assert_allclose(found, distribution(alone.sampler_circuit(index), values), atol=1e-9)
    words = [mp for mp in tape.measurements if mp.obs is not None and not isinstance(mp.obs, qml.Hermitian)]
    tapes = [qml.tape.QuantumScript(tape.operations, [mp]) for mp in words]
    exact = qml.execute(tapes, qml.device("default.qubit", wires=WIRES), None)
    readouts = [r for r in made.readouts if r.kind is Kind.WORDS]
    for readout, value in zip(readouts, exact):
        found = parity(distributions[readout.settings[0]], readout.bits[0])
        np.testing.assert_allclose(found, np.ravel(value)[0], atol=1e-9)
    return with_one, compiler.transpiles - before - with_one
