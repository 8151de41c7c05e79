"""A qelectron is a QNode: forms of the decorator, types, gradients, inspection, shots."""

import importlib
import subprocess
import sys
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pennylane as qml
import pytest
import torch
from pennylane import numpy as pnp

import pennylane_threaded_ibmq
from pennylane_threaded_ibmq import IBMQExecutor, QCluster, QElectron, qelectron
from pennylane_threaded_ibmq.exceptions import ConfigurationError, UnsupportedCircuitError


def exact(**fields):
    """An executor without shot noise."""
    return IBMQExecutor(runs_on="default.qubit", persist_data=False, **fields)


def aer(**fields):
    return IBMQExecutor(seed_simulator=7, persist_data=False, **fields)


dev = qml.device("default.qubit", wires=2)


def node(measure=lambda: qml.expval(qml.Z(0) @ qml.X(1)), **options):
    @qml.qnode(dev, **options)
    def circuit(x, y=0.3):
        """The docstring."""
        qml.RX(x, 0)
        qml.RY(2 * y, 1)
        qml.CNOT([0, 1])
        return measure()

    return circuit


@pytest.mark.parametrize("diff_method", ["best", "parameter-shift"])
def test_a_gradient_through_a_condition_is_by_shifts(diff_method):
    """PennyLane alone takes finite differences, which are noise where there are shots."""

    @qml.qnode(qml.device("default.qubit", wires=2), shots=20_000, diff_method=diff_method)
    def circuit(x):
        qml.X(0)
        qml.cond(qml.measure(0), qml.RY)(x, wires=1)
        return qml.expval(qml.Z(1))

    slope = qml.grad(qelectron(circuit, executors=aer()))(pnp.array(0.7, requires_grad=True))
    assert slope == pytest.approx(-np.sin(0.7), abs=0.05)


def test_forms_of_the_decorator():
    plain = node()
    executor = exact()

    @qelectron
    @qml.qnode(dev)
    def bare():
        return qml.expval(qml.Z(0))

    @qelectron()
    @qml.qnode(dev)
    def called():
        return qml.expval(qml.Z(0))

    @qelectron(executors=executor, name="x", description="y")
    @qml.qnode(dev)
    def full():
        return qml.expval(qml.Z(0))

    function = qelectron(plain, executors=[executor])
    for circuit in (bare, called, full, function):
        assert isinstance(circuit, QElectron)
        assert isinstance(circuit, qml.QNode)
    assert function.original_qnode is plain
    assert plain.device is dev
    assert function.__name__ == "circuit"
    assert function.__doc__ == "The docstring."
    np.testing.assert_allclose(function(0.3), plain(0.3))
    assert full() == 1
    with pytest.warns(UserWarning, match="no analytic results"):
        assert bare() == 1


def test_without_executors_a_configured_backend_is_not_used_unasked(monkeypatch):
    monkeypatch.setenv("THREADED_IBMQ_BACKEND", "ibm_torino")
    assert qelectron(node()).executors[0].backend == "ibmq_qasm_simulator"


def test_a_function_or_executors_in_the_place_of_the_qnode_are_refused():
    def function():
        return qml.expval(qml.Z(0))

    for wrong, text in (
        (function, "above @qml.qnode"),
        (exact(), "executors=..."),
        ([exact()], "executors=..."),
        (3, "3"),
    ):
        with pytest.raises(TypeError, match=text):
            qelectron(wrong)
    with pytest.raises(TypeError, match=r"above @qml\.qnode"):
        qelectron(executors=exact())(function)
    # the other way round: the QNode decorator above the qelectron
    with pytest.raises(TypeError, match=r"above @qml\.qnode"):
        qml.qnode(dev)(qelectron(function))


@pytest.mark.parametrize("method", ["backprop", "adjoint"])
def test_gradients_that_need_a_state_are_refused_at_definition(method):
    with pytest.raises(ConfigurationError, match=f"{method}.*parameter-shift"):
        qelectron(node(diff_method=method), executors=exact())


def test_a_qelectron_made_of_a_qelectron_replaces_its_executors():
    second = exact()
    circuit = qelectron(qelectron(node(), executors=exact()), executors=second)
    assert circuit.executors == (second,)
    assert circuit.executors[0] is second


def test_a_qelectron_made_of_a_qelectron_keeps_what_was_done_to_it():
    @qelectron(executors=exact())
    @qml.qnode(dev, shots=5)
    def circuit(x):
        qml.RX(x, 0)
        qml.RX(x, 0)
        return qml.expval(qml.Z(0))

    changed = qml.transforms.merge_rotations(qml.set_shots(circuit, 30)).update(diff_method="finite-diff")
    other = exact()
    again = qelectron(changed, executors=other)
    (tape,), _ = qml.workflow.construct_batch(again, level=1)(0.3)
    assert [op.name for op in tape.operations] == ["RX"]
    assert (tape.shots.total_shots, again.diff_method) == (30, "finite-diff")
    assert again.executors[0] is other
    assert again(0.0) == 1


def test_an_update_keeps_what_it_does_not_name():
    plain = qml.QNode(lambda x: (qml.RX(x, 0), qml.probs())[1], dev)
    circuit = qelectron(plain, executors=exact(), name="turn")
    wide = circuit.update(device=qml.device("default.qubit", wires=3)).update(interface="autograd")
    assert wide(0.1).shape == (8,)
    assert wide.name == "turn"
    with qml.Tracker(circuit.device) as tracker:
        circuit.update(interface="numpy")(0.1)
    assert tracker.totals["batches"] == 1
    for options in ({"diff_method": "parameter-shift"}, {"interface": "numpy"}):
        assert type(circuit.update(**options)(pnp.array(0.1))) is type(
            plain.update(**options)(pnp.array(0.1))
        )


MEASURES = {
    "expval": lambda: qml.expval(qml.Z(0) @ qml.X(1)),
    "hamiltonian": lambda: qml.expval(0.5 * qml.Z(0) + 2 * qml.X(1) @ qml.Y(0)),
    "probs": lambda: qml.probs(wires=[1, 0]),
    "all probs": qml.probs,
    "several": lambda: (qml.expval(qml.Z(0)), qml.probs(wires=1), qml.var(qml.X(1))),
    "list": lambda: [qml.expval(qml.Z(0))],
    "dict": lambda: {"a": qml.expval(qml.Z(0)), "b": qml.probs(wires=0)},
}
INPUTS = {
    "none": (None, 0.4),
    "auto": ("auto", 0.4),
    "autograd": ("autograd", pnp.array(0.4, requires_grad=True)),
    "autograd float": ("autograd", 0.4),
    "auto tensor": ("auto", pnp.array(0.4, requires_grad=True)),
    "jax": ("jax", jnp.array(0.4)),
    "jax float": ("jax", 0.4),
    "torch": ("torch", torch.tensor(0.4, requires_grad=True)),
    "torch float": ("torch", 0.4),
    "broadcast": ("auto", np.array([0.1, 0.2, 0.3])),
}


def types(value):
    """Types, dtypes and shapes of a nested result."""
    if isinstance(value, dict):
        return {k: types(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value), [types(v) for v in value]
    return type(value), getattr(value, "dtype", None), np.shape(value)


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("measure", MEASURES)
def test_types_shapes_and_values_are_those_of_the_plain_qnode(measure, kind):
    interface, x = INPUTS[kind]
    # parameter-shift on both sides: with backpropagation the simulator itself computes in the framework
    plain = node(MEASURES[measure], interface=interface, diff_method="parameter-shift")
    circuit = qelectron(plain, executors=exact())
    wanted = plain(x)
    for got in (circuit(x), circuit.run_later(x).result()):
        assert types(got) == types(wanted)
        flat = [qml.math.toarray(qml.math.unwrap([v])[0]) for v in qml.pytrees.flatten(got)[0]]
        for a, b in zip(flat, qml.pytrees.flatten(wanted)[0], strict=True):
            np.testing.assert_allclose(a, qml.math.toarray(qml.math.unwrap([b])[0]), atol=1e-6)


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("kind", ["autograd", "jax", "torch float"])
@pytest.mark.parametrize("measure", [qml.counts, lambda: qml.sample(wires=0), lambda: qml.counts(wires=1)])
def test_types_of_sampled_results(measure, kind, later):
    interface, x = INPUTS[kind]
    plain = qml.set_shots(node(measure, interface=interface, diff_method="parameter-shift"), 50)
    circuit = qelectron(plain, executors=aer())
    got = circuit.run_later(x).result() if later else circuit(x)
    wanted = plain(x)
    if isinstance(wanted, dict):
        assert isinstance(got, dict)
        assert {type(k) for k in got} == {type(k) for k in wanted}
        assert sum(int(v) for v in got.values()) == 50
    else:
        assert type(got) is type(wanted)
        assert got.shape == wanted.shape


@pytest.mark.parametrize(
    "call", [lambda c: c, lambda c: lambda x: c.run_later(x).result()], ids=["call", "later"]
)
@pytest.mark.parametrize("method", ["best", "parameter-shift", "finite-diff", "hadamard", "spsa"])
class TestGradients:
    """d/dx of <Z0> after RX(x) and CNOT is -sin(x)."""

    def circuit(self, method, **options):
        wide = qml.device("default.qubit", wires=3)

        @qml.qnode(wide, diff_method=method, **options)
        def circuit(x):
            qml.RX(x, 0)
            qml.CNOT([0, 1])
            return qml.expval(qml.Z(0))

        return qelectron(circuit, executors=[exact(), exact()])

    def test_autograd(self, method, call):
        circuit = call(self.circuit(method))
        gradient = qml.grad(circuit)(pnp.array(0.4, requires_grad=True))
        np.testing.assert_allclose(gradient, -np.sin(0.4), atol=1e-3)

    def test_jax(self, method, call):
        circuit = call(self.circuit(method, interface="jax"))
        value, gradient = jax.value_and_grad(circuit)(jnp.array(0.4))
        np.testing.assert_allclose(
            (value, gradient), (np.cos(0.4), -np.sin(0.4)), atol=1e-3 if method != "finite-diff" else 0.3
        )

    def test_torch(self, method, call):
        circuit = call(self.circuit(method, interface="torch"))
        x = torch.tensor(0.4, requires_grad=True, dtype=torch.float64)
        circuit(x).backward()
        np.testing.assert_allclose(x.grad, -np.sin(0.4), atol=1e-3)


def test_jax_jit_and_gradient_of_jit():
    circuit = qelectron(
        node(lambda: qml.expval(qml.Z(0)), interface="jax", diff_method="parameter-shift"), executors=exact()
    )
    np.testing.assert_allclose(jax.jit(circuit)(0.4), np.cos(0.4), atol=1e-5)
    np.testing.assert_allclose(jax.jit(jax.grad(circuit))(0.4), -np.sin(0.4), atol=1e-5)


def test_run_later_inside_jit_runs_when_jit_runs():
    circuit = qelectron(
        node(lambda: qml.expval(qml.Z(0)), interface="jax", diff_method="parameter-shift"), executors=exact()
    )
    np.testing.assert_allclose(jax.jit(lambda x: circuit.run_later(x).result())(0.4), np.cos(0.4), atol=1e-5)


def test_jacobian_hessian_and_optimiser():
    circuit = qelectron(
        node(lambda: qml.expval(qml.Z(0)), diff_method="parameter-shift", max_diff=2), executors=exact()
    )
    x = pnp.array(0.4, requires_grad=True)
    np.testing.assert_allclose(qml.jacobian(qml.grad(circuit))(x), -np.cos(0.4), atol=1e-6)
    later = lambda x: circuit.run_later(x).result()  # noqa: E731
    np.testing.assert_allclose(qml.jacobian(qml.grad(later))(x), -np.cos(0.4), atol=1e-6)
    for _ in range(60):
        x = qml.GradientDescentOptimizer(0.4).step(circuit, x)
    np.testing.assert_allclose(np.cos(x), -1, atol=1e-3)


def test_several_returns_and_classical_processing():
    circuit = qelectron(
        node(lambda: (qml.expval(qml.Z(0)), qml.expval(qml.Z(1))), diff_method="parameter-shift"),
        executors=exact(),
    )

    def cost(x):
        a, b = circuit(x**2, y=x)
        return a * b + x

    plain = circuit.original_qnode

    def plain_cost(x):
        a, b = plain(x**2, y=x)
        return a * b + x

    x = pnp.array(0.7, requires_grad=True)
    np.testing.assert_allclose(qml.grad(cost)(x), qml.grad(plain_cost)(x), atol=1e-6)


def test_transforms_draw_specs_and_metric_tensor():
    plain = node(diff_method="parameter-shift")
    circuit = qelectron(plain, executors=exact())
    assert qml.draw(circuit)(0.1) == qml.draw(plain)(0.1)
    assert qml.specs(circuit)(0.1)["resources"] == qml.specs(plain)(0.1)["resources"]
    merged = qml.transforms.merge_rotations(circuit)
    assert isinstance(merged, QElectron)
    np.testing.assert_allclose(merged.run_later(0.2).result(), plain(0.2))
    x = pnp.array(0.4, requires_grad=True)
    np.testing.assert_allclose(qml.gradients.param_shift(circuit)(x), qml.gradients.param_shift(plain)(x))
    np.testing.assert_allclose(
        qml.gradients.param_shift(circuit).run_later(x).result(), qml.gradients.param_shift(plain)(x)
    )
    np.testing.assert_allclose(
        qml.metric_tensor(circuit, approx="block-diag")(x), qml.metric_tensor(plain, approx="block-diag")(x)
    )
    split = qml.transforms.split_non_commuting(circuit)
    np.testing.assert_allclose(split.run_later(0.2).result(), plain(0.2))


def test_a_cotransform_differentiates_the_classical_part_also_later():
    def make(wrap):
        @qml.qnode(dev, diff_method="parameter-shift")
        def circuit(x):
            qml.RX(x**2, 0)
            return qml.expval(qml.Z(0))

        return qml.gradients.param_shift(wrap(circuit))

    x = pnp.array(0.7, requires_grad=True)
    wanted = make(lambda c: c)(x)
    assert abs(wanted) > 0.1
    circuit = make(lambda c: qelectron(c, executors=exact()))
    np.testing.assert_allclose(circuit(x), wanted)
    np.testing.assert_allclose(circuit.run_later(x).result(), wanted)


def test_copies_keep_run_later_and_share_turns():
    executors = [exact(), exact(shots=None)]
    circuit = qelectron(node(), executors=executors)
    for other in (qml.set_shots(circuit, 20), circuit.update(interface="torch"), circuit.update_shots(5)):
        assert isinstance(other, QElectron)
        assert other.device.target is circuit.device.target
    assert qml.set_shots(circuit, 20).shots.total_shots == 20
    assert isinstance(circuit.update(interface="torch")(0.1), torch.Tensor)
    assert circuit.shots.total_shots is None


@pytest.mark.parametrize(("override", "of_qnode", "length"), [(0, 30, 30), (12, 30, 12), (12, None, 12)])
def test_shots_of_the_executor_replace_those_of_the_qnode(override, of_qnode, length):
    circuit = qelectron(
        qml.set_shots(node(lambda: qml.sample(wires=0)), of_qnode), executors=exact(shots=override)
    )
    assert len(circuit(0.4)) == length
    assert len(circuit.run_later(0.4).result()) == length


def test_none_makes_results_analytic_where_the_device_can():
    circuit = qelectron(qml.set_shots(node(), 10), executors=exact(shots=None))
    np.testing.assert_allclose(circuit(0.4), node()(0.4))


@pytest.mark.parametrize("executor", [exact, aer])
def test_shot_vectors(executor):
    of_executor = qelectron(
        node(lambda: (qml.probs(wires=0), qml.sample(wires=1))), executors=executor(shots=(5, (20, 2)))
    )
    of_qnode = qelectron(qml.set_shots(of_executor.original_qnode, (5, 20, 20)), executors=executor())
    for circuit in (of_executor, of_qnode):
        for got in (circuit(0.4), circuit.run_later(0.4).result()):
            assert [len(s) for _, s in got] == [5, 20, 20]
            assert [p.shape for p, _ in got] == [(2,)] * 3


def test_different_shots_of_executors_go_with_the_executor():
    circuit = qelectron(node(lambda: qml.sample(wires=0)), executors=[exact(shots=3), exact(shots=8)])
    assert [len(circuit(0.1)) for _ in range(3)] == [3, 8, 3]
    assert [len(f.result()) for f in [circuit.run_later(0.1) for _ in range(2)]] == [8, 3]


def test_wire_labels_and_measurements_of_all_wires():
    @qelectron(executors=[exact(), aer()])
    @qml.qnode(qml.device("default.qubit", wires=["b", 7, "a"]), shots=100)
    def circuit():
        qml.X("a")
        return qml.probs()

    for _ in range(2):
        assert np.argmax(circuit()) == 1
        assert circuit().shape == (8,)

    @qelectron(executors=aer())
    @qml.qnode(qml.device("default.qubit"), shots=100)
    def open_ended():
        qml.X("z")
        return qml.probs()

    np.testing.assert_allclose(open_ended(), [0, 1])


def test_one_executor_serves_qnodes_of_different_wires():
    executor = aer()
    for wires in (["x"], ["x", "y"], [0, 1, 2]):
        circuit = qelectron(qml.QNode(lambda w=wires: (qml.X(w[-1]), qml.probs())[1], qml.device("default.qubit", wires=wires),
                                      shots=10), executors=executor)  # fmt: skip
        assert circuit().shape == (2 ** len(wires),)
        assert np.argmax(circuit()) == 1


def test_wires_that_the_qnode_lacks_are_refused():
    @qelectron(executors=aer())
    @qml.qnode(dev, shots=10)
    def circuit():
        qml.X(5)
        return qml.probs(wires=0)

    with pytest.raises(UnsupportedCircuitError, match="5"):
        circuit()


def test_the_tracker_of_a_qelectron_counts():
    circuit = qelectron(qml.set_shots(node(), 10), executors=[aer(), aer()])
    with qml.Tracker(circuit.device) as tracker:
        circuit(0.1)
        circuit.run_later(0.1).result()
    assert tracker.totals["executions"] >= 2
    assert tracker.totals["batches"] == 2
    assert tracker.totals["shots"] >= 20


def test_calls_from_many_threads():
    """PennyLane's own QNodes lock up or mix circuits here."""
    executors = [exact(), exact()]
    circuits = [
        qelectron(node(MEASURES["several"], diff_method="parameter-shift"), executors=e)
        for e in (executors[0], executors)
    ]
    wanted = {k: node(MEASURES["several"])(0.1 * k) for k in range(8)}
    wrong = []

    def work(k):
        for n in range(12):
            circuit = circuits[n % 2]
            got = circuit(0.1 * k) if n % 3 else circuit.run_later(0.1 * k).result(60)
            if not all(np.allclose(a, b) for a, b in zip(got, wanted[k], strict=True)):
                wrong.append((k, got))

    threads = [threading.Thread(target=work, args=(k,), daemon=True) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []


def test_a_call_is_given_the_structure_of_its_own_output():
    """Whatever a call of another thread returns meanwhile."""
    waits, goes_on = threading.Event(), threading.Event()

    class Patient(IBMQExecutor):
        def batch_get_results(self, futures_list):
            if threading.current_thread() is first:
                waits.set()
                assert goes_on.wait(120)
            return super().batch_get_results(futures_list)

    @qelectron(executors=Patient(runs_on="default.qubit", persist_data=False))
    @qml.qnode(dev)
    def circuit(named):
        values = [qml.expval(qml.Z(0)), qml.expval(qml.Z(1))]
        return {"a": values[0], "b": values[1]} if named else values

    results = []
    first = threading.Thread(target=lambda: results.append(circuit(True)), daemon=True)
    first.start()
    assert waits.wait(120)
    assert circuit(False) == [1, 1]
    goes_on.set()
    first.join(120)
    assert results == [{"a": 1, "b": 1}]


def test_a_qelectron_inside_another():
    inner = qelectron(node(), executors=[exact(), aer()])

    @qelectron(executors=exact())
    @qml.qnode(dev)
    def outer(x):
        with qml.QueuingManager.stop_recording():
            angle = inner(x) + inner.run_later(x).result()
        qml.RX(angle, 0)
        return qml.expval(qml.Z(0))

    assert -1 <= outer(0.2) <= 1


def test_colleagues_of_covalent_find_their_names():
    ct = pennylane_threaded_ibmq
    assert ct.executor.IBMQExecutor is IBMQExecutor
    assert ct.executor.QCluster is QCluster
    circuit = ct.qelectron(node(), executors=ct.executor.IBMQExecutor(runs_on="default.qubit"))
    np.testing.assert_allclose(circuit(0.2), node()(0.2))
    importlib.import_module("pennylane_threaded_ibmq.qelectron")
    assert callable(ct.qelectron)


def test_the_import_brings_no_pennylane():
    code = "import sys, pennylane_threaded_ibmq as p; assert 'pennylane' not in sys.modules; assert 'qelectron' in p.__all__"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
