"""Gradients as rows: shift rules, the rows that a tape becomes, and the Jacobian that is made of their exact values."""

from __future__ import annotations

from math import pi, sqrt

import numpy as np
import pennylane as qml
import pytest
from pennylane import numpy as pnp
from pennylane.devices.execution_config import ExecutionConfig
from pennylane.gradients import param_shift

from pennylane_threaded_ibmq.circuits import derivatives, gradients
from pennylane_threaded_ibmq.circuits.changes import only_result
from pennylane_threaded_ibmq.circuits.derivatives import (
    can_differentiate,
    expand_trainable_batches,
    gradient_tapes,
)
from pennylane_threaded_ibmq.circuits.gradients import (
    gradient_method,
    shift_again,
    shift_through_conditions,
    with_rules,
)
from pennylane_threaded_ibmq.circuits.jacobian import shift_rule
from pennylane_threaded_ibmq.circuits.variances import (
    has_moments,
    has_wrong_rule,
    moments,
    split_variances,
)
from pennylane_threaded_ibmq.exceptions import UnsupportedCircuitError

EXACT = qml.devices.DefaultQubit()


def exact(tapes):
    """Exact results of tapes, as a tuple."""
    plain = [qml.defer_measurements(tape.copy(shots=None))[0][0] for tape in tapes]
    return EXACT.execute(plain)


def tape_of(operations, measurements, trainable=None, shots=None):
    made = qml.tape.QuantumScript(operations, measurements, shots=shots, trainable_params=trainable)
    return made if trainable is None else made.copy(trainable_params=trainable)


def close(got, wanted):
    if isinstance(wanted, tuple):
        assert isinstance(got, tuple)
        assert len(got) == len(wanted)
        for one, other in zip(got, wanted, strict=True):
            close(one, other)
    else:
        assert np.shape(got) == np.shape(wanted)
        np.testing.assert_allclose(got, wanted, atol=1e-10)


# -------------------------------------------------------------------------------------------------------- shift rules


@pytest.mark.parametrize(
    "gate",
    [
        qml.RX(0.3, 0),
        qml.Rot(0.1, 0.2, 0.3, 0),
        qml.U3(0.1, 0.2, 0.3, 0),
        qml.CRY(0.4, [0, 1]),
        qml.U2(0.5, 0.6, 0),
    ],
)
def test_a_rule_is_the_derivative(gate):
    def value(data):
        ops = [qml.RY(0.7, 0), qml.RX(0.4, 1), qml.CNOT([0, 1]), gate._unflatten(data, gate._flatten()[1])]
        return exact([tape_of(ops, [qml.expval(qml.X(0) @ qml.Y(1) + qml.Z(0) + qml.X(1))])])[0]

    for place in range(gate.num_params):
        terms = shift_rule(gate, place)

        def at(x, place=place):
            return value([x if i == place else float(d) for i, d in enumerate(gate.data)])

        x, step = float(gate.data[place]), 1e-4
        wanted = (at(x + step) - at(x - step)) / (2 * step)
        got = sum(c * at(a * x + s) for c, a, s in terms)
        np.testing.assert_allclose(got, wanted, atol=1e-6)
        assert all(type(number) is float for term in terms for number in term)


def test_known_rules():
    np.testing.assert_allclose(sorted(shift_rule(qml.RX(0.1, 0), 0)), [(-0.5, 1, -pi / 2), (0.5, 1, pi / 2)])
    four = shift_rule(qml.CRX(0.1, [0, 1]), 0)
    big, small = (sqrt(2) + 1) / (4 * sqrt(2)), (sqrt(2) - 1) / (4 * sqrt(2))
    np.testing.assert_allclose(
        sorted(four),
        [(-big, 1, -pi / 2), (-small, 1, 3 * pi / 2), (small, 1, -3 * pi / 2), (big, 1, pi / 2)],
    )
    # any rule does where nothing depends on the angle
    assert len(shift_rule(qml.GlobalPhase(0.2), 0)) == 2


def test_a_rule_of_the_gates_own_is_taken():
    class Mine(qml.RX):
        grad_recipe = ([[0.25, 2, 0.5], [-1, 1, 0]],)

    assert shift_rule(Mine(0.1, 0), 0) == ((0.25, 2.0, 0.5), (-1.0, 1.0, 0.0))


# ------------------------------------------------------------------------------------------------------- Jacobians

OPS = [
    qml.RX(0.3, 0),
    qml.Rot(0.4, 0.5, 0.6, 1),
    qml.CNOT([0, 1]),
    qml.CRY(0.7, [1, 0]),
    qml.adjoint(qml.RZ(0.8, 0)),
    qml.GlobalPhase(0.9),
    qml.IsingXX(1.1, [0, 1]),
]
WORDS = qml.Hamiltonian([0.5, -1.5], [qml.X(0) @ qml.Z(1), qml.Y(1)])


@pytest.mark.parametrize(
    "measurements",
    [
        [qml.expval(qml.Z(0))],
        [qml.probs(wires=[1, 0])],
        [qml.expval(qml.X(0) @ qml.Y(1)), qml.probs(wires=[0])],
        [qml.var(qml.Z(0))],
        [qml.var(qml.X(0) @ qml.Y(1)), qml.expval(qml.Z(1)), qml.probs(wires=[0, 1])],
        [qml.expval(qml.Hermitian(np.array([[1, 0.5j], [-0.5j, 2]]), 1))],
    ],
)
@pytest.mark.parametrize("trainable", [[0], [2], [0, 1, 2, 3, 4, 5, 6, 7], [3, 6, 7], [6]])
def test_rows_give_the_jacobian_that_pennylane_gives(measurements, trainable):
    tape = tape_of(OPS, measurements, trainable)
    tapes, post = gradient_tapes(tape)
    got = post(exact(tapes))
    without = tape_of([op for op in OPS if op.name != "GlobalPhase"], measurements, None)
    # nothing depends on the phase, and PennyLane has no rule for it here
    kept = [i for i in trainable if i != 6]
    without.trainable_params = [i if i < 6 else i - 1 for i in kept]
    shape = [
        np.zeros(np.shape(r)) for r in (exact([without])[0] if len(measurements) > 1 else exact([without]))
    ]
    if kept:
        shifted, reference = param_shift(without)
        wanted = reference(exact(shifted))
        wanted = wanted if len(measurements) > 1 else (wanted,)
        columns = [w if len(kept) > 1 else (w,) for w in wanted]
    else:
        columns = [()] * len(measurements)
    full = [
        tuple(column[kept.index(i)] if i in kept else shape[m] for i in trainable)
        for m, column in enumerate(columns)
    ]
    full = tuple(f if len(f) > 1 else f[0] for f in full)
    close(got, full if len(full) > 1 else full[0])


def test_nothing_trainable_is_nothing():
    tapes, post = gradient_tapes(tape_of(OPS, [qml.expval(qml.Z(0))], []))
    assert (tapes, post(())) == ((), ())


def test_variances_of_sums_by_the_product_rule():
    theta = 0.4
    obs = qml.Hamiltonian([1.0, 2.0], [qml.Z(0), qml.X(0)])
    tape = tape_of([qml.RY(theta, 0)], [qml.var(obs)], [0])
    tapes, post = gradient_tapes(tape)
    # <A> = cos + 2 sin, A^2 = 5
    wanted = -2 * (np.cos(theta) + 2 * np.sin(theta)) * (-np.sin(theta) + 2 * np.cos(theta))
    close(post(exact(tapes)), np.array(wanted))


def test_coefficients_are_differentiated_by_their_terms():
    tape = tape_of([qml.RX(0.3, 0), qml.RY(0.5, 1)], [qml.expval(qml.Z(1)), qml.expval(WORDS)], [0, 1, 2, 3])
    tapes, post = gradient_tapes(tape)
    first, second = post(exact(tapes))
    x_z = 0.0
    close(first, (np.array(0.0), np.array(-np.sin(0.5)), np.array(0.0), np.array(0.0)))
    # <X0 Z1> = 0 and <Y1> = 0 here; the derivatives by the angles vanish as well
    close(second, (np.array(0.0), np.array(0.0), np.array(x_z), np.array(0.0)))
    tape = tape_of([qml.RY(0.3, 0), qml.RX(0.5, 1)], [qml.expval(WORDS)], [0, 2, 3])
    tapes, post = gradient_tapes(tape)
    close(
        post(exact(tapes)),
        (
            np.array(0.5 * np.cos(0.3) * np.cos(0.5)),
            np.array(np.sin(0.3) * np.cos(0.5)),
            np.array(-np.sin(0.5)),
        ),
    )
    # no other measurement depends on them
    tape = tape_of([qml.RY(0.3, 0), qml.RX(0.5, 1)], [qml.expval(qml.Z(0)), qml.expval(WORDS)], [2, 3])
    tapes, post = gradient_tapes(tape)
    close(
        post(exact(tapes)),
        ((np.array(0.0),) * 2, (np.array(np.sin(0.3) * np.cos(0.5)), np.array(-np.sin(0.5)))),
    )
    tape = tape_of([qml.RY(0.3, 0), qml.RX(0.5, 1)], [qml.expval(WORDS)], [3])
    tapes, post = gradient_tapes(tape)
    assert len(tapes) == 1
    close(post(exact(tapes)), np.array(-np.sin(0.5)))


def test_a_tape_that_is_broadcast_has_an_axis_for_it():
    batch = np.array([0.1, 0.5, 0.9])
    for measurements in ([qml.expval(qml.Z(0))], [qml.var(qml.Z(0)), qml.probs(wires=[0])]):
        tape = tape_of([qml.RX(batch, 0), qml.RY(0.3, 0), qml.RZ(0.2, 0)], measurements, [1, 2])
        tapes, post = gradient_tapes(tape)
        got = post(exact(tapes))
        rows = []
        for x in batch:
            one = tape_of([qml.RX(x, 0), qml.RY(0.3, 0), qml.RZ(0.2, 0)], measurements, [0, 1])
            one.trainable_params = [1, 2]
            shifted, reference = param_shift(one)
            rows.append(reference(exact(shifted)))
        if len(measurements) == 1:
            close(got, tuple(np.stack([r[k] for r in rows]) for k in range(2)))
        else:
            close(got, tuple(tuple(np.stack([r[m][k] for r in rows]) for k in range(2)) for m in range(2)))
    phase = tape_of([qml.RX(batch, 0), qml.GlobalPhase(0.3)], [qml.probs(wires=[0])], [1])
    tapes, post = gradient_tapes(phase)
    assert tapes == ()
    assert post(()).shape == (3, 2)
    everything = tape_of([qml.RX(0.3, 0), qml.X(1), qml.GlobalPhase(0.3)], [qml.probs()], [1])
    close(gradient_tapes(everything)[1](()), np.zeros(4))


def test_each_copy_of_a_shot_vector_has_its_jacobian():
    tape = tape_of(
        [qml.RX(0.3, 0), qml.RY(0.4, 0)], [qml.expval(qml.Z(0)), qml.probs(wires=[0])], [0, 1], shots=[10, 20]
    )
    (rows,), post = gradient_tapes(tape)
    assert rows.shots == tape.shots
    (values,) = exact([rows])
    twice = tuple(3 * v for v in values)
    first, second = post([(values, twice)])
    single = gradient_tapes(tape.copy(shots=None))[1]([values])
    close(first, single)
    close(second, tuple(tuple(3 * x for x in column) for column in single))


# ------------------------------------------------------------------------------------------------------- the rows


def rows_of(tape):
    return [t.batch_size for t in gradient_tapes(tape)[0]]


def test_shifts_share_a_tape_as_far_as_it_goes(monkeypatch):
    tape = tape_of([qml.RX(0.1, 0) for _ in range(5)], [qml.expval(qml.Z(0))], range(5))
    assert rows_of(tape) == [10]
    for most, wanted in ((10, [10]), (9, [8, 2]), (4, [4, 4, 2]), (3, [2] * 5), (1, [2] * 5)):
        monkeypatch.setattr(derivatives, "ROWS_A_TAPE", most)
        assert rows_of(tape) == wanted
    # the unshifted row of a variance takes a place
    squares = tape.copy(measurements=[qml.var(qml.Z(0))])
    for most, wanted in ((11, [11]), (10, [9, 3]), (5, [5, 5, 3]), (4, [3] * 5)):
        monkeypatch.setattr(derivatives, "ROWS_A_TAPE", most)
        assert rows_of(squares) == wanted


def test_shots_bound_the_rows_of_a_tape(monkeypatch):
    monkeypatch.setattr(derivatives, "EXECUTIONS_A_TAPE", 600)
    for shots, wanted in (
        (100, [6, 4]),
        (101, [4, 4, 2]),
        (150, [4, 4, 2]),
        (10_000, [2] * 5),
        ([50, 50], [6, 4]),
    ):
        tape = tape_of([qml.RX(0.1, 0) for _ in range(5)], [qml.expval(qml.Z(0))], range(5), shots=shots)
        assert rows_of(tape) == wanted
    wide = tape_of(
        [qml.RY(np.array([0.1, 0.2]), 0), *[qml.RX(0.1, 0)] * 4],
        [qml.expval(qml.Z(0))],
        [1, 2, 3, 4],
        shots=75,
    )
    assert rows_of(wide) == [8, 8]


def test_rows_are_shifted_where_they_must_be_and_nowhere_else():
    tape = tape_of(
        [qml.Rot(0.1, 0.2, 0.3, 0), qml.RY(0.7, 1), qml.RX(0.4, 0)], [qml.expval(qml.Z(0))], [1, 4]
    )
    (rows,), _ = gradient_tapes(tape)
    half = pi / 2
    rot, same, last = rows.operations
    assert same is tape.operations[1]
    assert rot.data[0] == 0.1
    np.testing.assert_allclose(sorted(rot.data[1][:2]), [0.2 - half, 0.2 + half])
    np.testing.assert_allclose(rot.data[1][2:], [0.2, 0.2])
    assert rot.data[2] == 0.3
    np.testing.assert_allclose(last.data[0][:2], [0.4, 0.4])
    np.testing.assert_allclose(sorted(last.data[0][2:]), [0.4 - half, 0.4 + half])
    assert (rows.measurements, rows.shots) == (tape.measurements, tape.shots)


def test_numbers_of_a_batch_stand_in_every_block():
    tape = tape_of([qml.RX(np.array([1.0, 2.0]), 0), qml.RY(0.5, 0)], [qml.var(qml.Z(0))], [1])
    (rows,), _ = gradient_tapes(tape)
    np.testing.assert_allclose(rows.operations[0].data[0], [1, 2, 1, 2, 1, 2])
    np.testing.assert_allclose(rows.operations[1].data[0][:2], [0.5, 0.5])
    np.testing.assert_allclose(
        np.sort(rows.operations[1].data[0][2:]), np.sort([0.5 - pi / 2] * 2 + [0.5 + pi / 2] * 2)
    )
    assert [type(mp).__name__ for mp in rows.measurements] == ["ExpectationMP"] * 2


# ------------------------------------------------------------------------------------------------- what is refused


def grad(value):
    return pnp.array(value, requires_grad=True)


def differentiable(operations, measurements):
    return can_differentiate(qml.tape.QuantumScript(operations, measurements))


Z = [qml.expval(qml.Z(0))]


def midway(**options):
    with qml.queuing.AnnotatedQueue() as queue:
        qml.cond(qml.measure(0, **options), qml.RX)(grad(0.3), 1)
    return qml.tape.QuantumScript.from_queue(queue).operations


@pytest.mark.parametrize(
    ("operations", "measurements", "able"),
    [
        ([qml.RX(grad(0.1), 0)], Z, True),
        ([qml.RX(grad(0.1), 0)], [qml.probs(wires=[0])], True),
        ([qml.RX(grad(0.1), 0)], [qml.probs(op=qml.X(0))], False),
        ([qml.RX(grad(0.1), 0)], [qml.var(qml.X(0) + qml.Z(0))], True),
        ([qml.RX(grad(0.1), 0)], [qml.counts(wires=[0])], False),
        ([qml.RX(grad(0.1), 0)], [*Z, qml.sample(wires=[0])], False),
        ([qml.CRot(grad(0.1), 0.2, 0.3, [0, 1])], Z, True),
        ([qml.StatePrep(grad([0.6, 0.8]), 0)], Z, False),
        ([qml.StatePrep(np.array([0.6, 0.8]), 0), qml.RX(grad(0.1), 0)], Z, True),
        ([qml.QubitUnitary(grad(np.eye(2)), 0)], Z, False),
        ([qml.DiagonalQubitUnitary(grad([1.0, 1.0]), 0)], Z, True),
        (midway(), Z, True),
        (midway(postselect=1), Z, False),
        ([qml.X(0)], [qml.expval(qml.Hamiltonian(grad([1.0, 2.0]), [qml.Z(0), qml.X(0)]))], True),
        ([qml.X(0)], [qml.var(qml.Hamiltonian(grad([1.0, 2.0]), [qml.Z(0), qml.X(0)]))], False),
        ([qml.X(0)], [qml.expval(qml.Hermitian(grad(np.eye(2)), 0))], False),
        ([qml.X(0)], [qml.expval(qml.s_prod(grad(2.0), qml.Z(0)))], False),
        (
            [qml.X(0)],
            [qml.expval(qml.Hamiltonian(grad([1.0]), [qml.Hermitian(np.eye(2), 0)]))],
            False,
        ),
    ],
)
def test_what_rows_can_differentiate(operations, measurements, able):
    assert differentiable(operations, measurements) is able


def test_operations_that_cannot_be_taken_apart_are_not_differentiated():
    class Closed(qml.operation.Operation):
        num_wires = 1
        num_params = 1

    class Broken(Closed):
        @staticmethod
        def compute_decomposition(*_args, **_kwargs):
            raise RuntimeError("none")

    class Open(Closed):
        @staticmethod
        def compute_decomposition(angle, wires):
            return [qml.RX(angle, wires), qml.Hadamard(wires)]

    assert not differentiable([Closed(grad(0.1), wires=0)], Z)
    assert not differentiable([Broken(grad(0.1), wires=0)], Z)
    assert differentiable([Open(grad(0.1), wires=0)], Z)
    assert differentiable([Closed(0.1, wires=0)], Z)


def test_a_number_without_a_rule_is_refused():
    with pytest.raises(
        UnsupportedCircuitError, match=r"^Gate StatePrep on wires \[0\] has a trainable parameter and no"
    ):
        gradient_tapes(tape_of([qml.StatePrep(np.array([0.6, 0.8]), 0)], Z, [0]))
    with pytest.raises(UnsupportedCircuitError, match=r"^Trainable numbers of the observable .*Hermitian"):
        gradient_tapes(tape_of([qml.X(0)], [qml.expval(qml.Hermitian(np.eye(2), 0))], [0]))
    with pytest.raises(UnsupportedCircuitError, match="real number"):
        gradient_tapes(tape_of([qml.RX(0.1 + 0.2j, 0)], Z, [0]))


def test_broadcasts_of_trainable_numbers_become_tapes():
    values = grad([0.1, 0.2, 0.3])
    tape = qml.tape.QuantumScript([qml.RX(values, 0), qml.RY(0.5, 0)], Z, shots=7)
    tapes, post = expand_trainable_batches(tape)
    assert [float(t.operations[0].data[0]) for t in tapes] == [0.1, 0.2, 0.3]
    assert all(t.shots == tape.shots for t in tapes)
    np.testing.assert_array_equal(post([1.0, 2.0, 3.0]), [1.0, 2.0, 3.0])
    for same in (
        qml.tape.QuantumScript([qml.RX(np.array([0.1, 0.2]), 0), qml.RY(grad(0.5), 0)], Z),
        qml.tape.QuantumScript([qml.RX(grad(0.1), 0)], Z),
    ):
        (left,), post = expand_trainable_batches(same)
        assert left is same
        assert post([4]) == 4


# ------------------------------------------------------------------------------------------ conditions and variances


def conditional(gate, *args, trainable=True):
    def make(value):
        return grad(value) if trainable else value

    with qml.queuing.AnnotatedQueue() as queue:
        qml.RY(0.8, 0)
        m = qml.measure(0)
        qml.cond(m, gate)(*map(make, args), wires=1)
        qml.RX(make(0.2), 1)
        qml.expval(qml.Z(1))
    tape = qml.tape.QuantumScript.from_queue(queue)
    parameters = tape.get_parameters(trainable_only=False)
    tape.trainable_params = [i for i in range(len(parameters)) if i > 0]
    return tape


def test_a_tape_without_conditions_is_handed_back():
    for same in (tape_of(OPS, Z), conditional(qml.X)):
        assert with_rules(same) is same


@pytest.mark.parametrize(
    ("gate", "args"),
    [(qml.RX, (0.4,)), (qml.Rot, (0.4, 0.5, 0.6)), (qml.PhaseShift, (0.4,)), (qml.U2, (0.3, 0.4))],
)
def test_a_conditional_gate_has_the_rule_of_its_gate(gate, args):
    tape = conditional(gate, *args)
    made = with_rules(tape)
    assert made.trainable_params == tape.trainable_params
    (op,) = [op for op in made.operations if op.name.startswith("Conditional")]
    assert op.grad_recipe == [[list(t) for t in shift_rule(op.base, i)] for i in range(len(args))]
    shifted, post = shift_through_conditions(tape)
    rows, combine = gradient_tapes(tape)
    close(combine(exact(rows)), tuple(np.array(v) for v in post(exact(shifted))))
    again, post = shift_again(tape)
    close(combine(exact(rows)), tuple(np.array(v) for v in post(exact(again))))


def test_a_conditional_gate_without_a_rule_is_taken_apart():
    class Two(qml.operation.Operation):
        num_wires = 1
        num_params = 1
        grad_method = None

        @staticmethod
        def compute_decomposition(angle, wires):
            return [qml.RX(angle, wires), qml.Hadamard(wires), qml.RZ(angle, wires)]

    made = with_rules(conditional(Two, 0.4))
    names = [op.base.name for op in made.operations if op.name.startswith("Conditional")]
    assert names == ["RX", "Hadamard", "RZ"]
    (value,) = {id(op.meas_val) for op in made.operations if op.name.startswith("Conditional")}
    assert value != id(None)
    assert made.trainable_params == [1, 2, 3]
    kept = with_rules(conditional(Two, 0.4, trainable=False))
    assert [op.base.name for op in kept.operations if op.name.startswith("Conditional")] == ["Two"]


def test_the_rule_of_the_package_takes_the_place_of_pennylanes():
    first = ExecutionConfig(gradient_method=param_shift, derivative_order=1)
    second = ExecutionConfig(gradient_method=param_shift, derivative_order=2)
    assert gradient_method(first) is shift_through_conditions
    assert gradient_method(second) is shift_again
    for other in ("best", qml.gradients.spsa_grad, None):
        assert gradient_method(ExecutionConfig(gradient_method=other)) is other


def test_variances_whose_rule_is_wrong_become_rows():
    obs = qml.Hamiltonian([1.0, 2.0], [qml.Z(0), qml.X(0)])
    tape = tape_of([qml.RY(0.4, 0)], [qml.var(obs)], [0])
    tapes, post = shift_through_conditions(tape)
    rows, combine = gradient_tapes(tape)
    close(post(exact(tapes)), combine(exact(rows)))
    for transform, options, words in (
        (shift_again, {}, "and with higher derivatives or this circuit there is no other here"),
        (shift_through_conditions, {"broadcast": True}, "and with broadcast there is no other"),
        (shift_through_conditions, {"f0": 1.0, "broadcast": True}, "and with broadcast, f0 there is no"),
    ):
        with pytest.raises(UnsupportedCircuitError, match=words):
            transform(tape, **options)
    # options that are not given count for nothing
    assert len(shift_through_conditions(tape, broadcast=False, f0=None)[0]) == 1
    # and those that are reach PennyLane's rule
    plain = tape_of([qml.RY(0.4, 0), qml.RX(0.3, 0)], Z, [0, 1])
    assert [t.batch_size for t in shift_through_conditions(plain, broadcast=True)[0]] == [2, 2]
    assert [t.batch_size for t in shift_through_conditions(plain)[0]] == [None] * 4
    assert len(shift_through_conditions(plain, argnum=[1])[0]) == 2


def test_what_pennylane_would_hand_back_is_not_asked():
    plain = tape_of([*OPS[:3], OPS[-1]], Z)
    (left,), post = gradients._expand(plain)
    assert left is plain
    assert post is only_result
    with_coefficients = qml.tape.QuantumScript(
        [qml.RX(0.1, 0)], [qml.expval(qml.Hamiltonian(grad([1.0]), [qml.Z(0)]))]
    )
    assert not gradients._all_have_rules(with_coefficients)
    assert gradients._all_have_rules(plain)
    # a property is worked out by each object
    assert not gradients._all_have_rules(tape_of(OPS, Z))
    assert not gradients._all_have_rules(tape_of([qml.exp(qml.Z(0), 0.1j)], Z))
    assert gradients._all_have_rules(tape_of([qml.X(0), qml.RX(0.1, 0)], Z))
    (expanded,), _ = gradients._expand(
        tape_of([qml.StronglyEntanglingLayers(grad(np.ones((1, 2, 3))), [0, 1])], Z)
    )
    assert {op.name for op in expanded.operations} == {"Rot", "CNOT"}


@pytest.mark.parametrize(
    ("mp", "wrong", "squared"),
    [
        (qml.var(qml.Z(0)), False, True),
        (qml.var(qml.Z(0) @ qml.X(1)), False, True),
        (qml.var(qml.s_prod(2.0, qml.Z(0))), False, True),
        (qml.var(qml.Z(0) + qml.X(0)), True, True),
        (qml.var(qml.Hermitian(np.eye(2), 0)), False, True),
        (qml.var(qml.Hermitian(np.eye(2), 0) @ qml.Projector([1], 1)), False, True),
        (qml.var(qml.Hermitian(np.eye(2), 0) @ qml.Projector([1], 0)), True, True),
        (qml.var(qml.s_prod(2.0, qml.Hermitian(np.eye(2), 0))), True, True),
        (qml.var(qml.Hermitian(np.eye(64), range(6))), False, True),
        (qml.var(qml.Hermitian(np.eye(128), range(7))), False, False),
        (qml.expval(qml.Z(0) + qml.X(0)), False, None),
        (qml.probs(wires=[0]), False, None),
        (qml.measurements.VarianceMP(wires=qml.wires.Wires([0]), eigvals=np.array([1, 2.0])), False, False),
    ],
)
def test_variances_whose_rule_is_wrong(mp, wrong, squared):
    assert has_wrong_rule(mp) is wrong
    if squared is not None:
        assert has_moments(mp) is squared


def test_values_midway_have_no_moments():
    assert not has_moments(qml.var(qml.measure(0)))


@pytest.mark.parametrize(
    "obs",
    [
        qml.Z(0),
        qml.Hamiltonian([0.5, -2.0, 1.0], [qml.X(0) @ qml.Z(1), qml.Y(0), qml.Z(1)]),
        qml.Hermitian(np.array([[1, 2j], [-2j, 3]]), 1),
        qml.s_prod(3.0, qml.Projector([1], 1)),
    ],
)
def test_moments_are_of_the_observable_and_its_square(obs):
    first, second = moments(obs)
    assert first.obs is obs
    matrix = qml.matrix(obs, wire_order=[0, 1])
    np.testing.assert_allclose(qml.matrix(second.obs, wire_order=[0, 1]), matrix @ matrix, atol=1e-12)


def test_variances_are_split_where_the_gradient_is_wanted():
    obs = qml.Z(0) + 2.0 * qml.X(0)
    measurements = [qml.var(obs), qml.expval(qml.Z(0)), qml.var(qml.Z(0))]
    plain = qml.tape.QuantumScript([qml.RY(0.4, 0)], measurements)
    (left,), post = split_variances(plain)
    assert left is plain
    assert post is only_result
    right = qml.tape.QuantumScript([qml.RY(grad(0.4), 0)], measurements[1:])
    assert split_variances(right)[0] == [right]
    trained = qml.tape.QuantumScript([qml.X(0), qml.RY(grad(0.4), 0)], measurements, shots=9)
    trained.trainable_params = [0]
    (made,), post = split_variances(trained)
    assert [type(mp).__name__ for mp in made.measurements] == ["ExpectationMP"] * 3 + ["VarianceMP"]
    assert made.trainable_params == [0]
    assert (made.operations, made.shots) == (trained.operations, trained.shots)
    assert post([(2.0, 7.0, 0.5, 0.75)]) == (3.0, 0.5, 0.75)
    assert post([((2.0, 7.0, 0.5, 0.75), (3.0, 10.0, 0.25, 1.0))]) == ((3.0, 0.5, 0.75), (1.0, 0.25, 1.0))
    (_,), post = split_variances(qml.tape.QuantumScript([qml.RY(grad(0.4), 0)], measurements[:1]))
    assert post([(2.0, 7.0)]) == 3.0
    assert post([[(2.0, 7.0), (1.0, 7.0)]]) == (3.0, 6.0)
