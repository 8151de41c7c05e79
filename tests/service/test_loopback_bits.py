"""Circuits as wide as a chip, simulated part by part."""

from __future__ import annotations

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import Statevector

from pennylane_threaded_ibmq.loopback import SIMULATOR
from pennylane_threaded_ibmq.loopback.bits import Work, sample_bits
from pennylane_threaded_ibmq.loopback.circuits import independent_parts
from pennylane_threaded_ibmq.loopback.machines import Machine, load_machines
from pennylane_threaded_ibmq.loopback.simulate import Engine, Run


def engine_of(name, **options):
    """The engine of a backend."""
    return Engine(load_machines({name: "fake_manila"}, Machine)[name], **{"seed": None, **options})


@pytest.mark.parametrize("gate", ["rx", "ry", "rz", "p"])
def test_lone_qubits_have_the_chances_of_their_states(gate):
    """Each rotation turns a lone qubit as it turns a state, for all rows at once."""
    angle = Parameter("t")
    circuit = QuantumCircuit(1)
    circuit.h(0)
    circuit.t(0)
    circuit.rx(0.4, 0)
    getattr(circuit, gate)(angle, 0)
    circuit.rx(0.7, 0)
    getattr(circuit, gate)(0.5, 0)
    circuit.sx(0)
    measured = circuit.copy()
    measured.measure_all()
    values = np.array([[0.2], [0.9], [2.5], [-1.3]])
    exact = [Statevector(circuit.assign_parameters(row)).probabilities()[1] for row in values]
    engine = Engine(Machine(SIMULATOR, None), noise=False, seed=5)
    (bits,) = sample_bits(engine, [Work(measured, values)], 40_000)
    assert np.allclose(bits[..., 0].mean(axis=1), exact, atol=0.012)


@pytest.mark.parametrize("noise", [False, True])
def test_lone_qubits_are_followed_as_aer_would(noise):
    """A qubit that is alone reads 1 as often as the same qubit simulated by Aer, with noise and without."""
    angle = Parameter("t")
    alone = QuantumCircuit(5, 1)
    alone.sx(1)
    alone.rz(angle, 1)
    alone.sx(1)
    alone.barrier()
    alone.rz(0.3, 1)
    alone.x(1)
    alone.rx(angle, 1)
    alone.measure(1, 0)
    entangled = alone.copy()
    entangled.cx(1, 0)  # after the measurement it changes nothing but who simulates
    expression = alone.assign_parameters({angle: 2 * Parameter("h")})
    values = np.array([[0.2], [0.9], [2.5]])
    works = [Work(alone, values), Work(entangled, values), Work(expression, values / 2)]
    found = [bits.mean(axis=1) for bits in sample_bits(engine_of("ibm_manila", noise=noise), works, 100_000)]
    assert np.allclose(found[0], found[1], atol=0.015)
    assert np.allclose(found[0], found[2], atol=0.015)


def test_parts_of_a_circuit():
    """Qubits belong together by gates, by bits they share and by branches; idle ones belong nowhere."""
    circuit = QuantumCircuit(8, 4)
    circuit.cz(0, 2)
    circuit.x(1)
    circuit.measure([3, 4], [0, 0])
    circuit.measure(5, 1)
    with circuit.if_test((circuit.clbits[1], 1)):
        circuit.x(6)
    circuit.barrier()
    assert sorted(independent_parts(circuit)) == [(0, 2), (1,), (3, 4), (5, 6)]


def test_parts_are_not_sorted_alike():
    """Two independent pairs of qubits have independent outcomes, shot by shot, with a seed too."""
    circuit = QuantumCircuit(4, 4)
    circuit.h([0, 2])
    circuit.cx([0, 2], [1, 3])
    circuit.measure(range(4), range(4))
    for seed in (None, 3):
        engine = Engine(Machine(SIMULATOR, None), noise=False, seed=seed)
        (bits,) = sample_bits(engine, [Work(circuit, np.empty((1, 0)))], 4000)
        assert (bits[0, :, 0] == bits[0, :, 1]).all()
        assert (bits[0, :, 0] == bits[0, :, 2]).mean() == pytest.approx(0.5, abs=0.06)


def test_noise_of_idle_qubits_is_their_readout():
    """A qubit that is only measured reads 1 as often as its snapshot's readout says, and exactly 0 without noise."""
    circuit = QuantumCircuit(5, 5)
    circuit.measure(range(5), range(5))
    engine = engine_of("ibm_manila", noise=True)
    (bits,) = sample_bits(engine, [Work(circuit, np.empty((2, 0)))], 200_000)
    wrong = [engine.qubit_errors(qubit).readout[0, 1] for qubit in range(5)]
    assert min(wrong) > 0.001
    assert np.allclose(bits.mean(axis=(0, 1)), wrong, atol=0.004)
    (silent,) = sample_bits(engine_of("ibm_manila", noise=False), [Work(circuit, np.empty((2, 0)))], 100)
    assert not silent.any()


@pytest.mark.parametrize("again", [0, 1])
def test_noise_of_a_circuit_does_not_depend_on_the_dynamic_circuit_before_it(again):
    """Aer, given both in one run, applies the noise of the second twice, and half becomes five sixths."""
    dynamic, half = QuantumCircuit(5, 2), QuantumCircuit(5, 2)
    dynamic.measure(0, 0)
    dynamic.x(0)
    dynamic.measure(0, 1)
    half.sx(0)
    half.measure([0] * (again + 1), range(again + 1))
    none = np.empty((1, 0))
    machine = load_machines({"torino": "fake_torino"}, Machine)["torino"]
    engine = Engine(machine, noise=True, seed=None)
    _, (counts,) = engine.sample([Run(dynamic, none), Run(half, none)], 4000)
    ones = sum(number for outcome, number in counts.items() if int(outcome, 16) & 1)
    assert abs(ones / 4000 - 0.5) < 0.1
