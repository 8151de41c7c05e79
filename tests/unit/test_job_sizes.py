"""How much of a job a circuit takes, by IBM's own table, and a block with all its rows, bases and copies."""

from __future__ import annotations

import numpy as np
import pennylane as qml
import pytest
from planned import blocks_of
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Gate

from pennylane_threaded_ibmq.circuits.limits import (
    CLASSIC_MOST,
    SERVICE_MOST,
    JobSize,
    Overhead,
    circuit_size,
    weigh,
    weigh_plainly,
)

INIT = 50


@pytest.mark.parametrize(
    ("name", "instructions"),
    [("rz", 1), ("sx", 2), ("x", 2), ("reset", 17), ("measure", 10), ("id", 2)],
)
def test_instructions_on_one_qubit(name, instructions):
    circuit = QuantumCircuit(2, 1)
    arguments = {"rz": [0.1, 0], "measure": [0, 0]}.get(name, [0])
    for _ in range(3):
        getattr(circuit, name)(*arguments)
    size = circuit_size(circuit)
    assert size.instructions == INIT + 3 * instructions
    assert (size.rz, size.sx) == (3 * (name == "rz"), 3 * (name == "sx"))
    assert size.two_qubit_gates == 0
    assert size.circuits == 1
    assert (size.executions, size.bytes) == (0, 0)


@pytest.mark.parametrize("name", ["cx", "cz", "ecr", "swap"])
def test_gates_on_two_qubits_keep_both_busy(name):
    circuit = QuantumCircuit(3)
    getattr(circuit, name)(0, 1)
    getattr(circuit, name)(1, 2)
    size = circuit_size(circuit)
    assert size.two_qubit_gates == 2
    assert size.instructions == INIT + 2 * 5  # of qubit 1


def test_the_busiest_qubit_counts():
    circuit = QuantumCircuit(3)
    circuit.rz(0.1, 0)
    for _ in range(4):
        circuit.x(2)
    assert circuit_size(circuit).instructions == INIT + 8
    assert circuit_size(QuantumCircuit(2)).instructions == INIT
    assert circuit_size(QuantumCircuit()).instructions == 0


def test_delays_count_and_barriers_do_not():
    circuit = QuantumCircuit(2)
    circuit.barrier()
    circuit.barrier(0)
    assert circuit_size(circuit).instructions == INIT
    circuit.delay(100, 0)
    assert circuit_size(circuit).instructions == INIT + 1


def test_gates_on_more_qubits_are_as_their_like_on_one():
    circuit = QuantumCircuit(3)
    circuit.append(Gate("mine", 3, []), [0, 1, 2])
    size = circuit_size(circuit)
    assert size.two_qubit_gates == 0
    assert size.instructions == INIT + 2


def test_each_branch_counts_on_the_qubits_that_it_is_about():
    qubits, bits = QuantumRegister(3), ClassicalRegister(1)
    circuit = QuantumCircuit(qubits, bits)
    with circuit.if_test((bits[0], 1)) as otherwise:
        circuit.x(2)
        circuit.cz(2, 1)
    with otherwise:
        circuit.rz(0.1, 2)
    size = circuit_size(circuit)
    assert size.instructions == INIT + 2 + 5 + 1
    assert (size.two_qubit_gates, size.rz) == (1, 1)


def block_of(*measurements, shots=10, rows=1, estimator=False, layers=2, **options):
    angle = np.linspace(0.1, 0.9, rows) if rows > 1 else 0.1
    operations = [qml.RX(angle, 0), qml.CNOT([0, 1])]
    operations += [qml.RZ(0.3, 0) for _ in range(layers)]
    tape = qml.tape.QuantumScript(operations, list(measurements), shots=shots)
    blocks = blocks_of([tape], estimator=estimator, **options)
    return blocks[0]


PLAIN = {"sampler": Overhead(), "estimator": Overhead()}


def test_a_samplers_row_is_one_circuit_a_setting():
    weight = weigh(block_of(qml.expval(qml.Z(0)), shots=10), PLAIN)
    circuit = block_of(qml.expval(qml.Z(0))).template.sampler_circuit(0)
    assert weight.row.circuits == 1
    assert weight.row.executions == 10
    assert weight.row.two_qubit_gates == 1
    assert weight.row.instructions == circuit_size(circuit.circuit).instructions
    assert weight.row.bytes == 11 * len(circuit.columns)
    assert weight.fixed == JobSize(bytes=36_000 + 80 * len(circuit.circuit.data))
    two = weigh(block_of(qml.expval(qml.X(0) + qml.Z(0)), shots=10), PLAIN)
    assert (two.row.circuits, two.row.executions, two.row.two_qubit_gates) == (2, 20, 2)
    assert two.fixed.bytes > 72_000


def test_a_shot_vector_is_run_at_once():
    assert weigh(block_of(qml.expval(qml.Z(0)), shots=(10, 20, 10)), PLAIN).row.executions == 40


def test_what_options_make_of_shots_and_gates():
    overhead = {"sampler": Overhead(lambda shots: 100 * (1 + shots // 100), 4.0), "estimator": Overhead()}
    weight = weigh(block_of(qml.expval(qml.Z(0)), shots=130), overhead)
    assert weight.row.executions == 200
    assert weight.row.two_qubit_gates == 4


def test_a_random_basis_is_a_circuit_for_each_basis_or_shot():
    shadow = qml.classical_shadow(wires=[0, 1])
    assert weigh(block_of(shadow, shots=100), PLAIN).row.circuits == 9
    assert weigh(block_of(shadow, shots=4), PLAIN).row.circuits == 4
    apart = block_of(shadow, shots=4, equal_shots=True)
    assert apart.single_shots
    overhead = {"sampler": Overhead(lambda shots: 7 * shots), "estimator": Overhead()}
    assert weigh(apart, overhead).row.executions == 28


def test_an_estimators_row_is_a_circuit_for_each_basis_and_copy():
    one = weigh(block_of(qml.expval(qml.Z(0)), estimator=True), PLAIN)
    assert (one.row.circuits, one.row.executions, one.row.two_qubit_gates) == (1, 0, 1)
    compiled = block_of(qml.expval(qml.Z(0)), estimator=True).template.estimator_circuit()[0]
    assert one.row.instructions == circuit_size(compiled.circuit).instructions + 10
    bases = weigh(block_of(qml.expval(qml.X(0) + qml.Z(0)), estimator=True), PLAIN)
    assert (bases.row.circuits, bases.row.two_qubit_gates) == (2, 2)
    # the values are sent once, whatever the bases
    assert bases.row.bytes == one.row.bytes
    copies = weigh(block_of(qml.expval(qml.X(0) + qml.Z(0)), shots=(10, 20, 30), estimator=True), PLAIN)
    assert copies.row == bases.row * 3
    assert copies.fixed == bases.fixed * 3
    folded = weigh(
        block_of(qml.expval(qml.Z(0)), estimator=True), {**PLAIN, "estimator": Overhead(folding=9.0)}
    )
    assert folded.row.two_qubit_gates == 9


def test_the_gates_of_an_estimators_circuit_are_sent():
    words = [qml.expval(qml.Z(0))]
    fixed = weigh(block_of(*words, estimator=True), PLAIN).fixed
    compiled = block_of(*words, estimator=True).template.estimator_circuit()[0]
    assert fixed == JobSize(bytes=36_000 + 80 * len(compiled.circuit.data))


def test_the_classic_api_counts_circuits_and_their_shots():
    one = block_of(qml.expval(qml.Z(0)), shots=10)
    values = one.values.shape[1]
    assert values > 1
    assert weigh_plainly(one).fixed == JobSize()
    assert weigh_plainly(one).row == JobSize(circuits=1, executions=10, bytes=11 * values)
    three = block_of(qml.expval(qml.X(0) + qml.Y(0) + qml.Z(0)), shots=10)
    assert weigh_plainly(three).row == JobSize(circuits=3, executions=30, bytes=3 * 11 * values)
    shadow = qml.classical_shadow(wires=[0])
    assert [weigh_plainly(block_of(shadow, shots=n)).row.circuits for n in (1, 2, 100)] == [1, 2, 3]


def test_the_limits_that_ibm_publishes():
    assert SERVICE_MOST.executions == CLASSIC_MOST.executions == 10_000_000
    assert (SERVICE_MOST.instructions, SERVICE_MOST.two_qubit_gates) == (26_800_000, 5_000_000)
    assert (SERVICE_MOST.rz, SERVICE_MOST.sx) == (30_000_000, 20_000_000)
    assert SERVICE_MOST.bytes == CLASSIC_MOST.bytes == 50_000_000
    unlimited = ("circuits", "instructions", "two_qubit_gates", "rz", "sx")
    assert {getattr(CLASSIC_MOST, name) for name in unlimited} == {float("inf")}
