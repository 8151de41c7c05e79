"""Gates become the right ones where PennyLane's own decomposition is wrong: compared with matrices, exactly."""

from __future__ import annotations

import numpy as np
import pennylane as qml
import pytest

from pennylane_threaded_ibmq.exceptions import UnsupportedCircuitError
from pennylane_threaded_ibmq.stacks.classic.decompositions import parts_of
from pennylane_threaded_ibmq.stacks.classic.preprocess import prepare_classic

X, Z = qml.PauliX, qml.PauliZ
MATRIX = np.exp(0.8j) * qml.matrix(qml.Rot(0.3, 1.1, -0.4, wires=0))
NEEDS_PHASES = pytest.mark.skipif(
    not hasattr(qml, "GlobalPhase"),
    reason="PennyLane 0.31 has no GlobalPhase, and no C(GlobalPhase) in what needs one",
)

OPERATIONS = {
    "matrix under a control": lambda: qml.ctrl(qml.QubitUnitary(MATRIX, wires=0), control=[1]),
    "matrix under a control of 0": lambda: qml.ctrl(
        qml.QubitUnitary(MATRIX, wires=0), control=[1], control_values=[0]
    ),
    "matrix under many controls": lambda: qml.ctrl(
        qml.QubitUnitary(MATRIX, wires=0), control=[1, 2, 3], control_values=[0, 1, 1]
    ),
    "matrix of two wires under a control": lambda: qml.ctrl(
        qml.QubitUnitary(np.kron(MATRIX, np.eye(2)), wires=[0, 1]), control=[2], control_values=[0]
    ),
    "square of it": lambda: qml.pow(qml.ctrl(qml.QubitUnitary(MATRIX, wires=0), control=[1]), 2),
    "adjoint of it": lambda: qml.adjoint(qml.ctrl(qml.QubitUnitary(MATRIX, wires=0), control=[1])),
    "evolution under one word twice": lambda: qml.evolve(0.9 * (Z(0) @ X(1)) + 0.7 * (Z(0) @ X(1)), 0.6),
    "evolution under a control": lambda: qml.ctrl(qml.exp(Z(0) @ X(1), 0.7j), control=[2]),
    "root of a rotation": lambda: qml.pow(qml.U1(6.4, wires=0), 0.5),
    "root of a rotation of two wires": lambda: qml.pow(qml.ControlledPhaseShift(3.9, wires=[0, 1]), 0.5),
    "root of a square": lambda: qml.ctrl(qml.pow(qml.IsingXX(6.3, wires=[0, 1]), 0.5), control=[2]),
    "diagonal of three wires": lambda: qml.DiagonalQubitUnitary(np.exp(1j * np.arange(8)), wires=[5, 1, 2]),
    "rotation of several wires under a control": lambda: qml.ctrl(
        qml.DiagonalQubitUnitary(np.exp(1j * np.arange(4)), wires=[0, 1]), control=[2]
    ),
    "inverse of ISWAP": lambda: qml.pow(qml.ISWAP(wires=[0, 1]), -1),
    "flip under many controls": lambda: qml.MultiControlledX(wires=[4, 1, 0, 3, 2], control_values="0110"),
    "flip under controls of controls": lambda: qml.ctrl(
        qml.MultiControlledX(wires=[0, 1, 2, 3]), control=[4, 5], control_values=[0, 1]
    ),
    "gate under controls of controls": lambda: qml.ctrl(
        qml.ctrl(qml.T(0), control=[1, 2], control_values=[0, 1]), control=[3, 4], control_values=[1, 0]
    ),
    "Grover's operator": lambda: qml.GroverOperator(wires=[0, 1, 2, 3, 4]),
    "Grover's operator under a control": lambda: qml.ctrl(qml.GroverOperator(wires=[0, 1, 2]), control=[3]),
    "inverse of that": lambda: qml.adjoint(qml.ctrl(qml.GroverOperator(wires=[0, 1, 2]), control=[3])),
    "decomposition that records": lambda: qml.QSVT(
        qml.RX(0.3, wires=0), [qml.PhaseShift(0.2 * k, wires=0) for k in (1, 2, 3)]
    ),
    **(
        {"shift under no control": lambda: qml.Reflection(qml.Hadamard(0), alpha=0.8)}
        if hasattr(qml, "Reflection")
        else {}
    ),
}
WIDE = {
    "swap under many controls": lambda: qml.ctrl(qml.SWAP(wires=[0, 1]), control=[2, 3, 4, 5, 6]),
    "shift under many controls": lambda: qml.ctrl(
        qml.PhaseShift(0.7, wires=0), control=[1, 2, 3, 4, 5, 6], control_values=[0, 1] * 3
    ),
    **{
        f"{kind.__name__} under many controls": lambda kind=kind: qml.ctrl(
            kind(0.7, wires=0), control=[1, 2, 3, 4, 5, 6]
        )
        for kind in (qml.RX, qml.RY, qml.RZ, qml.U1)
    },
    "phase under many controls": lambda: qml.ctrl(qml.exp(qml.Identity(0), 0.6j), control=[1, 2, 3, 4, 5, 6]),
    "Grover's operator of many wires under a control": lambda: qml.ctrl(
        qml.GroverOperator(wires=[0, 1, 2, 3, 4, 5, 6]), control=[7]
    ),
}
WITH_PHASES = {
    "phase": lambda: qml.GlobalPhase(2.4, wires=0),
    "diagonal": lambda: qml.DiagonalQubitUnitary(np.exp(1j * np.arange(4)), wires=[0, 1]),
    "FermionicSWAP": lambda: qml.FermionicSWAP(-2.0, wires=[0, 1]),
    "GroverOperator": lambda: qml.GroverOperator(wires=[0, 1, 2]),
    "MottonenStatePreparation": lambda: qml.MottonenStatePreparation(
        np.array([0.6, 0.2, 0.3j, np.sqrt(0.51)]), wires=[0, 1]
    ),
}


def assert_lowered(op):
    """The gates for an operation have its matrix, up to a phase of the whole circuit."""
    dev = qml.device("threaded.ibmq", wires=8)
    tape = qml.tape.QuantumScript([op], [qml.probs(wires=0)], shots=10)
    (made,), _ = prepare_classic(tape, device=dev, shots=tape.shots)
    # some gates work with further wires
    wires = list(dict.fromkeys([*op.wires, *(wire for gate in made.operations for wire in gate.wires)]))
    found = qml.matrix(qml.tape.QuantumScript(made.operations), wire_order=wires)
    wanted = qml.matrix(op, wire_order=wires)
    overlap = np.trace(np.conj(found).T @ wanted) / len(wanted)
    assert abs(abs(overlap) - 1) < 1e-6


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_pennylane_decomposes_wrongly(name):
    assert_lowered(OPERATIONS[name]())


@pytest.mark.skipif(hasattr(qml, "GlobalPhase"), reason="PennyLane's own, of thousands of gates")
@pytest.mark.parametrize("name", WIDE)
def test_what_is_too_wide_for_a_matrix(name):
    assert_lowered(WIDE[name]())


@NEEDS_PHASES
@pytest.mark.parametrize("values", [[0, 1], [1, 1], [1, 0, 1]])
@pytest.mark.parametrize("name", WITH_PHASES)
def test_phases_under_several_controls(name, values):
    """PennyLane 0.37 leaves them out, with a warning."""
    assert_lowered(qml.ctrl(WITH_PHASES[name](), control=[3, 4, 5][: len(values)], control_values=values))


@NEEDS_PHASES
def test_a_matrix_that_is_too_wide_to_be_looked_at():
    gate = qml.QubitUnitary(np.kron(MATRIX, MATRIX), wires=[0, 1])
    assert_lowered(qml.ctrl(gate, control=[2, 3, 4, 5, 6], control_values=[1, 0, 1, 1, 0]))


def test_an_exponent_that_is_not_imaginary_is_refused():
    with pytest.raises(UnsupportedCircuitError, match="is not unitary"):
        assert_lowered(qml.exp(qml.PauliZ(0), 0.3))


def test_a_template_that_is_decomposed_twice():
    """PennyLane 0.31 leaves gates out the second time."""
    op = qml.IQPEmbedding(np.array([0.3, 0.8]), wires=[0, 1])
    assert len(parts_of(op)) == len(parts_of(op)) == 5


@pytest.mark.parametrize("rotation", ["X", "Y", "Z"])
def test_layer_templates_have_the_gates_that_pennylane_gives_them(rotation):
    """PennyLane 0.31 cannot make an AngleEmbedding anew with other angles."""
    weights = np.linspace(0.1, 1.2, 12)
    assert_lowered(qml.AngleEmbedding(weights[:3], wires=[2, 0, 1], rotation=rotation))
    assert_lowered(qml.AngleEmbedding(weights[:2], wires=[2, 0, 1], rotation=rotation))
    turn = getattr(qml, f"R{rotation}")
    assert_lowered(qml.BasicEntanglerLayers(weights[:6].reshape(2, 3), wires=[2, 0, 1], rotation=turn))
    assert_lowered(qml.StronglyEntanglingLayers(weights.reshape(2, 2, 3), wires=[3, 0], imprimitive=qml.CZ))
    assert_lowered(qml.SimplifiedTwoDesign(weights[:3], weights[:8].reshape(2, 2, 2), wires=[2, 0, 1]))
