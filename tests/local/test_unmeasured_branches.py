"""Conditional gates on wires that no measurement reaches: Aer loses these qubits unless they are measured too."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pennylane as qml
import pytest
from pennylane import numpy as pnp
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, depolarizing_error

SHOTS = 6_000


def later_gate(x):
    """A gate after the branch, on the wire that is measured."""
    qml.H(1)
    m = qml.measure(1)
    qml.cond(m, qml.X)(0)
    qml.RX(x, 1)
    return qml.probs(wires=[1])


def values_only(x):
    qml.RY(x, 2)
    m = qml.measure(2)
    qml.cond(m, qml.RX)(x, 0)
    n = qml.measure(2, reset=True)
    qml.cond(m & n, qml.CRX)(x, [0, 1])
    return qml.expval(m + n)


def both_branches(x):
    qml.RY(x, 1)
    m = qml.measure(1)
    qml.cond(m, qml.X, qml.Hadamard)(0)
    qml.cond(~m, qml.CNOT)([0, 2])
    qml.RY(0.3, 1)
    return qml.expval(qml.X(1)), qml.probs(op=m)


def several_bases(x):
    qml.RY(x, 2)
    m = qml.measure(2)
    qml.cond(m, qml.CNOT)([2, 0])
    qml.RY(0.4, 2)
    return qml.expval(qml.Z(2)), qml.expval(qml.X(2)), qml.var(qml.Y(2))


CIRCUITS = (later_gate, values_only, both_branches, several_bases)


def user_simulator():
    return AerSimulator(method="statevector")


def noisy_simulator():
    """A user's simulator with noise on the very qubit that the branch names."""
    noise = NoiseModel()
    noise.add_quantum_error(depolarizing_error(0.5, 1), ["x", "rx", "sx"], [0])
    return AerSimulator(noise_model=noise)


BACKENDS = {
    "default": dict,
    "each circuit its own": lambda: {"parametrise": False},
    "a tape a job": lambda: {"shard_size": 1},
    "user's simulator": lambda: {"backend": user_simulator()},
    "user's noisy simulator": lambda: {"backend": noisy_simulator()},
    "chip without noise": lambda: {
        "backend": AerSimulator(),
        "compile_backend": GenericBackendV2(5, control_flow=True),
    },
    "not Aer": lambda: {"backend": GenericBackendV2(4, control_flow=True, noise_info=False)},
}


def exact(circuit, x):
    return qml.QNode(circuit, qml.device("default.qubit", wires=8), mcm_method="deferred")(x)


def flat(result):
    return np.concatenate(
        [np.ravel(part) for part in (result if isinstance(result, (tuple, list)) else (result,))]
    )


@pytest.mark.parametrize("circuit", CIRCUITS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_values_are_those_of_deferred_measurements(circuit, backend):
    """Also with an angle, with the noise of other qubits, and for a backend that is no simulator of ours."""
    with qml.device("threaded.ibmq", wires=3, seed_simulator=5, **BACKENDS[backend]()) as dev:
        got = qml.set_shots(qml.QNode(circuit, dev, mcm_method="device"), SHOTS)(1.2)
    assert np.allclose(flat(got), flat(exact(circuit, 1.2)), atol=0.06)


def test_a_chip_with_noise_is_simulated_with_the_qubits_in_use():
    """133 qubits without truncation would not fit anywhere."""
    with qml.device("threaded.ibmq", wires=3, backend="fake_torino", seed_simulator=5) as dev:
        got = qml.set_shots(qml.QNode(later_gate, dev, mcm_method="device"), SHOTS)(1.2)
    assert np.allclose(got, exact(later_gate, 1.2), atol=0.08)


def test_a_user_s_simulator_keeps_its_options():
    backend = user_simulator()
    before = dict(backend.options.__dict__)
    with qml.device("threaded.ibmq", wires=3, backend=backend) as dev:
        qml.set_shots(qml.QNode(later_gate, dev), 10)(1.2)
    assert dict(backend.options.__dict__) == before


def test_other_tapes_of_the_batch_are_not_touched():
    """Counts hold the bits that were asked for, whatever else was measured."""
    tapes = [qml.tape.make_qscript(c)(0.4).copy(shots=100) for c in (later_gate, several_bases)]
    plain = qml.tape.QuantumScript([qml.X(2)], [qml.counts(wires=[0, 1, 2])], shots=100)
    with qml.device("threaded.ibmq", wires=3) as dev:
        results = dev.batch_execute([tapes[0], plain, tapes[1]])
    assert results[1] == {"001": 100}
    assert results[0].sum() == pytest.approx(1)


def test_an_engine_gives_the_same():
    """Pieces that run in a worker measure the same bits."""
    tapes = [qml.tape.make_qscript(later_gate)(x).copy(shots=500) for x in (0.3, 1.1, 2.2)]
    with qml.device("threaded.ibmq", wires=3, seed_simulator=2) as dev:
        here = dev.batch_execute(tapes)
    with (
        ThreadPoolExecutor(2) as engine,
        qml.device("threaded.ibmq", wires=3, seed_simulator=2, engine=engine) as dev,
    ):
        there = dev.batch_execute(tapes)
    assert np.array_equal(here, there)


@pytest.mark.parametrize("method", ["parameter-shift", "finite-diff"])
def test_jacobians(method):
    """Each shifted row has its own circuit, and all of them the branch."""

    def circuit(x, y):
        qml.RY(x, 1)
        m = qml.measure(1)
        qml.cond(m, qml.RX)(y, 0)
        qml.RX(y, 1)
        return qml.probs(wires=1)

    at = [pnp.array(0.8, requires_grad=True), pnp.array(0.4, requires_grad=True)]
    options = (
        {"gradient_kwargs": {"h": 0.5, "approx_order": 2, "strategy": "center"}}
        if method != "parameter-shift"
        else {}
    )
    with qml.device("threaded.ibmq", wires=2, seed_simulator=4) as dev:
        mine = qml.set_shots(
            qml.QNode(circuit, dev, diff_method=method, mcm_method="device", **options), 20_000
        )
        got = qml.jacobian(mine)(*at)
    wanted = qml.jacobian(qml.QNode(circuit, qml.device("default.qubit"), mcm_method="deferred"))(*at)
    assert np.allclose(got, wanted, atol=0.06)


def dynamic():
    m = qml.measure(1)
    qml.cond(m, qml.X)(1)
    return qml.probs(wires=[1])


def half():
    qml.RX(np.pi / 2, 0)
    return qml.probs(wires=[0])


def half_measured_midway():
    qml.RX(np.pi / 2, 0)
    qml.measure(0)
    return qml.probs(wires=[0])


def half_after_a_reset():
    qml.measure(0, reset=True)
    qml.RX(np.pi / 2, 0)
    return qml.probs(wires=[0])


@pytest.mark.parametrize("plain", [half, half_measured_midway, half_after_a_reset])
def test_noise_of_a_circuit_does_not_depend_on_the_dynamic_circuit_before_it(plain):
    """Aer, given both in one run, applies the noise of the second twice, if it draws from a density matrix."""
    before, tape = (qml.tape.make_qscript(f)().copy(shots=4000) for f in (dynamic, plain))
    with qml.device("threaded.ibmq", wires=2, backend="fake_torino", seed_simulator=5) as dev:
        (alone,) = dev.batch_execute([tape])
        _, after = dev.batch_execute([before, tape])
    assert np.abs(after - alone).max() < 0.06
    assert np.abs(after - 0.5).max() < 0.2
