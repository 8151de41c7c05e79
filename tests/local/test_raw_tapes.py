"""``dev.execute`` on tapes that nobody has preprocessed, as PennyLane's own tests call it."""

import numpy as np
import pennylane as qml
import pytest

from pennylane_threaded_ibmq.exceptions import UnsupportedCircuitError

SHOTS = 8_000


class Renamed(qml.RX):
    """A user's own gate: PennyLane knows it by its class, and nobody by its name."""


GATES = {
    "subclass": lambda: Renamed(0.7, 0),
    "QFT": lambda: qml.QFT(wires=[0, 1, 2]),
    "MultiRZ": lambda: qml.MultiRZ(0.8, wires=[0, 1, 2]),
    "adjoint": lambda: qml.adjoint(qml.RX(0.7, 0)),
    "ctrl": lambda: qml.ctrl(qml.RY(0.9, 2), [0, 1], control_values=[1, 0]),
    "pow": lambda: qml.pow(qml.RX(0.4, 1), 2),
    "prod": lambda: qml.prod(qml.RX(0.4, 1), qml.CNOT([1, 2])),
    "broadcast matrix": lambda: qml.QubitUnitary(qml.RX.compute_matrix(np.array([0.3, 1.9])), 0),
    "two-qubit excitation": lambda: qml.SingleExcitation(0.8, wires=[0, 1]),
}


@pytest.fixture
def dev():
    with qml.device("threaded.ibmq", wires=3, seed_simulator=8) as device:
        yield device


def around(gate, measurements, shots=None):
    """A tape with something before and after a gate, so that its phase shows."""
    before = [qml.RY(0.4, 0), qml.RX(1.1, 1), qml.Hadamard(2)]
    return qml.tape.QuantumScript([*before, gate, qml.RY(0.3, 0), qml.Hadamard(1)], measurements, shots=shots)


@pytest.mark.parametrize("gate", GATES)
def test_gates_are_decomposed(dev, gate):
    """The numbers are those of PennyLane's simulator."""
    measurements = [qml.probs(wires=[0, 1, 2]), qml.expval(qml.X(0) @ qml.Z(1))]
    wanted = qml.device("default.qubit").execute(around(GATES[gate](), measurements))
    got = dev.execute(around(GATES[gate](), measurements, SHOTS))
    for one, other in zip(got, wanted, strict=True):
        assert np.shape(one) == np.shape(other)
        assert np.allclose(one, other, atol=0.05)


def test_prepared_and_raw_tapes_keep_their_places(dev):
    """A broadcast matrix becomes several tapes; each result still belongs to its tape."""
    states = [qml.tape.QuantumScript([qml.X(w)], [qml.probs(wires=[0, 1, 2])], shots=20) for w in range(3)]
    broadcast = around(GATES["broadcast matrix"](), [qml.expval(qml.Z(0))], shots=50)
    results = dev.execute(
        (states[0], broadcast, states[1], around(GATES["QFT"](), [qml.counts()], 30), states[2])
    )
    assert [np.argmax(results[i]) for i in (0, 2, 4)] == [4, 2, 1]
    assert results[1].shape == (2,)
    assert sum(results[3].values()) == 30


def test_measurements_without_wires_mean_all_wires(dev):
    """As PennyLane's preprocessing writes them."""
    tape = qml.tape.QuantumScript([qml.X(1)], [qml.probs(), qml.sample(), qml.counts()], shots=10)
    probs, samples, counts = dev.execute(tape)
    assert probs.shape == (8,)
    assert samples.shape == (10, 3)
    assert counts == {"010": 10}


def test_a_measurement_without_wires_that_tapes_share_means_all_wires_in_each(dev):
    everything = qml.probs()
    tapes = [qml.tape.QuantumScript([qml.X(wire)], [everything], shots=10) for wire in range(3)]
    for found, outcome in zip(dev.execute(tapes), (4, 2, 1), strict=True):
        assert found.tolist() == np.eye(8)[outcome].tolist()


@pytest.mark.parametrize(
    ("angle", "measurement"),
    [(0.3, qml.shadow_expval(qml.Z(1))), (np.array([0.3, 0.7]), qml.sample(wires=1))],
)
def test_what_postselection_does_not_go_with_is_refused_in_each_tape(dev, angle, measurement):
    with qml.queuing.AnnotatedQueue() as queue:
        qml.RX(angle, 0)
        qml.measure(0, postselect=1)
    shared = qml.tape.QuantumScript.from_queue(queue).operations
    good = qml.tape.QuantumScript(shared, [qml.probs(wires=1)], shots=5)
    with pytest.raises(
        UnsupportedCircuitError, match=r"^Tape 1: .* takes no postselection.*Nothing was sent\."
    ):
        dev.execute((good, qml.tape.QuantumScript(shared, [measurement], shots=5)))


def test_a_tape_without_shots_has_those_of_the_device():
    with qml.device("threaded.ibmq", wires=1) as dev, pytest.warns(UserWarning, match="no analytic results"):
        (samples,) = dev.execute((qml.tape.QuantumScript([qml.X(0)], [qml.sample(wires=0)]),))
    assert samples.shape == (1024, 1)


def test_mid_circuit_measurements_where_the_backend_has_no_branches():
    """They are deferred, as in preprocessing."""
    with qml.queuing.AnnotatedQueue() as queue:
        qml.X(0)
        m0 = qml.measure(0)
        qml.cond(m0, qml.X)(1)
        qml.counts(wires=[0, 1])
    tape = qml.tape.QuantumScript.from_queue(queue, shots=400)
    with qml.device("threaded.ibmq", wires=2, backend="fake_quito") as dev:
        counts = dev.execute(tape)
    assert max(counts, key=counts.get) == "11"


def test_deferred_tapes_are_not_deferred_again(dev):
    """Their outcomes are on wires that the device does not have."""
    with qml.queuing.AnnotatedQueue() as queue:
        qml.X(0)
        m0 = qml.measure(0, postselect=1)
        m1 = qml.measure(0, reset=True)
        qml.cond(m0, qml.X)(1)
        qml.counts(wires=[0, 1])
        qml.counts(m1)
    config = qml.devices.ExecutionConfig(mcm_config=qml.devices.MCMConfig(mcm_method="deferred"))
    tapes, post = dev.preprocess_transforms(config)((qml.tape.QuantumScript.from_queue(queue, shots=9),))
    assert post(dev.execute(tapes, config)) == (({"01": 9}, {1.0: 9}),)


@pytest.mark.parametrize(
    "measurement", [qml.state, lambda: qml.density_matrix(wires=0), lambda: qml.vn_entropy(wires=0)]
)
def test_what_cannot_run_is_refused_by_name(dev, measurement):
    tape = qml.tape.QuantumScript([qml.X(0)], [measurement()], shots=5)
    with pytest.raises(
        UnsupportedCircuitError, match=r"Tape 1: Measurement .* not accepted.*Nothing was sent\."
    ):
        dev.execute((qml.tape.QuantumScript([], [qml.probs(wires=0)], shots=5), tape))


def test_a_gate_that_nobody_can_write_is_refused_by_name(dev):
    class Unknown(qml.operation.Operation):
        num_wires = 1

    tape = qml.tape.QuantumScript([Unknown(wires=0)], [qml.probs(wires=0)], shots=5)
    with pytest.raises(UnsupportedCircuitError, match=r"Unknown.*Nothing was sent\."):
        dev.execute(tape)


def test_the_reader_takes_nothing_for_a_conditional_gate():
    """Whoever reads tapes without preparing them learns which gate is the matter."""
    from pennylane_threaded_ibmq.circuits.structure import StructureReader

    with pytest.raises(UnsupportedCircuitError, match=r"QFT on wires \[0, 1\] was not decomposed"):
        StructureReader().read(qml.tape.QuantumScript([qml.QFT(wires=[0, 1])], [qml.probs(wires=0)]), 0)
