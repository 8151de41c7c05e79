"""The classic side of the loopback service, as the real qiskit-ibm-provider and qiskit.ibmq use it: what goes well."""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
import pennylane as qml
import pytest
from packaging.version import Version
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, transpile
from qiskit_ibm_provider import IBMProvider

from pennylane_threaded_ibmq.loopback import CLASSIC_SIMULATOR, Project

SMALL = "ibmq_lima"
MEDIUM = "ibm_hanoi"
LOGIN = {
    "GET /version": 1,
    "POST /users/loginWithToken": 1,
    "GET /users/me": 1,
    "GET /Network": 1,
}


def finished(service, job, bounded):
    """The result of a job without the client's three seconds between two looks."""
    service.wait_for_jobs(len(service.jobs))
    return bounded(job.result)


def test_login_costs_what_ibms_does(start, login):
    """Four requests, one for each project, and one for the backend that is asked for."""
    service = start(projects=(Project(), Project(hub="lab", group="a", project="b")))
    login(service).get_backend(SMALL)
    expected = {**LOGIN, "GET /backends": 2, "GET /backends/{name}/configuration": 1}
    assert service.counters.by_route == dict(sorted(expected.items()))
    assert service.counters.logins == 1
    assert service.counters.connections <= 4  # kept alive: one for each of the client's sessions


def test_projects_and_their_backends(start, login):
    """Projects are listed with the default first, and each has its own backends."""
    projects = (
        Project(hub="lab", group="a", project="b", backends=(SMALL,)),
        Project(),
    )
    provider = login(start(projects=projects))
    # The client expects the open project as the default, and puts it last.
    assert provider.instances() == ["ibm-q/open/main", "lab/a/b"]
    names = {backend.name for backend in provider.backends()}
    assert names == {CLASSIC_SIMULATOR, SMALL}
    assert [backend.name for backend in provider.backends(instance="lab/a/b")] == [SMALL]


def test_backends_describe_themselves(start, login):
    provider = login(start(classic_backends=(CLASSIC_SIMULATOR, SMALL, MEDIUM)))
    simulator, small, medium = (provider.get_backend(name) for name in (CLASSIC_SIMULATOR, SMALL, MEDIUM))
    assert [item.num_qubits for item in (simulator, small, medium)] == [32, 5, 27]
    assert simulator.configuration().simulator
    assert simulator.properties() is None
    assert not small.configuration().simulator
    assert len(small.properties().qubits) == 5
    assert small.defaults() is None
    assert small.status().operational
    assert small.status().pending_jobs == 0
    assert small.max_circuits == 900


def test_counts_and_memory(backend, bell, bounded):
    """Counts and memory tell the same, in Qiskit's bit order, for each circuit under its own name."""
    service, simulator = backend()
    other = QuantumCircuit(
        QuantumRegister(3), ClassicalRegister(2, "a"), ClassicalRegister(1, "b"), name="other"
    )
    other.x(0)
    other.measure([0, 1, 2], [0, 1, 2])
    job = simulator.run([bell, other], shots=500, memory=True)
    result = finished(service, job, bounded)
    assert set(result.get_counts("bell")) == {"00", "11"}
    memory = result.get_memory("bell")
    assert len(memory) == 500
    assert {word: memory.count(word) for word in set(memory)} == result.get_counts("bell")
    assert memory != sorted(memory)  # in random order, as a machine gives them
    assert result.get_counts("other") == {"0 01": 500}
    assert result.results[1].header.creg_sizes == [["a", 2], ["b", 1]]
    (record,) = service.jobs
    assert (record.pubs, record.rows, record.shots, record.usage_secs) == (2, 2, 1000, 2.25)
    assert (record.instance, record.program_id) == ("ibm-q/open/main", "circuit-runner")


def test_a_run_costs_what_ibms_does(backend, bell, bounded):
    service, simulator = backend()
    service.reset_counters()
    job = simulator.run(bell)
    finished(service, job, bounded)
    by_route = service.counters.by_route
    assert by_route == {
        "GET /backends/{name}/status": 1,
        "POST /jobs": 1,
        "GET /jobs/{id}": 1,
        "GET /facade/v1/jobs/{id}/type": 1,
        "GET /jobs/{id}/results": 1,
    }
    assert service.jobs[0].shots == 4000


@pytest.mark.parametrize("name", [SMALL, MEDIUM])
@pytest.mark.parametrize("level", [0, 3])
def test_devices_take_what_is_compiled_for_them(backend, bell, bounded, name, level):
    service, device = backend(name, classic_backends=(SMALL, MEDIUM))
    circuit = transpile(bell, device, optimization_level=level)
    assert circuit.num_qubits == device.num_qubits
    counts = finished(service, device.run(circuit, shots=300), bounded).get_counts()
    assert set(counts) == {"00", "11"}


def test_devices_can_be_noisy(backend, bell, bounded):
    service, device = backend(SMALL, noise=True, seed=1)
    circuit = transpile(bell, device, initial_layout=[0, 1])
    counts = finished(service, device.run(circuit, shots=4000), bounded).get_counts()
    wrong = (counts.get("01", 0) + counts.get("10", 0)) / 4000
    assert 0.01 < wrong < 0.25


def test_a_foreign_circuit_fails(backend, bell, bounded):
    """What is not compiled for the device ends as a failed job with the reason that the client shows."""
    service, device = backend(SMALL)
    job = device.run(bell)
    service.wait_for_jobs(1)
    assert job.status().name == "ERROR"
    assert service.jobs[0].reason_code == 1106
    assert "instruction h on qubits (0,)" in job.error_message()


def test_a_long_result_comes_from_its_url(backend, bell, bounded):
    service, simulator = backend(inline_bytes=1000)
    result = finished(service, simulator.run(bell, shots=2000, memory=True), bounded)
    assert len(result.get_memory()) == 2000
    assert service.counters.by_route["GET /storage/{id}"] == 1


def test_a_seed_of_the_job(backend, bell, bounded):
    service, simulator = backend()
    seeded = [
        finished(service, simulator.run(bell, seed_simulator=seed, memory=True), bounded).get_memory()
        for seed in (7, 7, 8)
    ]
    assert seeded[0] == seeded[1] != seeded[2]


@pytest.mark.skipif(
    Version(version("qiskit-ibm-provider")) < Version("0.7"), reason="this client cannot send one"
)
def test_a_noise_model_of_the_job(backend, bounded):
    from qiskit_aer.noise import NoiseModel, ReadoutError

    service, simulator = backend()
    noise = NoiseModel()
    noise.add_readout_error(ReadoutError([[0.0, 1.0], [1.0, 0.0]]), [0])
    flat = QuantumCircuit(2)
    flat.measure_all()
    job = simulator.run(flat, noise_model=noise, shots=50)
    assert finished(service, job, bounded).get_counts() == {"01": 50}


def test_dynamic_circuits(backend, bounded):
    service, simulator = backend()
    circuit = QuantumCircuit(1, 2)
    circuit.x(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(0)
    circuit.measure(0, 1)
    job = simulator.run(circuit, dynamic=True, shots=20)
    assert finished(service, job, bounded).get_counts() == {"01": 20}
    assert service.jobs[0].program_id == "qasm3-runner"


def test_an_environment_leads_to_the_service(loopback, bell, bounded):
    """Programs that name neither token nor address reach it, and nothing is written to the home."""
    service = loopback()
    provider = IBMProvider()
    job = provider.get_backend(CLASSIC_SIMULATOR).run(bell, shots=10)
    assert sum(finished(service, job, bounded).get_counts().values()) == 10


def test_ibms_own_address_is_caught(start, login, bell, bounded):
    """A program that brings its token and knows nothing of the service ends there, through the proxy."""
    service = start()
    with service.applied():
        provider = IBMProvider(token="loopback-token")
        job = provider.get_backend(CLASSIC_SIMULATOR).run(bell, shots=10)
        assert sum(finished(service, job, bounded).get_counts().values()) == 10
    assert service.counters.tunnels >= 3


# -------------------------------------------------------------------------------------------- qiskit.ibmq


@pytest.fixture
def eager(monkeypatch):
    """The client looks for a job's end every 10 ms in place of every 3 s; nothing else of it changes."""
    from qiskit_ibm_provider.job import ibm_circuit_job

    class Time:
        time = staticmethod(ibm_circuit_job.time.time)
        sleep = staticmethod(lambda secs, sleep=ibm_circuit_job.time.sleep: sleep(0.01))

    monkeypatch.setattr(ibm_circuit_job, "time", Time)


def test_qnode_and_gradient(start, ibmq, bounded, eager):
    """A QNode is a job; its gradient is one more with all shifted tapes."""
    service = start(seed=1)
    dev = ibmq(service, shots=4000)

    @qml.qnode(dev, diff_method="parameter-shift")
    def circuit(x):
        qml.RX(x, 0)
        qml.CNOT([0, 1])
        return qml.expval(qml.PauliZ(1))

    x = qml.numpy.array(0.5, requires_grad=True)
    assert bounded(circuit, x) == pytest.approx(np.cos(0.5), abs=0.05)
    assert [job.pubs for job in service.jobs] == [1]
    assert bounded(qml.grad(circuit), x) == pytest.approx(-np.sin(0.5), abs=0.05)
    assert [job.pubs for job in service.jobs] == [1, 1, 2]
    assert service.counters.logins == 1


def test_samples_and_tracker(start, ibmq, bounded, eager):
    service = start()
    dev = ibmq(service, shots=100)

    @qml.qnode(dev)
    def circuit():
        qml.PauliX(0)
        return qml.sample(wires=[0, 1])

    with qml.Tracker(dev) as tracker:
        samples = bounded(circuit)
    assert samples.shape == (100, 2)
    assert (samples == [1, 0]).all()
    assert tracker.totals["executions"] == 1
    assert set(tracker.history["job_time"][0]) >= {"queued", "running"}
