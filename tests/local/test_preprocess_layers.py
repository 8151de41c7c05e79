"""Layer templates: their gates are PennyLane's, whichever way they were made."""

import numpy as np
import pennylane as qml
import pytest

from pennylane_threaded_ibmq.circuits.layers import layer_gates

RNG = np.random.default_rng(8)

LAYERS = {
    "entangling": lambda: qml.StronglyEntanglingLayers(RNG.uniform(0, 6, (2, 3, 3)), wires=["a", 1, "c"]),
    "entangling with ranges and CZ": lambda: qml.StronglyEntanglingLayers(
        RNG.uniform(0, 6, (2, 3, 3)), wires=range(3), ranges=[2, 1], imprimitive=qml.CZ
    ),
    "entangling, one wire": lambda: qml.StronglyEntanglingLayers(RNG.uniform(0, 6, (2, 1, 3)), wires=[4]),
    "basic": lambda: qml.BasicEntanglerLayers(RNG.uniform(0, 6, (2, 3)), wires=range(3)),
    "basic with RZ": lambda: qml.BasicEntanglerLayers(RNG.uniform(0, 6, (2, 3)), range(3), rotation=qml.RZ),
    "simplified": lambda: qml.SimplifiedTwoDesign(
        RNG.uniform(0, 6, 3), RNG.uniform(0, 6, (1, 2, 2)), wires=range(3)
    ),
    "embedding": lambda: qml.AngleEmbedding(RNG.uniform(0, 6, 3), wires=range(3), rotation="Y"),
    "embedding, fewer features": lambda: qml.AngleEmbedding(RNG.uniform(0, 6, 2), wires=range(3)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_gates_are_those_of_pennylane(name):
    """Three sets of weights in a row: the first makes the example, the others use it."""
    for _ in range(3):
        op = LAYERS[name]()
        gates = layer_gates(op)
        expected = op.decomposition()
        assert len(gates) == len(expected)
        for ours, theirs in zip(gates, expected, strict=True):
            assert type(ours) is type(theirs)
            assert ours.wires == theirs.wires
            assert np.array_equal(ours.data, theirs.data)


def test_weights_that_are_special_stay_what_they_are():
    """Equal weights and zeros are no places of their own."""
    weights = np.zeros((1, 3, 3))
    weights[0, 1] = 0.5
    op = qml.StronglyEntanglingLayers(weights, wires=range(3))
    assert [g.data for g in layer_gates(op)] == [tuple(g.data) for g in op.decomposition()]


@pytest.mark.parametrize(
    "op",
    [
        qml.QFT(wires=range(3)),
        qml.AngleEmbedding(np.ones((5, 3)), wires=range(3)),
        qml.StronglyEntanglingLayers(qml.numpy.ones((1, 3, 3)), wires=range(3)),
    ],
)
def test_everything_else_is_left_to_pennylane(op):
    """Other operations, broadcast weights, weights that carry a gradient."""
    assert layer_gates(op) is None


def test_a_broadcast_phase_makes_a_batch():
    """A global phase is dropped; that it was broadcast still shows in the result's shape."""
    dev = qml.device("threaded.ibmq", wires=1, seed_simulator=3)
    tape = qml.tape.QuantumScript(
        [qml.GlobalPhase(np.array([0.1, 0.2, 0.3])), qml.RX(np.pi, 0)], [qml.expval(qml.Z(0))], shots=50
    )
    assert np.array_equal(dev.batch_execute([tape])[0], [-1.0, -1.0, -1.0])
