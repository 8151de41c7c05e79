"""Gates that Aer or Qiskit's translator get wrong, or that have no decomposition, against default.qubit."""

import numpy as np
import pennylane as qml
import pytest
from pennylane.measurements import SampleMeasurement

SHOTS = 20_000
ANGLES = (0.4, -1.3, 2.9, 7.0)


@pytest.fixture
def dev():
    return qml.device("threaded.ibmq", wires=4, seed_simulator=5)


def _scrambled(*gates):
    """Gates between rotations that make each of their angles visible."""
    first = [qml.RX(0.3 + w, w) for w in range(4)] + [qml.RY(0.8 - w, w) for w in range(4)]
    last = [qml.RX(1.1 - w, w) for w in range(4)]
    return qml.tape.QuantumScript([*first, *gates, *last], [qml.probs(wires=range(4))], shots=SHOTS)


def _assert_exact(dev, tapes):
    exact = qml.device("default.qubit").execute([t.copy(shots=None) for t in tapes])
    for sampled, probabilities in zip(dev.batch_execute(tapes), exact, strict=True):
        assert np.abs(sampled - probabilities).max() < 0.02


@pytest.mark.parametrize("gate", [qml.CRX, qml.CRY, qml.CRZ, qml.ControlledPhaseShift])
def test_controlled_rotations_take_the_angle_of_their_tape(dev, gate):
    """Aer leaves parametrised controlled rotations out when it binds them itself."""
    _assert_exact(dev, [_scrambled(gate(a, [0, 2])) for a in ANGLES])


@pytest.mark.parametrize("gate", [qml.CH([0, 1]), qml.ISWAP([0, 1]), qml.CRX(0.4, [0, 1])])
def test_a_gate_that_aer_lacks_goes_together_with_a_matrix(dev, gate):
    """Qiskit's translator panics on them."""
    matrix = qml.QubitUnitary(qml.matrix(qml.QFT([1, 2])), [1, 2])
    _assert_exact(dev, [_scrambled(gate, matrix)])
    state = np.arange(1, 5) / np.sqrt(30)
    tape = qml.tape.QuantumScript(
        [qml.StatePrep(state, [0, 1]), gate, qml.RX(0.4, 1)], [qml.probs(wires=[0, 1])], shots=SHOTS
    )
    _assert_exact(dev, [tape])


def test_a_global_phase_takes_no_angle_from_the_gates_after_it(dev):
    """Its angle is dropped, the next gate's is used."""
    tapes = [_scrambled(qml.GlobalPhase(0.3), qml.RY(a, 1), qml.RZ(2 * a, 2)) for a in ANGLES]
    _assert_exact(dev, tapes)


@pytest.mark.parametrize(
    "gate",
    [
        qml.DoubleExcitationPlus(0.7, wires=[0, 1, 2, 3]),
        qml.DoubleExcitationMinus(0.7, wires=[0, 1, 2, 3]),
        qml.BlockEncode([[0.1, 0.2], [0.3, 0.4]], wires=[1, 2]),
    ],
)
def test_a_gate_without_decomposition_runs_as_its_matrix(dev, gate):
    """Small gates that are nothing but a matrix need no decomposition."""
    _assert_exact(dev, [_scrambled(gate)])


class Heaviest(SampleMeasurement):
    """The most frequent outcome, scaled."""

    def __init__(self, scale, wires=None):
        self.scale = scale
        super().__init__(wires=wires)

    @property
    def numeric_type(self):
        return float

    def process_samples(self, samples, wire_order, shot_range=None, bin_size=None):
        columns = wire_order.indices(self.wires)
        return self.scale * float(np.round(samples[:, columns].mean()))

    def process_counts(self, counts, wire_order):
        raise NotImplementedError


def test_a_measurement_of_the_users_own_processes_samples(dev):
    """Two of them in one tape, which differ only in what the class itself knows, keep apart."""

    @qml.qnode(dev, shots=100)
    def circuit():
        qml.X(1)
        return Heaviest(2.0, wires=[1]), Heaviest(3.0, wires=[1]), Heaviest(5.0, wires=[0])

    assert circuit() == (2.0, 3.0, 0.0)
