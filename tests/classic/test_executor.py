"""Executors and selectors with QNodes of the legacy device API, on the real client and the loopback service.

What Covalent can do too is tested in both: with our ``qelectron`` and with the one of a real Covalent.
"""

from __future__ import annotations

import asyncio
import json
import pickle
import sqlite3
import threading
from concurrent.futures import CancelledError, Future
from importlib.util import find_spec
from types import SimpleNamespace

import cloudpickle
import numpy as np
import pennylane as qml
import pytest
from pennylane import numpy as pnp
from pydantic import PrivateAttr
from waiting import count_requests

from pennylane_threaded_ibmq import BaseQExecutor, IBMQExecutor, QCluster, qelectron
from pennylane_threaded_ibmq.exceptions import BackendError, ConfigurationError, CredentialsError
from pennylane_threaded_ibmq.executors import QElectron, database_path
from pennylane_threaded_ibmq.loopback import CLASSIC_SIMULATOR

SMALL = "ibmq_lima"
TOKEN = "loopback-token"
NEW_TRANSFORMS = hasattr(qml.transforms.core.TransformContainer, "classical_cotransform") and hasattr(
    qml.QNode, "__copy__"
)
"""Whether a transform of a QNode is a QNode; before PennyLane 0.32 it is a function."""


@pytest.fixture(params=["ours", "covalent"])
def face(request):
    """The names of a stack's executors: ours, or those of a real Covalent."""
    if request.param == "ours":
        yield SimpleNamespace(qelectron=qelectron, cluster=QCluster, executor=IBMQExecutor, real=False)
        return
    ct = request.getfixturevalue("covalent")
    from covalent.quantum.qserver.utils import get_cached_executor

    from pennylane_threaded_ibmq.covalent import ThreadedIBMQExecutor

    executors = ct.executor
    # turns are counted there, for all clusters of equal fields together
    get_cached_executor.cache_clear()
    yield SimpleNamespace(
        qelectron=ct.qelectron,
        cluster=executors.QCluster,
        executor=executors.ThreadedIBMQExecutor,
        real=True,
    )
    ThreadedIBMQExecutor.registry.close()


def node(measure, *, shots=1000, wires=2, **options):
    @qml.qnode(qml.device("default.qubit", wires=wires, shots=shots), **options)
    def circuit(x):
        qml.RX(x, wires=0)
        qml.CNOT(wires=[0, 1])
        return measure()

    return circuit


def z1():
    return qml.expval(qml.PauliZ(1))


class Held(BaseQExecutor):
    """Keeps circuits, and hands out futures that the test resolves."""

    _taken: list = PrivateAttr(default_factory=list)

    def batch_submit(self, qscripts_list):
        taken = [(tape, Future()) for tape in qscripts_list]
        self._taken += taken
        return [future for _, future in taken]


# ------------------------------------------------------------------------------------ in both qelectrons


def test_the_page_on_two_backends(face, loopback):
    """Calls take turns between the executors, now or later, and cost one login."""
    service = loopback()
    qasm, lima = face.executor(), face.executor(backend=SMALL)

    @face.qelectron(executors=[qasm, lima])
    @qml.qnode(qml.device("default.qubit", wires=2, shots=1024))
    def circuit(x):
        qml.IQPEmbedding(features=x, wires=[0, 1])
        qml.Hadamard(wires=1)
        return qml.probs(wires=range(2))

    values = [circuit([0.5, 0.1]) for _ in range(3)]
    assert [job.backend for job in service.jobs] == [CLASSIC_SIMULATOR, SMALL, CLASSIC_SIMULATOR]
    futures = [circuit.run_later([0.5, 0.1]) for _ in range(3)]
    values += [future.result() for future in futures]
    for value in values:
        np.testing.assert_allclose(np.ravel(value), [0.5, 0, 0.5, 0], atol=0.12)
    later = [job.backend for job in service.jobs[3:] for _ in range(job.pubs)]
    assert sorted(later) == [SMALL, SMALL, CLASSIC_SIMULATOR]
    assert service.counters.logins == 1


def test_twenty_later_calls_cost_one_login_and_few_requests(face, loopback):
    service = loopback()
    circuit = face.qelectron(node(z1), executors=face.executor(max_jobs=2))
    service.hold()
    futures = [circuit.run_later(np.pi * (i % 2)) for i in range(20)]
    service.release()
    values = [float(np.ravel(future.result())[0]) for future in futures]
    assert values == [1.0, -1.0] * 10
    assert service.counters.logins == 1
    assert count_requests(service) <= 40
    assert sum(job.pubs for job in service.jobs) == 20


def test_a_gradient_batch_is_one_job(face, loopback):
    service = loopback()
    executor = face.executor()

    @face.qelectron(executors=executor)
    @qml.qnode(qml.device("default.qubit", wires=1, shots=4000), diff_method="parameter-shift")
    def circuit(x):
        for i in range(10):
            qml.RX(x[i], wires=0)
        return qml.expval(qml.PauliZ(0))

    x = pnp.array(np.linspace(0.01, 0.1, 10), requires_grad=True)
    gradient = qml.grad(circuit)(x)
    np.testing.assert_allclose(gradient, -np.sin(x.sum()), atol=0.1)
    assert [job.pubs for job in service.jobs] == [1, 20]
    assert service.counters.logins == 1
    assert count_requests(service) <= 40
    qml.grad(circuit)(x)
    assert service.counters.logins == 1


def test_members_of_a_cluster_keep_their_tokens_and_shots(face, start, monkeypatch):
    """Tokens come as arguments only; Covalent takes a cluster's members through JSON."""
    service = start(tokens=(TOKEN, "other-token"))
    monkeypatch.setenv("IBMQX_URL", service.classic_url)
    members = [
        face.executor(ibmqx_token=TOKEN, shots=10),
        face.executor(ibmqx_token="other-token", shots=20),
        face.executor(ibmqx_token=TOKEN),
    ]
    cluster = face.cluster(executors=members, selector="cyclic")
    circuit = face.qelectron(node(lambda: qml.sample(wires=0), shots=30), executors=cluster)
    assert [len(circuit(0.1)) for _ in range(4)] == [10, 20, 30, 10]
    assert service.counters.logins == 2
    assert TOKEN not in repr(cluster)
    assert [job.shots for job in service.jobs] == [10, 20, 30, 10]


def test_a_selector_of_the_users(face, loopback):
    service = loopback()
    executors = [face.executor(), face.executor(backend=SMALL)]

    def by_depth(circuit, among):
        return among[len(circuit.operations) > 2]

    cluster = face.cluster(executors=executors, selector=by_depth)
    circuit = face.qelectron(node(z1), executors=cluster)
    assert circuit(0.0) == 1
    assert [job.backend for job in service.jobs] == [CLASSIC_SIMULATOR]


def test_several_returns(face, loopback):
    loopback()
    circuit = face.qelectron(
        node(lambda: (z1(), qml.probs(wires=[0, 1]), qml.sample(qml.PauliZ(0))), shots=50),
        executors=face.executor(),
    )
    value, probabilities, samples = circuit(0.0)
    assert value == 1
    assert list(probabilities) == [1, 0, 0, 0]
    assert np.shape(samples) == (50,)


def test_a_wrong_token_is_asked_for_once_and_said(face, start, monkeypatch):
    monkeypatch.setattr("pennylane_threaded_ibmq.executors.executor.REFUSED_SECS", 3600.0)
    service = start()
    monkeypatch.setenv("IBMQX_URL", service.classic_url)
    circuit = face.qelectron(node(z1), executors=face.executor(ibmqx_token="wrong-token"))
    futures = [circuit.run_later(0.1) for _ in range(3)]
    for future in futures:
        with pytest.raises(CredentialsError, match="does not accept") as caught:
            future.result()
        assert "wrong-token" not in str(caught.value)
    assert service.counters.by_route["POST /users/loginWithToken"] <= 2
    assert service.jobs == ()


def test_an_unknown_backend_is_named(face, loopback):
    loopback()
    circuit = face.qelectron(node(z1), executors=face.executor(backend="ibmq_limo"))
    with pytest.raises(BackendError, match="ibmq_limo"):
        circuit(0.1)


@pytest.mark.parametrize(
    ("fields", "text"),
    [({"max_jobs": 0}, "max_jobs=0"), ({"shots": -3}, "must not be negative"), ({"backend": ""}, "backend")],
)
def test_bad_fields_are_refused_when_the_executor_is_made(face, fields, text):
    with pytest.raises(ConfigurationError, match=text):
        face.executor(**fields)


# ------------------------------------------------------------------------------------ types, shapes, values

MEASUREMENTS = {
    "expval": z1,
    "probs": lambda: qml.probs(wires=[0, 1]),
    "all probs": qml.probs,
    "var": lambda: qml.var(qml.PauliZ(0)),
    "sample": lambda: qml.sample(wires=[0, 1]),
    "counts": lambda: qml.counts(wires=[0, 1]),
    "several": lambda: (z1(), qml.probs(wires=0)),
    "list": lambda: [z1(), qml.expval(qml.PauliZ(0))],
    "one in a list": lambda: [z1()],
    "hamiltonian": lambda: qml.expval(qml.Hamiltonian([0.5, 2.0], [qml.PauliZ(0), qml.PauliX(0) @ qml.PauliX(1)])),
}  # fmt: skip

INPUTS = {
    "none": (None, 0.0),
    "auto": ("auto", 0.0),
    "auto tensor": ("auto", pnp.array(0.0, requires_grad=True)),
    "autograd": ("autograd", pnp.array(0.0, requires_grad=True)),
    **({"jax": ("jax", 0.0)} if find_spec("jax") else {}),
}


def kind(value):
    """Types and shapes, through all levels."""
    if isinstance(value, (list, tuple)):
        return type(value), [kind(v) for v in value]
    return type(value), np.shape(value) if not isinstance(value, dict) else sorted(value)


@pytest.mark.parametrize("interface", INPUTS)
@pytest.mark.parametrize("name", MEASUREMENTS)
@pytest.mark.parametrize("shots", [100, [50, 20]], ids=["shots", "shot vector"])
def test_types_and_shapes_are_those_of_the_plain_qnode(name, interface, shots):
    """The plain QNode on the same device; a call and a later call give what it gives."""
    chosen, x = INPUTS[interface]
    with_device = qml.QNode(
        node(MEASUREMENTS[name]).func, qml.device("threaded.ibmq", wires=2, shots=shots), interface=chosen
    )
    circuit = qelectron(
        node(MEASUREMENTS[name], shots=shots, interface=chosen), executors=IBMQExecutor(persist_data=False)
    )
    expected = with_device(x)
    assert kind(circuit(x)) == kind(expected)
    assert kind(circuit.run_later(x).result()) == kind(expected)
    if name in {"expval", "counts", "probs"}:
        assert str(circuit.run_later(x).result()) == str(expected)


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("method", ["best", "parameter-shift", "finite-diff", "spsa", "hadamard"])
def test_gradients_also_through_later_calls(method, later):
    options = {"finite-diff": {"h": 1e-3}, "spsa": {"h": 0.3, "num_directions": 2}}.get(method, {})
    exact = IBMQExecutor(runs_on="default.qubit", persist_data=False)
    circuit = qelectron(node(z1, shots=None, wires=3, diff_method=method, **options), executors=exact)
    call = (lambda x: circuit.run_later(x).result()) if later else circuit
    gradient = qml.grad(call)(pnp.array(0.4, requires_grad=True))
    assert gradient == pytest.approx(-np.sin(0.4), abs=0.03)


@pytest.mark.skipif(not find_spec("jax"), reason="JAX is not installed")
@pytest.mark.parametrize("later", [False, True])
def test_jax_gradients(later):
    import jax

    circuit = qelectron(
        node(z1, shots=None, interface="jax", diff_method="parameter-shift"),
        executors=IBMQExecutor(runs_on="default.qubit", persist_data=False),
    )
    call = (lambda x: circuit.run_later(x).result()) if later else circuit
    assert float(jax.grad(call)(jax.numpy.array(0.4))) == pytest.approx(-np.sin(0.4), abs=1e-4)


def test_a_later_call_records_its_circuit_once():
    calls = []

    @qelectron(executors=IBMQExecutor(persist_data=False))
    @qml.qnode(qml.device("default.qubit", wires=1, shots=20))
    def circuit(x):
        calls.append(x)
        qml.RX(np.pi * (len(calls) % 2), wires=0)
        return qml.expval(qml.PauliZ(0))

    futures = [circuit.run_later(0.0) for _ in range(4)]
    assert [float(f.result()) for f in futures] == [-1, 1, -1, 1]
    assert len(calls) == 4


@pytest.mark.skipif(not NEW_TRANSFORMS, reason="a transformed QNode is a plain function in this PennyLane")
def test_a_random_transform_is_applied_once():
    turns = []

    @qml.transform
    def flipped(tape):
        turns.append(len(turns))
        return [type(tape)([qml.RX(np.pi * turns[-1], 0)], tape.measurements, shots=tape.shots)], lambda r: r[
            0
        ]

    circuit = flipped(qelectron(node(lambda: qml.expval(qml.PauliZ(0))), executors=IBMQExecutor()))
    assert isinstance(circuit, QElectron)
    assert [float(f.result()) for f in [circuit.run_later(0.1) for _ in range(3)]] == [1, -1, 1]
    assert len(turns) == 3


# ------------------------------------------------------------------------------------ calls, shots, threads


@pytest.mark.parametrize(
    ("override", "given", "expected"), [(0, 30, 30), (0, None, 12), (7, 30, 7), (7, None, 7)]
)
def test_shots_of_executor_call_and_qnode(override, given, expected):
    circuit = qelectron(
        node(lambda: qml.sample(wires=0), shots=12),
        executors=IBMQExecutor(shots=override, persist_data=False),
    )
    options = {} if given is None else {"shots": given}
    assert len(circuit(0.1, **options)) == expected
    assert len(circuit.run_later(0.1, **options).result()) == expected
    assert len(circuit(0.1)) == (override or 12)  # a call's shots are the call's alone


def test_a_shot_vector_of_all_executors():
    circuit = qelectron(
        node(z1, shots=12), executors=[IBMQExecutor(shots=[10, 20], persist_data=False) for _ in range(2)]
    )
    assert np.shape(circuit(0.0)) == (2,)
    assert np.shape(circuit.run_later(0.0).result()) == (2,)


def test_none_makes_results_exact_where_the_device_can():
    circuit = qelectron(node(z1, shots=12), executors=IBMQExecutor(runs_on="default.qubit", shots=None))
    assert circuit(0.4) == pytest.approx(np.cos(0.4), abs=1e-12)


def test_threads_do_not_see_each_others_shots():
    """PennyLane keeps a call's shots on the device; here each call has its own."""
    held = Held()
    circuit = qelectron(node(lambda: qml.sample(wires=0), shots=5), executors=held)
    done = {}

    def call(shots):
        done[shots] = circuit(0.1, **({} if shots == 5 else {"shots": shots}))

    threads = [threading.Thread(target=call, args=(shots,)) for shots in (10, 20, 5, 30)]
    for number, thread in enumerate(threads, start=1):
        thread.start()
        while len(held._taken) < number:  # all calls overlap
            thread.join(0.01)
    assert [tape.shots.total_shots for tape, _ in held._taken] == [10, 20, 5, 30]
    for tape, future in held._taken:
        future.set_result(np.zeros(tape.shots.total_shots))
    for thread in threads:
        thread.join(120)
    assert {shots: len(result) for shots, result in done.items()} == {s: s for s in (5, 10, 20, 30)}
    assert circuit.device.shots == 5


def test_many_threads_on_the_service_get_their_own_results(loopback):
    loopback()
    circuit = qelectron(node(z1), executors=IBMQExecutor(persist_data=False))
    wrong = []

    def work(angle):
        for turn in range(4):
            call = circuit if turn % 2 else (lambda x: circuit.run_later(x).result())
            if float(call(angle)) != np.cos(angle):
                wrong.append(angle)

    threads = [threading.Thread(target=work, args=(np.pi * i,)) for i in (0, 1, 0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong


def test_a_future_waits_cancels_and_can_be_awaited():
    held = Held()
    circuit = qelectron(node(z1), executors=held)
    first, second, third = (circuit.run_later(0.1) for _ in range(3))
    assert len(held._taken) == 3
    assert not first.done()
    assert second.cancel()
    with pytest.raises(CancelledError):
        second.result()
    held._taken[0][1].set_result(np.array(0.5))
    held._taken[2][1].set_exception(RuntimeError("lost"))
    assert first.result() == 0.5

    async def wait():
        return await third

    for _ in range(2):
        with pytest.raises(RuntimeError, match="lost"):
            third.result()
    with pytest.raises(RuntimeError, match="lost"):
        asyncio.run(wait())


def test_an_error_of_the_circuit_comes_out_of_the_result():
    circuit = qelectron(node(lambda: 3), executors=IBMQExecutor())
    future = circuit.run_later(0.1)
    with pytest.raises(qml.QuantumFunctionError):
        future.result()


# ------------------------------------------------------------------------------------ a QNode in all respects


def test_drawing_specs_tape_and_copies():
    plain = node(z1, shots=10)
    circuit = qelectron(plain, executors=[IBMQExecutor(persist_data=False), IBMQExecutor(shots=3)])
    assert isinstance(circuit, qml.QNode)
    assert qml.draw(circuit)(0.3) == qml.draw(plain)(0.3)
    assert qml.specs(circuit)(0.3)["num_used_wires" if not NEW_TRANSFORMS else "num_device_wires"] == 2
    circuit(0.3)
    assert [op.name for op in circuit.tape.operations] == ["RX", "CNOT"]
    assert circuit.original_qnode is plain
    assert (
        plain.device.short_name.startswith("default.qubit") if hasattr(plain.device, "short_name") else True
    )
    assert [leaf.shots for leaf in circuit.executors] == [0, 3]


@pytest.mark.skipif(not NEW_TRANSFORMS, reason="a transformed QNode is a plain function in this PennyLane")
def test_a_qelectron_made_of_a_qelectron_keeps_what_was_done_to_it():
    def measure():
        return qml.expval(qml.Hamiltonian([1.0, 2.0], [qml.PauliZ(0), qml.PauliX(1)]))

    expanded = qml.transforms.hamiltonian_expand(qelectron(node(measure), executors=Held()))
    held = Held()
    qelectron(expanded, executors=held).run_later(0.1)
    assert [len(tape.measurements) for tape, _ in held._taken] == [2]
    assert [tape.shots.total_shots for tape, _ in held._taken] == [1000]


def test_the_tracker_counts_circuits_and_jobs(loopback):
    loopback()
    circuit = qelectron(node(z1, diff_method="parameter-shift"), executors=IBMQExecutor())
    with qml.Tracker(circuit.device) as tracker:
        qml.grad(circuit)(pnp.array(0.3, requires_grad=True))
    assert tracker.totals["executions"] == 3
    assert tracker.totals["jobs"] == 2
    assert len(tracker.history["job_ids"]) == 2


def test_labels_of_wires_and_measurements_of_all_of_them():
    @qelectron(executors=IBMQExecutor(persist_data=False))
    @qml.qnode(qml.device("default.qubit", wires=["a", "b", "c"], shots=10))
    def circuit():
        qml.PauliX(wires="b")
        return qml.probs(), qml.sample(wires=["c", "b"])

    probabilities, samples = circuit()
    assert probabilities[2] == 1
    assert (samples == [0, 1]).all()


def test_a_device_of_pennylane_runs_each_circuit_with_its_own_shots():
    executor = IBMQExecutor(runs_on="default.qubit")
    tapes = [
        qml.tape.QuantumScript([qml.PauliX(0)], [qml.sample(wires=0)], shots=shots) for shots in (3, 5, 3)
    ]
    assert [len(r) for r in executor.batch_get_results(executor.batch_submit(tapes))] == [3, 5, 3]


@pytest.mark.parametrize("method", ["backprop", "adjoint"])
def test_gradients_of_simulators_are_refused(method):
    with pytest.raises(ConfigurationError, match="diff_method"):
        qelectron(node(z1, shots=None, diff_method=method), executors=IBMQExecutor())


@pytest.mark.parametrize(
    ("executors", "selector", "error"),
    [
        ([], "cyclic", ConfigurationError),
        (["ibmq"], "cyclic", ConfigurationError),
        (None, "best", ConfigurationError),
    ],
)
def test_bad_executors_and_selectors_are_refused(executors, selector, error):
    with pytest.raises(error):
        qelectron(node(z1), executors=executors, selector=selector)


# ------------------------------------------------------------------------------------ records, pickles, files


def test_the_database_has_what_ran(loopback):
    service = loopback()
    executor = IBMQExecutor()
    circuit = qelectron(node(z1), executors=executor)
    circuit(0.0)
    circuit.run_later(0.0).result()
    assert executor.flush_records(120)
    with sqlite3.connect(database_path()) as database:
        rows = database.execute("SELECT operations, result, job_ids, backend FROM executions").fetchall()
    assert len(rows) == 2
    assert {job for row in rows for job in json.loads(row[2])} == {job.id for job in service.jobs}
    assert all(
        "RX" in row[0] and float(json.loads(row[1])) == 1 and row[3] == CLASSIC_SIMULATOR for row in rows
    )


def test_clusters_go_through_pickles_without_their_tokens():
    cluster = QCluster(
        executors=[IBMQExecutor(ibmqx_token="a-secret", backend="fake_manila"), IBMQExecutor(shots=4)],
        selector=lambda _circuit, among: among[1],
    )
    data = pickle.dumps(cluster)
    assert b"a-secret" not in data
    assert b"a-secret" not in cloudpickle.dumps(cluster)
    circuit = qelectron(node(lambda: qml.sample(wires=0)), executors=pickle.loads(data))
    assert len(circuit(0.0)) == 4


def test_covalents_configuration_file_is_read(wiped_environment, start):
    service = start()
    folder = wiped_environment / ".config" / "covalent"
    folder.mkdir(parents=True)
    (folder / "covalent.conf").write_text(
        f'[qelectron.IBMQExecutor]\nbackend = "{SMALL}"\nibmqx_token = "{TOKEN}"\n'
        f'ibmqx_url = "{service.classic_url}"\n'
    )
    circuit = qelectron(node(z1), executors=IBMQExecutor())
    assert circuit(0.0) > 0.9
    assert [job.backend for job in service.jobs] == [SMALL]


def test_decoding_makes_nothing_that_another_thread_could_record(monkeypatch):
    """PennyLane records in one list for all threads: what a lane makes would land in the circuit recorded just then."""
    from pennylane.queuing import AnnotatedQueue, QueuingManager

    unlocked = []

    def watched(name):
        plain = getattr(QueuingManager, name).__func__

        def call(cls, *args, **options):
            if not AnnotatedQueue._lock._is_owned():
                unlocked.append((name, args, threading.current_thread().name))
            return plain(cls, *args, **options)

        monkeypatch.setattr(QueuingManager, name, classmethod(call))

    @qelectron(executors=IBMQExecutor(persist_data=False))
    @qml.qnode(qml.device("default.qubit", wires=2, shots=20))
    def circuit(x):
        qml.RX(x, wires=0)
        return (
            qml.counts(wires=0),
            qml.counts(qml.PauliZ(1), all_outcomes=True),
            qml.sample(qml.PauliZ(0)),
            qml.probs(wires=[0, 1]),
            qml.expval(qml.PauliX(1) @ qml.PauliZ(0)),
            qml.var(qml.PauliZ(0)),
        )

    circuit(0.0)
    for name in ("append", "stop_recording"):
        watched(name)
    for future in [circuit.run_later(np.pi) for _ in range(3)]:
        assert future.result(60)[:2] == ({"1": 20}, {1.0: 20, -1.0: 0})
    assert not unlocked
