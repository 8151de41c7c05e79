"""Circuits that random ones found to be wrong here: preparations in the middle, complex operators, odd broadcasts."""

from __future__ import annotations

import numpy as np
import pennylane as qml
import pytest
from pennylane import numpy as pnp
from scipy.sparse import csr_matrix

from pennylane_threaded_ibmq.exceptions import UnsupportedCircuitError

SHOTS = 20_000
MATRIX = np.array([[1, 0.5j], [-0.5j, 2]])
STATE = np.array([0.6, 0.2j, -0.3, np.sqrt(0.51)])


@pytest.fixture
def dev():
    return qml.device("threaded.ibmq", wires=4, seed_simulator=5)


def tape_of(circuit, shots=SHOTS):
    script = qml.tape.make_qscript(circuit)()
    return qml.tape.QuantumScript(script.operations, script.measurements, shots=shots)


def exact(circuit):
    return qml.QNode(circuit, qml.device("default.qubit", wires=4))()


# ------------------------------------------------------------------------------------------------------- preparations


PREPARED = {
    "after a gate": lambda: (qml.RX(0.7, 0), qml.StatePrep(STATE[[0, 3]] / np.linalg.norm(STATE[[0, 3]]), 0)),
    "entangled": lambda: (qml.H(0), qml.CNOT([0, 2]), qml.StatePrep(STATE, [0, 1])),
    "twice": lambda: (qml.StatePrep(STATE, [0, 1]), qml.StatePrep(STATE[::-1], [1, 2])),
    "in a product": lambda: (qml.H(1), qml.prod(qml.StatePrep(STATE, [0, 1]), qml.RX(0.3, 2))),
    "squared": lambda: qml.pow(qml.StatePrep(STATE, [0, 1]), 2),
    "controlled": lambda: (qml.H(2), qml.RX(0.4, 0), qml.ctrl(qml.StatePrep(STATE, [0, 1]), 2)),
    "undone": lambda: (qml.RX(0.7, 0), qml.adjoint(qml.StatePrep(STATE, [0, 1]))),
    "reflection": lambda: (qml.H(0), qml.Reflection(qml.StatePrep(STATE, [0, 1]), 1.2)),
    "amplified": lambda: (
        qml.StatePrep(STATE, [0, 1]),
        qml.AmplitudeAmplification(qml.StatePrep(STATE, [0, 1]), qml.FlipSign([0, 1], wires=[0, 1]), iters=1),
    ),
    "basis state": lambda: (qml.X(0), qml.H(1), qml.BasisState([1, 1], [0, 1])),
}


@pytest.mark.parametrize("kind", PREPARED)
def test_a_preparation_is_a_unitary_wherever_it_stands(dev, kind):
    def circuit():
        PREPARED[kind]()
        return qml.probs(wires=[0, 1, 2])

    assert np.abs(dev.batch_execute([tape_of(circuit)])[0] - exact(circuit)).max() < 0.02


def test_a_conditional_preparation_is_a_unitary_too(dev):
    def circuit():
        qml.H(2)
        qml.RX(0.7, 0)
        m0 = qml.measure(2)
        qml.cond(m0, qml.StatePrep)(STATE, wires=[0, 1])
        return qml.probs(wires=[0, 1])

    found = dev.batch_execute([tape_of(circuit, 8000)])[0]
    reference = qml.QNode(circuit, qml.device("default.qubit"), mcm_method="deferred")()
    assert np.abs(found - reference).max() < 0.03


@pytest.mark.parametrize("dtype", ["complex64", "float32"])
def test_states_and_matrices_of_single_precision_run(dev, dtype):
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(20, 8)).astype(dtype)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True).astype(dtype)
    turn = qml.matrix(qml.Rot(0.3, 0.7, 0.2, 0)).astype("complex64")
    ops = [[qml.StatePrep(v, [0, 1, 2]), qml.QubitUnitary(turn, 3)] for v in vectors]
    tapes = [qml.tape.QuantumScript(o, [qml.probs(wires=[0, 1, 2])], shots=SHOTS) for o in ops]
    for found, vector in zip(dev.batch_execute(tapes), vectors, strict=True):
        assert np.abs(found - np.abs(vector) ** 2).max() < 0.02


SHIFTS = {
    "state": lambda n, kind: qml.StatePrep(kind(np.eye(4)[n]), wires=[0, 1]),
    "matrix": lambda n, kind: qml.QubitUnitary(kind(np.roll(np.eye(4), n, axis=0)), wires=[0, 1]),
}
"""Operations that take the state 0 to another of the computational basis."""


@pytest.mark.parametrize(
    ("name", "kind"),
    [("state", csr_matrix), ("matrix", csr_matrix), ("state", lambda array: np.array(array, dtype=object))],
)
def test_numbers_that_numpy_reads_as_addresses_are_told_apart(dev, name, kind):
    """Objects of one batch after the other take each other's place in memory."""
    for n in [0, 1, 2, 3] * 5:
        tape = qml.tape.QuantumScript([SHIFTS[name](n, kind)], [qml.probs(wires=[0, 1])], shots=10)
        assert dev.batch_execute([tape])[0].tolist() == np.eye(4)[n].tolist()


# -------------------------------------------------------------------------------------------------- complex operators


COMPLEX = {
    "product of a wire": lambda: qml.prod(qml.X(0), qml.Y(0)),
    "factor": lambda: 1j * qml.Z(0),
    "one term": lambda: qml.Hamiltonian([0.5, 0.2j], [qml.X(0), qml.Z(1)]),
    "commutator": lambda: qml.comm(qml.X(0), qml.Y(0)),
    "hadamard": lambda: qml.prod(qml.Hadamard(0), qml.Z(0)),
    "phase": lambda: qml.S(0),
    "part": lambda: qml.prod(qml.T(0), qml.Z(1)),
    "exponential": lambda: qml.exp(qml.X(0), 0.3j),
    "sum": lambda: qml.sum(qml.Hadamard(0), qml.s_prod(1j, qml.Hadamard(1))),
}


@pytest.mark.parametrize("measure", [qml.expval, qml.var])
@pytest.mark.parametrize("primitive", ["sampler", "estimator"])
@pytest.mark.parametrize("kind", COMPLEX)
def test_an_operator_that_is_no_observable_is_refused(measure, primitive, kind):
    with qml.device("threaded.ibmq", wires=2, primitive=primitive) as dev:
        good = qml.tape.QuantumScript([], [qml.expval(qml.Z(0))], shots=10)
        bad = qml.tape.QuantumScript([], [measure(COMPLEX[kind]())], shots=10)
        with pytest.raises(
            UnsupportedCircuitError, match=r"Tape 1: .* is no observable: .*Nothing was sent\."
        ) as info:
            dev.batch_execute([good, bad])
    assert info.value.tape == 1


def test_what_cancels_its_imaginary_part_is_an_observable(dev):
    tape = qml.tape.QuantumScript([], [qml.expval(1j * qml.prod(qml.X(0), qml.Y(0)))], shots=100)
    assert dev.batch_execute([tape]) == (-1.0,)


ON_ONE_WIRE = {
    "sum": (lambda: qml.sum(qml.X(0), qml.X(0)), 2.0),
    "difference": (lambda: qml.sum(qml.X(0), qml.s_prod(-3.0, qml.X(0))), -2.0),
    "Hamiltonian": (lambda: qml.Hamiltonian([1.0, 0.5], [qml.X(0) @ qml.Z(1), qml.X(0) @ qml.Z(1)]), -1.5),
    "product": (lambda: qml.prod(qml.Z(0), qml.X(0), qml.Z(0)), -1.0),
    "sum in a product": (lambda: qml.prod(qml.sum(qml.X(0), qml.X(0)), qml.Z(1)), -2.0),
    "multiple": (lambda: qml.s_prod(0.5, qml.prod(qml.X(0), qml.X(0), qml.X(0), qml.Z(1))), -0.5),
}


@pytest.mark.parametrize("kind", ON_ONE_WIRE)
def test_what_acts_on_a_wire_more_than_once_is_sampled_right(dev, kind):
    make, value = ON_ONE_WIRE[kind]
    obs = make()
    measurements = [qml.sample(obs), qml.counts(obs), qml.expval(obs), qml.var(obs)]
    tape = qml.tape.QuantumScript([qml.H(0), qml.X(1)], measurements, shots=50)
    ((samples, counts, mean, variance),) = dev.batch_execute([tape])
    assert np.allclose(samples, value)
    assert len(samples) == sum(counts.values()) == 50
    assert np.allclose(list(counts), value)
    assert mean == pytest.approx(value)
    assert variance == pytest.approx(0.0)


def test_probabilities_of_a_sum_on_one_wire_stand_as_pennylane_has_them(dev):
    def circuit():
        qml.H(0)
        return qml.probs(op=qml.sum(qml.X(0), qml.X(0)))

    assert np.allclose(dev.batch_execute([tape_of(circuit)])[0], exact(circuit))


def test_a_sample_of_a_sum_of_words_that_has_no_eigenvectors_here_is_refused_by_its_name(dev):
    tape = qml.tape.QuantumScript([], [qml.sample(qml.SWAP([0, 1]))], shots=10)
    with pytest.raises(UnsupportedCircuitError, match=r"Observable SWAP.* of Sample not supported"):
        dev.batch_execute([tape])


def test_observables_that_other_wires_control_are_told_apart(dev):
    tapes = [
        qml.tape.QuantumScript(
            [qml.X(0), qml.X(2)], [qml.expval(qml.ctrl(qml.Projector([0], 0), w))], shots=10
        )
        for w in (1, 2)
    ]
    # the wire that is 1 has the projector act, on a qubit that it takes to 0; the other leaves the qubit alone
    assert dev.batch_execute(tapes) == (1.0, 0.0)


ON_ZERO = {
    "matrix": lambda: qml.ctrl(qml.Hermitian(MATRIX, 0), 1, control_values=[0]),
    "one of two": lambda: qml.ctrl(qml.X(0), [1, 2], control_values=[0, 1]),
    "multiple": lambda: qml.s_prod(2.0, qml.ctrl(qml.Hermitian(MATRIX, 0), 1, control_values=[0])),
    "product": lambda: qml.prod(qml.X(2), qml.ctrl(qml.Z(0), 1, control_values=[0])),
    "sum": lambda: qml.sum(qml.X(2), qml.ctrl(qml.Hermitian(MATRIX, 0), 1, control_values=[0])),
}
"""Observables whose eigenvalues PennyLane has as if all controls had to be 1."""


@pytest.mark.parametrize("kind", ON_ZERO)
def test_an_observable_that_zero_controls_has_its_own_eigenvalues(dev, kind):
    def turned():
        for wire in range(3):
            qml.RX(0.3 + wire, wire)
            qml.RY(0.7 * wire + 0.2, wire)
        qml.CNOT([0, 1])
        qml.CNOT([1, 2])

    obs = ON_ZERO[kind]()
    state = exact(lambda: (turned(), qml.state())[1])
    matrix = qml.matrix(obs, wire_order=range(4))
    mean = (state.conj() @ matrix @ state).real
    variance = (state.conj() @ matrix @ matrix @ state).real - mean**2
    measured = [qml.expval(obs), qml.var(obs), qml.sample(obs), qml.probs(op=obs)]
    tape = tape_of(lambda: (turned(), *map(qml.apply, measured)))
    found, spread, samples, probabilities = dev.batch_execute([tape])[0]
    assert found == pytest.approx(mean, abs=0.05)
    assert spread == pytest.approx(variance, abs=0.1)
    assert np.mean(samples) == pytest.approx(mean, abs=0.05)
    wanted = exact(lambda: (turned(), qml.probs(op=obs))[1])
    assert np.abs(probabilities - wanted).max() < 0.02


def test_a_control_of_zero_that_shares_a_wire_is_refused(dev):
    controlled = qml.ctrl(qml.Hermitian(np.diag([2.0, 3.0]), 0), 1, control_values=[0])
    obs = qml.sum(controlled, qml.X(1))
    with pytest.raises(UnsupportedCircuitError, match=r"(?s)must be 0.*qml\.Hermitian\(.*Nothing was sent"):
        dev.batch_execute([qml.tape.QuantumScript([], [qml.expval(obs)], shots=10)])
    stated = qml.Hermitian(qml.matrix(obs), wires=obs.wires)
    (found,) = dev.batch_execute([qml.tape.QuantumScript([], [qml.expval(stated)], shots=SHOTS)])
    assert found == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize("measure", [qml.sample, qml.counts])
def test_what_pennylane_cannot_read_from_shots_is_refused_before_they_are_run(dev, measure):
    obs = qml.pow(qml.Hermitian(np.diag([2.0, 3.0]), 0), 2)
    with pytest.raises(UnsupportedCircuitError, match=r"(?s)cannot read it from shots.*Nothing was sent"):
        dev.batch_execute([qml.tape.QuantumScript([], [measure(obs)], shots=10)])


# ------------------------------------------------------------------------------------------------------- broadcasting


ANGLES = np.array([0.3, 1.1, 2.0])
TURNS = np.stack([qml.matrix(qml.RY(a, 0)) for a in ANGLES])

BROADCAST = {
    "FermionicSWAP": lambda a, u: qml.FermionicSWAP(a, [0, 1]),
    "exp": lambda a, u: qml.exp(qml.X(0) @ qml.Z(1), 1j * a),
    "pow of evolve": lambda a, u: qml.pow(qml.evolve(qml.X(0) @ qml.Y(1), a), -1),
    "pow of exp": lambda a, u: qml.pow(qml.exp(qml.X(0) @ qml.Z(1), 1j * a), 2),
    "several controls": lambda a, u: qml.ctrl(qml.IsingXY(a, [0, 1]), [2, 3], [0, 1]),
    "matrix beside a product": lambda a, u: (qml.QubitUnitary(u, 1), qml.prod(qml.RX(a, 0), qml.RY(a, 1))),
    "matrix beside an evolution": lambda a, u: (qml.QubitUnitary(u, 1), qml.evolve(qml.X(0) @ qml.Z(1), a)),
    "controlled matrix": lambda a, u: qml.ctrl(qml.QubitUnitary(u, 1), [2, 3], [0, 1]),
    "template beside a gate that fails": lambda a, u: (
        qml.CommutingEvolution(qml.Hamiltonian([0.4, 0.7], [qml.X(0), qml.X(1)]), a),
        qml.ctrl(qml.SingleExcitationMinus(a, [0, 1]), [2, 3]),
    ),
}


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("kind", BROADCAST)
def test_each_entry_of_a_broadcast_is_right(dev, kind, rows):
    def circuit(angles, turns):
        for wire in range(4):
            qml.H(wire)
            qml.RZ(0.3 * wire + 0.2, wire)
        BROADCAST[kind](angles, turns)
        qml.RY(0.4, 0)
        qml.RX(0.7, 1)
        return qml.probs(wires=[0, 1])

    (found,) = dev.batch_execute([tape_of(lambda: circuit(ANGLES[:rows], TURNS[:rows]))])
    wanted = [exact(lambda a=a, u=u: circuit(a, u)) for a, u in zip(ANGLES[:rows], TURNS[:rows], strict=True)]
    assert found.shape == (rows, 4)
    assert np.abs(found - wanted).max() < 0.025


@pytest.mark.parametrize(
    "options", [{}, {"primitive": "estimator"}, {"shard_size": 1}, {"optimization_level": 3}]
)
def test_circuits_of_their_own_keep_the_entries_of_a_broadcast_apart(options):
    with qml.device("threaded.ibmq", wires=2, parametrise=False, seed_simulator=3, **options) as dev:
        rows = qml.tape.QuantumScript([qml.RX(ANGLES, 0)], [qml.expval(qml.Z(0))], shots=SHOTS)
        one = qml.tape.QuantumScript([qml.RX(0.5, 0)], [qml.expval(qml.Z(0))], shots=SHOTS)
        found = dev.batch_execute([rows, one, rows])
        assert np.abs(found[0] - np.cos(ANGLES)).max() < 0.04
        assert np.abs(found[2] - np.cos(ANGLES)).max() < 0.04
        assert abs(found[1] - np.cos(0.5)) < 0.04


def test_a_broadcast_gradient_of_circuits_of_their_own():
    with qml.device("threaded.ibmq", wires=1, parametrise=False, seed_simulator=3) as dev:

        @qml.qnode(dev, diff_method="parameter-shift", gradient_kwargs={"broadcast": True}, shots=SHOTS)
        def circuit(x):
            qml.RX(x, 0)
            return qml.expval(qml.Z(0))

        assert qml.grad(circuit)(pnp.array(0.7, requires_grad=True)) == pytest.approx(-np.sin(0.7), abs=0.03)


@pytest.mark.parametrize("gate", [qml.RX, lambda a, wires: qml.QubitUnitary(TURNS, wires)])
def test_counts_of_a_broadcast_are_a_list_whatever_is_broadcast(dev, gate):
    measured = [qml.counts(wires=0), qml.sample(wires=[0, 1])]
    tape = qml.tape.QuantumScript([gate(ANGLES, wires=0)], measured, shots=(50, 30))
    for (counts, samples), shots in zip(dev.batch_execute([tape])[0], (50, 30), strict=True):
        assert isinstance(counts, list)
        assert [sum(c.values()) for c in counts] == [shots] * 3
        assert samples.shape == (3, shots, 2)


def test_the_phase_of_a_branch_has_no_gradient(dev):
    @qml.qnode(dev, diff_method="parameter-shift", shots=SHOTS)
    def circuit(x):
        qml.RX(0.4, 0)
        m0 = qml.measure(0)
        qml.cond(m0, qml.GlobalPhase)(x[0], wires=0)
        qml.cond(m0, qml.RX)(x[1], wires=1)
        return qml.expval(qml.Z(1))

    slope = qml.grad(circuit)(pnp.array([0.7, 0.3], requires_grad=True))
    assert slope[0] == pytest.approx(0, abs=0.05)
    assert slope[1] == pytest.approx(-np.sin(0.3) * np.sin(0.2) ** 2, abs=0.05)


def test_an_error_names_the_tape_that_was_given():
    """A broadcast that becomes several tapes does not move those after it."""
    matrices = np.stack([np.eye(2), qml.matrix(qml.X(0)), qml.matrix(qml.H(0))])
    batch = qml.tape.QuantumScript([qml.QubitUnitary(matrices, wires=0)], [qml.probs(wires=0)], shots=10)
    bad = qml.tape.QuantumScript([qml.RX(np.nan, 0)], [qml.probs(wires=0)], shots=10)
    dev = qml.device("threaded.ibmq", wires=1, progress=False)
    for run in (dev.batch_execute, dev.execute, dev.submit):
        with pytest.raises(UnsupportedCircuitError, match=r"^Tape 1: operation 0, RX") as caught:
            run([batch, bad])
        assert caught.value.tape == 1
