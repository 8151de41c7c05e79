"""What makes gradients fast changes nothing about them."""

import numpy as np
import pennylane as qml
import pytest
from pennylane import numpy as pnp
from pennylane.gradients import param_shift

from pennylane_threaded_ibmq.circuits import structure
from pennylane_threaded_ibmq.circuits.gradients import shift_through_conditions
from pennylane_threaded_ibmq.stacks.current import preprocess

X = pnp.array(0.3, requires_grad=True)
FIXED = pnp.array(0.3, requires_grad=False)


class NoRule(qml.operation.Operation):
    """A gate that cannot be shifted, and decomposes into ones that can."""

    num_wires = 1
    num_params = 1
    grad_method = None

    @staticmethod
    def compute_decomposition(angle, wires):
        return [qml.RX(angle, wires), qml.RZ(2 * angle, wires)]


TAPES = {
    "rotations": [qml.RX(X, 0), qml.CNOT([0, 1]), qml.Rot(X, X, X, 1)],
    "nothing to learn": [qml.RX(0.1, 0), qml.CRX(FIXED, [0, 1])],
    "controlled": [qml.CRX(X, [0, 1]), qml.ctrl(qml.RX(X, 1), 0), qml.adjoint(qml.RX(X, 0))],
    "template": [qml.StronglyEntanglingLayers(pnp.ones((1, 2, 3), requires_grad=True), wires=[0, 1])],
    "no rule": [NoRule(X, 0)],
    "no rule, fixed": [NoRule(FIXED, 0), qml.RY(X, 1)],
    "matrix": [qml.QubitUnitary(pnp.eye(2, requires_grad=True), wires=0), qml.MultiRZ(X, [0, 1])],
    "state": [qml.StatePrep(np.array([1, 0, 0, 0]), wires=[0, 1]), qml.PauliRot(X, "XY", [0, 1])],
    # but for exponentials, for which PennyLane has no rule that is right
    "power": [qml.pow(qml.RX(X, 0), 2)],
}
OBSERVABLES = {
    "word": qml.Z(0) @ qml.X(1),
    "fixed coefficients": qml.Hamiltonian([0.5, 2.0], [qml.Z(0), qml.X(1)]),
    "coefficients to learn": qml.Hamiltonian(pnp.array([0.5, 2.0], requires_grad=True), [qml.Z(0), qml.X(1)]),
}


@pytest.mark.parametrize("observable", OBSERVABLES)
@pytest.mark.parametrize("name", TAPES)
def test_a_tape_is_expanded_as_pennylane_does(name, observable):
    """Gates, measurements and what is trainable, whether or not PennyLane was asked."""
    tape = qml.tape.QuantumScript(TAPES[name], [qml.expval(OBSERVABLES[observable])], shots=100)
    ours, _ = shift_through_conditions.expand_transform(tape)
    theirs, _ = param_shift.expand_transform(tape)
    assert len(ours) == len(theirs)
    for mine, expected in zip(ours, theirs, strict=True):
        qml.assert_equal(mine, expected)
        assert mine.trainable_params == expected.trainable_params


def test_tapes_of_rotations_are_handed_back_as_they_are():
    """The tapes of a gradient, which are many."""
    tape = qml.tape.QuantumScript(TAPES["rotations"], [qml.expval(qml.Z(0))], shots=100)
    (made,), post = shift_through_conditions.expand_transform(tape)
    assert made is tape
    assert post(("result",)) == "result"


@pytest.mark.parametrize(
    "op",
    [
        qml.CNOT(["a", 1]),
        qml.Toffoli([2, "b", 0]),
        qml.CSWAP([2, 1, 0]),
        qml.MultiControlledX([0, 1, 2, 3], work_wires=[4]),
        qml.ctrl(qml.CRX(0.1, [5, 1]), [2, 0]),
        qml.ctrl(qml.RX(0.1, 1), [2, 0], work_wires=["w"]),
        qml.RX(0.1, "x"),
        qml.Identity([0, 1]),
        qml.GlobalPhase(0.1),
    ],
    ids=lambda op: op.name,
)
def test_labels_of_wires_are_those_of_pennylane(op):
    """In the same order."""
    assert structure.wire_labels(op) == op.wires.labels


@pytest.mark.parametrize("most", [0, 3, 4096])
def test_however_many_gates_are_remembered_results_are_the_same(most, monkeypatch):
    """Tapes that share gates, tapes that do not, and a wire that is wrong in the last one only."""
    monkeypatch.setattr(preprocess, "REMEMBERED", most)
    monkeypatch.setattr(structure, "REMEMBERED", most)
    shared = [qml.Hadamard(0), qml.CNOT([0, 1]), qml.CNOT([1, 2])]
    tapes = [
        qml.tape.QuantumScript([*shared, qml.RX(np.pi * k, 2), *own], [qml.probs(wires=[0, 2])], shots=50)
        for k in range(4)
        for own in ([], [qml.CNOT([0, 1])], [qml.CNOT([0, 2])])
    ]
    with qml.device("threaded.ibmq", wires=3, simulator="aer") as dev:
        for tape, probs in zip(tapes, dev.batch_execute(tapes), strict=True):
            exact = qml.execute([tape.copy(shots=None)], qml.device("default.qubit"))[0]
            # both outcomes of an equal superposition, or none
            assert np.array_equal(probs > 0, exact > 1e-9)
        assert dev.transpiles == 3
        bad = qml.tape.QuantumScript([*shared, qml.CNOT([0, "far"])], [qml.probs(wires=0)], shots=50)
        with pytest.raises(qml.wires.WireError, match="far"):
            dev.batch_execute([*tapes, bad])
