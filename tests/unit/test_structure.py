"""What makes two tapes one structure, and what differs between tapes of one."""

from __future__ import annotations

import numpy as np
import pennylane as qml
import pytest

from pennylane_threaded_ibmq.circuits.observables import is_own_measurement, operator_key, real_number
from pennylane_threaded_ibmq.circuits.structure import StructureReader, to_numpy, wire_labels
from pennylane_threaded_ibmq.exceptions import UnsupportedCircuitError


def tape(operations, measurements=None, shots=10):
    return qml.tape.QuantumScript(operations, measurements or [qml.expval(qml.Z(0))], shots=shots)


def read(*args, position=0):
    return StructureReader().read(tape(*args), position)


def key(*args):
    return read(*args).key


BASE = [qml.RX(0.1, 0), qml.CNOT([0, 1]), qml.RY(0.2, 1)]


@pytest.mark.parametrize(
    "operations",
    [
        [qml.RX(0.7, 0), qml.CNOT([0, 1]), qml.RY(-0.2, 1)],
        [qml.RX(np.float32(0.1), 0), qml.CNOT([0, 1]), qml.RY(np.array(0.2), 1)],
        [qml.RX(np.array([0.1, 0.2]), 0), qml.CNOT([0, 1]), qml.RY(0.2, 1)],
    ],
)
def test_angles_are_no_part_of_a_structure(operations):
    assert key(operations) == key(BASE)


@pytest.mark.parametrize(
    "operations",
    [
        [qml.RZ(0.1, 0), qml.CNOT([0, 1]), qml.RY(0.2, 1)],
        [qml.RX(0.1, 1), qml.CNOT([0, 1]), qml.RY(0.2, 1)],
        [qml.RX(0.1, 0), qml.CNOT([1, 0]), qml.RY(0.2, 1)],
        [qml.RX(0.1, 0), qml.CZ([0, 1]), qml.RY(0.2, 1)],
        [qml.RX(0.1, 0), qml.RY(0.2, 1), qml.CNOT([0, 1])],
        [qml.RX(0.1, 0), qml.CNOT([0, 1])],
        [qml.RX(0.1, "0"), qml.CNOT([0, 1]), qml.RY(0.2, 1)],
    ],
)
def test_gates_their_wires_and_their_order_are(operations):
    assert key(operations) != key(BASE)


def test_matrices_and_states_are_part_of_a_structure():
    def unitary(phase):
        return [qml.QubitUnitary(np.diag([1, np.exp(1j * phase)]), 0)]

    assert key(unitary(0.1)) == key(unitary(0.1))
    assert key(unitary(0.1)) != key(unitary(0.2))
    assert key([qml.BasisState(np.array([0, 1]), [0, 1])]) != key([qml.BasisState(np.array([1, 0]), [0, 1])])
    assert key([qml.Barrier([0, 1])]) == key([qml.Barrier([0, 1])])


def test_angles_stand_in_the_order_of_the_gates():
    data = read([qml.RX(0.1, 0), qml.Rot(0.2, 0.3, 0.4, 0), qml.CNOT([0, 1]), qml.CRY(0.5, [0, 1])])
    np.testing.assert_array_equal(data.angles, [[0.1, 0.2, 0.3, 0.4, 0.5]])
    assert data.batch_size is None
    assert data.angles.dtype == np.float64


def test_rows_of_a_broadcast():
    data = read([qml.RX(np.array([0.1, 0.2, 0.3]), 0), qml.RY(0.5, 0)])
    np.testing.assert_array_equal(data.angles, [[0.1, 0.5], [0.2, 0.5], [0.3, 0.5]])
    assert data.batch_size == 3
    one = read([qml.RX(np.array([0.1]), 0)])
    assert one.batch_size == 1
    assert one.angles.shape == (1, 1)


def test_no_angles_are_one_row_of_none():
    data = read([qml.Hadamard(0)])
    assert data.angles.shape == (1, 0)
    assert data.batch_size is None


def test_a_phase_is_dropped_and_makes_a_batch_all_the_same():
    assert key([qml.GlobalPhase(0.3), qml.RX(0.1, 0)]) == key([qml.GlobalPhase(0.4), qml.RX(0.1, 0)])
    data = read([qml.GlobalPhase(0.3), qml.RX(0.1, 0)])
    np.testing.assert_array_equal(data.angles, [[0.1]])
    rows = read([qml.GlobalPhase(np.array([0.1, 0.2])), qml.RX(0.1, 0)])
    assert rows.batch_size == 2
    np.testing.assert_array_equal(rows.angles, [[0.1], [0.1]])
    mixed = read([qml.GlobalPhase(np.array([0.1, 0.2])), qml.GlobalPhase(0.3), qml.RX(0.1, 0)])
    np.testing.assert_array_equal(mixed.angles, [[0.1], [0.1]])


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.nan, "the parameter nan; angles must be finite numbers"),
        (np.inf, "the parameter inf; angles must be finite numbers"),
        (0.1 + 0.2j, "angles must be real numbers"),
        (np.array([0.1, np.nan]), "angles must be finite numbers"),
    ],
)
@pytest.mark.parametrize("gate", [lambda v: qml.RY(v, "a"), qml.GlobalPhase])
def test_what_is_no_angle_is_refused_by_its_name(value, words, gate):
    with pytest.raises(UnsupportedCircuitError) as caught:
        StructureReader().read(tape([qml.Hadamard(0), gate(value)]), 4)
    text = str(caught.value)
    assert text.startswith("Tape 4: operation 1, ")
    assert words in text
    assert text.endswith("Nothing was sent.")
    assert caught.value.tape == 4


@pytest.mark.parametrize("value", [np.nan, 0.1j])
def test_a_matrix_before_it_hides_no_bad_angle(value):
    matrix = qml.QubitUnitary(np.diag([1, 1j]), 0)
    with pytest.raises(UnsupportedCircuitError, match=r"^Tape 2: operation 1, RX on wires"):
        StructureReader().read(tape([matrix, qml.RX(value, 0)]), 2)


def test_complex_numbers_without_an_imaginary_part_are_angles():
    np.testing.assert_array_equal(read([qml.RX(0.25 + 0j, 0)]).angles, [[0.25]])


# ----------------------------------------------------------------------------------------------- measurements


def measured(*measurements):
    return read(BASE, list(measurements)).measurements


def test_a_sum_of_words():
    (data,) = measured(qml.expval(0.5 * qml.Z(0) @ qml.X(1) - 2.0 * qml.Y(0) + 3.0 * qml.I(0)))
    assert dict(zip(data.words, data.coeffs, strict=True)) == {((0, "Z"), (1, "X")): 0.5, ((0, "Y"),): -2.0}
    assert data.offset == 3.0
    assert data.value is None


def test_the_letters_of_a_word_stand_in_the_order_of_its_wires():
    (first,), (second,) = measured(qml.expval(qml.X(1) @ qml.Z(0))), measured(qml.expval(qml.Z(0) @ qml.X(1)))
    assert first.words == second.words == (((0, "Z"), (1, "X")),)


def test_coefficients_are_no_part_of_a_structure_and_words_are():
    assert key(BASE, [qml.expval(2.0 * qml.Z(0))]) == key(BASE, [qml.expval(3.0 * qml.Z(0))])
    assert key(BASE, [qml.expval(qml.Z(0))]) != key(BASE, [qml.expval(qml.X(0))])
    assert key(BASE, [qml.expval(qml.Z(0))]) != key(BASE, [qml.var(qml.Z(0))])
    assert key(BASE, [qml.expval(qml.Z(0))]) != key(BASE, [qml.expval(qml.Z(0)), qml.expval(qml.Z(0))])


DIFFERENT = [
    qml.probs(wires=[0, 1]),
    qml.probs(wires=[1, 0]),
    qml.probs(),
    qml.counts(wires=[0, 1]),
    qml.counts(wires=[0, 1], all_outcomes=True),
    qml.sample(wires=[0, 1]),
    qml.sample(qml.Z(0)),
    qml.counts(qml.Z(0)),
    qml.probs(op=qml.X(0)),
    qml.probs(op=qml.Z(0)),
    qml.expval(qml.Projector([0], 0)),
    qml.expval(qml.Projector([1], 0)),
    qml.expval(qml.Hermitian(np.diag([1.0, 2.0]), 0)),
    qml.expval(qml.Hermitian(np.diag([1.0, 3.0]), 0)),
    qml.var(qml.Hermitian(np.diag([1.0, 3.0]), 0)),
    qml.classical_shadow(wires=[0], seed=1),
    qml.classical_shadow(wires=[0], seed=2),
    qml.classical_shadow(wires=[0, 1], seed=1),
    qml.shadow_expval(qml.Z(0), seed=1),
    qml.shadow_expval(qml.X(0), seed=1),
    qml.shadow_expval(qml.Z(0), k=2, seed=1),
    qml.shadow_expval([qml.Z(0), qml.X(0)], seed=1),
]


def test_measurements_that_differ_have_different_keys():
    keys = [key(BASE, [mp]) for mp in DIFFERENT]
    assert len(set(keys)) == len(keys)


def test_one_measurement_object_is_read_once():
    mp = qml.expval(qml.Z(0))
    reader = StructureReader()
    first = reader.read(tape(BASE, [mp]), 0).measurements[0]
    second = reader.read(tape(BASE, [mp]), 1).measurements[0]
    assert first is second


def test_complex_coefficients_are_no_observable():
    mp = qml.expval(qml.Z(0))
    assert real_number(2.0 + 1e-7j, mp, "coefficient") == 2.0
    assert real_number(1e9 + 1.0j, mp, "coefficient") == 1e9
    for number, words in (
        (1.0 + 1e-3j, "imaginary part"),
        (complex("nan"), "no finite number"),
        (complex("inf"), "no finite"),
    ):
        with pytest.raises(UnsupportedCircuitError, match=words):
            real_number(number, mp, "coefficient")


def test_a_class_of_the_users_is_told_from_pennylanes():
    class Mine(qml.measurements.SampleMP):
        pass

    assert is_own_measurement(Mine(wires=[0]))
    assert not is_own_measurement(qml.sample(wires=[0]))
    assert key(BASE, [Mine(wires=[0])]) != key(BASE, [Mine(wires=[0])])


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (qml.X(0) @ qml.Z(1), qml.X(0) @ qml.Z(1), True),
        (qml.X(0) @ qml.Z(1), qml.X(1) @ qml.Z(0), False),
        (qml.s_prod(2.0, qml.X(0)), qml.s_prod(2.0, qml.X(0)), True),
        (qml.s_prod(2.0, qml.X(0)), qml.s_prod(3.0, qml.X(0)), False),
        (qml.pow(qml.S(0), 2), qml.pow(qml.S(0), 3), False),
        (qml.Hamiltonian([1.0], [qml.X(0)]), qml.Hamiltonian([2.0], [qml.X(0)]), False),
        (qml.Hamiltonian([1.0], [qml.X(0)]), qml.Hamiltonian([1.0], [qml.X(0)]), True),
        (qml.Projector([0, 1], [0, 1]), qml.Projector([1, 0], [0, 1]), False),
        (qml.adjoint(qml.S(0)), qml.S(0), False),
        (qml.X(0) + qml.Z(0), qml.X(0) @ qml.Z(0), False),
        (qml.X(0) + qml.Z(0), qml.X(0) + qml.Z(0), True),
        (qml.X(0) + qml.Z(0), qml.X(0) + qml.Y(0), False),
        (qml.Hermitian(np.eye(2), 0), qml.Hermitian(2 * np.eye(2), 0), False),
        (qml.Hermitian(np.eye(2), 0), qml.Hermitian(np.eye(2), 1), False),
        (qml.Hermitian(np.eye(2), 0), qml.Hermitian(np.eye(2), 0), True),
        (qml.prod(qml.s_prod(2.0, qml.X(0)), qml.Z(1)), qml.prod(qml.s_prod(3.0, qml.X(0)), qml.Z(1)), False),
        (
            qml.Hamiltonian([1.0, 2.0], [qml.X(0), qml.Z(0)]),
            qml.Hamiltonian([1.0, 3.0], [qml.X(0), qml.Z(0)]),
            False,
        ),
        (qml.adjoint(qml.QubitUnitary(np.eye(2), 0)), qml.adjoint(qml.QubitUnitary(-np.eye(2), 0)), False),
        (qml.ctrl(qml.Hadamard(0), 1), qml.ctrl(qml.Hadamard(0), 2), False),
        (qml.ctrl(qml.Hadamard(0), 1), qml.ctrl(qml.Hadamard(0), 1), True),
        (qml.ctrl(qml.Projector([1], 0), [1, 2]), qml.ctrl(qml.Projector([1], 0), [1, 2], [1, 0]), False),
    ],
)
def test_keys_of_observables(one, other, equal):
    assert (operator_key(one) == operator_key(other)) is equal


def test_wires_of_controlled_gates():
    assert wire_labels(qml.CNOT(["a", 1])) == ("a", 1)
    assert wire_labels(qml.Toffoli([2, 0, 1])) == (2, 0, 1)
    assert wire_labels(qml.RX(0.1, "b")) == ("b",)


def test_real_numbers_of_whatever_they_are_made_of():
    assert to_numpy(0.5).dtype == np.float64
    assert to_numpy(np.float32(0.5)) == 0.5
    assert to_numpy(0.5 + 0j) == 0.5
    with pytest.raises(UnsupportedCircuitError, match="must be a real number"):
        to_numpy(0.5 + 0.1j)


# ------------------------------------------------------------------------------------- measurements in the middle


def dynamic(build):
    with qml.queuing.AnnotatedQueue() as queue:
        build()
    return StructureReader().read(qml.tape.QuantumScript.from_queue(queue, shots=10), 0)


def conditional(gate, *, wire=0, when=lambda m: m, last=lambda _: qml.expval(qml.Z(1)), **options):
    """A tape with one gate, and its arguments, under a condition."""

    def build():
        m = qml.measure(wire, **options)
        qml.cond(when(m), gate[0])(*gate[1:])
        last(m)

    return dynamic(build)


DYNAMIC = [
    ((qml.X, 1), {}),
    ((qml.Y, 1), {}),
    ((qml.X, 2), {}),
    ((qml.RX, 0.1, 1), {}),
    ((qml.X, 1), {"wire": 2}),
    ((qml.X, 1), {"reset": True}),
    ((qml.X, 1), {"postselect": 1}),
    ((qml.X, 1), {"postselect": 0}),
    ((qml.X, 1), {"when": lambda m: m == 0}),
    ((qml.QubitUnitary, np.diag([1, 1j]), 1), {}),
    ((qml.QubitUnitary, np.diag([1, -1j]), 1), {}),
    ((qml.X, 1), {"last": qml.expval}),
    ((qml.X, 1), {"last": qml.var}),
    ((qml.X, 1), {"last": qml.counts}),
    ((qml.X, 1), {"last": lambda m: qml.counts(m, all_outcomes=True)}),
    ((qml.X, 1), {"last": lambda m: qml.probs(op=[m])}),
]


def test_measurements_in_the_middle_and_their_conditions_are_part_of_a_structure():
    keys = [conditional(gate, **options).key for gate, options in DYNAMIC]
    assert len(set(keys)) == len(keys)
    assert [conditional(gate, **options).key for gate, options in DYNAMIC] == keys


def test_angles_under_a_condition_are_angles():
    one, other = (conditional((qml.RX, angle, 1)) for angle in (0.1, 0.7))
    assert one.key == other.key
    np.testing.assert_array_equal(other.angles, [[0.7]])
    phase = conditional((qml.GlobalPhase, 0.4))
    assert phase.angles.shape == (1, 0)
    with pytest.raises(UnsupportedCircuitError, match="finite"):
        conditional((qml.GlobalPhase, np.nan))


def test_tables_of_values_are_no_part_of_a_structure():
    one, other = (
        conditional((qml.X, 1), last=lambda m, f=factor: qml.expval(f * m)) for factor in (2.0, 3.0)
    )
    assert one.key == other.key
    assert one.measurements[0].value.values.tolist() == [0.0, 2.0]
    assert other.measurements[0].value.values.tolist() == [0.0, 3.0]


def test_what_was_not_decomposed_is_refused_by_its_name():
    with pytest.raises(UnsupportedCircuitError) as caught:
        read([qml.QFT([0, 1])])
    text = str(caught.value)
    assert text.startswith("QFT on wires [0, 1] was not decomposed")
    assert text.endswith("dev.batch_execute or dev.submit, which do so. Nothing was sent.")


def test_words_of_labels_of_all_kinds_stand_in_one_order():
    (data,) = measured(qml.expval(qml.X("b") @ qml.Z(1) @ qml.Y("a")))
    assert data.words == (((1, "Z"), ("a", "Y"), ("b", "X")),)
    assert data.coeffs.dtype == np.float64


def test_a_sample_of_another_kind_is_another_measurement():
    keys = [key(BASE, [qml.sample(wires=[0], dtype=dtype)]) for dtype in (None, "int8", "float64")]
    assert len(set(keys)) == 3


def test_values_of_the_users_own_are_part_of_a_measurement():
    mps = [
        qml.measurements.ExpectationMP(wires=qml.wires.Wires([0]), eigvals=np.array(v))
        for v in ([1.0, 2.0], [1.0, 3.0])
    ]
    assert key(BASE, mps[:1]) != key(BASE, mps[1:])


def test_numbers_of_other_kinds_are_angles():
    for value in (1, True, np.int8(1), np.float16(1.0), np.array(1)):
        np.testing.assert_array_equal(read([qml.RX(value, 0), qml.RY(0.5, 0)]).angles, [[1.0, 0.5]])
    mixed = read([qml.RX(np.array([0.1, 0.2]), 0), qml.RY(1, 0), qml.RZ(np.array([1 + 0j, 2]), 0)])
    np.testing.assert_array_equal(mixed.angles, [[0.1, 1.0, 1.0], [0.2, 1.0, 2.0]])


def test_phases_of_a_broadcast_are_looked_at_one_by_one():
    with pytest.raises(UnsupportedCircuitError, match=r"Tape 0: operation 0, GlobalPhase .* finite"):
        read([qml.GlobalPhase(np.array([0.1, np.inf])), qml.RX(0.1, 0)])
    with pytest.raises(UnsupportedCircuitError, match=r"Tape 0: operation 0, GlobalPhase .* real"):
        read([qml.GlobalPhase(np.array([0.1, 0.2 + 1j])), qml.RX(0.1, 0)])
