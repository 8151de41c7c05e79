"""Autograd, JAX and Torch; PennyLane's own ways to execute; options that change how a circuit is compiled."""

from __future__ import annotations

import jax
import numpy as np
import pennylane as qml
import pytest
import torch
from pennylane import numpy as pnp

Script = qml.tape.QuantumScript


@pytest.fixture
def dev():
    return qml.device("threaded.ibmq", wires=2, seed_simulator=11)


def energy(x):
    qml.RX(x[0], 0)
    qml.RY(x[1], 1)
    qml.CNOT([0, 1])
    return qml.expval(qml.Z(1) + 0.5 * qml.X(0) @ qml.X(1))


def node(dev, function=energy, **options):
    return qml.set_shots(qml.QNode(function, dev, diff_method="parameter-shift", **options), 20_000)


POINT = [0.4, 1.1]
EXACT = qml.grad(qml.QNode(energy, qml.device("default.qubit")))(pnp.array(POINT, requires_grad=True))


def test_autograd(dev):
    np.testing.assert_allclose(qml.grad(node(dev))(pnp.array(POINT, requires_grad=True)), EXACT, atol=0.05)


def test_torch(dev):
    x = torch.tensor(POINT, requires_grad=True)
    value = node(dev)(x)
    assert isinstance(value, torch.Tensor)
    value.backward()
    np.testing.assert_allclose(x.grad.numpy(), EXACT, atol=0.05)


def test_jax(dev):
    x = jax.numpy.array(POINT)
    assert isinstance(node(dev)(x), jax.Array)
    np.testing.assert_allclose(jax.grad(node(dev))(x), EXACT, atol=0.05)


def test_jax_jit(dev):
    x = jax.numpy.array(POINT)
    np.testing.assert_allclose(jax.jit(jax.grad(node(dev)))(x), EXACT, atol=0.05)


def test_jacobian_of_several_returns(dev):
    def circuit(x):
        qml.RX(x[0], 0)
        qml.RY(x[1], 1)
        qml.CNOT([0, 1])
        return qml.expval(qml.Z(0)), qml.probs(wires=[0, 1])

    x = torch.tensor(POINT, dtype=torch.float64, requires_grad=True)
    first, second = torch.autograd.functional.jacobian(node(dev, circuit), x)
    exact = torch.autograd.functional.jacobian(qml.QNode(circuit, qml.device("default.qubit")), x)
    np.testing.assert_allclose(first, exact[0], atol=0.05)
    np.testing.assert_allclose(second, exact[1], atol=0.05)


@pytest.mark.parametrize("method", ["parameter-shift", "finite-diff", "hadamard", "spsa"])
def test_differentiation_methods(method):
    dev = qml.device("threaded.ibmq", wires=3, seed_simulator=4)
    options = {"finite-diff": {"h": 0.3}, "spsa": {"h": 0.3, "num_directions": 40, "sampler_rng": 3}}
    circuit = qml.QNode(energy, dev, diff_method=method, gradient_kwargs=options.get(method, {}))
    gradient = qml.grad(qml.set_shots(circuit, 20_000))(pnp.array(POINT, requires_grad=True))
    np.testing.assert_allclose(gradient, EXACT, atol=0.35 if method == "spsa" else 0.1)


def test_qml_execute_with_gradients(dev):
    def cost(x):
        tapes = [
            Script(
                [qml.RX(x[0] * k, 0), qml.RY(x[1], 1), qml.CNOT([0, 1])], [qml.expval(qml.Z(1))], shots=20_000
            )
            for k in (1, 2)
        ]
        return pnp.sum(pnp.stack(qml.execute(tapes, dev, diff_method=qml.gradients.param_shift)))

    exact = [
        -np.sin(POINT[0]) * np.cos(POINT[1]) - 2 * np.sin(2 * POINT[0]) * np.cos(POINT[1]),
        -np.sin(POINT[1]) * (np.cos(POINT[0]) + np.cos(2 * POINT[0])),
    ]
    np.testing.assert_allclose(qml.grad(cost)(pnp.array(POINT, requires_grad=True)), exact, atol=0.08)


def test_broadcasting_of_size_one_keeps_its_axis(dev):
    script = Script([qml.RX(np.array([0.1]), 0)], [qml.expval(qml.Z(0)), qml.probs(wires=0)], shots=100)
    value, probabilities = dev.batch_execute([script])[0]
    assert value.shape == (1,)
    assert probabilities.shape == (1, 2)


def test_a_large_broadcast_is_one_run():
    dev = qml.device("threaded.ibmq", wires=2, seed_simulator=11, simulator="aer")
    script = Script([qml.RX(np.linspace(0, 3, 500), 0)], [qml.expval(qml.Z(0))], shots=500)
    with qml.Tracker(dev) as tracker:
        values = dev.batch_execute([script])[0]
    np.testing.assert_allclose(values, np.cos(np.linspace(0, 3, 500)), atol=0.25)
    assert tracker.totals["jobs"] == 1
    assert dev.transpiles == 1


def test_set_shots_and_tracker(dev):
    circuit = node(dev)
    with qml.Tracker(dev) as tracker:
        qml.set_shots(circuit, 321)(POINT)
    assert tracker.totals["shots"] == 2 * 321  # two bases that do not commute
    assert tracker.totals["jobs"] == 1


@pytest.mark.parametrize(
    "options",
    [
        {"parametrise": False},
        {"optimization_level": 3},
        {"transpile_options": {"initial_layout": [3, 2]}},
        {"backend": "fake_manila", "compile_backend": "fake_lima"},
        {"backend": "aer_simulator_matrix_product_state"},
        {"shard_size": 1, "max_jobs": 2},
        {"primitive": "estimator"},
    ],
    ids=str,
)
def test_options_change_the_way_and_not_the_result(options):
    if "transpile_options" in options:
        options = {"backend": "fake_manila", **options}
    dev = qml.device("threaded.ibmq", wires=2, seed_simulator=5, **options)
    np.testing.assert_allclose(
        qml.grad(node(dev))(pnp.array(POINT, requires_grad=True)),
        EXACT,
        atol=0.2 if str(options.get("backend")).startswith("fake") else 0.06,
    )


def test_parametrise_off_compiles_each_tape():
    dev = qml.device("threaded.ibmq", wires=1, simulator="aer")
    plain = qml.device("threaded.ibmq", wires=1, parametrise=False, simulator="aer")
    tapes = [Script([qml.RX(angle, 0)], [qml.expval(qml.Z(0))], shots=10) for angle in (0.1, 0.2, 0.3, 0.1)]
    plain.batch_execute(tapes)
    dev.batch_execute(tapes)
    assert (plain.transpiles, dev.transpiles) == (3, 1)


def test_a_seed_repeats_a_run_and_its_runs_differ():
    script = Script([qml.Hadamard(0)], [qml.sample(wires=0)], shots=100)
    runs = []
    for _ in range(2):
        dev = qml.device("threaded.ibmq", wires=1, seed_simulator=9)
        runs.append([dev.batch_execute([script])[0] for _ in range(2)])
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0][0], runs[0][1])


def test_a_seed_repeats_shards_whatever_their_order():
    script = Script([qml.Hadamard(0)], [qml.sample(wires=0)], shots=50)
    results = [
        qml.device("threaded.ibmq", wires=1, seed_simulator=2, shard_size=1, max_jobs=4).batch_execute(
            [script] * 6
        )
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*results)
