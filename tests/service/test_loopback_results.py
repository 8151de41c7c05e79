"""Results: what the real primitives get back, compared with local simulation."""

from __future__ import annotations

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, transpile
from qiskit.circuit import Parameter, ParameterVector
from qiskit.primitives import StatevectorEstimator
from qiskit.quantum_info import SparsePauliOp, Statevector, hellinger_fidelity
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime import EstimatorV2, QiskitRuntimeService, SamplerV2

SMALL = "ibm_manila"


def layered(num_qubits, layers):
    """A circuit with all its angles as parameters."""
    angles = iter(ParameterVector("p", 2 * layers * num_qubits))
    circuit = QuantumCircuit(num_qubits)
    for _ in range(layers):
        for qubit in range(num_qubits):
            circuit.ry(next(angles), qubit)
            circuit.rz(next(angles), qubit)
        for qubit in range(num_qubits - 1):
            circuit.cx(qubit, qubit + 1)
    return circuit


@pytest.mark.parametrize("name", ["ibm_torino", SMALL])
def test_sampler_agrees_with_the_state(backend, name):
    """A transpiled circuit, also one on 133 qubits, gives the distribution of its state, bit by bit."""
    _, device = backend(name, backends=(name,))
    circuit = layered(4, 2).assign_parameters(np.linspace(0.1, 2.9, 16))
    expected = Statevector(circuit).probabilities_dict()
    measured = circuit.measure_all(inplace=False)
    compiled = transpile(measured, device, optimization_level=1)
    counts = SamplerV2(device).run([compiled], shots=20_000).result(timeout=120)[0].data.meas.get_counts()
    assert hellinger_fidelity(counts, expected) > 0.995


def test_bit_order_and_registers(backend):
    """Each classical register comes back under its name, its first bit last in the text."""
    _, device = backend()
    wires = QuantumRegister(4)
    low, high, wide = ClassicalRegister(2, "low"), ClassicalRegister(1, "high"), ClassicalRegister(9, "wide")
    circuit = QuantumCircuit(wires, low, high, wide)
    circuit.x([0, 2, 3])
    circuit.measure([0, 1, 2, 3], [low[0], low[1], high[0], wide[8]])
    data = SamplerV2(device).run([circuit], shots=7).result(timeout=120)[0].data
    assert data.low.get_counts() == {"01": 7}
    assert data.high.get_counts() == {"1": 7}
    assert data.wide.get_counts() == {"100000000": 7}
    assert data.wide.array.shape == (7, 2)


def test_overlapping_registers_and_loose_bits(backend):
    """Registers that share bits agree on them; bits without a register do no harm."""
    _, device = backend()
    first = ClassicalRegister(2, "first")
    second = ClassicalRegister(name="second", bits=[first[1]])
    circuit = QuantumCircuit(QuantumRegister(2), first, second)
    circuit.x(1)
    circuit.measure([0, 1], [0, 1])
    data = SamplerV2(device).run([circuit], shots=5).result(timeout=120)[0].data
    assert (data.first.get_counts(), data.second.get_counts()) == ({"10": 5}, {"1": 5})


def test_bindings_keep_their_shape_and_order(backend):
    """Rows of parameter values come back in their shape; columns follow the circuit's own order of parameters."""
    service, device = backend(SMALL)
    b, a = Parameter("b"), Parameter("a")
    circuit = QuantumCircuit(2)
    circuit.rx(b, 0)
    circuit.rx(a, 1)
    circuit.measure_all()
    compiled = transpile(circuit, device, optimization_level=1)
    # circuit.parameters sorts by name: a, then b.
    values = np.pi * np.array([[[0, 0], [0, 1]], [[1, 0], [1, 1]], [[0, 1], [1, 0]]])
    data = SamplerV2(device).run([(compiled, values)], shots=50).result(timeout=120)[0].data
    assert data.meas.shape == (3, 2)
    found = [[max(data.meas[i, j].get_counts()) for j in range(2)] for i in range(3)]
    assert found == [["00", "01"], ["10", "11"], ["01", "10"]]
    assert (service.counters.pubs, service.counters.rows, service.counters.shots) == (1, 6, 300)


def test_pubs_with_their_own_shots(backend, bell):
    """Each PUB has its shots; the default is 4096, or what the options say."""
    _, device = backend()
    result = (
        SamplerV2(device)
        .run([(bell, None, 10), (bell, None, 20), (bell,), (bell, None, 10)])
        .result(timeout=120)
    )
    assert [pub.data.meas.num_shots for pub in result] == [10, 20, 4096, 10]
    options = {"default_shots": 33}
    assert SamplerV2(device, options=options).run([bell]).result(timeout=120)[0].data.meas.num_shots == 33


def test_shots_come_in_random_order(backend, bell):
    """Shots are not sorted by outcome: the first half is like the second."""
    _, device = backend()
    bits = SamplerV2(device).run([bell], shots=4000).result(timeout=120)[0].data.meas.array[:, 0] & 1
    assert abs(bits[:2000].mean() - bits[2000:].mean()) < 0.1


def test_dynamic_circuit(backend):
    """A measurement in mid-circuit steers what follows, on a device as on a simulator."""
    _, device = backend(SMALL)
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    circuit.measure(1, 1)
    compiled = transpile(circuit, device, optimization_level=1)
    counts = SamplerV2(device).run([compiled], shots=2000).result(timeout=120)[0].data.c.get_counts()
    assert set(counts) == {"00", "11"}
    assert abs(counts["11"] - 1000) < 150


def test_circuit_without_measurement(backend):
    """A register that nothing is measured into reads zero; without any register there is no data."""
    _, device = backend()
    silent = QuantumCircuit(1, 1)
    silent.x(0)
    mute = QuantumCircuit(1)
    mute.x(0)
    sampler = SamplerV2(device)
    with pytest.warns(UserWarning, match="no output classical registers"):
        result = sampler.run([silent, mute], shots=5).result(timeout=120)
    assert result[0].data.c.get_counts() == {"0": 5}
    assert list(result[1].data) == []


def test_gates_beyond_aer(backend):
    """On the simulator any gate runs: what Aer does not know is decomposed first."""
    _, device = backend()
    circuit = QuantumCircuit(3)
    circuit.x([0, 1])
    circuit.rccx(0, 1, 2)
    circuit.measure_all()
    assert SamplerV2(device).run([circuit], shots=5).result(timeout=120)[0].data.meas.get_counts() == {
        "111": 5
    }


def test_wide_circuit(backend):
    """Many active qubits are no obstacle where little is entangled."""
    _, device = backend("ibm_torino", backends=("ibm_torino",))
    circuit = QuantumCircuit(40)
    for qubit in range(40):
        circuit.rx(np.pi, qubit)
    circuit.measure_all()
    compiled = transpile(circuit, device, optimization_level=0)
    counts = SamplerV2(device).run([compiled], shots=10).result(timeout=120)[0].data.meas.get_counts()
    assert counts == {"1" * 40: 10}


def test_execution_spans(backend, bell):
    """The result says when it was measured and covers all its shots."""
    _, device = backend()
    result = SamplerV2(device).run([bell], shots=100).result(timeout=120)
    spans = result.metadata["execution"]["execution_spans"]
    assert spans[0].size == 100
    assert spans.start <= spans.stop


@pytest.mark.parametrize("name", ["ibm_torino", SMALL])
def test_estimator_agrees_with_the_state(backend, name):
    """Expectation values lie within their own error bars, for arrays of bindings and observables."""
    service, device = backend(name, backends=(name,))
    circuit = layered(3, 1)
    values = np.linspace(0, 3, 24).reshape(4, 1, 6)
    observables = [
        SparsePauliOp("ZZI"),
        SparsePauliOp(["XXI", "IYZ", "III"], [0.5, -2.0, 0.25]),
        SparsePauliOp("III"),
    ]
    exact = StatevectorEstimator().run([(circuit, observables, values)]).result()[0].data.evs
    compiled = transpile(circuit, device, optimization_level=1)
    laid_out = [observable.apply_layout(compiled.layout) for observable in observables]
    pub = EstimatorV2(device).run([(compiled, laid_out, values)], precision=0.02).result(timeout=120)[0]
    assert pub.data.evs.shape == (4, 3)
    assert np.all(np.abs(pub.data.evs - exact) <= 8 * pub.data.stds + 1e-9)
    assert np.all(pub.data.stds[:, 2] == 0)
    assert pub.metadata["shots"] == 2500
    assert pub.metadata["target_precision"] == 0.02
    assert set(pub.data) == {"evs", "stds", "ensemble_standard_error"}
    # ZZI and IYZ disagree on qubit 1, and XXI with both: three settings of measurements, four rows each.
    assert (service.counters.rows, service.counters.shots) == (12, 12 * 2500)


def test_estimator_stays_within_the_spectrum(backend):
    """However few the shots, a Pauli's expectation value is between -1 and 1."""
    _, device = backend()
    circuit = QuantumCircuit(1)
    circuit.ry(Parameter("t"), 0)
    values = np.linspace(0, 0.5, 40)[:, None]
    evs = EstimatorV2(device).run([(circuit, "Z", values)], precision=0.3).result(timeout=120)[0].data.evs
    assert evs.max() <= 1
    assert evs.std() > 0


def test_estimator_observable_on_idle_qubits(backend):
    """An observable may touch qubits on which no gate acts."""
    _, device = backend("ibm_torino", backends=("ibm_torino",))
    circuit = QuantumCircuit(133)
    circuit.x(7)
    observable = SparsePauliOp.from_sparse_list([("ZZ", [7, 90], 1.0)], 133)
    assert EstimatorV2(device).run([(circuit, observable)]).result(timeout=120)[0].data.evs == -1


@pytest.mark.parametrize(
    ("options", "shots"),
    [
        ({}, 4096),
        ({"default_precision": 0.1}, 100),
        ({"default_shots": 1000, "default_precision": 0.1}, 1000),
    ],
)
def test_estimator_precision(backend, options, shots):
    """Shots follow from the precision, by default 4096; default_shots beats default_precision."""
    _, device = backend()
    circuit = QuantumCircuit(1)
    circuit.h(0)
    pub = EstimatorV2(device, options=options).run([(circuit, "Z")]).result(timeout=120)[0]
    assert pub.metadata["shots"] == shots


def test_seed_makes_results_repeatable(start):
    """With a seed equal content gives equal results, in another service and in another order; other content differs."""
    found = []
    for _ in range(2):
        service = start(seed=7)
        with service.applied():
            device = QiskitRuntimeService(token="loopback-token").backend("loopback_simulator")
            circuit = layered(2, 1)
            circuit.measure_all()
            values = [[0.5, 1.0, 1.5, 2.0]]
            first = SamplerV2(device).run([(circuit, values)], shots=200).result(timeout=120)[0].data.meas
            other = SamplerV2(device).run([(circuit, values)], shots=300).result(timeout=120)[0].data.meas
            again = SamplerV2(device).run([(circuit, values)], shots=200).result(timeout=120)[0].data.meas
            estimate = EstimatorV2(device).run(
                [(circuit.remove_final_measurements(inplace=False), "ZX", values)]
            )
            found.append((first, float(estimate.result(timeout=120)[0].data.evs[0])))
            assert np.array_equal(first.array, again.array)
            assert not np.array_equal(first.array, other.array[:, :200])
    assert np.array_equal(found[0][0].array, found[1][0].array)
    assert found[0][1] == found[1][1]


def test_without_seed_results_differ(backend, bell):
    """Without a seed each job draws anew."""
    _, device = backend()
    one, two = (SamplerV2(device).run([bell], shots=500).result(timeout=120)[0].data.meas for _ in range(2))
    assert not np.array_equal(one.array, two.array)


def test_noise(backend):
    """With noise the errors of the snapshot show; a circuit that always gives 0 no longer does."""
    _, device = backend("ibm_torino", backends=("ibm_torino",), noise=True)
    circuit = QuantumCircuit(3)
    for _ in range(10):
        circuit.x([0, 1, 2])
        circuit.cx(0, 1)
        circuit.cx(1, 2)
        circuit.cx(1, 2)
        circuit.cx(0, 1)
        circuit.barrier()
        circuit.x([0, 1, 2])
    circuit.measure_all()
    compiled = transpile(circuit, device, optimization_level=0)
    counts = SamplerV2(device).run([compiled], shots=2000).result(timeout=120)[0].data.meas.get_counts()
    assert 0.5 < counts["000"] / 2000 < 0.99


@pytest.mark.parametrize("rows", [72])
def test_many_rows_are_one_simulation(backend, monkeypatch, rows):
    """A PUB of 72 rows is one call of Aer, which takes well under the time of 72."""
    calls, run = [], AerSimulator.run
    monkeypatch.setattr(AerSimulator, "run", lambda self, *a, **k: calls.append(1) or run(self, *a, **k))
    service, device = backend(SMALL)
    circuit = transpile(layered(4, 3).measure_all(inplace=False), device, optimization_level=1)
    values = np.random.default_rng(1).uniform(0, 3, (rows, circuit.num_parameters))
    SamplerV2(device).run([(circuit, values)]).result(timeout=120)
    (job,) = service.jobs
    assert job.rows == rows
    assert len(calls) == 1
