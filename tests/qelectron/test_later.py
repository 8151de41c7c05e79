"""``run_later``: futures of calls that were submitted."""

import asyncio
import gc
import subprocess
import sys
import threading
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, as_completed, wait

import networkx as nx
import numpy as np
import pennylane as qml
import pytest
from pennylane import numpy as pnp
from pydantic import PrivateAttr

from pennylane_threaded_ibmq import BaseQExecutor, IBMQExecutor, qelectron
from pennylane_threaded_ibmq.device.gather import Gap
from pennylane_threaded_ibmq.exceptions import UnsupportedCircuitError, WaitTimeoutError

dev = qml.device("default.qubit", wires=2)


class Held(BaseQExecutor):
    """Hands out futures that the test resolves."""

    _given: list = PrivateAttr(default_factory=list)

    def batch_submit(self, qscripts_list):
        futures = [Future() for _ in qscripts_list]
        self._given += futures
        return futures


def node(**options):
    @qml.qnode(dev, **options)
    def circuit(x):
        qml.RX(x, 0)
        return qml.expval(qml.Z(0))

    return circuit


def aer(**fields):
    return IBMQExecutor(persist_data=False, **fields)


@pytest.fixture
def held():
    executor = Held()
    return qelectron(node(), executors=executor), executor._given


def test_a_future_is_done_when_its_circuit_is(held):
    circuit, given = held
    future = circuit.run_later(0.1)
    assert not future.done()
    with pytest.raises(TimeoutError):
        future.result(0.01)
    given[0].set_result(np.float64(0.5))
    assert future.done()
    assert future.result() == 0.5
    assert future.exception() is None
    assert future.result() == 0.5


def test_results_can_be_read_in_any_order_and_often(held):
    circuit, given = held
    futures = [circuit.run_later(0.1) for _ in range(3)]
    for i in (2, 0, 1):
        given[i].set_result(np.float64(i))
        assert futures[i].result() == i
    assert [f.result() for f in futures] == [0, 1, 2]


def test_submission_happens_at_call_time_in_call_order(held):
    circuit, given = held
    for count in range(1, 4):
        circuit.run_later(0.1)
        assert len(given) == count


def test_errors_surface_at_the_result_each_time(held):
    circuit, given = held
    future = circuit.run_later(0.1)
    given[0].set_exception(LookupError("lost"))
    for _ in range(2):
        with pytest.raises(LookupError, match="lost"):
            future.result()
    assert isinstance(future.exception(), LookupError)


def test_errors_of_the_function_and_of_wrong_arguments_surface_at_the_result(held):
    circuit, given = held
    assert isinstance(circuit.run_later().exception(), TypeError)
    assert given == []


def test_errors_of_postprocessing_surface_at_the_result(held):
    circuit, given = held

    @qml.transform
    def broken(tape):
        def post(results):
            raise ArithmeticError("after all")

        return (tape,), post

    future = broken(circuit).run_later(0.1)
    given[0].set_result(np.float64(1))
    for _ in range(2):
        with pytest.raises(ArithmeticError, match="after all"):
            future.result()
    assert isinstance(future.exception(), ArithmeticError)


def test_a_refused_circuit_surfaces_at_the_result():
    circuit = qelectron(qml.QNode(qml.state, dev, shots=10), executors=aer())
    with pytest.raises(UnsupportedCircuitError):
        circuit.run_later().result()


def test_a_refused_circuit_does_not_harm_those_it_waits_with():
    executor = aer(seed_simulator=1)
    good = qelectron(qml.QNode(lambda: qml.probs(wires=0), dev, shots=10), executors=executor)
    bad = qelectron(qml.QNode(qml.state, dev, shots=10), executors=executor)
    futures = [c.run_later() for c in (good, bad, good)]
    assert futures[2].result(60).tolist() == [1, 0]
    assert isinstance(futures[1].exception(60), UnsupportedCircuitError)
    assert futures[0].result(60).tolist() == [1, 0]


def test_cancel(held):
    circuit, given = held
    future = circuit.run_later(0.1)
    assert future.cancel()
    assert future.cancelled()
    assert future.cancel()
    assert given[0].cancelled()
    assert wait([future], timeout=120).done == {future}
    with pytest.raises(CancelledError):
        future.result()
    finished = circuit.run_later(0.1)
    given[1].set_result(np.float64(1))
    assert not finished.cancel()
    assert finished.result() == 1


@pytest.mark.parametrize("fields", [{}, {"runs_on": "default.qubit"}])
def test_whoever_waits_for_a_cancelled_circuit_is_told(fields):
    executor = aer(**fields)
    tape = qml.tape.QuantumScript([qml.X(0)], [qml.expval(qml.Z(0))], shots=10)
    with qml.queuing.AnnotatedQueue._lock:  # nothing runs while a circuit is recorded
        (first,), (second,) = executor.batch_submit([tape]), executor.batch_submit([tape])
        assert first.cancel()
    assert wait([first, second], timeout=120).not_done == set()
    assert first.cancelled()
    assert second.result() == -1
    assert executor.load == 0


def test_a_callback_of_a_cancelled_call_keeps_no_results_waiting(held):
    circuit, given = held
    future, joined = circuit.run_later(0.1), []

    def deliver(_):
        thread = threading.Thread(target=given[0].set_result, args=(np.float64(1),), daemon=True)
        thread.start()
        thread.join(60)
        joined.append(not thread.is_alive())

    future.add_done_callback(deliver)
    assert future.cancel()
    assert joined == [True]


def test_a_cancelled_call_that_waits_is_not_sent():
    executor = aer(seed_simulator=1)
    circuit = qelectron(qml.set_shots(node(), 10), executors=executor)
    with qml.queuing.AnnotatedQueue._lock:  # nothing is sent while a circuit is recorded
        first, second = circuit.run_later(0.0), circuit.run_later(np.pi)
        assert first.cancel()
    assert second.result(60) == -1
    assert first.cancelled()
    assert executor.load == 0


def test_done_callbacks(held):
    circuit, given = held
    seen = []
    future = circuit.run_later(0.1)
    future.add_done_callback(lambda f: seen.append(f.result()))
    assert seen == []
    given[0].set_result(np.float64(0.25))
    assert seen == [0.25]
    future.add_done_callback(lambda f: seen.append("late"))
    assert seen == [0.25, "late"]


def test_the_tools_of_concurrent_futures_work(held):
    circuit, given = held
    futures = [circuit.run_later(0.1) for _ in range(3)]
    given[1].set_result(np.float64(1))
    done, pending = wait(futures, return_when=FIRST_COMPLETED, timeout=120)
    assert (done, pending) == ({futures[1]}, {futures[0], futures[2]})
    given[0].set_result(np.float64(0))
    given[2].set_result(np.float64(2))
    assert {f.result() for f in as_completed(futures, timeout=120)} == {0, 1, 2}


def test_await():
    circuit = qelectron(qml.set_shots(node(), 10), executors=[aer(), aer()])
    wrong = qelectron(qml.QNode(qml.state, dev, shots=10), executors=aer())

    async def main():
        values = await asyncio.gather(*(circuit.run_later(x) for x in (0.0, np.pi, 0.0)))
        with pytest.raises(UnsupportedCircuitError):
            await wrong.run_later()
        return values

    assert asyncio.run(main()) == [1, -1, 1]


def test_a_cancelled_task_cancels_the_call(held):
    circuit, given = held

    async def main():
        async def one():
            return await circuit.run_later(0.1)

        task = asyncio.ensure_future(one())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert given[0].cancelled()


@pytest.mark.parametrize("late", [np.float64(0.5), RuntimeError("lost")])
def test_timeout_secs_of_the_executor_ends_an_await_and_not_the_circuits(late, caplog):
    executor = Held(timeout_secs=0.05)
    circuit = qelectron(node(), executors=executor)

    async def main():
        future = circuit.run_later(0.1)
        with pytest.raises(WaitTimeoutError, match=r"timeout_secs=0\.05"):
            await future
        (given,) = executor._given
        assert not given.cancelled()
        if isinstance(late, Exception):
            given.set_exception(late)
            with pytest.raises(RuntimeError, match="lost"):
                await future
        else:
            given.set_result(late)
            assert await future == late

    asyncio.run(main())
    gc.collect()
    # nothing of the first wait is left for asyncio to complain about
    assert caplog.text == ""


@pytest.mark.parametrize("timeout_secs", [None, 600.0])
def test_what_ends_an_await_from_outside_gives_the_call_up_unless_it_is_shielded(timeout_secs):
    executor = Held(timeout_secs=timeout_secs)
    circuit = qelectron(node(), executors=executor)

    async def main():
        for shield in (asyncio.shield, lambda future: future):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(shield(circuit.run_later(0.1)), 0.05)
        shielded, given_up = executor._given
        assert given_up.cancelled()
        assert not shielded.cancelled()

    asyncio.run(main())


@pytest.mark.slow
def test_a_thousand_calls_make_few_threads_and_mix_nothing_up():
    executor = aer(seed_simulator=1)
    flip = qml.set_shots(
        qml.QNode(lambda x, wires: (qml.RX(x, wires[0]), qml.sample(wires=wires))[1], dev), 4
    )
    circuits = {shots: qelectron(qml.set_shots(flip, shots), executors=executor) for shots in (3, 4, 5)}
    before = threading.active_count()
    futures, most = [], 0
    for i in range(1000):
        futures.append(circuits[3 + i % 3].run_later(np.pi * (i % 2), wires=[0, 1][: 1 + i % 2]))
        most = max(most, threading.active_count())
    for i, future in enumerate(futures):
        shots, wires = 3 + i % 3, 1 + i % 2
        got = future.result(120)
        assert got.reshape(shots, wires)[:, 0].tolist() == [i % 2] * shots
    most = max(most, threading.active_count())
    assert most - before < 12


def test_calls_that_wait_together_run_together(monkeypatch):
    # on a busy machine calls come slowly, so the device waits for them longer than it does for a user
    monkeypatch.setattr("pennylane_threaded_ibmq.device.opening.LOCAL_GAP", Gap(2.0, 60.0))
    executor = aer(seed_simulator=1)
    sent = []
    device = executor._device()
    send = device.send_together

    def counting(tapes, *others):
        sent.append(len(tapes))
        return send(tapes, *others)

    monkeypatch.setattr(device, "send_together", counting)
    circuit = qelectron(qml.set_shots(node(), 5), executors=executor)
    futures = [circuit.run_later(0.0) for _ in range(50)]
    assert [f.result(60) for f in futures] == [1] * 50
    assert sum(sent) == 50
    assert len(sent) < 20


def test_a_lone_call_is_sent_without_anybody_waiting():
    circuit = qelectron(qml.set_shots(node(), 5), executors=aer())
    future = circuit.run_later(0.0)
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    assert done.wait(60)
    assert future.result(0) == 1


def test_transforms_that_draw_random_numbers_are_applied_once():
    drawn = []

    @qml.transform
    def noisy(tape):
        drawn.append(len(drawn))
        angle = float(len(drawn))
        return (tape.copy(operations=[qml.RX(angle, 0)]),), lambda results: (angle, results[0])

    circuit = noisy(qelectron(node(), executors=IBMQExecutor(runs_on="default.qubit")))
    angle, value = circuit.run_later(0.1).result()
    assert drawn == [0]
    np.testing.assert_allclose(value, np.cos(angle))


def test_a_cache_of_the_users_is_filled_and_used():
    cache = {}
    executor = Held()
    circuit = qelectron(node(cache=cache), executors=executor)
    futures = [circuit.run_later(0.1), circuit.run_later(0.1)]
    for future in executor._given:
        future.set_result(np.float64(0.5))
    assert [f.result() for f in futures] == [0.5, 0.5]
    assert list(cache.values()) == [0.5]
    assert circuit.run_later(0.1).result() == 0.5
    assert len(executor._given) == 2


def test_an_informative_transform_needs_no_circuit(held):
    circuit, given = held

    @qml.transform
    def count(tape):
        return (tape,), lambda results: results[0]

    count_gates = qml.transform(lambda tape: ((tape,), lambda r: len(r[0].operations)), is_informative=True)
    assert count_gates(circuit).run_later(0.1).result() == count_gates(circuit)(0.1) == 1
    assert given == []


def test_qaoa_with_run_later():
    """Covalent's own test: a cost over several circuits that were submitted together."""
    edges = [(0, 1), (1, 2), (2, 0)]
    wires = range(3)
    cost_h, mixer_h = qml.qaoa.maxcut(nx.Graph(edges))

    def layer(gamma, alpha):
        qml.qaoa.cost_layer(gamma, cost_h)
        qml.qaoa.mixer_layer(alpha, mixer_h)

    @qelectron(executors=[IBMQExecutor(runs_on="default.qubit"), IBMQExecutor(runs_on="default.qubit")])
    @qml.qnode(qml.device("default.qubit", wires=3), diff_method="parameter-shift")
    def cost(params):
        for w in wires:
            qml.Hadamard(w)
        qml.layer(layer, 2, params[0], params[1])
        return qml.expval(cost_h)

    params = pnp.array([[0.5, 0.5], [0.5, 0.5]], requires_grad=True)
    optimiser = qml.GradientDescentOptimizer(0.05)
    first = cost(params)
    futures = [cost.run_later(params + d) for d in (0.0, 0.1)]
    np.testing.assert_allclose(futures[0].result(), first)
    for _ in range(8):
        params = optimiser.step(lambda p: cost.run_later(p).result(), params)
    assert cost(params) < first - 0.1


def test_the_executor_may_go_while_its_circuits_run():
    def start():
        circuit = qelectron(qml.set_shots(node(), 5), executors=aer())
        return circuit.run_later(0.0), aer().batch_submit(
            [qml.tape.QuantumScript([], [qml.probs(wires=0)], shots=5)]
        )[0]

    import gc

    later, submitted = start()
    gc.collect()
    assert later.result(60) == 1
    assert submitted.result(60).tolist() == [1, 0]


def test_run_later_returns_before_the_circuit_has_run():
    executor, gate = aer(max_jobs=1), threading.Event()
    circuit = qelectron(qml.set_shots(node(), 5), executors=executor)
    circuit(0.0)

    executor._device()._open().lanes.submit(lambda _: gate.wait(60))
    futures = [circuit.run_later(0.0) for _ in range(5)]
    assert not any(f.done() for f in futures)
    gate.set()
    assert [f.result(60) for f in futures] == [1] * 5


def test_timeout_secs_of_the_executor_ends_the_wait_and_not_the_circuits():
    executor = Held(timeout_secs=0.05)
    circuit = qelectron(node(), executors=executor)
    with pytest.raises(WaitTimeoutError, match=r"timeout_secs=0\.05"):
        circuit(0.1)
    future = circuit.run_later(0.1)
    with pytest.raises(WaitTimeoutError, match=r"timeout_secs=0\.05"):
        future.result()
    assert not any(f.cancelled() for f in executor._given)
    executor._given[1].set_result(np.float64(1))
    assert future.result() == 1


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
    @qml.qnode(dev, shots=20)
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


def test_qiskit_is_loaded_by_the_thread_that_calls():
    """Loaded by a thread of ours, Qiskit 2.6 ends the process when its own threads start."""
    program = """
import sys, threading
loaders = []
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "qiskit._accelerate":
            loaders.append(threading.current_thread())
sys.meta_path.insert(0, Watch())
import pennylane as qml
from pennylane_threaded_ibmq import IBMQExecutor, qelectron

@qelectron(executors=IBMQExecutor(persist_data=False))
@qml.set_shots(100)
@qml.qnode(qml.device("default.qubit", wires=1))
def circuit(x):
    qml.RX(x, 0)
    return qml.expval(qml.Z(0))

circuit.run_later(0.3).result()
assert loaders == [threading.main_thread()], loaders
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
