"""A QNode reaches an executor through ``batch_submit`` and ``batch_get_results`` alone, so overriding them works."""

import json
import sqlite3
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pennylane as qml
import pytest
from pennylane import numpy as pnp
from pennylane.tape import QuantumScript
from pydantic import PrivateAttr
from qiskit.transpiler import PassManager
from qiskit_aer.noise import NoiseModel

from pennylane_threaded_ibmq import BaseQExecutor, IBMQExecutor, QCluster, Simulator, qelectron
from pennylane_threaded_ibmq.exceptions import ConfigurationError, UnknownWireError, UnsupportedCircuitError
from pennylane_threaded_ibmq.executors import database_path
from pennylane_threaded_ibmq.loopback import SIMULATOR


class Counting(IBMQExecutor):
    """Counts the circuits it is given, and the results it is asked for."""

    _submitted: list = PrivateAttr(default_factory=list)
    _collected: list = PrivateAttr(default_factory=list)

    def batch_submit(self, qscripts_list):
        tapes = list(qscripts_list)
        self._submitted.append(len(tapes))
        return super().batch_submit(tapes)

    def batch_get_results(self, futures_list):
        futures = list(futures_list)
        self._collected.append(len(futures))
        return super().batch_get_results(futures)


class Negated(IBMQExecutor):
    """Gives the opposite of every result."""

    def batch_get_results(self, futures_list):
        return [-result for result in super().batch_get_results(futures_list)]


class Flipped(IBMQExecutor):
    """Flips the first wire of every circuit before it runs."""

    def batch_submit(self, qscripts_list):
        return super().batch_submit([t.copy(operations=[qml.X(0), *t.operations]) for t in qscripts_list])


def node(**options):
    @qml.qnode(qml.device("default.qubit", wires=2), shots=options.pop("shots", 20), **options)
    def circuit(x):
        qml.RX(x, 0)
        return qml.expval(qml.Z(0))

    return circuit


def make(cls, **fields):
    return cls(**{"persist_data": False, "seed_simulator": 1, **fields})


def inside(executor, how):
    """The executor alone, in a cluster, and in a cluster in a cluster."""
    if how == "alone":
        return executor
    cluster = QCluster(executors=[executor])
    return cluster if how == "cluster" else QCluster(executors=[cluster])


@pytest.fixture(params=["alone", "cluster", "nested"])
def how(request):
    return request.param


def test_a_call_goes_through_both_methods(how):
    executor = make(Counting)
    circuit = qelectron(node(), executors=inside(executor, how))
    assert circuit(np.pi) == -1
    assert (executor._submitted, executor._collected) == ([1], [1])


def test_run_later_submits_at_once_and_collects_at_the_result(how):
    executor = make(Counting)
    circuit = qelectron(node(), executors=inside(executor, how))
    futures = [circuit.run_later(np.pi) for _ in range(3)]
    assert (executor._submitted, executor._collected) == ([1, 1, 1], [])
    assert [f.result(60) for f in futures] == [-1, -1, -1]
    assert executor._collected == [1, 1, 1]


def test_a_gradient_goes_through_both_methods(how):
    executor = make(Counting)
    circuit = qelectron(node(diff_method="parameter-shift"), executors=inside(executor, how))
    qml.grad(circuit)(pnp.array(0.3, requires_grad=True))
    assert (sum(executor._submitted), sum(executor._collected)) == (3, 3)


@pytest.mark.parametrize("cls", [Negated, Flipped])
def test_what_an_override_changes_is_changed_in_every_way_of_calling(cls, how):
    circuit = qelectron(node(diff_method="parameter-shift"), executors=inside(make(cls), how))
    assert circuit(0.0) == -1
    assert circuit.run_later(0.0).result(60) == -1
    x = pnp.array(np.pi / 2, requires_grad=True)
    assert qml.grad(circuit)(x) == pytest.approx(1)
    assert qml.grad(lambda angle: circuit.run_later(angle).result(60))(x) == pytest.approx(1)


@pytest.mark.parametrize("how", ["executor", "selector", "cluster"])
def test_whoever_looks_at_circuits_finds_numbers_and_no_tensors(how):
    seen = []

    def look(tapes):
        seen.extend(qml.math.get_interface(p) for t in tapes for p in t.get_parameters(trainable_only=False))

    class Looking(IBMQExecutor):
        def batch_submit(self, qscripts_list):
            look(qscripts_list)
            return super().batch_submit(qscripts_list)

    class LookingCluster(QCluster):
        def batch_submit(self, qscripts_list):
            look(qscripts_list)
            return super().batch_submit(qscripts_list)

    def choose(circuit, executors):
        look([circuit])
        return executors[0]

    target = {
        "executor": lambda: make(Looking),
        "selector": lambda: QCluster(executors=[make(IBMQExecutor)], selector=choose),
        "cluster": lambda: LookingCluster(executors=[make(IBMQExecutor)]),
    }[how]()
    circuit = qelectron(node(diff_method="parameter-shift"), executors=target)
    assert qml.grad(circuit)(pnp.array(np.pi / 2, requires_grad=True)) == pytest.approx(-1)
    assert circuit.run_later(pnp.array(0.0)).result(60) == 1
    assert seen == ["numpy"] * 4
    assert not target.takes_tensors
    assert make(IBMQExecutor).takes_tensors


def test_a_cluster_s_own_override_is_obeyed():
    class Twice(QCluster):
        def batch_get_results(self, futures_list):
            return [2 * result for result in super().batch_get_results(futures_list)]

    circuit = qelectron(node(), executors=Twice(executors=[make(IBMQExecutor), make(Negated)]))
    assert [circuit(0.0), circuit(0.0)] == [2, -2]
    assert [f.result(60) for f in [circuit.run_later(0.0) for _ in range(2)]] == [2, -2]


def test_results_of_several_overrides_come_back_in_order():
    executors = [make(IBMQExecutor), make(Negated), make(Counting)]
    device = qelectron(node(), executors=executors).device
    tapes = [QuantumScript([], [qml.expval(qml.Z(0))], shots=5) for _ in range(7)]
    assert device.execute(tapes) == (1, -1, 1, 1, -1, 1, 1)
    assert executors[2]._submitted == [2]


def test_futures_of_an_override_s_own():
    """An executor that wraps another, with plain futures of a pool."""

    class Pooled(BaseQExecutor):
        _pool: ThreadPoolExecutor = PrivateAttr(default_factory=lambda: ThreadPoolExecutor(2))

        def batch_submit(self, qscripts_list):
            run = qml.device("default.qubit").execute
            return [self._pool.submit(run, tape) for tape in qscripts_list]

    circuit = qelectron(node(shots=None), executors=[Pooled(), make(Negated)])
    assert circuit(0.0) == 1
    assert circuit(0.0) == -1
    assert circuit.run_later(np.pi).result(60) == pytest.approx(-1)


def test_wires_of_the_qnode_reach_the_device_and_bound_the_circuit():
    class Wires(IBMQExecutor):
        _seen: list = PrivateAttr(default_factory=list)

        def batch_submit(self, qscripts_list):
            self._seen.append(qscripts_list.wires.tolist())
            return super().batch_submit(qscripts_list)

    @qml.qnode(qml.device("default.qubit", wires=["a", "b"]), shots=5)
    def circuit(wire):
        qml.X(wire)
        return qml.probs()

    executor = make(Wires)
    assert qelectron(circuit, executors=executor)("b").tolist() == [0, 1, 0, 0]
    assert executor._seen == [["a", "b"]]
    with pytest.raises(UnknownWireError, match=r"uses \['c'\], which the device of the QNode lacks"):
        qelectron(circuit, executors=executor)("c")
    assert len(executor._seen) == 1


@pytest.mark.parametrize("wires", [["a", "b"], [1, 0], [0, 1]])
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"initial_layout": [3, 1]}, [0, 1]),
        ({"transpile_options": {"initial_layout": [1, 3]}}, [1, 0]),
        ({"pass_manager": PassManager([])}, [0, 1]),
        ({"skip_transpilation": True}, [0, 1]),
    ],
)
def test_wires_are_on_qubits_in_the_order_of_the_qnode_s_device(wires, fields, expected):
    """All wires are 0, and qubit 1 is always read wrongly."""
    noise = NoiseModel(basis_gates=["rz", "sx", "x", "cx"])
    noise.add_readout_error([[0, 1], [1, 0]], [1])
    executor = make(IBMQExecutor, backend="fake_manila", noise_model=noise, **fields)

    @qml.qnode(qml.device("default.qubit", wires=wires), shots=2)
    def circuit():
        return qml.sample()

    electron = qelectron(circuit, executors=[executor, executor])
    assert [electron().tolist(), electron.run_later().result(60).tolist()] == [[expected] * 2] * 2


@pytest.mark.parametrize("cls", [IBMQExecutor, Simulator])
@pytest.mark.parametrize(("labels", "expected"), [((0, 1, 2), 3), (("a", "b", "c"), 6)])
def test_wires_of_a_qnode_whose_device_has_none_are_in_pennylane_s_order(cls, labels, expected):
    """Numbers from 0 on are in their order, and labels in that of the gates."""

    @qml.qnode(qml.device("default.qubit"), shots=5)
    def circuit():
        qml.X(labels[1])
        qml.CNOT(labels[1:])
        qml.Z(labels[0])
        return qml.probs()

    executor = cls(persist_data=False)
    tape = qml.workflow.construct_tape(circuit)()
    (directly,) = executor.batch_get_results(executor.batch_submit([tape]))
    electron = qelectron(circuit, executors=executor)
    for result in (circuit(), electron(), electron.run_later().result(60), directly):
        assert np.argmax(result) == expected


def test_a_layout_takes_no_labels_whose_order_is_unknown():
    executor = make(IBMQExecutor, backend="fake_manila", initial_layout=[3, 1])
    tape = QuantumScript([], [qml.probs(wires=["b"])], shots=5)
    with pytest.raises(UnsupportedCircuitError, match=r"wires=None.*'b'"):
        executor.batch_submit([tape])


@pytest.mark.parametrize("method", ["batch_submit", "batch_get_results"])
def test_a_wrong_number_of_answers_is_named(method):
    def few(self, given):
        return getattr(IBMQExecutor, method)(self, given)[:-1]

    cls = type("Few", (IBMQExecutor,), {method: few, "__module__": __name__})
    for executors in (make(cls), [make(cls), make(cls)]):
        circuit = qelectron(node(), executors=executors)
        with pytest.raises(ConfigurationError, match=rf"Few\.{method} gave 0 for 1 circuit:"):
            circuit(0.0)


def test_load_counts_the_circuits_that_an_override_holds():
    class Holding(IBMQExecutor):
        _futures: list = PrivateAttr(default_factory=list)

        def batch_submit(self, qscripts_list):
            self._futures += [Future() for _ in qscripts_list]
            return self._futures[-len(qscripts_list) :]

    holding, free = make(Holding), make(Counting)
    circuit = qelectron(node(), executors=[holding, free], selector="least_busy")
    waiting = circuit.run_later(0.0)
    assert holding.load == pytest.approx(1 / 20)
    assert [circuit(0.0) for _ in range(2)] == [1, 1]
    assert sum(free._submitted) == 2
    holding._futures[0].set_result(np.float64(0.5))
    assert waiting.result(60) == 0.5
    assert holding.load == 0


def test_an_override_s_circuits_are_in_the_records(loopback):
    service = loopback()
    executor = Counting(backend=SIMULATOR)
    circuit = qelectron(node(), executors=[executor, executor])
    circuit(0.0)
    future = circuit.run_later(np.pi)
    assert future.result(60) == -1
    assert executor.flush_records(120)
    found = sqlite3.connect(database_path()).execute("SELECT executor, job_ids FROM calls").fetchall()
    assert [name for name, _ in found] == ["Counting", "Counting"]
    assert {job for _, ids in found for job in json.loads(ids)} == {job.id for job in service.jobs}
    assert set(future.job_ids) < {job.id for job in service.jobs}


def test_a_call_that_is_cancelled_twice_leaves_the_job_to_those_that_share_it(loopback):
    service = loopback(job_secs=2)
    circuit = qelectron(node(), executors=make(IBMQExecutor, backend=SIMULATOR))
    with qml.queuing.AnnotatedQueue._lock:  # nothing is sent while a circuit is recorded
        first, second = circuit.run_later(0.0), circuit.run_later(np.pi)
    second.handle.flush()
    for _ in range(2):
        assert first.cancel()
    assert second.result(60) == -1
    assert len(service.jobs) == 1
