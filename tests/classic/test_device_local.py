"""The device on the classic stack, on a simulator of this machine, compared with exact simulation."""

from __future__ import annotations

import warnings

import numpy as np
import pennylane as qml
import pytest
from pennylane import numpy as pnp

from pennylane_threaded_ibmq import IBMQExecutor, qelectron
from pennylane_threaded_ibmq.exceptions import ConfigurationError, UnknownWireError, UnsupportedCircuitError
from pennylane_threaded_ibmq.simulators.lightning import find_lightning

SHOTS = 20_000
CLOSE = {"atol": 0.06}


def device(wires=3, **options):
    return qml.device("threaded.ibmq", **{"wires": wires, "shots": SHOTS, "seed_simulator": 7, **options})


def exact(function, *args, wires=3):
    return qml.QNode(function, qml.device("default.qubit", wires=wires))(*args)


def layers(weights):
    qml.StronglyEntanglingLayers(weights, wires=[0, 1, 2])
    qml.CRX(0.3, wires=[0, 2])
    qml.PhaseShift(0.2, wires=1)
    qml.U2(0.1, 0.4, wires=2)
    qml.ControlledPhaseShift(0.7, wires=[1, 2])
    qml.Toffoli(wires=[0, 1, 2])


WEIGHTS = np.random.default_rng(5).uniform(0, np.pi, (2, 3, 3))
H2 = qml.Hamiltonian(
    [0.4, -0.7, 0.2], [qml.PauliZ(0) @ qml.PauliZ(1), qml.PauliX(0) @ qml.PauliX(2), qml.PauliY(1)]
)

MEASUREMENTS = {
    "word": lambda: qml.expval(qml.PauliZ(0) @ qml.PauliX(2)),
    "hamiltonian": lambda: qml.expval(H2),
    "hermitian": lambda: qml.expval(qml.Hermitian(np.array([[1, 1j], [-1j, 0.5]]), wires=1)),
    "tensor": lambda: qml.expval(qml.Hermitian(np.array([[1, 0], [0, -2.0]]), wires=1) @ qml.PauliX(0)),
    "projector": lambda: qml.expval(qml.Projector([1, 0], wires=[0, 2])),
    "variance": lambda: qml.var(qml.PauliY(1)),
    "probabilities": lambda: qml.probs(wires=[2, 0]),
    "hadamard": lambda: qml.expval(qml.Hadamard(2)),
}


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_values_are_those_of_exact_simulation(name):
    def circuit(weights):
        layers(weights)
        return MEASUREMENTS[name]()

    found = qml.QNode(circuit, device())(WEIGHTS)
    np.testing.assert_allclose(found, exact(circuit, WEIGHTS), **CLOSE)


def test_several_returns_nest_as_they_do_elsewhere():
    def circuit(weights):
        layers(weights)
        return qml.expval(qml.PauliZ(0)), qml.probs(wires=[0, 1]), qml.var(qml.PauliX(2))

    found = qml.QNode(circuit, device())(WEIGHTS)
    wanted = exact(circuit, WEIGHTS)
    assert isinstance(found, tuple)
    for mine, theirs in zip(found, wanted):
        np.testing.assert_allclose(mine, theirs, **CLOSE)


def test_a_gradient_is_one_batch_and_transpiles_once():
    dev = device(simulator="aer")

    def circuit(weights):
        layers(weights)
        return qml.expval(qml.PauliZ(0) @ qml.PauliX(2))

    weights = pnp.array(WEIGHTS, requires_grad=True)
    with qml.Tracker(dev) as tracker:
        found = qml.grad(qml.QNode(circuit, dev))(weights)
    wanted = qml.grad(qml.QNode(circuit, qml.device("default.qubit", wires=3)))(weights)
    np.testing.assert_allclose(found, wanted, **CLOSE)
    assert tracker.history["batch_len"] == [1, 2 * weights.size]
    assert dev.transpiles == 1
    qml.grad(qml.QNode(circuit, dev))(weights + 0.1)
    assert dev.transpiles == 1


def test_samples_and_counts():
    @qml.qnode(device(wires=2, shots=50))
    def circuit():
        qml.PauliX(wires=1)
        return qml.sample(wires=[0, 1]), qml.counts(wires=[1]), qml.sample(qml.PauliZ(1))

    samples, counts, values = circuit()
    assert samples.shape == (50, 2)
    assert (samples == [0, 1]).all()
    assert counts == {"1": 50}
    assert (values == -1).all()


def test_shots_of_a_call_of_the_device_and_of_a_tape():
    dev = device(wires=1, shots=100)

    @qml.qnode(dev)
    def circuit():
        qml.Hadamard(wires=0)
        return qml.sample(wires=0)

    assert circuit().shape == (100,)
    assert circuit(shots=7).shape == (7,)
    assert circuit().shape == (100,)
    tape = qml.tape.QuantumScript([qml.Hadamard(0)], [qml.sample(wires=[0])], shots=9)
    assert np.shape(dev.batch_execute([tape])[0])[0] == 9
    dev.shots = 5
    assert circuit().shape == (5,)


def test_a_shot_vector():
    @qml.qnode(device(wires=1, shots=[1000, 3000]))
    def circuit(x):
        qml.RY(x, wires=0)
        return qml.expval(qml.PauliZ(0))

    values = circuit(0.4)
    assert len(values) == 2
    np.testing.assert_allclose(values, np.cos(0.4), atol=0.15)


def test_no_shots_warn_and_become_1024():
    with pytest.warns(UserWarning, match="estimated from 1024 shots"):
        dev = device(wires=1, shots=None)
    assert dev.shots == 1024


def test_broadcast_parameters_stay_one_tape():
    dev = device(wires=2)
    angles = np.linspace(0, np.pi, 5)

    @qml.qnode(dev)
    def circuit(x):
        qml.RY(x, wires=0)
        qml.CNOT(wires=[0, 1])
        return qml.expval(qml.PauliZ(1))

    with qml.Tracker(dev) as tracker:
        np.testing.assert_allclose(circuit(angles), np.cos(angles), **CLOSE)
    assert tracker.totals["executions"] == 1


def test_a_broadcast_matrix_is_expanded():
    matrices = np.stack([np.eye(2), [[0, 1], [1, 0]]])

    @qml.qnode(device(wires=1))
    def circuit():
        qml.QubitUnitary(matrices, wires=0)
        return qml.expval(qml.PauliZ(0))

    np.testing.assert_allclose(circuit(), [1, -1])


def test_state_preparation_and_labels():
    @qml.qnode(qml.device("threaded.ibmq", wires=["a", "b"], shots=SHOTS))
    def circuit():
        qml.QubitStateVector(np.array([0, 0.6, 0.8, 0]), wires=["a", "b"])
        return qml.probs(wires=["a", "b"])

    np.testing.assert_allclose(circuit(), [0, 0.36, 0.64, 0], atol=0.03)


def test_mid_circuit_measurements_are_put_off():
    @qml.qnode(device(wires=3))
    def circuit(x):
        qml.RX(x, wires=0)
        outcome = qml.measure(0)
        qml.cond(outcome, qml.PauliX)(wires=1)
        return qml.expval(qml.PauliZ(1))

    np.testing.assert_allclose(circuit(0.8), np.cos(0.8), **CLOSE)


def test_classical_shadows():
    @qml.qnode(device(wires=2, shots=4000))
    def circuit():
        qml.Hadamard(wires=0)
        qml.CNOT(wires=[0, 1])
        return qml.shadow_expval(qml.PauliX(0) @ qml.PauliX(1))

    np.testing.assert_allclose(circuit(), 1.0, atol=0.25)


def test_a_fake_backend_is_noisy():
    @qml.qnode(qml.device("threaded.ibmq", wires=2, shots=SHOTS, backend="fake_lima", seed_simulator=3))
    def circuit():
        qml.Hadamard(wires=0)
        qml.CNOT(wires=[0, 1])
        return qml.probs(wires=[0, 1])

    found = circuit()
    assert 0.005 < found[1] + found[2] < 0.25


def test_runs_with_a_seed_repeat():
    tape = qml.tape.QuantumScript([qml.Hadamard(0)], [qml.sample(wires=[0])])
    first, second = (device(wires=1, shots=40).batch_execute([tape])[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_an_empty_batch():
    assert device().batch_execute([]) == []


def test_a_batch_by_qml_execute():
    dev = device(wires=1)
    angles = np.linspace(0, np.pi, 6)
    tapes = [qml.tape.QuantumScript([qml.RY(a, 0)], [qml.expval(qml.PauliZ(0))]) for a in angles]
    np.testing.assert_allclose(qml.execute(tapes, dev, gradient_fn=None), np.cos(angles), **CLOSE)


def test_submit_returns_a_handle():
    tapes = [qml.tape.QuantumScript([qml.RY(a, 0)], [qml.expval(qml.PauliZ(0))]) for a in (0.0, np.pi)]
    dev = device(wires=1)
    handle = dev.submit(tapes)
    np.testing.assert_allclose([future.result(60) for future in handle.futures], [1, -1])
    np.testing.assert_allclose(handle.result(60), [1, -1])
    assert handle.done()


def test_nothing_deprecated_is_said_to_whoever_did_nothing_deprecated():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)

        @qml.qnode(device(wires=1))
        def circuit(x):
            qml.RY(x, wires=0)
            return qml.expval(qml.PauliZ(0))

        circuit(0.3)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"wires": 0}, ConfigurationError, "give the number of wires"),
        ({"shots": 1.5}, ConfigurationError, "give a whole number"),
        ({"backned": "x"}, ConfigurationError, "Did you mean 'backend'"),
        ({"primitive": "estimator"}, ConfigurationError, "has no Estimator"),
        ({"session": 1}, ConfigurationError, "has no sessions"),
        ({"instance": "crn:v1"}, ConfigurationError, "give hub=, group= and project="),
        ({"primitive_options": {"resilience_level": 1}}, ConfigurationError, "has no primitives"),
        ({"dry_run": True}, ConfigurationError, "dry_run=True"),
        ({"use_fractional_gates": True}, ConfigurationError, "use_fractional_gates"),
        (
            {"proxies": {"urls": {"https": "http://me:secret@proxy"}}},
            ConfigurationError,
            r"proxies=.*://\*+@proxy",
        ),
        ({"transpile_options": {"optimisation_level": 1}}, ConfigurationError, "optimization_level"),
        ({"max_jobs": 0}, ConfigurationError, "max_jobs=0"),
    ],
)
def test_bad_arguments_are_refused(options, error, text):
    with pytest.raises(error, match=text):
        device(**options)


def test_what_cannot_run_is_refused():
    dev = device(wires=2)
    with pytest.raises(UnknownWireError, match="not found on the device"):
        dev.batch_execute([qml.tape.QuantumScript([qml.PauliX(5)], [qml.expval(qml.PauliZ(0))])])
    with pytest.raises(UnsupportedCircuitError, match="needs a state vector"):
        dev.batch_execute([qml.tape.QuantumScript([qml.PauliX(0)], [qml.state()])])
    with pytest.raises(UnsupportedCircuitError, match="finite numbers"):
        dev.batch_execute([qml.tape.QuantumScript([qml.RX(np.nan, 0)], [qml.expval(qml.PauliZ(0))])])
    with pytest.raises(UnsupportedCircuitError, match="call execute"):
        dev.apply([])


def test_a_matrix_of_two_wires_under_a_control_keeps_its_phase():
    """PennyLane 0.37 loses it in its decomposition."""
    turn = np.exp(0.8j) * qml.matrix(qml.IsingXX(0.7, wires=[0, 1]))

    def circuit():
        for wire in range(3):
            qml.RX(0.3 + wire, wire)
        qml.ctrl(qml.QubitUnitary(turn, wires=[0, 1]), control=[2])
        qml.RY(0.7, 2)
        return qml.probs(wires=[0, 1, 2])

    exact = qml.QNode(circuit, qml.device("default.qubit", wires=3))()
    found = qml.QNode(circuit, qml.device("threaded.ibmq", wires=3, shots=40_000, seed_simulator=3))()
    assert np.abs(np.asarray(found) - exact).max() < 0.02


def test_a_power_of_iswap_is_that_power():
    """PennyLane 0.37 decomposes its inverse into ISWAP itself."""

    def circuit():
        for wire in range(2):
            qml.RX(0.3 + wire, wire)
        qml.pow(qml.ISWAP(wires=[0, 1]), -1)
        qml.RY(0.7, 0)
        qml.RX(0.4, 1)
        return qml.probs(wires=[0, 1])

    exact = qml.QNode(circuit, qml.device("default.qubit", wires=2))()
    found = qml.QNode(circuit, qml.device("threaded.ibmq", wires=2, shots=40_000, seed_simulator=3))()
    assert np.abs(np.asarray(found) - exact).max() < 0.02


# ------------------------------------------------------------------------------------------------- variances and their gradients

MATRIX = np.array([[1, 0.5], [0.5, -0.3]])
SQUARES = {
    "terms that do not commute": lambda: qml.Hamiltonian(
        [1, 0.5, 0.7], [qml.PauliX(0), qml.PauliZ(0) @ qml.PauliZ(1), qml.PauliX(1)]
    ),
    "terms that commute": lambda: qml.sum(qml.PauliZ(0), qml.s_prod(0.5, qml.PauliZ(1))),
    "multiple of a matrix": lambda: qml.s_prod(2, qml.Hermitian(MATRIX, 0)),
    "product of matrices": lambda: qml.prod(qml.Hermitian(MATRIX, 0), qml.PauliZ(1)),
    "matrix": lambda: qml.Hermitian(MATRIX, 0),
}


def turned(angles):
    qml.RX(angles[0], wires=0)
    qml.CRY(angles[1], wires=[0, 1])
    qml.RY(0.4, wires=0)


def derivative(function, angles, step=1e-4):
    """Of a function without shots, by differences: no shift rule is used."""
    steps = step * np.eye(len(angles))
    return np.array([(function(angles + s) - function(angles - s)) / (2 * step) for s in steps])


@pytest.mark.parametrize("name", SQUARES)
def test_the_variance_of_any_observable_has_the_right_gradient(name):
    """PennyLane's own rule is right for the last one alone."""
    angles = pnp.array([0.5, 0.8], requires_grad=True)

    def value(plain):
        state = exact(lambda: (turned(plain), qml.state())[1], wires=2)
        matrix = qml.matrix(SQUARES[name](), wire_order=[0, 1])
        mean = (state.conj() @ matrix @ state).real
        return (state.conj() @ matrix @ matrix @ state).real - mean**2

    node = qml.QNode(
        lambda x: (turned(x), qml.var(SQUARES[name]()))[1],
        device(2, shots=80_000),
        diff_method="parameter-shift",
    )
    np.testing.assert_allclose(node(angles), value(np.array(angles)), **CLOSE)
    np.testing.assert_allclose(qml.grad(node)(angles), derivative(value, np.array(angles)), **CLOSE)


def test_variances_nest_among_others_and_in_shot_vectors():
    angles = pnp.array([0.5, 0.8], requires_grad=True)

    def circuit(x):
        turned(x)
        return qml.expval(qml.PauliX(1)), qml.var(SQUARES["terms that do not commute"]())

    found = qml.QNode(circuit, device(2, shots=[SHOTS, SHOTS]))(angles)
    plain = qml.QNode(circuit, device(2, shots=[SHOTS, SHOTS]))(np.array(angles))
    assert len(found) == len(plain) == 2
    for copy, other in zip(found, plain):
        assert [np.shape(v) for v in copy] == [np.shape(v) for v in other] == [(), ()]
        np.testing.assert_allclose(copy, other, **CLOSE)
    # autograd has a box of its own for what is a tuple elsewhere
    node = qml.QNode(circuit, device(2, shots=[SHOTS, SHOTS]), diff_method="parameter-shift")
    slopes = [qml.grad(lambda x, copy=copy: node(x)[copy][1])(angles) for copy in (0, 1)]
    np.testing.assert_allclose(slopes[0], slopes[1], atol=0.15)


# --------------------------------------------------------------------------------------------------- measurements of one's own


class Number(qml.measurements.SampleMeasurement):
    """How many bits have a value."""

    def __init__(self, value=0, wires=None):
        self.value = value
        super().__init__(wires=wires)

    def process_samples(self, samples, wire_order, shot_range=None, bin_size=None):
        """Of all wires."""
        return np.float64(np.sum(samples == self.value))

    def process_counts(self, counts, wire_order):
        """Not used."""
        raise NotImplementedError


def test_a_measurement_of_ones_own_that_names_no_wires_keeps_what_it_knows():
    tape = qml.tape.QuantumScript([qml.PauliX(0)], [Number(1)], shots=10)
    assert device(1).batch_execute([tape]) == [10.0]


@pytest.mark.parametrize(
    "obs", [qml.PauliZ(0), qml.Hermitian(np.diag([3.0, -1.0]), wires=0)], ids=["word", "matrix"]
)
@pytest.mark.parametrize("all_outcomes", [False, True])
def test_counts_of_observables_pass_the_look_at_their_processing(obs, all_outcomes):
    measured = [qml.counts(obs, all_outcomes=all_outcomes), qml.sample(obs)]
    ((counts, samples),) = device(1).batch_execute(
        [qml.tape.QuantumScript([qml.PauliX(0)], measured, shots=10)]
    )
    assert {value: count for value, count in counts.items() if count} == {-1.0: 10}
    assert np.asarray(samples).tolist() == [-1.0] * 10


# --------------------------------------------------------------------------------------------------- numbers that cannot be meant


@pytest.mark.parametrize(
    "gate",
    [
        lambda: qml.DiagonalQubitUnitary(np.array([1, 0.5]), wires=0),
        lambda: qml.ctrl(qml.QubitUnitary(np.diag([1, 0.5]), wires=0), control=1),
        lambda: qml.evolve(qml.s_prod(1j, qml.PauliX(0)), 0.3),
        lambda: qml.RX(0.3j, wires=0),
    ],
    ids=["diagonal", "matrix", "evolution", "angle"],
)
def test_what_is_not_unitary_is_refused(gate):
    tape = qml.tape.QuantumScript([gate()], [qml.probs(wires=0)], shots=10)
    with pytest.raises(UnsupportedCircuitError, match=r"(?s)Tape 1.*Nothing was sent"):
        device().batch_execute([qml.tape.QuantumScript([], [qml.probs(wires=0)], shots=10), tape])


@pytest.mark.parametrize(
    "measure",
    [
        lambda: qml.expval(qml.Hamiltonian([1j], [qml.PauliZ(0)])),
        lambda: qml.expval(qml.Hamiltonian([np.nan], [qml.PauliZ(0)])),
        lambda: qml.sample(qml.s_prod(1j, qml.PauliZ(0))),
    ],
    ids=["complex", "not a number", "sample"],
)
def test_numbers_that_no_shot_can_give_are_refused(measure):
    tape = qml.tape.QuantumScript([], [measure()], shots=10)
    with pytest.raises(UnsupportedCircuitError, match=r"Tape 0.*Nothing was sent"):
        device().batch_execute([tape])


@pytest.mark.skipif(not hasattr(qml, "Select"), reason="PennyLane 0.31 has no Select")
def test_a_batch_that_shows_only_in_a_decomposition_is_expanded():
    data = np.array([-6.0, -2.4, -5.3])

    def tape(angle):
        gates = [
            qml.Hadamard(0),
            qml.Hadamard(1),
            qml.Select([qml.PauliX(2), qml.RY(angle, 2), qml.PauliZ(2)], control=[1, 0]),
        ]
        return qml.tape.QuantumScript(gates, [qml.probs(wires=[2, 0])], shots=SHOTS)

    (found,) = device().batch_execute([tape(data)])
    wanted = device().batch_execute([tape(angle) for angle in data])
    np.testing.assert_allclose(found, wanted, **CLOSE)


@pytest.mark.skipif(not hasattr(qml, "GlobalPhase"), reason="PennyLane 0.31 has no GlobalPhase")
def test_phases_that_pennylane_takes_for_no_batch_are_refused():
    tape = qml.tape.QuantumScript([qml.GlobalPhase(np.array([0.1, 0.2]))], [qml.probs(wires=0)], shots=10)
    with pytest.raises(UnsupportedCircuitError, match=r"Tape 0 has a GlobalPhase of 2 phases"):
        device().batch_execute([tape])
    root = qml.pow(qml.GlobalPhase(np.array([0.1, 0.2]), wires=0), -0.5)
    with pytest.raises(UnsupportedCircuitError, match=r"Tape 0 has a GlobalPhase of 2 phases"):
        device().batch_execute([tape.__class__([root], tape.measurements, shots=10)])


def test_lightning_simulates_where_its_version_is_known():
    def circuit(weights):
        layers(weights)
        return qml.expval(qml.PauliZ(0)), qml.probs(wires=[2, 0])

    if find_lightning() is None:
        with pytest.raises(ConfigurationError, match="pennylane-lightning"):
            device(simulator="lightning")
        return
    dev = device(simulator="lightning")
    for mine, theirs in zip(qml.QNode(circuit, dev)(WEIGHTS), exact(circuit, WEIGHTS)):
        np.testing.assert_allclose(mine, theirs, **CLOSE)
    assert dev.transpiles == 0


@pytest.mark.skipif(not hasattr(qml, "GlobalPhase"), reason="PennyLane 0.31 has no statistics of them")
@pytest.mark.parametrize("execute", ["device", "qelectron"])
def test_statistics_of_mid_circuit_measurements(execute):
    def circuit():
        qml.RX(0.9, wires=0)
        first = qml.measure(0, reset=True)
        qml.RX(0.4, wires=0)
        second = qml.measure(0)
        return (
            qml.expval(first),
            qml.var(second),
            qml.probs(op=[first, second]),
            qml.expval(2 * first + second),
        )

    name = "threaded.ibmq" if execute == "device" else "default.qubit"
    node = qml.QNode(circuit, qml.device(name, wires=4, shots=40000))
    if execute == "qelectron":
        node = qelectron(node, executors=IBMQExecutor(persist_data=False))
    got = node()
    wanted = qml.QNode(circuit, qml.device("default.qubit", wires=4))()
    for one, other in zip(got, wanted):
        np.testing.assert_allclose(one, other, atol=0.03)
