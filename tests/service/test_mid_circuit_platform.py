"""Mid-circuit measurements on IBM Quantum Platform: the real client, over real HTTP, against the loopback service."""

from __future__ import annotations

import numpy as np
import pennylane as qml
import pytest


def test_dynamic_circuits_are_jobs_of_the_sampler(loopback):
    """A batch of dynamic circuits is one job, though expectation values go through the Estimator by default."""
    service = loopback(backends=("ibm_manila",))
    with qml.device("threaded.ibmq", wires=3, backend="ibm_manila") as dev:

        def circuit(x, postselect=None):
            qml.RX(1.1, 0)
            m0 = qml.measure(0, postselect=postselect)
            qml.cond(m0, qml.RY, qml.RZ)(x, 1)
            m1 = qml.measure(1, reset=True)
            qml.cond(m0 != m1, qml.X)(2)
            return qml.expval(qml.Z(2)), qml.probs(op=[m0, m1]), qml.sample(m0), qml.sample(wires=2)

        tapes = [qml.tape.make_qscript(circuit)(x).copy(shots=2000) for x in (0.4, 1.9)]
        chosen = qml.tape.make_qscript(circuit)(0.4, 1).copy(shots=500)
        results = dev.batch_execute(tapes)
        (few,) = dev.batch_execute([chosen])
    for (mean, probs, value, wire), x in zip(results, (0.4, 1.9), strict=True):
        one = np.sin(0.55) ** 2
        flipped = one * np.sin(x / 2) ** 2
        assert np.allclose(probs, [1 - one, 0, one - flipped, flipped], atol=0.1)
        assert mean == pytest.approx(1 - 2 * (one - flipped), abs=0.15)
        assert value.shape == (2000,)
        assert wire.shape == (2000, 1)
    assert 0 < len(few[2]) < 500
    assert (few[2] == 1).all()
    assert len(service.jobs) == 2


@pytest.mark.parametrize("seed", [None, 7])
def test_a_branch_on_a_wire_that_is_not_measured(loopback, seed):
    """The service simulates it with all qubits of the branch, whatever Aer would leave out."""
    loopback(backends=("ibm_manila",), noise=False, seed=seed)

    def circuit(x):
        qml.Hadamard(1)
        m0 = qml.measure(1)
        qml.cond(m0, qml.RX)(x, 0)
        qml.RX(x, 1)
        return qml.probs(wires=[1]), qml.probs(op=m0)

    tapes = [qml.tape.make_qscript(circuit)(x).copy(shots=4000) for x in (0.4, 1.9)]
    layout = {"initial_layout": [0, 1]}
    with qml.device("threaded.ibmq", wires=2, backend="ibm_manila", transpile_options=layout) as dev:
        results = dev.batch_execute(tapes)
    assert np.allclose(results, 0.5, atol=0.05)
