"""Circuits that the user compiles: by a pass manager of their own, or not at all."""

from __future__ import annotations

import numpy as np
import pennylane as qml
import pytest
from click.testing import CliRunner
from qiskit.circuit.library import RZGate
from qiskit.transpiler import PassManager, generate_preset_pass_manager
from qiskit.transpiler.basepasses import TransformationPass
from qiskit_ibm_runtime.fake_provider import FakeManilaV2

from pennylane_threaded_ibmq.cli import main
from pennylane_threaded_ibmq.exceptions import ConfigurationError
from pennylane_threaded_ibmq.loopback import JobStatus

SMALL = "ibm_manila"
LAYOUT = [3, 2]


class CountRuns(TransformationPass):
    """A pass of the user's own: writes each CX three times, which is the same gate and noisier."""

    def run(self, dag):
        for node in list(dag.op_nodes()):
            if node.op.name == "cx":
                for _ in range(2):
                    dag.apply_operation_back(node.op, node.qargs)
        return dag


def preset(seed=1, layout=None):
    return generate_preset_pass_manager(
        1, backend=FakeManilaV2(), seed_transpiler=seed, initial_layout=layout
    )


def tape(angle=0.7, *measurements, shots=2000):
    return qml.tape.QuantumScript(
        [qml.RY(angle, 0), qml.CNOT([0, 1])], measurements or [qml.expval(qml.Z(1))], shots=shots
    )


def isa(angle=0.7, wires=(0, 1), shots=2000):
    """RY by the gates of ibm_manila, and a CX that it has."""
    gates = [qml.SX(wires[0]), qml.RZ(angle + np.pi, wires[0]), qml.SX(wires[0]), qml.CNOT(wires)]
    return qml.tape.QuantumScript(gates, [qml.expval(qml.Z(wires[1]))], shots=shots)


def qubits_of(circuit):
    return {
        circuit.find_bit(q).index
        for one in circuit.data
        for q in one.qubits
        if one.operation.name != "barrier"
    }


def compiled(dev, one):
    shards = dev._plan((one,)).shards
    from pennylane_threaded_ibmq.circuits.plan import compiled_circuits

    return compiled_circuits(shards[0].blocks[0])[0]


# ----------------------------------------------------------------------------------------------------- pass manager


@pytest.mark.parametrize("primitive", ["estimator", "sampler"])
def test_a_pass_manager_compiles_what_is_sent(loopback, device, primitive):
    service = loopback()
    dev = device(pass_manager=preset(layout=LAYOUT), primitive=primitive)
    found = dev.batch_execute([tape(0.7), tape(0.9), tape(0.7, qml.expval(qml.X(0) @ qml.X(1)))])
    np.testing.assert_allclose(found, [np.cos(0.7), np.cos(0.9), np.sin(0.7)], atol=0.15)
    assert qubits_of(compiled(dev, tape())) == {2, 3}
    assert service.counters.jobs >= 1


def test_a_pass_manager_compiles_what_is_simulated_here():
    dev = qml.device("threaded.ibmq", wires=2, backend="fake_manila", pass_manager=preset(layout=LAYOUT))
    (found,) = dev.batch_execute([tape(0.7, shots=4000)])
    assert found == pytest.approx(np.cos(0.7), abs=0.2)
    assert qubits_of(compiled(dev, tape())) == {2, 3}
    plain = qml.device("threaded.ibmq", wires=2, backend="aer_simulator", pass_manager=PassManager([]))
    assert plain.batch_execute([tape(0.7, shots=4000)])[0] == pytest.approx(np.cos(0.7), abs=0.1)


def test_a_gradient_compiles_once_by_the_pass_manager(loopback, device):
    loopback()
    dev = device(pass_manager=preset(), journal=False)

    @qml.set_shots(2000)
    @qml.qnode(dev, diff_method="parameter-shift")
    def cost(x):
        qml.RY(x, 0)
        qml.CNOT([0, 1])
        return qml.expval(qml.Z(1))

    x = qml.numpy.array(0.7, requires_grad=True)
    assert qml.grad(cost)(x) == pytest.approx(-np.sin(0.7), abs=0.1)
    assert dev.transpiles == 1


def test_a_pass_manager_that_leaves_gates_of_no_backend_is_refused(loopback, device):
    service = loopback()
    dev = device(pass_manager=PassManager([]))
    with pytest.raises(
        ConfigurationError, match=r"pass_manager: .*'ry'.*ibm_manila.*sx.*Nothing was sent"
    ) as caught:
        dev.batch_execute([tape()])
    assert caught.value.argument == "pass_manager"
    assert service.counters.jobs == 0
    assert dev.batches() == ()


def test_a_rerun_with_the_same_pass_manager_made_anew_takes_the_job_that_is_there(loopback, device):
    service = loopback()
    service.hold()
    handle = device(pass_manager=preset()).submit([tape()])
    service.wait_for_jobs(1, JobStatus.QUEUED)
    handle.detach()
    noisier = device(pass_manager=PassManager([*preset().to_flow_controller().tasks, CountRuns()]))
    other = noisier.submit([tape()])
    service.wait_for_jobs(2, JobStatus.QUEUED)
    other.detach()
    service.release()
    again = device(pass_manager=preset()).submit([tape()])
    again.result()
    assert again.job_ids == handle.job_ids
    assert set(other.job_ids).isdisjoint(again.job_ids)
    assert service.counters.jobs == 2


def test_a_batch_of_a_pass_manager_is_resumed_with_one_only(loopback, device):
    service = loopback()
    dev = device(pass_manager=preset())
    handle = dev.submit([tape()])
    expected = handle.result()
    with pytest.raises(ConfigurationError, match="other pass_manager than this device has"):
        device().resume(handle.batch_id)
    told = CliRunner().invoke(
        main, ["resume", handle.batch_id, "--send", "--journal", str(dev._journal().path)]
    )
    assert "objects as pass_manager" in told.output
    assert device(pass_manager=preset()).resume(handle.batch_id).result() == expected
    assert service.counters.jobs == 1


def test_a_pass_manager_that_compiles_by_chance_is_named(loopback, device):
    class Chance(TransformationPass):
        """Adds two gates of a random angle that undo each other."""

        def run(self, dag):
            angle = np.random.default_rng().uniform(0.1, 3.0)
            for turn in (angle, -angle):
                dag.apply_operation_front(RZGate(turn), [dag.qubits[0]])
            return dag

    loopback()
    manager = PassManager([*preset().to_flow_controller().tasks, Chance()])
    with pytest.warns(UserWarning, match=r"differently each time.*pay for them again"):
        device(pass_manager=manager).batch_execute([tape()])


@pytest.mark.parametrize("value", ["level 3", object(), 3])
def test_what_is_no_pass_manager_is_refused(loopback, device, value):
    service = loopback()
    with pytest.raises(ConfigurationError, match=r"a PassManager of qiskit\.transpiler is needed") as caught:
        device(pass_manager=value)
    assert caught.value.argument == "pass_manager"
    assert service.counters.requests == 0


@pytest.mark.parametrize(
    "options",
    [
        {"transpile_options": {"optimization_level": 3}},
        {"compile_backend": "fake_manila"},
        {"skip_transpilation": True},
    ],
    ids=str,
)
def test_two_ways_to_compile_are_one_too_many(device, options):
    with pytest.raises(ConfigurationError, match="cannot both say how circuits are compiled"):
        qml.device("threaded.ibmq", wires=2, pass_manager=preset(), **options)


def test_lightning_takes_no_pass_manager():
    with pytest.raises(ConfigurationError, match="Lightning takes no circuits of a pass manager's"):
        qml.device("threaded.ibmq", wires=2, simulator="lightning", pass_manager=preset())


# ------------------------------------------------------------------------------------------------------------- skip


@pytest.mark.parametrize("primitive", ["estimator", "sampler"])
def test_circuits_of_the_backends_own_gates_are_sent_as_they_are(loopback, device, primitive):
    service = loopback()
    dev = device(wires=5, skip_transpilation=True, primitive=primitive)
    found = dev.batch_execute([isa(0.7), isa(0.9), isa(0.4, wires=(3, 4))])
    np.testing.assert_allclose(found, np.cos([0.7, 0.9, 0.4]), atol=0.15)
    assert dev.transpiles == 0
    assert qubits_of(compiled(dev, isa(wires=(3, 4)))) >= {3, 4}
    assert [one.operation.name for one in compiled(dev, isa()).data][:4] == ["sx", "rz", "sx", "cx"]
    assert service.counters.jobs >= 1


@pytest.mark.parametrize(
    ("circuit", "text"),
    [
        (tape(), "'ry' on qubits 0"),
        (isa(wires=(0, 2)), "'cx' on qubits 0, 2"),
        (qml.tape.QuantumScript([qml.SX(0)], [qml.probs(op=qml.X(0))], shots=10), "'h' on qubits 0"),
    ],
    ids=["gate", "coupling", "readout"],
)
@pytest.mark.parametrize("here", [False, True], ids=["service", "here"])
def test_circuits_that_the_backend_cannot_run_are_refused(loopback, device, circuit, text, here):
    service = loopback()
    backend = "fake_manila" if here else SMALL
    dev = device(wires=5, backend=backend, skip_transpilation=True, primitive="sampler")
    with pytest.raises(
        ConfigurationError,
        match=rf"skip_transpilation: .*{text}.*wire i of the device is qubit i.*Nothing was sent",
    ) as caught:
        dev.batch_execute([circuit])
    assert caught.value.argument == "skip_transpilation"
    assert service.counters.jobs == 0


def test_circuits_stay_as_they_are_here_too():
    dev = qml.device("threaded.ibmq", wires=5, backend="fake_manila", skip_transpilation=True)
    (found,) = dev.batch_execute([isa(0.7, shots=4000)])
    assert found == pytest.approx(np.cos(0.7), abs=0.2)
    assert dev.transpiles == 0
    plain = qml.device("threaded.ibmq", wires=2, skip_transpilation=True)
    assert plain.batch_execute([tape(0.7, shots=4000)])[0] == pytest.approx(np.cos(0.7), abs=0.1)


def test_a_rerun_of_circuits_as_they_are_takes_the_job_that_is_there(loopback, device):
    service = loopback()
    service.hold()
    handle = device(wires=5, skip_transpilation=True).submit([isa()])
    service.wait_for_jobs(1, JobStatus.QUEUED)
    handle.detach()
    service.release()
    again = device(wires=5, skip_transpilation=True).submit([isa()])
    again.result()
    assert again.job_ids == handle.job_ids
    assert service.counters.jobs == 1
