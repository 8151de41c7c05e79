"""Several rows of a circuit without parameters, on simulators of this machine."""

from functools import partial

import numpy as np
import pennylane as qml
import pytest
from planned import planned
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import Statevector, state_fidelity
from qiskit_aer import AerSimulator

from pennylane_threaded_ibmq.circuits.pubs import make_request
from pennylane_threaded_ibmq.device.templates import TemplateStore
from pennylane_threaded_ibmq.execution.primitives import primitive_pubs

BACKENDS = {
    "default": dict,
    "snapshot": lambda: {"backend": "fake_manila"},
    "user's simulator": lambda: {"backend": AerSimulator()},
    "not Aer": lambda: {"backend": GenericBackendV2(2, noise_info=False)},
}


def twins(count, shots, *measurements):
    return [
        qml.tape.QuantumScript([qml.Hadamard(0), qml.X(1)], measurements, shots=shots) for _ in range(count)
    ]


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_row_is_sampled(backend):
    """No row repeats another one or stays empty."""
    with qml.device("threaded.ibmq", wires=2, seed_simulator=1, **BACKENDS[backend]()) as dev:
        results = dev.batch_execute(twins(4, 200, qml.sample(wires=[0, 1])))
    assert all(r.shape == (200, 2) and r[:, 1].mean() > 0.9 and 60 < r[:, 0].sum() < 140 for r in results)
    assert len({r.tobytes() for r in results}) == 4


@pytest.mark.parametrize("backend", ["default", "snapshot", "user's simulator"])
@pytest.mark.parametrize("seed", [None, 3])
def test_each_row_is_estimated(backend, seed):
    """Twins, a variance, a shot vector and rows with parameters in one batch, each with noise of its own."""
    tapes = [
        *twins(3, 2000, qml.expval(qml.Z(0) + 2 * qml.Z(1)), qml.var(qml.X(0) + qml.Z(1))),
        *twins(2, [2000, 1000], qml.expval(qml.Z(1))),
        *(qml.tape.QuantumScript([qml.RX(x, 0)], [qml.expval(qml.Z(0))], shots=2000) for x in (0.0, np.pi)),
    ]
    options = {"primitive": "estimator", "seed_simulator": seed, **BACKENDS[backend]()}
    with qml.device("threaded.ibmq", wires=2, **options) as dev:
        results = dev.batch_execute(tapes)
    for mean, variance in results[:3]:
        assert mean == pytest.approx(-2, abs=0.35)
        assert variance == pytest.approx(0, abs=0.35)
    assert len({float(mean) for mean, _ in results[:3]}) == 3
    assert np.allclose(results[3:5], -1, atol=0.2)
    assert np.allclose(results[5:], [1, -1], atol=0.2)


def test_a_qnode_without_parameters_on_the_estimator():
    """One row, as ever."""
    with qml.device("threaded.ibmq", wires=2, primitive="estimator") as dev:

        @qml.set_shots(4000)
        @qml.qnode(dev)
        def circuit():
            qml.X(1)
            return qml.expval(qml.Z(1))

        assert circuit() == pytest.approx(-1, abs=0.1)


@pytest.mark.parametrize(
    ("measurement", "most_shots", "takes_rz", "expected"),
    [
        # shape of the values, and shots or rounded 1 / precision**2
        (qml.probs(wires=[0, 1]), None, True, [((5, 1), 200)]),
        (qml.probs(wires=[0, 1]), None, False, [(None, 200)] * 5),
        (qml.probs(wires=[0, 1]), 500, True, [(None, 400), (None, 400), (None, 200)]),
        (qml.probs(wires=[0, 1]), 500, False, [(None, 400), (None, 400), (None, 200)]),
        (qml.expval(qml.Z(0)), None, True, [((5, 1, 1), 200)]),
        (qml.expval(qml.Z(0)), 500, True, [((5, 1, 1), 200)]),
        (qml.expval(qml.Z(0)), 500, False, [(None, 200)] * 5),
    ],
)
def test_how_twins_are_sent_to_a_service(measurement, most_shots, takes_rz, expected):
    with qml.device("threaded.ibmq", wires=2, backend="fake_manila") as dev:
        make_template = partial(dev._planner.make_template, dev._open())
        (block,) = planned(twins(5, 200, measurement), TemplateStore(), make_template, estimator=True)
        request = make_request(block, np.random.default_rng(0))
    pubs = primitive_pubs([request], most_shots, takes_rz=takes_rz)
    estimator = block.primitive == "estimator"
    told = [
        (None if pub[-2] is None else pub[-2].shape, round(pub[-1] ** -2) if estimator else pub[-1])
        for pub in pubs
    ]
    assert told == expected
    plain = request.pubs[0].circuit
    for circuit, *_, values, _ in pubs:
        assert circuit.layout == plain.layout
        if values is None:
            assert circuit is plain
            continue
        assert len(np.unique(values)) == 5
        states = [
            Statevector(circuit.assign_parameters(row).remove_final_measurements(inplace=False))
            for row in values.reshape(5, 1)
        ]
        exact = Statevector(plain.remove_final_measurements(inplace=False))
        assert [state_fidelity(state, exact) for state in states] == pytest.approx([1] * 5)
