"""Gates of PennyLane's as Qiskit's: the same matrix up to a phase, on the same wires, with the same angles."""

from __future__ import annotations

import runpy
from math import pi

import numpy as np
import pennylane as qml
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import Operator

from pennylane_threaded_ibmq.circuits import gates
from pennylane_threaded_ibmq.circuits.gates import (
    ACCEPTED_GATES,
    ANGLES,
    LOWERING,
    NATIVE_GATES,
    is_batched_constant,
    is_conditional,
    is_mid_measure,
    is_native,
    late_preparations,
)
from pennylane_threaded_ibmq.circuits.lowering import basis_change, constant_gates, last_diagonals, lower
from pennylane_threaded_ibmq.circuits.readout import Setting
from pennylane_threaded_ibmq.circuits.template import append_gates
from pennylane_threaded_ibmq.exceptions import UnsupportedCircuitError
from pennylane_threaded_ibmq.simulators.program import Placed

PLAIN = sorted(name for name in LOWERING if not name.startswith("Adjoint("))
WIRES = ["c", 7, "a"]


def example(name, wires, seed=0):
    """An operation of a name, its angles all different."""
    kind = getattr(qml, name)
    rng = np.random.default_rng([seed, len(name)])
    angles = rng.uniform(-3, 3, 1 if name == "GlobalPhase" else ANGLES[name])
    count = kind.num_wires if isinstance(kind.num_wires, int) and kind.num_wires > 0 else 1
    return kind(*angles, wires=wires[:count])


def same_up_to_a_phase(one, other):
    overlap = abs(np.trace(one.conj().T @ other)) / len(one)
    np.testing.assert_allclose(overlap, 1, atol=1e-10)
    np.testing.assert_allclose(np.linalg.norm(one), np.linalg.norm(other))


def matrix_of(gates, qubits, values=()):
    circuit = QuantumCircuit(qubits)
    append_gates(circuit, gates, values)
    return Operator(circuit.reverse_bits()).data


def lowered(operations, wires, fixed=None):
    return lower(qml.tape.QuantumScript(operations), {w: i for i, w in enumerate(wires)}, fixed)


@pytest.mark.parametrize("adjoint", [False, True])
@pytest.mark.parametrize("name", PLAIN)
def test_each_gate_has_the_matrix_that_pennylane_gives_it(name, adjoint):
    if not hasattr(qml, name):
        pytest.skip("an older name")
    for seed in range(2):
        op = example(name, WIRES[::-1], seed)
        op = qml.adjoint(op) if adjoint else op
        assert op.name in LOWERING
        angles = np.array(op.data if ANGLES[op.name] else (), dtype=float)
        assert len(angles) == ANGLES[op.name]
        wanted = qml.matrix(op, wire_order=WIRES)
        columns = lowered([op], WIRES)
        (values,) = columns.values(angles[None])
        same_up_to_a_phase(matrix_of(columns.parts[0].gates, 3, values), wanted)
        written = lowered([op], WIRES, angles)
        assert written.sources == written.scales == []
        assert all(gate.column is None for gate in written.parts[0].gates)
        same_up_to_a_phase(matrix_of(written.parts[0].gates, 3), wanted)


def test_the_table_is_the_same_when_it_is_made_again():
    """A change of what makes it shows in the copy alone: the table was made when the module was imported."""
    again = runpy.run_path(gates.__file__, run_name=gates.__name__)
    for name in ("LOWERING", "ANGLES"):
        assert again[name] == getattr(gates, name)


def test_no_angle_is_written_as_a_global_phase_and_each_is_one_of_a_rotation():
    rotations = {"RXGate", "RYGate", "RZGate", "RXXGate", "RYYGate", "RZZGate"}
    for steps in LOWERING.values():
        for step in steps:
            assert bool(step.angles) == (step.gate in rotations)


def test_angles_of_several_gates_stand_in_the_order_of_the_tape():
    ops = [qml.Rot(0.1, 0.2, 0.3, "a"), qml.CRY(0.4, ["a", "b"]), qml.GlobalPhase(9.0), qml.U2(0.5, 0.6, "b")]
    angles = np.array([[0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])
    columns = lowered(ops, ["a", "b"])
    assert columns.sources == [0, 1, 2, 3, 3, 5, 4]
    assert columns.scales == [1, 1, 1, 0.5, -0.5, 1, 1]
    np.testing.assert_allclose(columns.values(angles)[1], [1, 2, 3, 2, -2, 6, 5])
    fixed = lowered(ops, ["a", "b"], angles[0])
    numbers = [g.angle for g in fixed.parts[0].gates if g.angle is not None]
    np.testing.assert_allclose(numbers, [0.1, 0.2, 0.3, 0.2, -0.2, 0.6, pi / 2, 0.5])
    assert all(type(n) is float for n in numbers)


# --------------------------------------------------------------------------------------------- which gates are taken


def test_names_that_an_error_lists():
    names = ACCEPTED_GATES.split(", ")
    assert names == sorted(names)
    assert {"RX", "QubitUnitary", "StatePrep", "BasisState", "Barrier", "CNOT"} <= set(names)
    assert not any("Adjoint" in name for name in names)
    assert set(names) <= NATIVE_GATES


def conditional(make):
    """A gate under a condition, as a QNode records it."""
    with qml.queuing.AnnotatedQueue() as queue:
        value = qml.measure(0)
        qml.cond(value, make)()
    (_, op) = qml.tape.QuantumScript.from_queue(queue).operations
    return op


def midway():
    with qml.queuing.AnnotatedQueue() as queue:
        qml.measure(0)
    return queue.queue[0]


STATE = np.array([0.6, 0.8])


@pytest.mark.parametrize(
    ("op", "native"),
    [
        (qml.RX(0.1, 0), True),
        (qml.adjoint(qml.S(0)), True),
        (qml.QubitUnitary(np.eye(2), 0), True),
        (qml.StatePrep(STATE, 0), True),
        (qml.QFT([0, 1]), False),
        (qml.CRot(0.1, 0.2, 0.3, [0, 1]), False),
    ],
)
def test_what_needs_no_decomposition(op, native):
    assert is_native(op) is native
    assert not is_mid_measure(op)
    assert not is_conditional(op)


def test_measurements_and_conditions_are_told():
    assert is_mid_measure(midway())
    assert is_native(midway())
    taken = conditional(lambda: qml.RX(0.1, 1))
    assert is_conditional(taken)
    assert is_native(taken)
    assert not is_mid_measure(taken)
    assert not is_native(conditional(lambda: qml.QFT([1, 2])))
    assert not is_native(conditional(lambda: qml.StatePrep(STATE, 1)))
    assert is_native(conditional(lambda: qml.BasisState([1], 1)))


def test_preparations_that_come_late():
    prep = qml.StatePrep(STATE, 1)
    assert late_preparations([qml.Hadamard(0), qml.CNOT([0, 1])]) == []
    assert late_preparations([prep]) == []
    assert late_preparations([qml.Hadamard(0), prep]) == []
    assert late_preparations([qml.Hadamard(1), prep]) == [1]
    assert late_preparations([prep, prep, qml.X(0), qml.StatePrep(STATE, 0)]) == [1, 3]
    under = conditional(lambda: qml.StatePrep(STATE, 1))
    assert late_preparations([midway(), under]) == [1]
    assert late_preparations([midway(), conditional(lambda: qml.X(1)), prep]) == [2]
    # a BasisState is written as flips, which need no fresh qubit; see the decomposition of those that come late
    assert late_preparations([qml.X(1), qml.BasisState([1], 1)]) == []


def test_matrices_of_a_batch():
    stack = np.stack([np.eye(2), np.diag([1, -1])])
    assert is_batched_constant(qml.QubitUnitary(stack, 0))
    assert is_batched_constant(qml.adjoint(qml.QubitUnitary(stack, 0)))
    assert not is_batched_constant(qml.QubitUnitary(np.eye(2), 0))
    assert not is_batched_constant(qml.RX(np.array([0.1, 0.2]), 0))


# ------------------------------------------------------------------------------------------- matrices and states


def random_unitary(size, seed=0):
    rng = np.random.default_rng(seed)
    return np.linalg.qr(rng.normal(size=(size, size)) + 1j * rng.normal(size=(size, size)))[0]


@pytest.mark.parametrize("wires", [["c"], [7, "a"], ["a", "c"], ["a", "c", 7]])
def test_a_matrix_counts_its_wires_as_pennylane_does(wires):
    op = qml.QubitUnitary(random_unitary(2 ** len(wires)), wires)
    same_up_to_a_phase(matrix_of(lowered([op], WIRES).parts[0].gates, 3), qml.matrix(op, wire_order=WIRES))


def test_a_state_counts_its_wires_as_pennylane_does():
    state = np.arange(1, 5) / np.sqrt(30)
    (gate,) = lowered([qml.StatePrep(state, ["a", "c"])], WIRES).parts[0].gates
    np.testing.assert_allclose(gate.array, state)
    first = matrix_of([gate], 3)[:, 0].reshape(2, 2, 2)
    # axes are c, 7, a
    np.testing.assert_allclose(first[:, 0, :], state.reshape(2, 2).T, atol=1e-12)
    np.testing.assert_allclose(first[:, 1, :], 0, atol=1e-12)


def test_a_state_wants_fresh_qubits_and_says_so():
    ops = [qml.Hadamard("a"), qml.StatePrep(STATE, "c"), qml.StatePrep(STATE, "a")]
    with pytest.raises(UnsupportedCircuitError) as caught:
        lowered(ops, WIRES)
    assert str(caught.value) == (
        "StatePrep on wires ['a'], which other gates have used before, is a gate of its own in PennyLane and must be decomposed; "
        "submit the tape through a QNode, dev.submit or dev.batch_execute."
    )
    assert len(lowered(ops[:2], WIRES).parts[0].gates) == 2


def test_flips_of_a_basis_state_and_barriers():
    assert list(constant_gates(qml.BasisState([1, 0, 1], [0, 1, 2]), (4, 5, 6), fresh=False)) == [
        Placed("XGate", (4,)),
        Placed("XGate", (6,)),
    ]
    (barrier,) = constant_gates(qml.Barrier([0, 1]), (2, 3), fresh=True)
    circuit = QuantumCircuit(4)
    append_gates(circuit, [barrier], ())
    (made,) = circuit.data
    assert made.operation.name == "barrier"
    assert [circuit.find_bit(q).index for q in made.qubits] == [2, 3]


def test_measurements_and_resets_take_the_next_bit_each():
    with qml.queuing.AnnotatedQueue() as queue:
        qml.measure("a")
        qml.measure("b", reset=True)
        qml.measure("a")
    operations = qml.tape.QuantumScript.from_queue(queue).operations
    gates = lowered(operations, ["a", "b"]).parts[0].gates
    assert gates == (
        Placed("measure", (0,), bit=0),
        Placed("measure", (1,), bit=1),
        Placed("reset", (1,)),
        Placed("measure", (0,), bit=2),
    )
    circuit = QuantumCircuit(2, 3)
    append_gates(circuit, gates, ())
    made = [
        (
            i.operation.name,
            [circuit.find_bit(q).index for q in i.qubits],
            [circuit.find_bit(c).index for c in i.clbits],
        )
        for i in circuit.data
    ]
    assert made == [
        ("measure", [0], [0]),
        ("measure", [1], [1]),
        ("reset", [1], []),
        ("measure", [0], [2]),
    ]


def test_angles_of_gates_that_no_outcome_applies_are_passed_over():
    with qml.queuing.AnnotatedQueue() as queue:
        value = qml.measure(0)
        qml.RX(0.1, 0)
        qml.cond(value & ~value, qml.Rot)(0.2, 0.3, 0.4, 1)
        qml.cond(value & ~value, qml.QubitUnitary)(np.eye(2), 1)
        qml.cond(value, qml.RY)(0.5, 1)
    made = lowered(qml.tape.QuantumScript.from_queue(queue).operations, [0, 1])
    assert made.sources == [0, 4]
    assert [len(part.gates) for part in made.parts] == [2, 1]
    assert [part.condition and part.condition.table for part in made.parts] == [None, (False, True)]


# ------------------------------------------------------------------------------------------------ ends of circuits


@pytest.mark.parametrize(
    ("gates", "expected"),
    [
        ([("CZGate", (0, 1))], [(0, 1)]),
        ([("RZZGate", (1, 0))], [(1, 0)]),
        ([("CXGate", (0, 1))], []),
        ([("CZGate", (0, 1)), ("HGate", (2,))], [(0, 1)]),
        ([("CZGate", (0, 1)), ("HGate", (1,))], []),
        ([("CZGate", (0, 1)), ("CZGate", (1, 2))], [(1, 2)]),
        ([("CZGate", (0, 1)), ("RZZGate", (2, 3))], [(2, 3), (0, 1)]),
    ],
)
def test_diagonal_gates_that_a_measurement_does_not_see(gates, expected):
    assert list(last_diagonals([Placed(name, qubits) for name, qubits in gates])) == expected


@pytest.mark.parametrize("letter", "XYZ")
def test_each_letter_is_turned_to_z(letter):
    setting = Setting((("b", letter),), ("b",))
    change = matrix_of(basis_change(setting, {"a": 0, "b": 1}, 0), 2)
    pauli = qml.matrix(getattr(qml, f"Pauli{letter}")(1), wire_order=[0, 1])
    np.testing.assert_allclose(
        change.conj().T @ qml.matrix(qml.Z(1), wire_order=[0, 1]) @ change, pauli, atol=1e-12
    )


def test_rotations_of_an_observable_come_in_their_order():
    rotations = (
        qml.Hadamard("b"),
        qml.RY(0.3, "b"),
        qml.CRZ(0.7, ["a", "b"]),
        qml.QubitUnitary(random_unitary(2), "a"),
    )
    setting = Setting((), ("a", "b"), rotations)
    got = matrix_of(basis_change(setting, {"a": 1, "b": 0}, 5), 2)
    same_up_to_a_phase(got, qml.matrix(qml.tape.QuantumScript(rotations), wire_order=["b", "a"]))


def test_a_random_basis_has_two_angles_a_wire_after_those_of_the_tape():
    setting = Setting((), ("b", "a"), random_basis=True)
    assert list(basis_change(setting, {"a": 4, "b": 6}, 3)) == [
        Placed("RZGate", (6,), column=3),
        Placed("RYGate", (6,), column=4),
        Placed("RZGate", (4,), column=5),
        Placed("RYGate", (4,), column=6),
    ]
