"""What becomes of operations before they are lowered: entries of a broadcast, decompositions, precision, and what is no gate."""

from __future__ import annotations

import numpy as np
import pennylane as qml
import pytest
from pennylane import numpy as pnp
from pennylane.devices.execution_config import ExecutionConfig
from pennylane.math import Interface
from pennylane.ops import Conditional
from pennylane.wires import Wires
from scipy.sparse import csr_matrix

from pennylane_threaded_ibmq._tensors import unwrapped
from pennylane_threaded_ibmq.circuits import changes, tape_checks, tensors
from pennylane_threaded_ibmq.circuits.broadcast import bind_numbers, expand_broadcast, join_broadcast
from pennylane_threaded_ibmq.circuits.decompositions import (
    check_unitary,
    layers_of,
    matrix_of,
    own_gates,
    preparation_gates,
)
from pennylane_threaded_ibmq.circuits.layers import layer_gates
from pennylane_threaded_ibmq.circuits.precision import double_state, double_unitary, to_complex
from pennylane_threaded_ibmq.exceptions import UnknownWireError, UnsupportedCircuitError

TWO = np.array([0.1, 0.2])


def unitary(phase):
    return np.array([[1, 0], [0, np.exp(1j * phase)]])


STACK = np.stack([unitary(0.3), unitary(0.9)])


# ------------------------------------------------------------------------------------------------------ broadcasts

BROADCAST = [
    (qml.RX(TWO, 0), lambda i: qml.RX(TWO[i], 0)),
    (qml.Rot(TWO, 0.5, 3 * TWO, 0), lambda i: qml.Rot(TWO[i], 0.5, 3 * TWO[i], 0)),
    (qml.QubitUnitary(STACK, 0), lambda i: qml.QubitUnitary(STACK[i], 0)),
    (qml.adjoint(qml.RX(TWO, 0), lazy=True), lambda i: qml.adjoint(qml.RX(TWO[i], 0), lazy=True)),
    (
        qml.adjoint(qml.pow(qml.RX(TWO, 0), 3, lazy=True), lazy=True),
        lambda i: qml.adjoint(qml.pow(qml.RX(TWO[i], 0), 3, lazy=True), lazy=True),
    ),
    (qml.pow(qml.RX(TWO, 0), 3, lazy=True), lambda i: qml.pow(qml.RX(TWO[i], 0), 3, lazy=True)),
    (
        qml.prod(qml.RX(TWO, 0), qml.RY(0.4, 0), qml.RZ(2 * TWO, 1)),
        lambda i: qml.prod(qml.RX(TWO[i], 0), qml.RY(0.4, 0), qml.RZ(2 * TWO[i], 1)),
    ),
    (
        qml.ctrl(qml.RX(TWO, 0), [1, 2], control_values=[True, False]),
        lambda i: qml.ctrl(qml.RX(TWO[i], 0), [1, 2], control_values=[True, False]),
    ),
    (
        qml.ctrl(qml.QubitUnitary(STACK, 0), [1, 2], control_values=[False, True]),
        lambda i: qml.ctrl(qml.QubitUnitary(STACK[i], 0), [1, 2], control_values=[False, True]),
    ),
    (
        qml.s_prod(2.0 * TWO, qml.RX(TWO, 0), lazy=True),
        lambda i: qml.s_prod(2.0 * TWO[i], qml.RX(TWO[i], 0), lazy=True),
    ),
]


@pytest.mark.parametrize(("op", "entry"), BROADCAST, ids=lambda v: getattr(v, "name", ""))
def test_each_entry_of_a_broadcast(op, entry):
    plain = qml.Hadamard(2)
    tape = qml.tape.QuantumScript([qml.RY(TWO, 1), op, plain], [qml.expval(qml.Z(0))], shots=4)
    entries = expand_broadcast(tape)
    assert len(entries) == 2
    for i, made in enumerate(entries):
        first, mine, last = made.operations
        assert first.data[0] == TWO[i]
        assert mine.name == op.name
        assert mine.batch_size is None
        order = [0, 1, 2]
        np.testing.assert_allclose(
            qml.matrix(mine, wire_order=order), qml.matrix(entry(i), wire_order=order), atol=1e-12
        )
        assert last is made.operations[2]
        assert (made.measurements, made.shots) == (tape.measurements, tape.shots)
    assert entries[0].operations[2] is entries[1].operations[2]


def test_exponents_of_a_batch():
    op = qml.pow(qml.RX(0.3, 0), np.array([2.0, 3.0]), lazy=True)
    tape = qml.tape.QuantumScript([qml.RY(TWO, 1), op], [qml.expval(qml.Z(0))])
    made = [t.operations[1] for t in expand_broadcast(tape)]
    assert [m.z for m in made] == [2, 3]
    for m in made:
        np.testing.assert_allclose(qml.matrix(m), qml.matrix(qml.RX(0.3 * m.z, 0)), atol=1e-12)


def test_what_is_no_broadcast():
    power = qml.pow(qml.RX(0.3, 0), 2.5, lazy=True)
    for op in (qml.RX(0.1, 0), qml.Hadamard(0), qml.QubitUnitary(np.eye(2), 0), qml.CNOT([0, 1]), power):
        (same,) = expand_broadcast(qml.tape.QuantumScript([op], [qml.expval(qml.Z(0))]))
        assert same.operations[0] is op


def test_a_condition_keeps_its_value_when_its_gate_is_bound_anew():
    with qml.queuing.AnnotatedQueue() as queue:
        m = qml.measure(0)
        qml.cond(m, qml.RX)(TWO, 1)
    op = qml.tape.QuantumScript.from_queue(queue).operations[1]
    made = bind_numbers(op, [0.7])
    assert isinstance(made, Conditional)
    assert made.meas_val is op.meas_val
    assert made.base.data == (0.7,)


def test_results_of_entries_together():
    np.testing.assert_array_equal(join_broadcast([0.1, 0.2]), [0.1, 0.2])
    assert join_broadcast([np.ones(2), np.zeros(2)]).tolist() == [[1, 1], [0, 0]]
    assert join_broadcast([{"0": 1}, {"1": 2}]) == [{"0": 1}, {"1": 2}]
    assert join_broadcast([["a"], ["b"]]) == [["a"], ["b"]]
    assert join_broadcast([0.1]).tolist() == [0.1]
    first, second = join_broadcast([(0.1, {"0": 1}), (0.2, {"0": 2})])
    assert first.tolist() == [0.1, 0.2]
    assert second == [{"0": 1}, {"0": 2}]


# ------------------------------------------------------------------------------------------------- decompositions


def same_up_to_a_phase(one, other):
    overlap = np.abs(np.einsum("...ij,...ij->...", np.conj(one), other)) / one.shape[-1]
    np.testing.assert_allclose(overlap, 1, atol=1e-9)


@pytest.mark.parametrize(
    "op",
    [
        qml.CRot(0.1, 0.2, 0.3, [0, 1]),
        qml.QFT([0, 1, 2]),
        qml.pow(qml.RX(0.7, 0), 0.5, lazy=True),
        qml.pow(qml.S(0), 0.5, lazy=True),
        qml.pow(qml.RX(4.0, 0), 0.5, lazy=True),
        qml.pow(qml.PauliRot(5.0, "XY", [0, 1]), 0.5, lazy=True),
        qml.pow(qml.Hadamard(0), 3, lazy=True),
        qml.pow(qml.CNOT([0, 1]), -1, lazy=True),
        qml.adjoint(qml.pow(qml.T(0), 0.5, lazy=True), lazy=True),
        qml.ctrl(qml.pow(qml.RZ(5.0, 1), 0.5, lazy=True), 0),
        qml.ctrl(qml.QubitUnitary(unitary(0.4), 1), 0),
        qml.ctrl(qml.RZ(2 * np.pi - 1e-3, 1), 0),
        qml.ctrl(qml.U2(0.2, 0.3, 1), 0),
        qml.ctrl(qml.GlobalPhase(0.3), [0, 1]),
        qml.exp(qml.X(0) @ qml.Y(1), 0.4j),
        qml.exp(qml.X(0) + qml.Y(0), 0.4j),
        qml.PauliRot(0.3, "XYZ", [0, 1, 2]),
    ],
    ids=lambda op: op.name,
)
def test_the_gates_of_an_operation_have_its_matrix(op):
    gates = own_gates(op)
    assert isinstance(gates, list)
    same_up_to_a_phase(matrix_of(gates, op), qml.matrix(op))


class PhaseOfItsOwn(qml.operation.Operation):
    """A gate whose decomposition leaves out a phase, which a control makes observable."""

    num_wires = 1
    num_params = 1
    ndim_params = (0,)

    @staticmethod
    def compute_matrix(angle):
        return np.diag([1, np.exp(1j * angle)])

    @staticmethod
    def compute_decomposition(angle, wires):
        return [qml.RZ(angle, wires)]


@pytest.mark.parametrize(
    "op",
    [
        qml.pow(qml.PhaseShift(5.0, 0), 0.5, lazy=True),
        qml.pow(qml.RX(8.0, 0), 1 / 3, lazy=True),
        qml.pow(qml.PhaseShift(np.array([0.3, 5.0]), 0), 0.5, lazy=True),
        qml.pow(qml.MultiRZ(8.0, range(6)), 1 / 3, lazy=True),
        qml.adjoint(qml.pow(qml.PhaseShift(5.0, 0), 0.5, lazy=True), lazy=True),
        qml.ctrl(qml.pow(qml.IsingXX(8.0, [1, 2]), 1 / 3, lazy=True), 0),
        qml.ctrl(PhaseOfItsOwn(0.4, "b"), "a"),
        qml.ctrl(PhaseOfItsOwn(0.4, "b"), ["a", 3], control_values=[False, True]),
    ],
    ids=lambda op: op.name,
)
def test_decompositions_that_are_of_another_operation_become_its_matrix(op):
    """A power of a half is another root where an angle is more than a half turn."""
    (gate,) = own_gates(op)
    assert gate.name == "QubitUnitary"
    assert gate.wires == op.wires
    np.testing.assert_allclose(gate.data[0], op.matrix(), atol=1e-12)


@pytest.mark.parametrize(
    ("op", "names"),
    [
        (qml.pow(qml.PhaseShift(2.0, 0), 0.5, lazy=True), ["PhaseShift"]),
        (qml.pow(qml.PhaseShift(5.0, 0), 2, lazy=True), ["PhaseShift"]),
        # too large for a matrix to be looked at
        (qml.pow(qml.MultiRZ(8.0, range(7)), 1 / 3, lazy=True), ["MultiRZ"]),
        # not under a control, a phase is nobody's business
        (PhaseOfItsOwn(0.4, 0), ["RZ"]),
        (qml.adjoint(PhaseOfItsOwn(0.4, 0), lazy=True), ["Adjoint(RZ)"]),
    ],
    ids=lambda v: getattr(v, "name", ""),
)
def test_decompositions_that_are_right_are_kept(op, names):
    assert [gate.name for gate in own_gates(op)] == names


def test_wires_to_work_with_are_left_as_they_were():
    op = qml.ctrl(qml.RZ(0.7, 3), [0, 1, 2], work_wires=[4, 5])
    gates = own_gates(op)
    used = {wire for gate in gates for wire in gate.wires}
    assert used <= {0, 1, 2, 3, 4, 5}
    plain = own_gates(qml.ctrl(PhaseOfItsOwn(0.7, 3), [0, 1, 2]))
    assert [gate.name for gate in plain] == ["QubitUnitary"]


def test_a_power_with_one_gate_is_a_list_of_one():
    assert [g.name for g in own_gates(qml.pow(qml.X(0), 3, lazy=True))] == ["PauliX"]


def test_what_has_a_matrix_only_is_its_matrix():
    class Bare(qml.operation.Operation):
        num_wires = None
        num_params = 0

        def __init__(self, wires):
            super().__init__(wires=wires)

        @staticmethod
        def compute_matrix(*_args, **_kwargs):
            return np.diag(np.exp(1j * np.arange(4)))

    (gate,) = own_gates(Bare(["b", "a"]))
    assert gate.name == "QubitUnitary"
    assert gate.wires.tolist() == ["b", "a"]
    np.testing.assert_allclose(gate.data[0], np.diag(np.exp(1j * np.arange(4))))
    with pytest.raises(qml.operation.DecompositionUndefinedError):
        own_gates(Bare(list(range(7))))


def test_the_matrix_of_no_gates():
    np.testing.assert_array_equal(matrix_of([], qml.Toffoli([0, 1, 2])), np.eye(8))
    assert matrix_of([], qml.Toffoli([0, 1, 2])).dtype == np.complex128


STATE = np.array([0.5, 0.5j, -0.5, 0.5])


def test_a_prepared_state_as_gates():
    gates = preparation_gates(qml.StatePrep(STATE.astype(np.complex64), [0, 1]))
    made = qml.matrix(qml.tape.QuantumScript(gates), wire_order=[0, 1])[:, 0]
    np.testing.assert_allclose(abs(np.vdot(made, STATE)), 1, atol=1e-7)
    with qml.queuing.AnnotatedQueue() as queue:
        m = qml.measure(2)
        qml.cond(m, qml.StatePrep)(STATE, [0, 1])
    under = qml.tape.QuantumScript.from_queue(queue).operations[1]
    parts = preparation_gates(under)
    assert all(isinstance(part, Conditional) and part.meas_val is under.meas_val for part in parts)
    assert [part.base for part in parts] == gates or len(parts) == len(gates)


# ---------------------------------------------------------------------------------------------------------- layers


@pytest.mark.parametrize(
    "op",
    [
        qml.StronglyEntanglingLayers(np.arange(18.0).reshape(3, 2, 3), ["a", "b"]),
        qml.StronglyEntanglingLayers(np.arange(6.0).reshape(1, 2, 3), [0, 1], ranges=[1], imprimitive=qml.CZ),
        qml.BasicEntanglerLayers(np.arange(6.0).reshape(2, 3), [0, 1, 2], rotation=qml.RY),
        qml.BasicEntanglerLayers(np.arange(6.0).reshape(2, 3), [0, 1, 2]),
        qml.BasicEntanglerLayers(np.arange(3.0).reshape(1, 3), [0, 1, 2]),
        qml.SimplifiedTwoDesign(np.arange(3.0), np.arange(8.0).reshape(2, 2, 2), [0, 1, 2]),
        qml.AngleEmbedding(np.array([0.1, 0.1]), [0, 1], rotation="Y"),
    ],
)
def test_layers_are_what_pennylane_makes_of_them(op):
    for _ in range(2):
        assert layer_gates(op) == op.decomposition()
        assert own_gates(op) == op.decomposition()
    other = qml.ops.functions.bind_new_parameters(op, [d + 0.125 for d in op.data])
    assert layer_gates(other) == other.decomposition()
    # the example is not what was handed out
    assert layer_gates(op) == op.decomposition()


def test_other_operations_are_no_layers():
    weights = np.arange(6.0).reshape(1, 2, 3)
    assert layer_gates(qml.QFT([0, 1])) is None
    assert layer_gates(qml.StronglyEntanglingLayers(np.stack([weights, weights]), [0, 1])) is None
    assert layer_gates(qml.StronglyEntanglingLayers(pnp.array(weights), [0, 1])) is None
    assert layer_gates(qml.AngleEmbedding(TWO, [0, 1])) is not None


# ------------------------------------------------------------------------------------------------------- precision


def test_states_in_double_precision():
    single = np.array([1, 1j, 1], dtype=np.complex64) / np.float32(np.sqrt(3))
    state = double_state(single)
    assert state.dtype == np.complex128
    np.testing.assert_allclose(np.linalg.norm(state), 1, atol=1e-15)
    np.testing.assert_allclose(state, np.array([1, 1j, 1]) / np.sqrt(3), atol=1e-7)
    sparse = double_state(csr_matrix([[0.6, 0.8]]))
    np.testing.assert_allclose(sparse, [0.6, 0.8])
    assert sparse.shape == (2,)
    np.testing.assert_allclose(np.linalg.norm(double_state(np.array([1.00009, 0]))), 1)
    np.testing.assert_allclose(np.linalg.norm(double_state(np.array([0.99991, 0]))), 1)
    for norm in (1.0002, 0.9998, np.nan):
        with pytest.raises(
            UnsupportedCircuitError, match=r"^A prepared state has the norm .*; it must be 1\. Give"
        ):
            double_state(np.array([norm, 0]))


def test_matrices_in_double_precision():
    exact = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0] * np.exp(0.3j)
    kept = double_unitary(qml.QubitUnitary(exact, [0, 1]))
    np.testing.assert_array_equal(kept, exact)
    single = double_unitary(qml.QubitUnitary(exact.astype(np.complex64), [0, 1]))
    np.testing.assert_allclose(single @ single.conj().T, np.eye(4), atol=1e-14)
    np.testing.assert_allclose(single, exact, atol=1e-6)
    for off in (2e-4, np.nan):
        with pytest.raises(
            UnsupportedCircuitError, match=r"^The matrix of QubitUnitary on wires \['q'\] is not unitary"
        ):
            double_unitary(qml.QubitUnitary(np.diag([1, 1 + off]), ["q"]))
    assert double_unitary(qml.QubitUnitary(np.diag([1, 1 + 4e-5]), 0)).tolist() == [[1, 0], [0, 1]]


def test_tensors_of_a_gradient_under_way():
    import torch
    from autograd.numpy.numpy_boxes import ArrayBox
    from autograd.tracer import new_box

    boxed = new_box(new_box(np.array([1.0, 2.0]), 0, None), 1, None)
    assert isinstance(boxed, ArrayBox)
    assert unwrapped(boxed).tolist() == [1.0, 2.0]
    wanted = torch.tensor([1.0 + 2j], requires_grad=True)
    np.testing.assert_array_equal(to_complex(wanted), [1 + 2j])
    np.testing.assert_array_equal(to_complex(torch.conj(wanted)), [1 - 2j])
    np.testing.assert_array_equal(to_complex(torch.conj(wanted).imag), [-2])
    assert unwrapped("text") == "text"
    assert to_complex(1).dtype == np.complex128


# ------------------------------------------------------------------------------------------------- what is no gate


@pytest.mark.parametrize(
    "op",
    [
        qml.RX(0.1, 0),
        qml.QubitUnitary(np.eye(2), 0),
        qml.DiagonalQubitUnitary([1, 1j], 0),
        qml.exp(qml.X(0), 0.3j),
        qml.exp(qml.X(0) @ qml.Z(1) + qml.Y(0), 0.3j),
        qml.exp(qml.Hermitian(np.array([[1, 2j], [-2j, 0]]), 0), 0.3j),
        qml.adjoint(qml.QubitUnitary(unitary(0.3), 0)),
        qml.QubitUnitary(np.stack([np.array([[0, 1j], [1, 0]]), np.array([[0.6, -0.8], [0.8, 0.6]])]), 0),
        qml.exp(qml.prod(qml.X(0), qml.Y(0)) - qml.prod(qml.X(0), qml.Y(0)), 0.3j),
        qml.ctrl(qml.exp(qml.X(0), 0.3j), 1),
        qml.s_prod(1j, qml.X(0)),
        qml.QFT([0, 1]),
        qml.evolve(qml.X(0), 0.3),
        # too large to be looked at
        qml.Hermitian(2 * np.eye(128), range(7)),
        qml.exp(qml.X(0), 0.3j + 9e-5),
    ],
    ids=lambda op: op.name,
)
def test_gates_are_gates(op):
    check_unitary(op)


@pytest.mark.parametrize(
    "op",
    [
        qml.QubitUnitary(2 * np.eye(2), 0),
        qml.QubitUnitary(np.stack([np.eye(2), np.diag([1, 2])]), 0),
        qml.DiagonalQubitUnitary([1, 0.5], 0),
        qml.exp(qml.X(0), 0.3),
        qml.exp(qml.X(0), 0.3j + 2e-4),
        qml.exp(2.0 * qml.X(0) @ qml.Z(1) + 1j * qml.Y(0), 0.3j),
        qml.exp(qml.Hermitian(np.array([[1, 2j], [-2j, 0]]), 0), 0.3),
        qml.adjoint(qml.QubitUnitary(2 * np.eye(2), 0), lazy=True),
        qml.pow(qml.exp(qml.X(0), 0.3), 2, lazy=True),
        qml.ctrl(qml.exp(qml.X(0), 0.3), 1),
        qml.s_prod(2.0, qml.X(0)),
        qml.X(0) + qml.Z(0),
        qml.Projector([1], 0),
        qml.Hermitian(2 * np.eye(2), 0),
        qml.RX(0.1 + 0.5j, 0),
        qml.Hermitian(2 * np.eye(64), range(6)),
        qml.exp(qml.X(0), np.nan * 1j),
    ],
    ids=lambda op: op.name,
)
def test_what_is_no_gate_is_refused(op):
    with pytest.raises(UnsupportedCircuitError) as caught:
        check_unitary(op)
    text = str(caught.value)
    assert text.startswith(f"{op.name} on wires {op.wires.tolist()} is no gate: ")
    assert " is not unitary (off by " in text
    assert text.endswith("). Nothing was sent.")


def test_how_far_off_is_said():
    for op, off in (
        (qml.DiagonalQubitUnitary([1, 0.5], 0), "0.5"),
        (qml.exp(2.0 * qml.X(0) - 3.0 * qml.Z(0), 0.25), "0.75"),
        (qml.QubitUnitary(2 * np.eye(2), 0), "3"),
    ):
        with pytest.raises(UnsupportedCircuitError, match=rf"\(off by {off}\)"):
            check_unitary(op)


def test_layers_of_an_operation():
    inner = qml.S(0)
    op = qml.adjoint(qml.pow(inner, 2, lazy=True), lazy=True)
    assert list(layers_of(op)) == [op, op.base, inner]


# ----------------------------------------------------------------------------------------------- tapes, with changes


def tape_on(wires, measurements, **options):
    return qml.tape.QuantumScript([qml.RX(0.1, w) for w in wires], measurements, **options)


def test_measurements_without_wires_are_given_some():
    tape = tape_on([2, 0], [qml.counts(), qml.probs(wires=[0]), qml.expval(qml.Z(2))], shots=3)
    tape.trainable_params = [1]
    own = changes.with_named_wires(tape, None)
    assert [mp.wires.tolist() for mp in own.measurements] == [[2, 0], [0], [2]]
    assert (own.shots, own.trainable_params) == (tape.shots, [1])
    assert tape.measurements[0].wires.tolist() == []
    given = changes.with_named_wires(tape, Wires([0, 1, 2]))
    assert [mp.wires.tolist() for mp in given.measurements] == [[0, 1, 2], [0], [2]]
    same = tape_on([0], [qml.probs(wires=[0])])
    assert changes.with_named_wires(same, Wires([0, 1])) is same
    assert changes.with_named_wires(same, None) is same


def test_values_midway_name_no_wires():
    with qml.queuing.AnnotatedQueue() as queue:
        values = [qml.measure(0), qml.measure(1)]
        qml.counts(values[0])
        qml.sample(values)
    tape = qml.tape.QuantumScript.from_queue(queue)
    assert changes.with_named_wires(tape, Wires([0, 1, 2])) is tape


def test_wires_that_the_device_of_a_node_lacks():
    with pytest.raises(
        UnknownWireError, match=r"^wires=\[0, 1\]: a circuit uses \[2\], which the device of the QNode"
    ):
        changes.with_named_wires(tape_on([2, 0], [qml.counts()]), Wires([0, 1]))


@pytest.mark.parametrize(
    ("gates", "measured", "wanted"),
    [
        ([1, 0], [], [0, 1]),
        ([2, 0], [], [2, 0]),
        ([1, 0], [2], [0, 1, 2]),
        ([1, 0], [3], [1, 0, 3]),
        ([1], [0], [1, 0]),
        (["b", "a"], [], ["b", "a"]),
        ([0, 2], [1], [0, 2, 1]),
    ],
)
def test_wires_of_a_circuit_without_a_register(gates, measured, wanted):
    measurements = [qml.probs(wires=measured)] if measured else [qml.counts()]
    tape = tape_on(gates, [*measurements, qml.sample()])
    assert changes.wires_of(tape).tolist() == wanted
    assert changes.with_named_wires(tape, None).measurements[-1].wires.tolist() == wanted


def test_wires_as_their_places_among_others():
    tape = tape_on(["b", "a"], [qml.probs(wires=["a"])], shots=3)
    made = changes.with_numbered_wires(tape, Wires(["a", "c", "b"]))
    assert [op.wires.tolist() for op in made.operations] == [[2], [0]]
    assert made.measurements[0].wires.tolist() == [0]
    assert made.shots == tape.shots
    same = tape_on([0, 2], [qml.probs(wires=[0])])
    assert changes.with_numbered_wires(same, Wires([0, 1, 2])) is same
    assert changes.with_numbered_wires(same, Wires([2, 1, 0])) is not same
    for lacking, known in ((["b", "a"], ["a"]), (["a"], [])):
        with pytest.raises(UnknownWireError):
            changes.with_numbered_wires(tape_on(lacking, [qml.probs(wires=["a"])]), Wires(known))


def test_other_shots():
    tape = tape_on([0], [qml.counts()], shots=3)
    made = changes.with_shots(tape, qml.measurements.Shots(7))
    assert (made.shots.total_shots, tape.shots.total_shots) == (7, 3)
    assert changes.only_result(["a", "b"]) == "a"


# -------------------------------------------------------------------------------------------------- what is measured


def checked(mp):
    tape_checks.check_measurements(qml.tape.QuantumScript([], [mp]), "a device")


@pytest.mark.parametrize(
    "mp",
    [
        qml.expval(qml.Z(0)),
        qml.var(qml.Hermitian(np.eye(2), 0)),
        qml.probs(wires=[0]),
        qml.counts(),
        qml.sample(qml.Projector([1], 0)),
        qml.classical_shadow(wires=[0]),
        qml.shadow_expval(qml.Z(0)),
        qml.expval(qml.Z(0) + 2.0 * qml.X(0)),
    ],
)
def test_what_shots_can_give(mp):
    checked(mp)


def test_what_no_shots_can_give():
    with pytest.raises(UnsupportedCircuitError) as caught:
        checked(qml.state())
    assert str(caught.value) == (
        "Measurement state(wires=[]) not accepted with finite shots on a device; it needs a state vector. Accepted: "
        "Expectation, Variance, Probability, Counts, Sample, ClassicalShadow, ShadowExpval. Nothing was sent."
    )

    class Odd(qml.operation.Operator):
        num_wires = 1

    with pytest.raises(UnsupportedCircuitError) as caught:
        checked(qml.expval(Odd(0)))
    assert str(caught.value) == (
        "Observable Odd(wires=[0]) of Expectation not supported on a device. Accepted: sums and products of Pauli operators, and "
        "observables with diagonalizing gates, such as Hermitian, Projector and Hadamard. Nothing was sent."
    )


def test_a_measurement_of_the_users_brings_its_processing():
    class Mine(qml.measurements.SampleMeasurement):
        def process_samples(self, *args, **kwargs):
            return 0

        def process_counts(self, *args, **kwargs):
            return 0

    checked(Mine(wires=[0]))


# ----------------------------------------------------------------------------------------------------------- tensors


def test_who_converts_tensors():
    for interface, order, wanted in (
        (Interface.NUMPY, 1, False),
        (Interface.AUTOGRAD, 1, False),
        (Interface.TORCH, 1, False),
        (Interface.JAX, 1, True),
        (Interface.AUTOGRAD, 2, True),
    ):
        assert tensors.wants_numpy(ExecutionConfig(interface=interface, derivative_order=order)) is wanted


def test_only_tapes_with_more_than_angles_are_converted():
    import torch

    angle = torch.tensor(0.3)
    plain = qml.tape.QuantumScript(
        [qml.RX(angle, 0)], [qml.expval(torch.tensor(2.0) * qml.Z(0)), qml.counts()]
    )
    others = [
        qml.tape.QuantumScript([qml.RX(angle, 0), qml.CRot(angle, angle, angle, [0, 1])], [qml.counts()]),
        qml.tape.QuantumScript([qml.RX(angle, 0)], [qml.expval(qml.Hermitian(torch.eye(2), 0))]),
    ]
    with qml.queuing.AnnotatedQueue() as queue:
        m = qml.measure(0)
        qml.RX(angle, 0)
        qml.expval(m)
    value = qml.tape.QuantumScript([qml.RX(angle, 0)], qml.tape.QuantumScript.from_queue(queue).measurements)
    got = tensors.convert_tensors([plain, *others, value])
    assert isinstance(got, tuple)
    assert got[0] is plain
    for made, old in zip(got[1:], [*others, value], strict=True):
        assert made is not old
        assert all(not isinstance(number, torch.Tensor) for op in made.operations for number in op.data)
