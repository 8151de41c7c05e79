"""The program ``executor``: what the primitives get back that prepare their circuits themselves."""

from __future__ import annotations

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, transpile
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp, Statevector, hellinger_fidelity
from qiskit_ibm_runtime import Batch, QiskitRuntimeService
from qiskit_ibm_runtime.exceptions import RuntimeJobFailureError

from pennylane_threaded_ibmq.loopback import DEFAULT_CRN, Fault, Instance

pytest.importorskip(
    "qiskit_ibm_runtime.executor_sampler", reason="needs the client-side primitives of IBM's client"
)

from qiskit_ibm_runtime.decoders.executor.decoder import ExecutorResultDecoder
from qiskit_ibm_runtime.executor_estimator import EstimatorV2
from qiskit_ibm_runtime.executor_sampler import SamplerV2
from qiskit_ibm_runtime.executor_sampler.prepare import prepare
from qiskit_ibm_runtime.options_models import SamplerOptions
from qiskit_ibm_runtime.quantum_program.params_converters import QUANTUM_PROGRAM_PARAMS_CONVERTERS

SMALL = "ibm_manila"
LARGE = "ibm_torino"
TWIRLED = {"twirling": {"enable_gates": True, "enable_measure": True}}


def rotated():
    """Two entangled qubits behind two angles, named against their order."""
    circuit = QuantumCircuit(2)
    circuit.ry(Parameter("b"), 0)
    circuit.cx(0, 1)
    circuit.rx(Parameter("a"), 1)
    return circuit


@pytest.mark.parametrize("options", [{}, TWIRLED])
@pytest.mark.parametrize("name", [LARGE, SMALL])
def test_sampler_agrees_with_the_state(backend, name, options):
    """Each row gives the distribution of its state, whatever twirling does to it on the way."""
    service, device = backend(name, backends=(name,))
    circuit = rotated()
    values = np.array([[0.3, 1.2], [2.1, 0.4], [1.0, 3.0]])
    compiled = transpile(circuit.measure_all(inplace=False), device, optimization_level=1)
    job = SamplerV2(device, options=options).run([(compiled, values)], shots=8192)
    data = job.result(timeout=120)[0].data.meas
    assert data.shape == (3,)
    for row, angles in enumerate(values):
        expected = Statevector(circuit.assign_parameters(angles)).probabilities_dict()
        assert hellinger_fidelity(data[row].get_counts(), expected) > 0.995
    (record,) = service.jobs
    assert (record.program_id, record.pubs) == ("executor", 1)
    assert (record.rows, record.shots) == ((96, 3 * 8192) if options else (3, 3 * 8192))


def test_bit_order_and_registers(backend):
    """Each classical register comes back under its name, its first bit last in the text; PUBs keep their order."""
    _, device = backend()
    wires = QuantumRegister(4)
    low, wide = ClassicalRegister(2, "low"), ClassicalRegister(9, "wide")
    circuit = QuantumCircuit(wires, low, wide)
    circuit.x([0, 3])
    circuit.measure([0, 1, 3], [low[0], low[1], wide[8]])
    other = QuantumCircuit(1)
    other.measure_all()
    first, second = SamplerV2(device).run([circuit, other], shots=7).result(timeout=120)
    assert first.data.low.get_counts() == {"01": 7}
    assert first.data.wide.get_counts() == {"100000000": 7}
    assert second.data.meas.get_counts() == {"0": 7}


@pytest.mark.parametrize(("asked", "given"), [(1, 64), (100, 128), (1000, 1024), (5000, 5024)])
def test_twirled_sampler_returns_whole_randomizations(backend, asked, given):
    """With twirling, shots are rounded up to randomizations, and no flip of a measurement is left in the outcomes."""
    service, device = backend(SMALL)
    compiled = transpile(numbered(5), device, optimization_level=0)
    job = SamplerV2(device, options=TWIRLED).run([compiled], shots=asked)
    assert job.result(timeout=120)[0].data.meas.get_counts() == {"101": given}
    assert service.jobs[0].shots == given


def test_rows_keep_their_shape(backend):
    """Rows in more than one dimension keep their place, with randomizations too."""
    _, device = backend(SMALL)
    circuit = QuantumCircuit(2)
    circuit.rx(Parameter("b"), 0)
    circuit.rx(Parameter("a"), 1)
    circuit.measure_all()
    compiled = transpile(circuit, device, optimization_level=1)
    values = np.pi * np.array([[[0, 0], [0, 1]], [[1, 0], [1, 1]], [[0, 1], [1, 0]]])  # a, then b
    for options in ({}, TWIRLED):
        data = (
            SamplerV2(device, options=options)
            .run([(compiled, values)], shots=128)
            .result(timeout=120)[0]
            .data
        )
        found = [[next(iter(data.meas[i, j].get_counts())) for j in range(2)] for i in range(3)]
        assert found == [["00", "01"], ["10", "11"], ["01", "10"]]


@pytest.mark.parametrize("level", [0, 1, 2])
def test_estimator_agrees_with_the_state(backend, level):
    """At each resilience level 133 measured qubits give the expectation values of the two that matter."""
    _, device = backend(LARGE, backends=(LARGE,), seed=5)
    circuit = rotated()
    values = np.array([[0.3, 1.2], [2.1, 0.4], [1.0, 3.0]])
    observables = [SparsePauliOp("IZ"), SparsePauliOp(["ZZ", "XI", "II"], [1.0, 0.5, 0.25])]
    compiled = transpile(circuit, device, optimization_level=1)
    laid_out = [[observable.apply_layout(compiled.layout)] for observable in observables]
    job = EstimatorV2(device, options={"resilience_level": level}).run(
        [(compiled, laid_out, values)], precision=1 / 64
    )
    data = job.result(timeout=120)[0].data
    states = [Statevector(circuit.assign_parameters(angles)) for angles in values]
    exact = [[state.expectation_value(observable).real for state in states] for observable in observables]
    assert data.evs.shape == (2, 3)
    assert np.allclose(data.evs, exact, atol=0.15 if level == 2 else 0.1)


def numbered(number):
    """A circuit that always gives a number of three bits."""
    circuit = QuantumCircuit(3)
    for bit in range(3):
        if number >> bit & 1:
            circuit.x(bit)
    circuit.measure_all()
    return circuit


def test_pubs_share_one_simulation_and_come_back_in_order(backend):
    """PUBs of different circuits do not get mixed up."""
    _, device = backend()
    numbers = (5, 2, 7, 0)
    result = SamplerV2(device).run([numbered(number) for number in numbers], shots=20).result(timeout=120)
    assert [pub.data.meas.get_counts() for pub in result] == [{f"{number:03b}": 20} for number in numbers]


def test_measurement_that_decides(backend):
    """A branch on an outcome follows it, and qubits that are apart stay independent."""
    _, device = backend()
    wires, first, last = QuantumRegister(3), ClassicalRegister(1, "first"), ClassicalRegister(2, "last")
    circuit = QuantumCircuit(wires, first, last)
    circuit.h([0, 2])
    circuit.measure(0, first[0])
    with circuit.if_test((first, 1)):
        circuit.x(1)
    circuit.measure([1, 2], last)
    data = SamplerV2(device).run([circuit], shots=2000).result(timeout=120)[0].data
    assert (data.first.array & 1 == data.last.array & 1).all()
    joint = data.last.get_counts()
    assert all(joint[key] == pytest.approx(500, abs=150) for key in ("00", "01", "10", "11"))


def test_job_mode_may_pay_from_another_instance(loopback, bell):
    """In job mode the client looks its backend up again by name and may find it elsewhere; a batch keeps its instance."""
    second = Instance(
        crn=DEFAULT_CRN.replace("000001::", "000002::"), name="second", plan="premium", pricing_type="paid"
    )
    service = loopback(instances=(Instance(), second))
    client = QiskitRuntimeService(token="loopback-token")
    (device,) = client.backends(SMALL, instance=second.crn)
    assert device._instance == second.crn
    compiled = transpile(bell, device, optimization_level=0)
    SamplerV2(device).run([compiled])
    with Batch(device) as batch:
        SamplerV2(batch).run([compiled])
    assert [job.instance for job in service.jobs] == [DEFAULT_CRN, second.crn]


# --------------------------------------------------------------------------------------------------------- noise


def test_readout_errors_are_mitigated(backend):
    """With noise the unmitigated value misses by the readout error of the qubit; TREX, at level 1, brings it back."""
    _, device = backend(SMALL, noise=True)
    circuit = QuantumCircuit(1)
    circuit.x(0)
    compiled = transpile(circuit, device, initial_layout=[3], optimization_level=0)
    observable = SparsePauliOp("Z").apply_layout(compiled.layout)
    found = [
        float(
            EstimatorV2(device, options={"resilience_level": level})
            .run([(compiled, observable)], precision=1 / 200)
            .result(timeout=120)[0]
            .data.evs
        )
        for level in (0, 1)
    ]
    missing = device.properties().readout_error(3)  # Aer's model of it is symmetric
    assert found[0] == pytest.approx(-1 + 2 * missing, abs=0.01)
    assert found[1] == pytest.approx(-1, abs=0.025)
    assert abs(found[1] + 1) < abs(found[0] + 1)


# ---------------------------------------------------------------------------------------------- seeds and schemas


@pytest.mark.parametrize("options", [{}, TWIRLED])
def test_seeded_rows_depend_on_their_content_alone(backend, options):
    """With a seed a row gives the same outcomes in any company; other rows give others."""
    _, device = backend(SMALL, seed=7)
    compiled = transpile(rotated().measure_all(inplace=False), device, optimization_level=1)
    sampler = SamplerV2(device, options=options)

    def rows(values):
        data = sampler.run([(compiled, values)], shots=256).result(timeout=120)[0].data.meas
        return [data[index].get_bitstrings() for index in range(len(values))]

    first, second, third = rows([[0.3, 1.2], [2.1, 0.4], [0.3, 1.2]])
    assert first == third != second
    assert rows([[2.1, 0.4]]) == [second]


@pytest.mark.parametrize("level", [0, 1, 2])
def test_seeded_expectation_values_depend_on_their_content_alone(backend, level):
    """With a seed a row's expectation value is the same in any company, and in any later job."""
    _, device = backend(SMALL, seed=7)
    compiled = transpile(rotated(), device, optimization_level=1)
    observables = [SparsePauliOp(label).apply_layout(compiled.layout) for label in ("ZI", "XX")]
    estimator = EstimatorV2(device, options={"resilience_level": level})

    def values(*rows):
        pub = (compiled, observables, np.array(rows)[:, None])
        return estimator.run([pub], precision=1 / 16).result(timeout=120)[0].data.evs.tolist()

    first, second = values([0.3, 1.2], [2.1, 0.4])
    assert values([2.1, 0.4]) == [second]
    assert values([2.1, 0.4], [1.0, 1.0], [0.3, 1.2])[::2] == [second, first]


def body_of(version, options=None):
    """The body of a job of one circuit that always gives 101, in one version of the schema."""
    program, executor_options = prepare([numbered(5)], SamplerOptions(**(options or {})), 64)
    program._semantic_role = "sampler_v2"
    params = QUANTUM_PROGRAM_PARAMS_CONVERTERS[version].encoder(program, executor_options)
    return {"program_id": "executor", "backend": SMALL, "params": params.model_dump(mode="json")}


@pytest.mark.parametrize("options", [{}, TWIRLED])
@pytest.mark.parametrize("version", sorted(QUANTUM_PROGRAM_PARAMS_CONVERTERS))
def test_each_version_of_the_schema(rest, version, options):
    """What is sent in a version of the schema is answered in it, with all that the client needs to read it."""
    session = rest()
    body = body_of(version, options)
    job = session.ask("POST", "/jobs", body).json()["id"]
    assert session.service.wait_for_jobs(1)[0].status == "Completed"
    result = ExecutorResultDecoder.decode(session.ask("GET", f"/jobs/{job}/results").text)
    (item,) = result
    flips = item.get("measurement_flips.meas", np.zeros((1, 1, 3), dtype=bool))
    assert item["meas"].shape == ((1, 64, 3) if options else (64, 3))
    assert ((item["meas"] ^ flips) == [True, False, True]).all()
    if version >= "v1":
        assert result._semantic_role == "sampler_v2"
        assert result.passthrough_data["post_processor"]["version"] == "v0.1"


def test_bodies_that_cannot_be_run(rest):
    """A body without items is refused at once; what cannot be decoded, or fits no backend, fails with a reason."""
    session = rest()
    body = body_of("v2.0")
    for params in ({}, {"quantum_program": 3}, {"quantum_program": {"items": []}}):
        answer = session.ask("POST", "/jobs", {**body, "params": params})
        assert answer.status_code == 400
        assert "params.quantum_program.items must be a list that is not empty" in answer.text
    program = body["params"]["quantum_program"]
    spoilt = [
        {**body["params"], "schema_version": "v9.9"},
        {**body["params"], "quantum_program": {**program, "circuits": {}}},
        {**body["params"], "quantum_program": {**program, "meas_level": "kerneled"}},
    ]
    for params in spoilt:
        assert session.ask("POST", "/jobs", {**body, "params": params}).status_code == 200
    records = session.service.wait_for_jobs(3)
    assert [record.reason_code for record in records] == [1002] * 3
    assert "'v9.9'" in records[0].reason
    assert "meas_level 'kerneled' cannot be simulated" in records[2].reason


def test_circuit_that_does_not_fit_the_backend(backend):
    """The client does not look whether a circuit fits the backend: the job fails."""
    service, device = backend(SMALL)
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.measure_all()
    with pytest.raises(RuntimeJobFailureError, match="The instruction h on qubits"):
        SamplerV2(device).run([circuit], shots=10).result(timeout=120)
    assert (service.jobs[0].reason_code, service.counters.billed_jobs) == (1106, 0)


@pytest.mark.parametrize("options", [{}, TWIRLED])
def test_results_of_another_size(backend, options):
    """The faults that change numbers of PUBs and rows do so here too."""
    service, device = backend(SMALL)
    compiled = transpile(rotated().measure_all(inplace=False), device, optimization_level=1)
    job = SamplerV2(device, options=options).run(
        [(compiled, np.zeros((3, 2))), (compiled, np.zeros((2, 2)))], shots=64
    )
    service.wait_for_jobs(1)

    def shapes(**fields):
        service.inject(Fault(on="GET /jobs/{id}/results", **fields))
        return [pub.data.meas.shape for pub in QiskitRuntimeService().job(job.job_id()).result(timeout=120)]

    assert shapes(effect="rows") == [(2,), (1,)]
    assert shapes(effect="rows", delta=2) == [(5,), (4,)]
    assert shapes(effect="extra") == [(3,), (2,)]
    service.inject(Fault(on="GET /jobs/{id}/results", effect="pubs"))
    with pytest.raises(ValueError, match=r"shorter|length|number"):
        QiskitRuntimeService().job(job.job_id()).result(timeout=120)


def test_faults_and_inputs(backend, bell):
    """Jobs of the executor have inputs, are listed by their program, and meet the same faults as others."""
    service, device = backend()
    job = SamplerV2(device).run([bell], shots=10)
    job.result(timeout=120)
    assert job.inputs.keys() == {"schema_version", "quantum_program", "options"}
    assert [found.job_id() for found in QiskitRuntimeService().jobs(program_id="executor")] == [job.job_id()]
    service.inject(Fault(effect="job", on="POST /jobs", reason="Calibration lost."))
    with pytest.raises(RuntimeJobFailureError, match="Calibration lost"):
        SamplerV2(device).run([bell]).result(timeout=120)
