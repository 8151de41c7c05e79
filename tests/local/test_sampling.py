"""Outcomes drawn from probabilities are what a run shot by shot would give, and are drawn only where they are."""

import gc

import numpy as np
import pennylane as qml
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, depolarizing_error
from scipy.stats import chi2

from pennylane_threaded_ibmq.circuits.outcomes import ShotCounts
from pennylane_threaded_ibmq.simulators import exact
from pennylane_threaded_ibmq.simulators.exact import CountTable, ExactForms, is_exact
from pennylane_threaded_ibmq.simulators.local import LocalBackend

ALPHA = 1e-6
"""False alarms of a test of a distribution; seeds are fixed, so one that passes goes on to pass."""


def rotated(bits=2):
    """A circuit with an angle, measured in a jumbled order."""
    circuit = QuantumCircuit(bits, bits)
    x = Parameter("x")
    for qubit in range(bits):
        circuit.ry(x + 0.4 * qubit, qubit)
    circuit.cx(0, bits - 1)
    circuit.measure(range(bits), reversed(range(bits)))
    return circuit


def probabilities(circuit, angle):
    """The distribution of a circuit's classical bits by linear algebra."""
    from qiskit.quantum_info import Statevector

    bound = circuit.assign_parameters([angle]).remove_final_measurements(inplace=False)
    return Statevector(bound).probabilities(list(reversed(range(bound.num_qubits))))


def histogram(table, shots, bits=2):
    return ShotCounts.from_counts(table, bits, shots).histogram(tuple(reversed(range(bits))))


@pytest.mark.parametrize("per_shot", [1000, 0], ids=["multinomial", "search"])
def test_draws_follow_the_distribution(monkeypatch, per_shot):
    """400 seeds of 250 shots: the sum of all chi-squares is one."""
    monkeypatch.setattr(exact, "OUTCOMES_PER_SHOT", per_shot)
    circuit, shots, angle = rotated(), 250, 0.9
    expected = shots * probabilities(circuit, angle)
    backend = LocalBackend(AerSimulator())
    statistic = 0.0
    for seed in range(400):
        (table,) = backend.sample([circuit], [np.array([[angle]])], shots, seed)
        (found,) = histogram(table, shots)
        assert found.sum() == shots
        statistic += ((found - expected) ** 2 / expected).sum()
    assert chi2.sf(statistic, 400 * 3) > ALPHA
    assert chi2.cdf(statistic, 400 * 3) > ALPHA


def test_rows_and_circuits_are_independent_draws_of_their_own_values():
    circuit = rotated()
    angles = np.array([[0.0], [np.pi / 2], [0.0]])
    backend = LocalBackend(AerSimulator())
    first, second = backend.sample([circuit, circuit], [angles, angles], 5000, 4)
    for table in (first, second):
        for row, angle in zip(histogram(table, 5000), angles[:, 0], strict=True):
            np.testing.assert_allclose(row / 5000, probabilities(circuit, angle), atol=0.04)
    assert not np.array_equal(histogram(first, 5000), histogram(second, 5000))
    assert not np.array_equal(histogram(first, 5000)[0], histogram(first, 5000)[2])


def test_a_seed_repeats_and_another_does_not():
    backend = LocalBackend(AerSimulator())
    run = [
        histogram(backend.sample([rotated()], [np.array([[0.7]])], 1000, seed)[0], 1000) for seed in (5, 5, 6)
    ]
    assert np.array_equal(run[0], run[1])
    assert not np.array_equal(run[0], run[2])


def test_without_a_seed_no_two_runs_are_equal():
    backend = LocalBackend(AerSimulator())
    first, second = (
        histogram(backend.sample([rotated()], [np.array([[0.7]])], 10**6, None)[0], 10**6) for _ in "12"
    )
    assert not np.array_equal(first, second)


def test_rows_of_a_circuit_without_parameters_are_draws_of_their_own():
    circuit = QuantumCircuit(1, 1)
    circuit.h(0)
    circuit.measure(0, 0)
    (table,) = LocalBackend(AerSimulator()).sample([circuit], [np.zeros((50, 0))], 1000, 1)
    assert table.rows == 50
    ones = histogram(table, 1000, 1)[:, 1]
    assert len(set(ones)) > 10
    assert abs(ones.mean() - 500) < 20


def test_memory_is_bounded(monkeypatch):
    """Rows that do not fit are computed in several calls, with the same results."""
    circuit, angles = rotated(3), np.linspace(0, 3, 11)[:, None]
    backend = LocalBackend(AerSimulator())
    whole = backend.sample([circuit, circuit], [angles, angles], 100, 9)
    monkeypatch.setattr(exact, "MOST_PROBABILITIES", 24)
    calls = []
    run = AerSimulator.run
    monkeypatch.setattr(AerSimulator, "run", lambda self, *a, **k: calls.append(1) or run(self, *a, **k))
    cut = backend.sample([circuit, circuit], [angles, angles], 100, 9)
    assert len(calls) == 8
    for one, other in zip(whole, cut, strict=True):
        assert np.array_equal(histogram(one, 100, 3), histogram(other, 100, 3))


# --------------------------------------------------------------------------------------------- where Aer draws itself


def dynamic():
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    circuit.measure(1, 1)
    return circuit


def gate_after_measurement():
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    circuit.x(0)
    return circuit


def measured_twice():
    circuit = QuantumCircuit(1, 2)
    circuit.measure(0, 0)
    circuit.measure(0, 1)
    return circuit


def overwritten():
    circuit = QuantumCircuit(2, 1)
    circuit.x(0)
    circuit.measure(0, 0)
    circuit.measure(1, 0)
    return circuit


def unwritten():
    circuit = QuantumCircuit(1, 2)
    circuit.measure(0, 1)
    return circuit


def reset():
    circuit = QuantumCircuit(1, 1)
    circuit.h(0)
    circuit.reset(0)
    circuit.measure(0, 0)
    return circuit


def wide():
    circuit = QuantumCircuit(exact.MOST_BITS + 1)
    circuit.measure_all()
    return circuit


@pytest.mark.parametrize(
    "make", [dynamic, gate_after_measurement, measured_twice, overwritten, unwritten, reset, wide]
)
def test_what_is_no_draw_from_one_table_is_left_to_aer(make):
    assert ExactForms().of(make()) is None


@pytest.mark.parametrize(
    ("simulator", "expected"),
    [
        (AerSimulator, True),
        (lambda: AerSimulator(method="statevector"), True),
        (lambda: AerSimulator(method="matrix_product_state"), False),
        (lambda: AerSimulator(method="stabilizer"), False),
        (lambda: AerSimulator(method="density_matrix"), False),
        (lambda: AerSimulator(noise_model=noise()), False),
    ],
)
def test_only_state_vectors_without_noise_are_drawn_from(simulator, expected):
    assert is_exact(simulator()) is expected


def noise():
    model = NoiseModel()
    model.add_all_qubit_quantum_error(depolarizing_error(0.5, 1), ["x"])
    return model


def test_noise_is_in_the_outcomes():
    dev = qml.device("threaded.ibmq", wires=1, noise_model=noise(), seed_simulator=2)
    tape = qml.tape.QuantumScript([qml.X(0)], [qml.expval(qml.Z(0))], shots=4000)
    assert abs(dev.batch_execute([tape])[0] + 0.5) < 0.1


def test_a_form_goes_with_its_circuit():
    forms, circuit = ExactForms(), rotated()
    assert forms.of(circuit) is forms.of(circuit)
    del circuit
    gc.collect()
    assert not forms._forms


def test_tables_are_joined_in_order():
    one = CountTable(2, np.array([0, 1]), np.array([3, 0]), np.array([7, 8]))
    joined = CountTable.join([one, one])
    assert joined.rows == 4
    assert joined.row_of.tolist() == [0, 1, 2, 3]
    assert joined.outcomes.tolist() == [3, 0, 3, 0]


# ----------------------------------------------------------------------------------------------------- shot vectors


def test_a_split_gives_each_shot_to_one_part():
    rng = np.random.default_rng(0)
    counts = ShotCounts.from_counts([{"0x0": 30, "0x3": 70}, {"0x1": 100}], 2, 100)
    parts = counts.split([10, 60, 30], rng)
    assert [part.shots for part in parts] == [10, 60, 30]
    total = sum(part.histogram((0, 1)) for part in parts)
    np.testing.assert_array_equal(total, counts.histogram((0, 1)))
    for part in parts:
        np.testing.assert_array_equal(part.histogram((0, 1)).sum(axis=1), part.shots)


def test_a_split_is_what_a_random_order_would_give():
    """The share of a part is hypergeometric: its mean and variance over 4000 draws."""
    rng = np.random.default_rng(1)
    counts = ShotCounts.from_counts([{"0x0": 300, "0x1": 700}], 1, 1000)
    ones = np.array([counts.split([200, 800], rng)[0].histogram((0,))[0, 1] for _ in range(4000)])
    variance = 200 * 0.3 * 0.7 * 800 / 999
    assert abs(ones.mean() - 140) < 5 * np.sqrt(variance / 4000)
    assert abs(ones.var() / variance - 1) < 0.12


def test_measurements_of_a_copy_share_its_shots():
    dev = qml.device("threaded.ibmq", wires=2, seed_simulator=4)
    measurements = [qml.sample(wires=0), qml.expval(qml.Z(0)), qml.counts(wires=0), qml.probs(wires=0)]
    tape = qml.tape.QuantumScript([qml.RY(1.0, 0)], measurements, shots=(40, 90))
    for shots, (samples, mean, counts, probs) in zip((40, 90), dev.batch_execute([tape])[0], strict=True):
        ones = int(np.sum(samples))
        assert len(samples) == shots
        assert mean == pytest.approx(1 - 2 * ones / shots)
        assert counts == {"0": shots - ones, "1": ones}
        assert probs[1] == pytest.approx(ones / shots)


def test_a_random_order_is_one():
    """Ones are spread evenly: the mean place of a one over many orders."""
    rng = np.random.default_rng(2)
    counts = ShotCounts.from_counts([{"0x0": 50, "0x1": 50}], 1, 100)
    places = [np.flatnonzero(counts.ordered(rng).samples(0, (0,))[:, 0]).mean() for _ in range(2000)]
    # the mean of 50 places drawn of 100 without return
    assert abs(np.mean(places) - 49.5) < 5 * np.sqrt((100**2 - 1) / 12 / 50 * 50 / 99 / 2000)


class Listening(AerSimulator):
    """Aer, and how many circuits it is asked to run at once."""

    asked = None

    def run(self, *arguments, **options):
        Listening.asked = options.get("max_parallel_experiments", self.options.max_parallel_experiments)
        return super().run(*arguments, **options)


@pytest.mark.parametrize(
    ("options", "asked"),
    [({}, 0), ({"seed_simulator": 3}, None), ({"simulator_options": {"max_parallel_experiments": 2}}, 2)],
    ids=str,
)
def test_noisy_circuits_run_side_by_side_where_neither_seed_nor_user_says_otherwise(options, asked):
    """Several structures, each with the noise of its one gate."""
    noise = NoiseModel()
    noise.add_all_qubit_quantum_error(depolarizing_error(0.2, 2), ["cx"])
    angles = np.linspace(0.2, 2.8, 7)
    tapes = [
        qml.tape.QuantumScript(
            [qml.RY(x, 0), *[qml.RZ(0.1, 1)] * i, qml.CNOT([0, 1])],
            [qml.expval(qml.Z(1)), qml.expval(qml.Z(0))],
            shots=20_000,
        )
        for i, x in enumerate(angles)
    ]
    backend = Listening(noise_model=noise)
    with qml.device("threaded.ibmq", wires=2, backend=backend, progress=False, **options) as dev:
        found = np.array(dev.batch_execute(tapes))
    np.testing.assert_allclose(found[:, 1], 0.8 * np.cos(angles), atol=0.04)
    np.testing.assert_allclose(found[:, 0], 0.8 * np.cos(angles), atol=0.04)
    assert Listening.asked == asked
