"""The device on a simulator of this machine, against PennyLane's own simulator."""

import warnings

import numpy as np
import pennylane as qml
import pytest
from pennylane import numpy as pnp

from pennylane_threaded_ibmq.exceptions import ConfigurationError, ThreadedIBMQError, UnsupportedCircuitError

SHOTS = 40_000


@pytest.fixture(params=["aer", "lightning"])
def dev(request):
    return qml.device("threaded.ibmq", wires=4, seed_simulator=11, simulator=request.param)


def _layers(weights):
    qml.StronglyEntanglingLayers(weights, wires=range(4))


WEIGHTS = np.random.default_rng(3).uniform(0, 6, (2, 4, 3))

MEASUREMENTS = {
    "expval word": lambda: qml.expval(qml.X(0) @ qml.Y(2)),
    "expval sum": lambda: qml.expval(qml.Z(0) + 0.5 * qml.X(1) @ qml.Y(2) - 2 * qml.I(0)),
    "expval Hermitian": lambda: qml.expval(qml.Hermitian(np.array([[1, 1j], [-1j, -0.5]]), 2)),
    "expval Projector": lambda: qml.expval(qml.Projector([0, 1], wires=[3, 1])),
    "expval Hadamard product": lambda: qml.expval(qml.Hadamard(0) @ qml.Z(3)),
    "var word": lambda: qml.var(qml.Z(1)),
    "var commuting sum": lambda: qml.var(qml.Z(0) + qml.Z(1)),
    "var sum in several bases": lambda: qml.var(qml.Z(0) + 0.5 * qml.X(0) @ qml.Y(1) + qml.Y(2)),
    "probs of swapped wires": lambda: qml.probs(wires=[2, 0]),
    "probs of an observable": lambda: qml.probs(op=qml.Y(1)),
    "probs of all wires": qml.probs,
}


@pytest.mark.parametrize("form", MEASUREMENTS)
def test_measurements_agree_with_exact_values(dev, form):
    """Each measurement converges on what default.qubit computes."""

    def circuit():
        _layers(WEIGHTS)
        return MEASUREMENTS[form]()

    sampled = qml.set_shots(qml.QNode(circuit, dev), SHOTS)()
    exact = qml.QNode(circuit, qml.device("default.qubit", wires=4))()
    assert np.shape(sampled) == np.shape(exact)
    assert np.allclose(sampled, exact, atol=0.06)


def test_gradient_matches_the_exact_one(dev):
    """A parameter-shift gradient through autograd converges on the exact gradient."""

    def circuit(weights):
        _layers(weights)
        return qml.expval(qml.Z(0) @ qml.Z(1))

    weights = pnp.array(WEIGHTS, requires_grad=True)
    sampled = qml.grad(qml.set_shots(qml.QNode(circuit, dev, diff_method="parameter-shift"), SHOTS))(weights)
    exact = qml.grad(qml.QNode(circuit, qml.device("default.qubit", wires=4)))(weights)
    assert np.allclose(sampled, exact, atol=0.03)


def test_wire_labels_name_wires_and_not_registers():
    """X on the first of wires=[1, 0] is read as |10>, and text labels work."""
    for labels in ([1, 0], ["b", 7]):
        dev = qml.device("threaded.ibmq", wires=labels)

        @qml.qnode(dev)
        def circuit(first=labels[0]):
            qml.X(first)
            return qml.probs()

        assert np.array_equal(circuit(), [0, 0, 1, 0])


def test_a_gradient_transpiles_one_circuit():
    """Shifted tapes share a template; the next gradient transpiles nothing."""
    dev = qml.device("threaded.ibmq", wires=4, seed_simulator=7, simulator="aer")

    @qml.qnode(dev, diff_method="parameter-shift")
    def circuit(weights):
        _layers(weights)
        return qml.expval(qml.Z(0))

    weights = pnp.array(WEIGHTS, requires_grad=True)
    qml.grad(circuit)(weights)
    first = dev.transpiles
    qml.grad(circuit)(weights + 0.1)
    assert (first, dev.transpiles) == (1, 1)


def test_batch_execute_keeps_the_order_of_mixed_tapes(dev):
    """Tapes of several structures and shots come back in order."""
    tapes = [
        qml.tape.QuantumScript([qml.RX(np.pi * (i % 2), 0)], [qml.expval(qml.Z(i % 3 and 0))], shots=10 + i)
        for i in range(7)
    ]
    assert [float(r) for r in dev.batch_execute(tapes)] == [1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0]
    assert dev.batch_execute([]) == ()


def test_shot_vectors_and_broadcasting_nest_as_pennylane_says(dev):
    """Shot copies outside, then measurements, then the broadcast axis."""

    @qml.qnode(dev)
    def circuit(x):
        qml.RX(x, 0)
        return qml.expval(qml.Z(0)), qml.sample(wires=[0, 1])

    copies = qml.set_shots(circuit, [3, 4, 4])(np.array([0.0, np.pi]))
    assert [np.shape(c[0]) for c in copies] == [(2,)] * 3
    assert [np.shape(c[1]) for c in copies] == [(2, 3, 2), (2, 4, 2), (2, 4, 2)]
    assert np.array_equal(copies[0][0], [1, -1])


def test_samples_are_in_shot_order(dev):
    """The first half of the shots is no different from the second: nothing is sorted by outcome."""

    @qml.qnode(dev)
    def circuit():
        qml.Hadamard(0)
        return qml.sample(wires=[0])

    samples = qml.set_shots(circuit, 2000)()
    assert abs(samples[:1000].mean() - samples[1000:].mean()) < 0.15


def test_no_warning_reaches_a_user_of_the_defaults():
    """Default shots are no deprecated choice of the user's."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dev = qml.device("threaded.ibmq", wires=1)

        @qml.qnode(dev)
        def circuit():
            return qml.expval(qml.Z(0))

        assert circuit() == 1.0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"max_job": 3}, "Did you mean 'max_jobs'"),
        ({"max_jobs": 0}, "max_jobs=0"),
        ({"shard_size": -1}, "shard_size=-1"),
        ({"shard_size": "big"}, "shard_size='big'"),
        ({"shots": 0}, "shots=0"),
        ({"shots": -5}, "shots=-5"),
        ({"shots": 2.5}, "shots=2.5"),
    ],
)
def test_bad_arguments_are_named(options, text):
    """One clear error with the argument, its value and what is allowed."""
    with pytest.raises(ConfigurationError, match=text):
        qml.device("threaded.ibmq", wires=2, **options)


@pytest.mark.parametrize(
    ("operations", "measurement", "text"),
    [
        ([qml.RX(np.nan, 0)], qml.expval(qml.Z(0)), "RX"),
        ([qml.X("z")], qml.expval(qml.Z(0)), "'z'"),
        ([], qml.state(), "state"),
    ],
)
def test_tapes_that_cannot_run_are_refused(dev, operations, measurement, text):
    """The error names what is wrong in the tape."""
    tape = qml.tape.QuantumScript(operations, [measurement], shots=10)
    with pytest.raises(ThreadedIBMQError, match=text):
        dev.batch_execute([tape])


def test_unsupported_is_a_device_error():
    """Code that catches PennyLane's DeviceError catches ours."""
    assert issubclass(UnsupportedCircuitError, qml.exceptions.DeviceError)
