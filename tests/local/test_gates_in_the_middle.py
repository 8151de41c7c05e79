"""What a gate means does not depend on where it stands or what is wrapped around it."""

import numpy as np
import pennylane as qml
import pytest
from pennylane import numpy as pnp
from pennylane.tape import QuantumScript

from pennylane_threaded_ibmq.circuits.precision import double_state, double_unitary
from pennylane_threaded_ibmq.exceptions import ThreadedIBMQError, UnsupportedCircuitError

SHOTS = 200_000
ATOL = 0.007
"""More than 6 standard errors of a probability."""

STATE = np.array([0.6, 0.2, 0.3j, np.sqrt(0.51)])


@pytest.fixture(scope="module")
def dev():
    with qml.device("threaded.ibmq", wires=5, seed_simulator=21, progress=False) as device:
        yield device


def script(make, measurements=None, shots=SHOTS):
    with qml.queuing.AnnotatedQueue() as queue:
        for wire in range(5):
            qml.RY(0.4 + 0.5 * wire, wire)
        qml.CNOT([0, 1])
        qml.CNOT([1, 3])
        qml.RZ(0.7, 1)
        make()
        qml.RX(0.9, 0)
        qml.RY(-0.6, 1)
    operations = QuantumScript.from_queue(queue).operations
    return QuantumScript(operations, measurements or [qml.probs(wires=[0, 1, 2])], shots=shots)


def check(dev, tape):
    exact = qml.execute([tape.copy(shots=None)], qml.device("default.qubit"), diff_method=None)[0]
    (found,) = dev.batch_execute([tape])
    assert np.shape(found) == np.shape(exact)
    np.testing.assert_allclose(found, exact, atol=ATOL)


OPERATIONS = {
    "StatePrep": lambda: qml.StatePrep(STATE, wires=[0, 1]),
    "StatePrep of one wire": lambda: qml.StatePrep(np.array([0.6, 0.8]), wires=1),
    "AmplitudeEmbedding": lambda: qml.AmplitudeEmbedding(
        np.array([1.0, 2, 3]), [0, 1], pad_with=0.5, normalize=True
    ),
    "BasisState": lambda: qml.BasisState(np.array([1, 0]), wires=[0, 1]),
    "BasisEmbedding": lambda: qml.BasisEmbedding(2, wires=[0, 1]),
    "Mottonen": lambda: qml.MottonenStatePreparation(STATE, wires=[0, 1]),
    "QubitUnitary": lambda: qml.QubitUnitary(qml.matrix(qml.QFT([0, 1])), wires=[1, 0]),
    "DiagonalQubitUnitary": lambda: qml.DiagonalQubitUnitary(np.exp(1j * np.arange(4)), wires=[1, 0]),
    "Rot": lambda: qml.Rot(0.3, 1.1, -0.4, wires=1),
    "U2": lambda: qml.U2(0.3, 1.1, wires=1),
    "CRY": lambda: qml.CRY(0.8, wires=[1, 0]),
    "ControlledPhaseShift": lambda: qml.ControlledPhaseShift(0.8, wires=[1, 0]),
    "ISWAP": lambda: qml.ISWAP(wires=[1, 0]),
    "ECR": lambda: qml.ECR(wires=[1, 0]),
    "CH": lambda: qml.CH(wires=[1, 0]),
    "SX": lambda: qml.SX(wires=1),
    "IsingXY": lambda: qml.IsingXY(0.8, wires=[1, 0]),
    "Reflection": lambda: qml.Reflection(qml.StatePrep(np.array([0.6, 0.8]), wires=0), 2.2),
}
WRAPPERS = {
    "plain": lambda op: op,
    "adjoint": lambda op: qml.adjoint(op, lazy=True),
    "ctrl": lambda op: qml.ctrl(op, 4),
    "ctrl of values": lambda op: qml.ctrl(op, [4, 3], control_values=[0, 1]),
    "square": lambda op: qml.pow(op, 2),
    "product": lambda op: qml.prod(op, qml.Y(3)),
    "adjoint of ctrl": lambda op: qml.adjoint(qml.ctrl(op, 4)),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("name", OPERATIONS)
def test_in_the_middle_of_a_circuit(dev, name, wrapper):
    """The operation's unitary acts on whatever state there is."""
    tape = script(lambda: WRAPPERS[wrapper](OPERATIONS[name]()))
    try:
        check(dev, tape)
    except ThreadedIBMQError as error:
        # what PennyLane itself cannot decompose is said so
        assert wrapper != "plain"
        assert "cannot be decomposed" in str(error) or "does not provide a decomposition" in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    "name", ["StatePrep", "BasisState", "QubitUnitary", "Rot", "CRY", "ControlledPhaseShift"]
)
def test_under_a_condition(dev, name):
    def conditional():
        outcome = qml.measure(4)
        qml.cond(outcome, OPERATIONS[name])()

    tape = script(conditional)
    exact = qml.QNode(
        lambda: [qml.apply(op) for op in tape.operations] and qml.probs(wires=[0, 1, 2]),
        qml.device("default.qubit"),
    )()
    np.testing.assert_allclose(dev.batch_execute([tape])[0], exact, atol=ATOL)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda op: op,
        qml.adjoint,
        lambda op: qml.pow(op, 2, lazy=True),
        lambda op: qml.prod(op, qml.RX(0.3, 2)),
        lambda op: qml.s_prod(1j, op),
        lambda op: qml.ctrl(qml.adjoint(op), 2, control_values=[0]),
    ],
    ids=["plain", "adjoint", "square", "product", "multiple", "ctrl of adjoint"],
)
def test_a_batch_of_matrices_keeps_the_values_of_its_controls(dev, wrap):
    """PennyLane's own way to give an operation other numbers forgets them."""
    # of two wires, as PennyLane decomposes a batch of matrices of one
    gates = [qml.prod(qml.RY(0.8, 0), qml.IsingXY(angle, wires=[0, 1])) for angle in (0.3, 2.0)]
    matrices = np.stack([qml.matrix(gate, wire_order=[0, 1]) for gate in gates])

    def made(matrix):
        return wrap(qml.ctrl(qml.QubitUnitary(matrix, wires=[0, 1]), [4, 3], control_values=[0, 1]))

    batch = script(lambda: made(matrices), [qml.probs(wires=[0, 2, 4])])
    (found,) = dev.batch_execute([batch])
    entries = [script(lambda m=m: made(m), batch.measurements, shots=None) for m in matrices]
    exact = qml.execute(entries, qml.device("default.qubit"), diff_method=None)
    np.testing.assert_allclose(found, exact, atol=ATOL)


@pytest.mark.parametrize(
    "make",
    [
        lambda: qml.pow(qml.PhaseShift(6.4, 0), 0.5),
        lambda: qml.pow(qml.CRX(6.4, [0, 1]), -0.5),
        lambda: qml.ctrl(qml.pow(qml.IsingXX(6.4, [0, 1]), 0.5), 3),
        lambda: qml.pow(qml.pow(qml.Y(0), 1.7), 1.7),
        lambda: qml.pow(qml.PhaseShift(np.array([6.4, 1.0]), 0), 0.5),
        lambda: qml.ctrl(qml.adjoint(qml.PhaseShift(2 * np.pi, 0)), 3),
        lambda: qml.ctrl(qml.adjoint(qml.Adder(4, x_wires=[0, 1, 2])), 3, control_values=[0]),
        lambda: qml.adjoint(qml.ctrl(qml.Adder(2, x_wires=[0, 1, 2]), 3)),
    ],
)
def test_what_pennylane_decomposes_into_another_operation(dev, make):
    """Another root than that of its own simulator, or one without a sign that a control makes observable."""
    check(dev, script(make, [qml.probs(wires=[0, 1, 3])]))


def test_templates_that_use_a_preparation_as_a_gate(dev):
    def amplified():
        qml.AmplitudeAmplification(
            qml.StatePrep(STATE, wires=[0, 1]), qml.FlipSign([0, 1], wires=[0, 1]), iters=2
        )

    check(dev, script(amplified))


def test_a_preparation_on_fresh_wires_stays_one_gate(dev):
    """Where nothing has happened, Qiskit's own preparation does: also late in the circuit, on other wires."""
    tape = QuantumScript(
        [qml.Hadamard(2), qml.StatePrep(STATE, wires=[0, 1]), qml.CNOT([0, 2])],
        [qml.probs(wires=[0, 1, 2])],
        shots=SHOTS,
    )
    (made,), _ = dev.preprocess_transforms()([tape])
    assert [op.name for op in made.operations] == ["Hadamard", "StatePrep", "CNOT"]
    check(dev, tape)


def test_a_late_preparation_that_nobody_prepared_is_refused(dev):
    tape = QuantumScript([qml.X(0), qml.StatePrep(np.array([0.6, 0.8]), 0)], [qml.probs(wires=0)], shots=10)
    try:
        (found,) = dev.execute([tape])
    except UnsupportedCircuitError as error:
        assert "StatePrep on wires [0]" in str(error)  # noqa: PT017
    else:
        assert found.shape == (2,)


# -------------------------------------------------------------------------------------------------------- precision


@pytest.mark.parametrize("dtype", [np.float32, np.complex64, np.float64])
def test_states_of_single_precision(dev, dtype):
    state = np.random.default_rng(3).normal(size=8).astype(dtype)
    state /= np.linalg.norm(state)
    for operations in ([qml.StatePrep(state, range(3))], [qml.H(0), qml.StatePrep(state, range(3))]):
        tape = QuantumScript(operations, [qml.probs(wires=[0, 1, 2])], shots=SHOTS)
        double = [qml.StatePrep(state.astype(np.complex128), range(3), normalize=True)]
        exact = qml.execute(
            [QuantumScript([*operations[:-1], *double], tape.measurements)],
            qml.device("default.qubit"),
            diff_method=None,
        )[0]
        np.testing.assert_allclose(dev.batch_execute([tape])[0], exact, atol=ATOL)


def test_a_matrix_of_single_precision_is_made_unitary():
    matrix = qml.matrix(qml.QFT([0, 1])).astype(np.complex64)
    made = double_unitary(qml.QubitUnitary(matrix, [0, 1]))
    np.testing.assert_allclose(made @ made.conj().T, np.eye(4), atol=1e-14)
    np.testing.assert_allclose(made, matrix, atol=1e-6)


def test_what_is_no_rounding_is_refused(dev):
    with pytest.raises(UnsupportedCircuitError, match=r"norm 1\.2"):
        double_state(np.array([1.2, 0]))
    tape = script(lambda: qml.QubitUnitary(np.array([[1, 0], [0, 1.1]]), wires=0))
    with pytest.raises(
        UnsupportedCircuitError, match=r"Tape 0: The matrix of QubitUnitary on wires \[0\] is not unitary"
    ):
        dev.batch_execute([tape])


# ------------------------------------------------------------------------------------------- numbers that must be real


@pytest.mark.parametrize("measure", [qml.expval, qml.var])
@pytest.mark.parametrize(
    "obs",
    [
        qml.X(0) @ qml.Y(0),
        qml.comm(qml.X(0), qml.Y(0)),
        1j * qml.Z(0),
        qml.prod(qml.Hadamard(0), qml.Z(0)),
        qml.S(0),
        qml.prod(qml.T(0), qml.Z(1)),
        qml.exp(qml.X(0), 0.3j),
        qml.prod(
            qml.Hermitian(np.array([[1, 2], [2, 0]]), 0), qml.Hermitian(np.array([[0, 1j], [-1j, 0]]), 0)
        ),
        qml.Hamiltonian([1j, 0.5], [qml.X(2), qml.Z(1)]),
    ],
    ids=str,
)
def test_what_is_no_observable_is_refused(dev, measure, obs):
    tape = script(lambda: None, [qml.expval(qml.Z(0)), measure(obs)], shots=100)
    with pytest.raises(UnsupportedCircuitError, match=r"(?s)Tape 1: .*is no observable.*Nothing was sent"):
        dev.batch_execute([script(lambda: None, shots=10), tape])
    assert dev.execute([script(lambda: None, shots=10)])


@pytest.mark.parametrize(
    "measurement",
    [
        qml.counts(1j * qml.Z(0)),
        qml.sample(qml.X(0) @ qml.Y(0)),
        qml.shadow_expval(qml.Z(0) + 1j * qml.X(1)),
        qml.shadow_expval([qml.Z(0), qml.S(1)]),
    ],
    ids=str,
)
def test_no_value_of_a_shot_is_complex(dev, measurement):
    with pytest.raises(UnsupportedCircuitError, match=r"Tape 0: .*is no observable.*Nothing was sent"):
        dev.batch_execute([script(lambda: None, [measurement], shots=10)])


def test_outcomes_have_probabilities_whatever_their_values(dev):
    (found,) = dev.batch_execute([QuantumScript([qml.X(0)], [qml.probs(op=1j * qml.Z(0))], shots=10)])
    assert found.tolist() == [0, 1]


@pytest.mark.parametrize("number", [np.nan, np.inf, complex(0, np.nan)])
@pytest.mark.parametrize("measure", [qml.expval, qml.var, qml.shadow_expval])
def test_a_coefficient_that_is_no_finite_number_is_refused(dev, measure, number):
    tape = script(lambda: None, [measure(qml.Hamiltonian([number, 0.5], [qml.X(2), qml.Z(1)]))], shots=10)
    with pytest.raises(UnsupportedCircuitError, match=r"Tape 0: .*no finite number. Nothing was sent"):
        dev.batch_execute([tape])


def test_a_basis_that_is_none_names_the_tape(dev):
    """It is found before a request, not when the circuit of the measurement is made."""
    tape = script(lambda: None, [qml.expval(qml.Projector(np.array([1.0, 1.0]), wires=0))], shots=10)
    with pytest.raises(UnsupportedCircuitError, match=r"Tape 0: .*is not unitary"):
        dev.batch_execute([tape])


DAMPED = np.diag([1, 0.5])
NO_GATES = {
    "matrix": lambda: qml.QubitUnitary(DAMPED, 0),
    "diagonal": lambda: qml.DiagonalQubitUnitary(np.array([1, 0.5]), 0),
    "diagonals of a batch": lambda: qml.DiagonalQubitUnitary(np.array([[1, 1j], [1, 0.5]]), 0),
    "exponential": lambda: qml.exp(qml.X(0), 0.3),
    "evolution under what is not Hermitian": lambda: qml.evolve(1j * qml.X(0), 0.3),
    "evolution for a complex time": lambda: qml.evolve(qml.X(0), 0.3j),
    "evolution of a product": lambda: qml.evolve(qml.prod(qml.Hadamard(0), qml.Z(0)), 0.3),
    "random evolution": lambda: qml.QDrift(
        qml.Hamiltonian([1j, 0.3], [qml.X(0), qml.Z(0)]), 0.3, n=3, seed=1
    ),
    "selected matrix": lambda: qml.Select([qml.QubitUnitary(DAMPED, 0), qml.X(0)], control=[2]),
    "phase": lambda: qml.GlobalPhase(0.3j, 0),
    "phases of a batch": lambda: qml.GlobalPhase(np.array([0.1, 0.3j]), 0),
    "phase that is no number": lambda: qml.GlobalPhase(np.nan, 0),
    "phase of a subspace": lambda: qml.PCPhase(0.3j, 1, [0]),
    "multiple": lambda: qml.s_prod(0.5, qml.RX(0.3, 0)),
    "sum": lambda: qml.sum(qml.X(0), qml.Z(0)),
}


@pytest.mark.parametrize("wrapper", ["plain", "adjoint", "ctrl", "adjoint of ctrl"])
@pytest.mark.parametrize("name", NO_GATES)
def test_what_is_not_unitary_is_refused(dev, name, wrapper):
    """Decomposed, it would lose its modulus and run as something else."""
    try:
        tape = script(lambda: WRAPPERS[wrapper](NO_GATES[name]()), shots=10)
    except ValueError:
        pytest.skip("PennyLane refuses it itself")
    with pytest.raises(UnsupportedCircuitError, match=r"(?s)Tape 0.*Nothing was sent"):
        dev.batch_execute([tape])


GATES_OF_SUMS = {
    "product formula": lambda: qml.TrotterProduct(qml.sum(0.4 * qml.X(0) @ qml.Z(1), 0.3 * qml.Z(0)), 0.3),
    "evolution": lambda: qml.evolve(qml.Hamiltonian([0.4, 0.3], [qml.X(0) @ qml.Z(1), qml.Z(0)]), 0.3),
    "evolution of a matrix": lambda: qml.evolve(qml.Hermitian(np.array([[1, 0.5j], [-0.5j, 0.2]]), 0), 0.3),
    "exponential": lambda: qml.exp(1j * qml.X(0), 0.3),
    "sum": lambda: qml.sum(0.6 * qml.X(0), 0.8 * qml.Z(0)),
    "qubitization": lambda: qml.Qubitization(qml.Hamiltonian([0.4, 0.3], [qml.X(0), qml.Z(0)]), control=[2]),
    "complex zero": lambda: qml.IsingXY(np.complex128(0.8), wires=[1, 0]),
}


@pytest.mark.parametrize("wrapper", ["plain", "adjoint", "ctrl"])
@pytest.mark.parametrize("name", GATES_OF_SUMS)
def test_what_only_looks_as_if_it_were_not_unitary_runs(dev, name, wrapper):
    check(dev, script(lambda: WRAPPERS[wrapper](GATES_OF_SUMS[name]())))


def test_a_conjugate_of_torch_is_a_matrix(dev):
    torch = pytest.importorskip("torch")
    matrix = qml.matrix(qml.QFT([0, 1]) @ qml.T(0))
    tape = script(lambda: qml.adjoint(qml.QubitUnitary(torch.tensor(matrix), [0, 1])))
    same = script(lambda: qml.adjoint(qml.QubitUnitary(matrix, [0, 1])))
    exact = qml.execute([same.copy(shots=None)], qml.device("default.qubit"), diff_method=None)[0]
    np.testing.assert_allclose(dev.batch_execute([tape])[0], exact, atol=ATOL)


def test_what_is_no_number_names_tape_and_gate(dev):
    tape = QuantumScript([qml.RZ(0.2, 1), qml.RX(None, 0)], [qml.expval(qml.Z(0))], shots=10)
    with pytest.raises(UnsupportedCircuitError, match=r"Tape 0: operation 1, RX on wires \[0\]"):
        dev.batch_execute([tape])


@pytest.mark.parametrize(
    "obs",
    [
        qml.Hamiltonian([0.5 + 0j, 0.2], [qml.X(0), qml.Z(1)]),
        qml.prod(qml.X(0), qml.Y(0), qml.Z(0)) * (-1j),
        qml.prod(qml.Hadamard(0), qml.Hadamard(1)),
        qml.sum(qml.Hadamard(0), qml.Projector([1], wires=1)),
        qml.pow(qml.X(0), 2),
        qml.Hermitian(np.array([[1, 2j], [-2j, 0]]), 0),
        qml.prod(qml.Hermitian(np.array([[1, 2], [2, 0]]), 0), qml.Hermitian(np.array([[0, 2], [2, -1]]), 0)),
    ],
    ids=str,
)
def test_what_only_looks_complex_is_measured(dev, obs):
    matrix = qml.matrix(obs, wire_order=range(5))
    if not np.allclose(matrix, matrix.conj().T):
        pytest.skip("not Hermitian")
    check_value(dev, obs)


def check_value(dev, obs):
    tape = script(lambda: None, [qml.expval(obs)])
    state = qml.execute(
        [tape.copy(shots=None, measurements=[qml.state()])], qml.device("default.qubit", wires=5), None
    )[0]
    exact = np.real(state.conj() @ qml.matrix(obs, wire_order=range(5)) @ state)
    assert dev.batch_execute([tape])[0] == pytest.approx(exact, abs=0.05)


@pytest.mark.parametrize(
    "angle", [0.3 + 0.1j, np.complex128(0.3 + 0.1j), np.array(0.3 + 0.1j), np.array([0.1, 0.3 + 0.1j])]
)
def test_a_complex_angle_names_tape_and_gate(dev, angle):
    tapes = [QuantumScript([qml.RX(0.1, 0)], [qml.expval(qml.Z(0))], shots=10)]
    tapes.append(QuantumScript([qml.RZ(0.2, 1), qml.RX(angle, 0)], [qml.expval(qml.Z(0))], shots=10))
    with pytest.raises(
        UnsupportedCircuitError, match=r"Tape 1: operation 1, RX on wires \[0\].*real numbers"
    ):
        dev.batch_execute(tapes)


def test_a_complex_number_without_an_imaginary_part_is_an_angle(dev):
    tape = QuantumScript([qml.RX(np.complex128(np.pi), 0)], [qml.expval(qml.Z(0))], shots=10)
    assert dev.batch_execute([tape])[0] == -1


# ----------------------------------------------------------------------------------------------- options and broadcasting

DATA = np.array([0.2, 1.0, 2.5])


def rows():
    qml.RX(DATA, 0)
    qml.CRY(0.5, [0, 1])


def matrices():
    qml.QubitUnitary(np.stack([qml.matrix(qml.RX(x, 0)) for x in DATA]), 0)
    qml.CRY(0.5, [0, 1])


OPTIONS = {
    "default": {},
    "fixed angles": {"parametrise": False},
    "estimator": {"primitive": "estimator"},
    "a tape a job": {"shard_size": 1},
    "a layout": {"transpile_options": {"initial_layout": [4, 3, 2, 1, 0]}},
    "both": {"parametrise": False, "primitive": "estimator", "shard_size": 2},
}


@pytest.mark.parametrize("shots", [SHOTS, (SHOTS, SHOTS // 2)], ids=["shots", "vector"])
@pytest.mark.parametrize("body", [rows, matrices])
@pytest.mark.parametrize("options", OPTIONS)
def test_every_option_gives_each_entry_its_own_result(options, body, shots):
    """With several measurements, twins and other structures in the batch."""
    measured = [qml.expval(qml.Z(0) @ qml.X(1)), qml.probs(wires=[1, 0]), qml.var(qml.Z(0) + qml.Z(1))]
    wanted = [script(body, measured, None), script(lambda: None, measured[:1], None)]
    exact = [qml.execute([tape], qml.device("default.qubit"), None)[0] for tape in wanted]
    tapes = [
        script(body, measured, shots),
        script(lambda: None, measured[:1], shots),
        script(body, measured, shots),
    ]
    with qml.device("threaded.ibmq", wires=5, seed_simulator=8, progress=False, **OPTIONS[options]) as dev:
        found = dev.batch_execute(tapes)
    copies = (lambda result: result) if isinstance(shots, tuple) else (lambda result: (result,))
    for place in (0, 2):
        for copy in copies(found[place]):
            for mine, theirs in zip(copy, exact[0], strict=True):
                assert np.shape(mine) == np.shape(theirs)
                # an Estimator's noise is the largest that a word can have
                np.testing.assert_allclose(mine, theirs, atol=0.05)
    for copy in copies(found[1]):
        assert copy == pytest.approx(exact[1], abs=0.02)
    assert not np.array_equal(np.asarray(copies(found[0])[0][1]), np.asarray(copies(found[2])[0][1]))


def test_a_circuit_of_fixed_angles_takes_one_row():
    with qml.device("threaded.ibmq", wires=1, parametrise=False) as dev:
        tape = QuantumScript([qml.RX(DATA, 0)], [qml.expval(qml.Z(0))], shots=10)
        with pytest.raises(
            UnsupportedCircuitError, match="Tape 0 has 3 rows of angles, and with parametrise=False"
        ):
            dev._planner.plan_ready(dev._open(), (tape,), ())


def test_a_broadcast_gradient_with_fixed_angles():
    with qml.device("threaded.ibmq", wires=1, parametrise=False, seed_simulator=1) as dev:
        node = qml.set_shots(qml.QNode(lambda x: (qml.RX(x, 0), qml.expval(qml.Z(0)))[1], dev), 20_000)
        x = pnp.array(0.7, requires_grad=True)
        assert qml.gradients.param_shift(node, broadcast=True)(x) == pytest.approx(-np.sin(0.7), abs=0.05)
        assert qml.grad(node)(x) == pytest.approx(-np.sin(0.7), abs=0.05)


MEASURED = {
    "counts": lambda: qml.counts(wires=[0, 1]),
    "counts of a word": lambda: qml.counts(qml.Z(0) @ qml.X(1)),
    "all counts": lambda: qml.counts(wires=[0, 1], all_outcomes=True),
    "sample": lambda: qml.sample(wires=[0, 1]),
    "expval": lambda: qml.expval(qml.Z(0)),
}


@pytest.mark.parametrize("interface", ["numpy", "jax", "torch"])
@pytest.mark.parametrize("name", MEASURED)
def test_a_broadcast_matrix_nests_as_a_broadcast_angle_does(dev, name, interface):
    if interface != "numpy":
        pytest.importorskip(interface)

    def run(body):
        node = qml.QNode(lambda: (body(), MEASURED[name]())[1], dev, interface=interface)
        return qml.set_shots(node, 50)()

    angles, constants = run(rows), run(matrices)
    assert type(angles) is type(constants)
    assert len(angles) == len(constants) == 3
    for one, other in zip(angles, constants, strict=True):
        assert type(one) is type(other)
        if isinstance(one, dict):
            assert {type(k) for k in one} == {type(k) for k in other}
            assert sum(other.values()) == 50


GATES = {
    "FermionicSWAP": lambda: qml.FermionicSWAP(DATA, [0, 1]),
    "exp": lambda: qml.exp(qml.X(0) @ qml.Z(1), 1j * DATA),
    "evolve": lambda: qml.evolve(qml.X(0) @ qml.Z(1), DATA),
    "PauliRot": lambda: qml.PauliRot(DATA, "XY", [0, 1]),
    "StatePrep": lambda: qml.StatePrep(np.stack([np.cos(DATA), np.sin(DATA)], 1), 0),
    "layers": lambda: qml.StronglyEntanglingLayers(
        np.random.default_rng(0).uniform(0, 1, (3, 1, 2, 3)), [0, 1]
    ),
    "product": lambda: qml.prod(qml.RX(DATA, 0), qml.RY(DATA, 1)),
    "power": lambda: qml.pow(qml.RX(0.4, 0), DATA),
}


@pytest.mark.parametrize("wrapper", [w for w in WRAPPERS if w != "adjoint of ctrl"])
@pytest.mark.parametrize("name", GATES)
def test_a_broadcast_survives_every_decomposition(dev, name, wrapper):
    try:
        tape = script(lambda: WRAPPERS[wrapper](GATES[name]()))
        exact = qml.execute([tape.copy(shots=None)], qml.device("default.qubit"), diff_method=None)[0]
    except Exception:  # noqa: BLE001
        pytest.skip("PennyLane's own simulator cannot do it")
    np.testing.assert_allclose(dev.batch_execute([tape])[0], exact, atol=ATOL)


# ------------------------------------------------------------------------------------------------ errors that name a place


class Broken(qml.operation.Operation):
    """A gate whose decomposition fails."""

    num_wires = 1
    num_params = 0

    @staticmethod
    def compute_decomposition(wires):
        raise KeyError("inside")


@pytest.mark.parametrize("submit", ["batch_execute", "submit"])
def test_what_fails_inside_pennylane_names_tape_and_gate(dev, submit):
    tapes = [script(lambda: None, shots=10), script(lambda: Broken(wires=2), shots=10)]
    with pytest.raises(
        UnsupportedCircuitError, match=r"Tape 1: Broken on wires \[2\] cannot be decomposed.*KeyError"
    ) as found:
        getattr(dev, submit)(tapes)
    assert found.value.tape == 1


def test_what_fails_inside_pennylane_names_the_gate_in_a_qnode(dev):
    node = qml.set_shots(qml.QNode(lambda: (Broken(wires=2), qml.expval(qml.Z(0)))[1], dev), 10)
    with pytest.raises(UnsupportedCircuitError, match=r"Broken on wires \[2\] cannot be decomposed"):
        node()
