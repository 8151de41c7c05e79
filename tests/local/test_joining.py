"""Gates of one qubit that Aer is given as one: the same distribution, from fewer gates."""

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import Statevector
from qiskit_aer import AerSimulator

from pennylane_threaded_ibmq.simulators import exact
from pennylane_threaded_ibmq.simulators.exact import ExactForms, aer_tables
from pennylane_threaded_ibmq.simulators.joining import join
from pennylane_threaded_ibmq.simulators.local import LocalBackend

FIXED = ("x", "y", "z", "h", "s", "sdg", "t", "sx", "id")
TURNS = ("rx", "ry", "rz", "p")
PAIRS = ("cx", "cz", "swap")


def random_circuit(rng, wires=3, parameters=4):
    """Gates with a number, a parameter, an expression or none, and some that are half and whole turns."""
    p = ParameterVector("p", parameters)
    circuit = QuantumCircuit(wires)
    for _ in range(int(rng.integers(1, 30))):
        qubits = rng.permutation(wires).tolist()
        kind = rng.integers(5)
        if kind == 0:
            getattr(circuit, rng.choice(FIXED))(qubits[0])
        elif kind == 1:
            getattr(circuit, rng.choice(TURNS))(float(rng.choice([0, np.pi, -np.pi / 2, 0.7])), qubits[0])
        elif kind == 2:
            getattr(circuit, rng.choice(TURNS))(p[int(rng.integers(parameters))], qubits[0])
        elif kind == 3:
            getattr(circuit, rng.choice(PAIRS))(*qubits[:2])
        else:
            angle = p[int(rng.integers(parameters))]
            which = rng.integers(3)
            if which == 0:
                circuit.ry(2 * angle + 0.1, qubits[0])
            elif which == 1:
                circuit.rzz(angle, *qubits[:2])
            else:
                circuit.u(angle, 0.3, angle, qubits[0])
    return circuit


def probabilities(circuit, names, values):
    return np.array(
        [
            Statevector(circuit.assign_parameters(dict(zip(names, row, strict=True)))).probabilities()
            for row in values
        ]
    )


def some_values(rng, number):
    """Angles at which Euler angles are not unique among them."""
    values = rng.uniform(-7, 7, (6, number))
    values[0] = 0
    values[1] = np.pi
    values[2] = rng.choice([0, np.pi, -np.pi, np.pi / 2, 2 * np.pi], number)
    return values


@pytest.mark.parametrize("seed", range(40))
def test_joined_gates_are_the_gates(seed):
    rng = np.random.default_rng(seed)
    circuit = random_circuit(rng)
    values = some_values(rng, len(circuit.parameters))
    joined = join(circuit)
    bound = joined.bind(values)
    assert set(bound) == set(joined.circuit.parameters)
    assert joined.circuit.size() <= circuit.size()
    rows = np.stack(list(bound.values()), axis=1) if bound else np.zeros((len(values), 0))
    np.testing.assert_allclose(
        probabilities(joined.circuit, list(bound), rows),
        probabilities(circuit, list(circuit.parameters), values),
        atol=1e-9,
    )


def layers(pair):
    p = ParameterVector("p", 6)
    circuit = QuantumCircuit(2)
    for qubit in range(2):
        circuit.rz(p[3 * qubit], qubit)
        circuit.ry(p[3 * qubit + 1], qubit)
        circuit.rz(p[3 * qubit + 2], qubit)
    getattr(circuit, pair)(*([0.3] if pair in {"rzz", "rxx"} else []), 0, 1)
    circuit.h(0)
    return circuit


def test_three_rotations_are_one_gate_and_a_gate_alone_stays():
    assert dict(join(layers("cx")).circuit.count_ops()) == {"u": 2, "cx": 1, "h": 1}


class Listening(AerSimulator):
    """Aer that remembers what it was asked."""

    def run(self, circuits, *args, **kwargs):
        self.asked = kwargs
        self.circuits = len(circuits)
        return super().run(circuits, *args, **kwargs)


@pytest.mark.parametrize(
    ("pair", "options", "off"),
    [
        ("cx", {}, True),
        ("rxx", {}, False),
        ("cx", {"fusion_threshold": 3}, False),
        ("cx", {"fusion_enable": False}, False),
        ("cx", {"precision": "single"}, True),
    ],
)
def test_aer_fuses_where_that_pays_or_a_user_says_how(pair, options, off):
    simulator = Listening(**options)
    circuit = layers(pair)
    values = np.random.default_rng(0).uniform(0, 6, (3, 6))
    expected = probabilities(circuit, list(circuit.parameters), values)
    circuit.measure_all()
    form = ExactForms().of(circuit)
    (table,) = aer_tables(simulator, [form])([(0, values)])
    np.testing.assert_allclose(table, expected, atol=1e-6)
    assert ("fusion_enable" in simulator.asked) is off
    assert simulator.asked.get("fusion_enable", False) is False


def test_aer_samples_the_joined_circuit():
    circuit = layers("cx")
    values = np.random.default_rng(1).uniform(0, 6, (2, 6))
    expected = probabilities(circuit, list(circuit.parameters), values)
    circuit.measure_all()
    (table,) = LocalBackend("aer_simulator").sample([circuit], [values], 10_000, 5)
    found = np.zeros((2, 4))
    found[table.row_of, table.outcomes] = table.counts / 10_000
    np.testing.assert_allclose(found, expected, atol=0.03)


@pytest.mark.parametrize(
    ("qubits", "cores", "options", "circuits", "asked"),
    [
        (10, 2, {}, 4, 2),
        (10, 3, {}, 6, 3),
        (10, 1, {}, 2, 1),
        (9, 2, {}, 2, None),
        (10, 2, {"max_parallel_threads": 1}, 2, None),
    ],
)
def test_rows_are_spread_over_the_cores_where_that_pays(monkeypatch, qubits, cores, options, circuits, asked):
    monkeypatch.setattr(exact, "count_threads", lambda: cores)
    simulator = Listening(**options)
    p = ParameterVector("p", 1)
    circuit = QuantumCircuit(qubits)
    circuit.ry(p[0], 0)
    for qubit in range(1, qubits):
        circuit.cx(0, qubit)
    other = circuit.copy()
    other.x(0)
    values = np.linspace(0, 3, 7)[:, None]
    expected = [probabilities(c, list(c.parameters), values) for c in (circuit, other)]
    forms = []
    for one in (circuit, other):
        one.measure_all()
        forms.append(ExactForms().of(one))
    tables = list(aer_tables(simulator, forms)([(0, values), (1, values)]))
    np.testing.assert_allclose(tables, expected, atol=1e-9)
    assert simulator.circuits == circuits
    assert simulator.asked.get("max_parallel_experiments") == asked
