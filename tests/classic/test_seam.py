"""A QNode reaches an executor through ``batch_submit`` and ``batch_get_results`` alone, on the classic stack."""

from __future__ import annotations

from typing import Any

import numpy as np
import pennylane as qml
import pytest
from pennylane import numpy as pnp
from pydantic import PrivateAttr
from qiskit_aer.noise import NoiseModel

from pennylane_threaded_ibmq import IBMQExecutor, QCluster, Simulator, qelectron


class Counting(IBMQExecutor):
    """Counts circuits, and gives the opposite of every result."""

    _submitted: Any = PrivateAttr(default_factory=list)
    _collected: Any = PrivateAttr(default_factory=list)

    def batch_submit(self, qscripts_list):
        tapes = list(qscripts_list)
        self._submitted.append(len(tapes))
        return super().batch_submit(tapes)

    def batch_get_results(self, futures_list):
        futures = list(futures_list)
        self._collected.append(len(futures))
        return [-result for result in super().batch_get_results(futures)]


@qml.qnode(qml.device("default.qubit", wires=2, shots=20), diff_method="parameter-shift")
def plain(x):
    qml.RX(x, wires=0)
    return qml.expval(qml.PauliZ(0))


@pytest.mark.parametrize("how", ["alone", "cluster", "nested"])
def test_overrides_are_obeyed_by_calls_gradients_and_run_later(how, loopback):
    service = loopback()
    executor = Counting(persist_data=False)
    target = executor if how == "alone" else QCluster(executors=[executor])
    circuit = qelectron(plain, executors=QCluster(executors=[target]) if how == "nested" else target)
    assert circuit(0.0) == -1
    assert (executor._submitted, executor._collected) == ([1], [1])
    futures = [circuit.run_later(np.pi) for _ in range(2)]
    assert (executor._submitted, executor._collected) == ([1, 1, 1], [1])
    assert [future.result() for future in futures] == [1, 1]
    assert executor._collected == [1, 1, 1]
    x = pnp.array(np.pi / 2, requires_grad=True)
    assert qml.grad(circuit)(x) == pytest.approx(1)
    assert (sum(executor._submitted), sum(executor._collected)) == (6, 6)
    assert service.counters.logins == 1


@pytest.mark.parametrize("wires", [["a", "b"], [1, 0], [0, 1]])
@pytest.mark.parametrize("fields", [{"initial_layout": [3, 1]}, {"skip_transpilation": True}])
def test_wires_are_on_qubits_in_the_order_of_the_qnode_s_device(wires, fields):
    """All wires are 0, and qubit 1, which the second of them is on, is always read wrongly."""
    noise = NoiseModel(basis_gates=["rz", "sx", "x", "cx"])
    noise.add_readout_error([[0, 1], [1, 0]], [1])
    executor = IBMQExecutor(backend="fake_manila", noise_model=noise, persist_data=False, **fields)

    @qml.qnode(qml.device("default.qubit", wires=wires, shots=2))
    def circuit():
        return qml.sample()

    assert qelectron(circuit, executors=executor)().tolist() == [[0, 1], [0, 1]]


@pytest.mark.parametrize("interface", ["auto", "autograd", None])
@pytest.mark.parametrize("make", [float, np.array, pnp.array])
@pytest.mark.parametrize("several", [False, True])
def test_an_analytic_qnode_gives_the_types_of_the_plain_one(interface, make, several):
    def circuit(x):
        qml.RX(x, wires=0)
        z = qml.expval(qml.PauliZ(0))
        return (z, qml.probs(wires=[0, 1])) if several else z

    plain = qml.QNode(circuit, qml.device("default.qubit", wires=2), interface=interface)
    executors = Simulator(persist_data=False)
    qelectron_ = qelectron(plain, executors=executors)
    wanted = plain(make(0.3))
    for got in (qelectron_(make(0.3)), qelectron_.run_later(make(0.3)).result()):
        assert type(got) is type(wanted)
        pairs = zip(got, wanted) if several else [(got, wanted)]
        for one, other in pairs:
            assert type(one) is type(other)
            assert np.allclose(one, other)
