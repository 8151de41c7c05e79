"""Every gate that the converter writes itself, on Aer with parameters, against PennyLane's own simulator."""

import numpy as np
import pennylane as qml
import pytest

from pennylane_threaded_ibmq.circuits.gates import LOWERING

SHOTS = 30_000


def _gate(name, x):
    if name.startswith("Adjoint("):
        return qml.adjoint(_gate(name[len("Adjoint(") : -1], x), lazy=True)
    gate = getattr(qml, name)
    wires = list(range(gate.num_wires or 1))
    return gate(*[x + 0.3 * i for i in range(gate.num_params)], wires=wires)


def _operations(name, x):
    return [
        *[qml.RY(0.7 + q, q) for q in range(3)],
        qml.CNOT([0, 2]),
        _gate(name, x),
        # a matrix next to gates that Aer lacks makes Qiskit's BasisTranslator panic
        qml.QubitUnitary(qml.RX.compute_matrix(0.3), wires=1),
        # an angle after the gate: a gate must take no more angles than it has
        *[qml.RX(0.4 + x, q) for q in range(3)],
        *[qml.Hadamard(q) for q in range(3)],
    ]


@pytest.mark.parametrize("simulator", ["aer", "lightning"])
@pytest.mark.parametrize("name", LOWERING)
def test_a_gate_does_what_its_name_says(name, simulator):
    """Two rows of one template: Aer binds the angles, and must simulate those and no others."""
    dev = qml.device("threaded.ibmq", wires=3, seed_simulator=5, simulator=simulator)
    probs = qml.probs(wires=[0, 1, 2])
    tapes = [qml.tape.QuantumScript(_operations(name, x), [probs], shots=SHOTS) for x in (0.9, 2.2)]
    exact = [t.copy(shots=None) for t in tapes]
    wanted = qml.device("default.qubit", wires=3).execute(exact)
    for got, want in zip(dev.execute(tapes), wanted, strict=True):
        assert np.allclose(got, want, atol=0.015)
    assert dev.transpiles == (simulator == "aer")


@pytest.mark.parametrize("simulator", ["aer", "lightning"])
@pytest.mark.parametrize("gate", [qml.CH, qml.ISWAP])
def test_a_state_and_a_matrix_go_with_gates_that_aer_lacks(gate, simulator):
    """The combination that ends in a PanicException, which is no Exception."""
    dev = qml.device("threaded.ibmq", wires=2, seed_simulator=5, simulator=simulator)

    @qml.qnode(dev)
    def circuit():
        qml.StatePrep(np.array([0.6, 0.8j, 0, 0]), wires=[0, 1])
        gate(wires=[0, 1])
        qml.QubitUnitary(np.kron(*[qml.RY.compute_matrix(0.3)] * 2), wires=[1, 0])
        return qml.probs()

    exact = qml.QNode(circuit.func, qml.device("default.qubit", wires=2))()
    assert np.allclose(qml.set_shots(circuit, SHOTS)(), exact, atol=0.015)
