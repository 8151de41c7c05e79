"""Gradients as rows: right for every gate, measurement and interface, and chosen only where they are."""

from functools import partial

import numpy as np
import pennylane as qml
import pytest
from pennylane import numpy as pnp
from pennylane.devices import ExecutionConfig
from pennylane.gradients import finite_diff, param_shift
from pennylane.tape import QuantumScript

from pennylane_threaded_ibmq.circuits import derivatives
from pennylane_threaded_ibmq.circuits.derivatives import can_differentiate, gradient_tapes
from pennylane_threaded_ibmq.exceptions import UnsupportedCircuitError

SHOTS = 100_000
"""Enough that a wrong term shows: the largest standard error below is about 0.01."""
ATOL = 0.03
A, B, C = (pnp.array(x, requires_grad=True) for x in (0.4, 1.1, -0.7))


@pytest.fixture
def dev():
    with qml.device("threaded.ibmq", wires=4, seed_simulator=11, progress=False) as device:
        yield device


def exact(tape):
    """The Jacobian without shots; not by shifts, whose rule for the variance of a sum is wrong in PennyLane."""
    tapes, post = finite_diff(tape.copy(shots=None), approx_order=2, strategy="center", h=1e-4)
    return post(qml.execute(tapes, qml.device("default.qubit", wires=4), diff_method=None))


def flat(jacobian):
    """All numbers of a Jacobian with where they stand."""
    if isinstance(jacobian, (tuple, list)):
        return [(i, *rest) for i, part in enumerate(jacobian) for rest in flat(part)]
    return [(np.shape(jacobian), np.asarray(jacobian))]


def check(found, expected, atol=ATOL):
    for mine, theirs in zip(flat(found), flat(expected), strict=True):
        assert mine[:-1] == theirs[:-1]
        np.testing.assert_allclose(mine[-1], theirs[-1], atol=atol)


GATES = {
    "RX": lambda: qml.RX(A, 0),
    "RY": lambda: qml.RY(A, 0),
    "RZ": lambda: qml.RZ(A, 0),
    "PhaseShift": lambda: qml.PhaseShift(A, 0),
    "U1": lambda: qml.U1(A, 0),
    "U2": lambda: qml.U2(A, B, 0),
    "U3": lambda: qml.U3(A, B, C, 0),
    "Rot": lambda: qml.Rot(A, B, C, 0),
    "CRX": lambda: qml.CRX(A, [1, 0]),
    "CRY": lambda: qml.CRY(A, [1, 0]),
    "CRZ": lambda: qml.CRZ(A, [1, 0]),
    "ControlledPhaseShift": lambda: qml.ControlledPhaseShift(A, [1, 0]),
    "IsingXX": lambda: qml.IsingXX(A, [0, 1]),
    "IsingYY": lambda: qml.IsingYY(A, [0, 1]),
    "IsingZZ": lambda: qml.IsingZZ(A, [0, 1]),
    "GlobalPhase": lambda: qml.GlobalPhase(A, 0),
    "CRot": lambda: qml.CRot(A, B, C, [1, 0]),
    "MultiRZ": lambda: qml.MultiRZ(A, [0, 1, 2]),
    "SingleExcitation": lambda: qml.SingleExcitation(A, [0, 1]),
    "PCPhase": lambda: qml.PCPhase(A, 1, [0, 1]),
    "ctrl": lambda: qml.ctrl(qml.RY(A, 0), [1, 2], control_values=[0, 1]),
    "adjoint": lambda: qml.adjoint(qml.Rot(A, B, C, 0)),
}


def around(gate, measurements, shots=SHOTS):
    """A gate in the middle of a circuit that is sensitive to it."""
    with qml.queuing.AnnotatedQueue() as queue:
        for wire in range(3):
            qml.RY(0.5 + wire, wire)
        qml.CNOT([0, 1])
        gate()
        qml.RX(0.3, 0)
        qml.CNOT([1, 2])
        qml.RY(0.9, 0)
    operations = QuantumScript.from_queue(queue).operations
    return QuantumScript(operations, measurements, shots=shots)


def prepared(dev, tape):
    """A tape as it comes to the device, with the same parameters trainable."""
    (made,), _ = dev.preprocess_transforms(ExecutionConfig(use_device_gradient=True))([tape])
    made.trainable_params = qml.math.get_trainable_indices(made.get_parameters(trainable_only=False))
    (numbers,), _ = qml.transforms.convert_to_numpy_parameters(made)
    return numbers


@pytest.mark.parametrize("name", GATES)
def test_every_gate_is_shifted_by_its_own_rule(dev, name):
    tape = around(GATES[name], [qml.expval(qml.Z(0) @ qml.X(1)), qml.probs(wires=[2, 0])])
    assert can_differentiate(tape)
    ready = prepared(dev, tape)
    check(dev.compute_derivatives(ready), exact(ready))


MEASUREMENTS = {
    "a word": [qml.expval(qml.Y(0))],
    "a sum": [qml.expval(qml.Z(0) + 0.5 * qml.X(0) @ qml.Y(1) - 2 * qml.I())],
    "a matrix": [qml.expval(qml.Hermitian(np.array([[1, 2j], [-2j, 0.5]]), 0))],
    "a projector": [qml.expval(qml.Projector([1, 0], wires=[0, 2]))],
    "probabilities": [qml.probs(wires=[0])],
    "all probabilities": [qml.probs()],
    "a variance": [qml.var(qml.Z(0) @ qml.Y(1))],
    "a variance of a sum": [qml.var(qml.Z(0) + 0.5 * qml.Z(1))],
    "a variance of a matrix": [qml.var(0.5 * qml.Hermitian(np.array([[1, 2j], [-2j, 0.5]]), 0))],
    "several": [qml.var(qml.Y(0)), qml.expval(qml.X(1)), qml.probs(wires=2), qml.expval(qml.Z(0))],
}


@pytest.mark.parametrize("angles", [1, 3])
@pytest.mark.parametrize("name", MEASUREMENTS)
def test_every_measurement_nests_as_pennylane_has_it(dev, name, angles):
    gate = (lambda: qml.RY(A, 0)) if angles == 1 else (lambda: qml.Rot(A, B, C, 0))
    ready = prepared(dev, around(gate, MEASUREMENTS[name]))
    check(dev.compute_derivatives(ready), exact(ready))


def test_a_variance_of_terms_that_do_not_commute():
    """PennyLane's own rule is wrong here, also without shots: it takes the square of a sum term by term."""

    def circuit(x):
        qml.RY(x, 0)
        qml.CNOT([0, 1])
        qml.RX(0.4, 0)
        return qml.var(qml.X(0) + 2 * qml.Z(0) @ qml.Y(1) + 0.5 * qml.Z(1))

    expected = qml.grad(qml.QNode(circuit, qml.device("default.qubit"), diff_method="backprop"))(A)
    with qml.device("threaded.ibmq", wires=2, seed_simulator=2, progress=False) as dev:
        found = qml.grad(qml.set_shots(qml.QNode(circuit, dev), SHOTS))(A)
    assert found == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("obs", [qml.X(0) + 2 * qml.Z(0) @ qml.Y(1), qml.Z(0) + 0.5 * qml.Z(1)], ids=str)
def test_the_parameter_shift_rule_for_a_variance_of_a_sum_is_corrected(dev, obs):
    def circuit(x, y):
        qml.RY(x, 0)
        qml.CNOT([0, 1])
        qml.RX(y, 0)
        return qml.var(obs)

    expected = qml.grad(qml.QNode(circuit, qml.device("default.qubit"), diff_method="backprop"))(A, B)
    node = qml.QNode(circuit, dev, diff_method="parameter-shift")
    np.testing.assert_allclose(qml.grad(qml.set_shots(node, SHOTS))(A, B), expected, atol=0.08)


MATRIX = np.array([[1, 0.5j], [-0.5j, -0.3]])
SQUARES = {
    "matrix": lambda: qml.Hermitian(MATRIX, 0),
    "multiple of a matrix": lambda: 2 * qml.Hermitian(MATRIX, 0),
    "power of a matrix": lambda: qml.pow(qml.Hermitian(MATRIX, 0), 2),
    "product of matrices": lambda: qml.prod(qml.Hermitian(MATRIX, 0), qml.Hermitian(MATRIX.conj(), 1)),
    "product on one wire": lambda: qml.prod(qml.Hermitian(MATRIX, 0), qml.Hermitian(MATRIX, 0)),
    "product in a product": lambda: qml.prod(qml.prod(qml.Hermitian(MATRIX, 0), qml.Z(1)), qml.X(2)),
    "multiple of a projector": lambda: 2 * qml.Projector([1], 0),
    "projector": lambda: qml.prod(qml.Projector(np.array([0.6, 0.8]), 0), qml.Z(1)),
    "sum of Hadamards": lambda: qml.sum(qml.Hadamard(0), 0.5 * qml.Hadamard(1)),
    "Hamiltonian": lambda: qml.Hamiltonian([0.3, 0.7], [qml.Hadamard(0), qml.X(1)]),
    "a word and a number": lambda: qml.Z(0) + 0.5 * qml.I(0),
    "exponential": lambda: qml.exp(qml.Z(0), 0.4),
}


@pytest.mark.parametrize("diff_method", ["parameter-shift", "best"])
@pytest.mark.parametrize("name", SQUARES)
def test_the_variance_of_any_observable_has_the_right_gradient(dev, name, diff_method):
    """Also by gates that PennyLane shifts and the device decomposes."""

    def circuit(x, y, z):
        qml.RX(x, 0)
        qml.CRY(y, [0, 1])
        qml.SingleExcitation(z, [0, 1])
        qml.RY(0.4, 0)
        return qml.var(SQUARES[name]())

    expected = qml.grad(qml.QNode(circuit, qml.device("default.qubit"), diff_method="backprop"))(A, B, C)
    node = qml.set_shots(qml.QNode(circuit, dev, diff_method=diff_method), SHOTS)
    np.testing.assert_allclose(qml.grad(node)(A, B, C), expected, atol=0.05)


@pytest.mark.parametrize(
    "options",
    [
        {"max_diff": 2},
        {"gradient_kwargs": {"broadcast": True}},
        {"gradient_kwargs": {"argnum": [0]}},
        {"gradient_kwargs": {"argnum": 0}},
    ],
    ids=str,
)
def test_a_wrong_rule_that_cannot_be_corrected_is_refused(dev, options):
    def circuit(x):
        qml.RY(x, 0)
        return qml.var(qml.X(0) + 2 * qml.Z(0))

    node = qml.QNode(circuit, dev, diff_method="parameter-shift", **options)
    with pytest.raises(UnsupportedCircuitError, match="rule is wrong for the variance of a sum"):
        qml.grad(qml.set_shots(node, 100))(A)


def test_shot_vectors_have_a_jacobian_a_copy(dev):
    ready = prepared(
        dev, around(lambda: qml.Rot(A, B, C, 0), MEASUREMENTS["several"], (SHOTS, 50_000, SHOTS))
    )
    found = dev.compute_derivatives(ready)
    assert len(found) == 3
    for copy in found:
        check(copy, exact(ready), atol=0.05)
    assert not np.array_equal(found[0][1][0], found[2][1][0])


def test_a_tape_that_is_broadcast_by_what_is_fixed_keeps_its_axis(dev):
    data = np.array([0.1, 0.9, 2.0, -1.0])
    made = [qml.RX(data, 0), qml.RY(A, 0), qml.CNOT([0, 1]), qml.RZ(B, 1), qml.RX(0.2, 1)]
    measured = [qml.expval(qml.Z(0) @ qml.X(1)), qml.probs(wires=[1]), qml.var(qml.Z(0))]
    found = dev.compute_derivatives(prepared(dev, QuantumScript(made, measured, shots=SHOTS)))
    for entry, value in enumerate(data):
        one = QuantumScript([qml.RX(value, 0), *made[1:]], measured, shots=SHOTS)
        expected = exact(prepared(dev, one))
        check([[p[entry] for p in column] for column in found], expected)


def test_what_has_no_trainable_parameter_has_no_jacobian(dev):
    tape = QuantumScript([qml.RX(0.1, 0)], [qml.expval(qml.Z(0))], shots=10)
    tape.trainable_params = []
    assert dev.compute_derivatives([tape]) == ((),)
    result, jacobian = dev.execute_and_compute_derivatives(tape)
    assert jacobian == ()
    assert -1 <= result <= 1


@pytest.mark.parametrize("rows", [1, 2, 5, 7])
def test_long_gradients_are_cut_and_the_cut_changes_nothing(dev, monkeypatch, rows):
    monkeypatch.setattr(derivatives, "ROWS_A_TAPE", rows)
    ready = prepared(dev, around(lambda: [GATES[g]() for g in ("Rot", "CRX", "U2")], MEASUREMENTS["several"]))
    tapes, _ = gradient_tapes(ready)
    assert sum(tape.batch_size for tape in tapes) == 2 * 5 + 4 + len(tapes)
    assert len(tapes) > 1
    check(dev.compute_derivatives(ready), exact(ready))


def test_shots_of_a_broadcast_tape_stay_below_what_a_job_takes():
    tape = QuantumScript([qml.Rot(A, B, C, 0)], [qml.expval(qml.X(0))], shots=400_000)
    tape.trainable_params = [0, 1, 2]
    tapes, _ = gradient_tapes(tape)
    assert [t.batch_size for t in tapes] == [2, 2, 2]


# ---------------------------------------------------------------------------------------------------------- through QNodes


def circuit(x, y):
    qml.StronglyEntanglingLayers(x, wires=[0, 1, 2])
    qml.CRX(y, [0, 2])
    return qml.expval(qml.Z(0) @ qml.X(1)), qml.probs(wires=[2])


X0 = np.random.default_rng(0).uniform(0, 3, (2, 3, 3))
Y0 = 0.8


def energy(x, y):
    """The first value of the circuit alone."""
    qml.StronglyEntanglingLayers(x, wires=[0, 1, 2])
    qml.CRX(y, [0, 2])
    return qml.expval(qml.Z(0) @ qml.X(1))


def reference():
    node = qml.QNode(circuit, qml.device("default.qubit"), diff_method="backprop")
    x, y = pnp.array(X0, requires_grad=True), pnp.array(Y0, requires_grad=True)
    return qml.jacobian(lambda x, y: pnp.hstack(node(x, y)))(x, y)


def check_jacobians(found):
    for mine, expected in zip(found, reference(), strict=True):
        np.testing.assert_allclose(np.asarray(mine), expected, atol=ATOL)


@pytest.mark.parametrize("diff_method", ["best", "device"])
@pytest.mark.parametrize("grad_on_execution", ["best", True, False])
def test_autograd(dev, diff_method, grad_on_execution):
    node = qml.QNode(circuit, dev, diff_method=diff_method, grad_on_execution=grad_on_execution)
    stacked = lambda x, y: pnp.hstack(qml.set_shots(node, SHOTS)(x, y))  # noqa: E731
    check_jacobians(
        qml.jacobian(stacked)(pnp.array(X0, requires_grad=True), pnp.array(Y0, requires_grad=True))
    )


@pytest.mark.parametrize("jit", [False, True])
def test_jax(dev, jit):
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    node = qml.set_shots(qml.QNode(circuit, dev, interface="jax"), SHOTS)
    stacked = lambda x, y: jax.numpy.hstack(node(x, y))  # noqa: E731
    function = jax.jacobian(stacked, argnums=(0, 1))
    check_jacobians((jax.jit(function) if jit else function)(jax.numpy.array(X0), jax.numpy.array(Y0)))


def test_torch(dev):
    torch = pytest.importorskip("torch")
    node = qml.set_shots(qml.QNode(circuit, dev, interface="torch"), SHOTS)
    stacked = lambda x, y: torch.hstack(node(x, y))  # noqa: E731
    x, y = torch.tensor(X0, requires_grad=True), torch.tensor(Y0, dtype=torch.float64, requires_grad=True)
    check_jacobians(torch.autograd.functional.jacobian(stacked, (x, y)))


def test_only_what_is_trainable_is_shifted(dev):
    node = qml.set_shots(qml.QNode(energy, dev), 100)
    with qml.Tracker(dev) as tracker:
        qml.grad(node)(pnp.array(X0, requires_grad=False), pnp.array(Y0, requires_grad=True))
    # the value, and the four terms of a controlled rotation
    assert sum(tracker.history["executions"]) == 5
    assert tracker.totals["batches"] == 2


def test_a_value_and_its_gradient_are_one_batch(dev):
    node = qml.set_shots(qml.QNode(lambda y: energy(X0, y), dev, grad_on_execution=True), 100)
    with qml.Tracker(dev) as tracker:
        qml.grad(node)(pnp.array(Y0, requires_grad=True))
    assert tracker.totals["batches"] == 1
    assert sum(tracker.history["executions"]) == 5


def test_a_value_alone_pays_for_no_gradient(dev):
    node = qml.set_shots(qml.QNode(lambda y: energy(X0, y), dev), 100)
    with qml.Tracker(dev) as tracker:
        node(pnp.array(Y0, requires_grad=True))
    assert sum(tracker.history["executions"]) == 1


def test_a_gradient_transpiles_nothing_but_the_circuit_itself():
    dev = qml.device("threaded.ibmq", wires=4, seed_simulator=11, progress=False, simulator="aer")
    node = qml.set_shots(qml.QNode(energy, dev), 100)
    x, y = pnp.array(X0, requires_grad=True), pnp.array(Y0, requires_grad=True)
    node(x, y)
    before = dev.transpiles
    qml.grad(node)(x, y)
    assert dev.transpiles == before > 0


def test_coefficients_of_a_hamiltonian_are_trained_too(dev):
    def hamiltonian(c, x):
        qml.RY(x, 0)
        qml.CNOT([0, 1])
        return qml.expval(qml.Hamiltonian([c[0], 0.5, c[1]], [qml.Z(0) @ qml.Z(1), qml.X(0), qml.Z(0)]))

    c, x = pnp.array([0.3, -1.2], requires_grad=True), pnp.array(0.7, requires_grad=True)
    expected = qml.grad(qml.QNode(hamiltonian, qml.device("default.qubit"), diff_method="backprop"))(c, x)
    found = qml.grad(qml.set_shots(qml.QNode(hamiltonian, dev), SHOTS))(c, x)
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=ATOL)


def test_trainable_data_that_is_broadcast(dev):
    def layer(x):
        qml.RX(x, 0)
        qml.CNOT([0, 1])
        return qml.expval(qml.Z(1))

    x = pnp.array([0.2, 1.0, -0.5], requires_grad=True)
    found = qml.jacobian(qml.set_shots(qml.QNode(layer, dev), SHOTS))(x)
    np.testing.assert_allclose(found, np.diag(-np.sin(x)), atol=ATOL)


@pytest.mark.parametrize(
    ("shots", "names"),
    [(SHOTS, "one"), (SHOTS, "several"), ((SHOTS, SHOTS), "one"), ((SHOTS, SHOTS), "several")],
)
def test_results_of_a_trainable_broadcast_nest_in_a_gradient_as_elsewhere(dev, shots, names):
    """Autograd has a box of its own for what is a tuple elsewhere."""

    @qml.qnode(dev, shots=shots)
    def layer(x):
        qml.RX(x, 0)
        qml.RY(x / 2, 1)
        return [qml.expval(qml.Z(wire)) for wire in ([0] if names == "one" else [0, 1])]

    def first_entry(x):
        result = layer(x)
        for _ in range(isinstance(shots, tuple) + 1):
            result = result[len(result) - 1]
        return result[0]

    x = pnp.array([0.2, 1.0, -0.5], requires_grad=True)
    slope = -np.sin(0.2) if names == "one" else -np.sin(0.1) / 2
    np.testing.assert_allclose(qml.grad(first_entry)(x), [slope, 0, 0], atol=ATOL)


@pytest.mark.parametrize("interface", ["autograd", "torch"])
def test_no_rule_of_a_variance_takes_a_trainable_broadcast(dev, interface):
    def circuit(x):
        qml.RY(0.2, 0)
        qml.RX(x, 0)
        return qml.var(qml.X(0) + 0.5 * qml.Z(0))

    node = qml.QNode(circuit, dev, diff_method="parameter-shift", shots=SHOTS)
    angles = np.array([0.2, 1.0])
    if interface == "torch":
        torch = pytest.importorskip("torch")
        jacobian = partial(torch.autograd.functional.jacobian, node, torch.tensor(angles))
    else:
        jacobian = partial(qml.jacobian(node), pnp.array(angles, requires_grad=True))
    with pytest.raises(UnsupportedCircuitError, match=r"no broadcast by trainable.*'best'.*Nothing was sent"):
        jacobian()


TAKEN_APART = {
    "a complex factor": lambda a: qml.exp(qml.Z(0) @ qml.X(1), 1j * a),
    "an evolution of a product": lambda a: qml.TrotterProduct(qml.dot([0.5, 0.3], [qml.X(0), qml.Y(0)]), a),
    "a control": lambda a: qml.ctrl(qml.Rot(0.2, a, 0.3, 0), 1, control_values=[0]),
}
"""Operations that have a shift rule by what they say of themselves, but none that is right."""


@pytest.mark.parametrize("name", TAKEN_APART)
def test_the_parameter_shift_rule_takes_apart_what_has_none(dev, name):
    def circuit(a):
        qml.RX(0.3, 0)
        qml.RY(0.4, 1)
        TAKEN_APART[name](a)
        qml.RX(0.2, 0)
        return qml.expval(qml.Z(0))

    angle = pnp.array(0.7, requires_grad=True)
    found = qml.grad(qml.QNode(circuit, dev, diff_method="parameter-shift", shots=SHOTS))(angle)
    wanted = qml.grad(qml.QNode(circuit, qml.device("default.qubit"), diff_method="backprop"))(angle)
    assert abs(wanted) > 2 * ATOL
    assert found == pytest.approx(wanted, abs=ATOL)


@pytest.mark.parametrize("diff_method", ["parameter-shift", "best"])
def test_differences_that_no_shots_can_tell_are_refused(dev, diff_method):
    class Turn(qml.operation.Operation):
        num_wires = 1
        num_params = 1

        @staticmethod
        def compute_matrix(angle):
            return qml.matrix(qml.RX(angle, 0))

    @qml.qnode(dev, diff_method=diff_method, shots=10)
    def circuit(a):
        Turn(a, wires=0)
        return qml.expval(qml.Z(0))

    with pytest.raises(
        UnsupportedCircuitError, match=r"Turn on wires \[0\].*no shift rule.*Nothing was sent"
    ):
        qml.grad(circuit)(pnp.array(0.3, requires_grad=True))


def test_conditional_gates(dev):
    def branch(x):
        qml.RY(x, 0)
        m = qml.measure(0)
        qml.cond(m, qml.RX)(2 * x, 1)
        return qml.expval(qml.Z(1)), qml.expval(m)

    def whole(method, device, shots):
        node = qml.QNode(branch, device, diff_method=method)
        stacked = lambda x: pnp.stack((node if shots is None else qml.set_shots(node, shots))(x))  # noqa: E731
        return qml.jacobian(stacked)(A)

    expected = whole("backprop", qml.device("default.qubit", wires=4), None)
    np.testing.assert_allclose(whole("best", dev, 20_000), expected, atol=0.06)


def test_the_estimator_takes_rows_as_they_are():
    with qml.device("threaded.ibmq", wires=3, primitive="estimator", seed_simulator=1, progress=False) as dev:
        ready = prepared(dev, around(lambda: qml.Rot(A, B, C, 0), [qml.expval(qml.Z(0) + qml.X(1))]))
        check(dev.compute_derivatives(ready), exact(ready))


# ------------------------------------------------------------------------------------------------- where PennyLane's way goes on


@pytest.mark.parametrize(
    ("operations", "measurements"),
    [
        ([qml.RX(A, 0)], [qml.counts(wires=0)]),
        ([qml.RX(A, 0)], [qml.sample(wires=0)]),
        ([qml.RX(A, 0)], [qml.shadow_expval(qml.Z(0))]),
        ([qml.StatePrep(pnp.array([0.6, 0.8], requires_grad=True), 0)], [qml.expval(qml.Z(0))]),
        ([qml.AmplitudeEmbedding(pnp.array([0.6, 0.8], requires_grad=True), 0)], [qml.expval(qml.Z(0))]),
        ([qml.QubitUnitary(pnp.eye(2, requires_grad=True), 0)], [qml.expval(qml.Z(0))]),
        ([qml.RX(A, 0)], [qml.expval(qml.Hermitian(pnp.eye(2, requires_grad=True), 0))]),
        ([qml.RX(A, 0)], [qml.var(qml.Hermitian(np.eye(128), range(7)))]),
        ([qml.RX(A, 0)], [qml.var(qml.Hamiltonian([A], [qml.Z(0)]))]),
        ([qml.RX(A, 0)], [qml.expval(A * qml.Z(0))]),
    ],
)
def test_what_rows_cannot_give_is_left_to_pennylane(operations, measurements):
    assert not can_differentiate(QuantumScript(operations, measurements, shots=10))


def test_postselection_is_left_to_pennylane():
    def chosen():
        qml.RX(A, 0)
        qml.measure(0, postselect=1)
        return qml.expval(qml.Z(1))

    assert not can_differentiate(qml.tape.make_qscript(chosen, shots=10)())


@pytest.mark.parametrize(
    "config",
    [
        ExecutionConfig(gradient_method="parameter-shift"),
        ExecutionConfig(gradient_method="finite-diff"),
        ExecutionConfig(gradient_method=param_shift),
        ExecutionConfig(gradient_method="best", gradient_keyword_arguments={"broadcast": True}),
        ExecutionConfig(gradient_method="best", derivative_order=2),
        ExecutionConfig(),
    ],
)
def test_what_was_asked_for_by_name_is_done_so(dev, config):
    assert not dev.supports_derivatives(config)
    assert not dev.setup_execution_config(config).use_device_gradient


def test_second_derivatives_are_pennylanes(dev):
    node = qml.set_shots(qml.QNode(lambda x: (qml.RX(x, 0), qml.expval(qml.Z(0)))[1], dev, max_diff=2), SHOTS)
    found = qml.jacobian(qml.grad(node))(A)
    assert found == pytest.approx(-np.cos(A), abs=ATOL)


def test_a_trainable_number_without_a_rule_is_refused_with_a_way_out(dev):
    tape = QuantumScript([qml.QubitUnitary(np.eye(2), 0)], [qml.expval(qml.Z(0))], shots=10)
    tape.trainable_params = [0]
    with pytest.raises(UnsupportedCircuitError, match=r"QubitUnitary on wires \[0\].*finite-diff"):
        dev.compute_derivatives(tape)


def test_what_pennylane_cannot_decompose_is_left_to_its_own_transform():
    """PennyLane takes no root of a number that autograd follows, and fails when it is asked whether it can."""
    seen = []

    def look(angle):
        gate = qml.ctrl(qml.pow(qml.RX(angle, 0), 0.5), [1, 2])
        seen.append(can_differentiate(QuantumScript([gate], [qml.expval(qml.Z(0))], shots=10)))
        return angle

    qml.grad(look)(pnp.array(0.3, requires_grad=True))
    assert seen == [False]
