"""Measurements in the middle of a circuit: tables of conditions, formulas, values that are read, and which way a tape goes."""

from __future__ import annotations

from itertools import product

import numpy as np
import pennylane as qml
import pytest
from pennylane.devices.execution_config import ExecutionConfig, MCMConfig
from pennylane.ops import MeasurementValue
from planned import blocks_of
from qiskit.circuit import ClassicalRegister
from qiskit.circuit.classical import expr

from pennylane_threaded_ibmq.circuits import mid_circuit
from pennylane_threaded_ibmq.circuits.decode import BlockResult, decode_block
from pennylane_threaded_ibmq.circuits.dynamic import (
    Condition,
    MidCircuitNumbers,
    Stretch,
    has_gates,
    postselection,
    qiskit_condition,
    stretches,
)
from pennylane_threaded_ibmq.circuits.mid_circuit import MidCircuitRules
from pennylane_threaded_ibmq.exceptions import ConfigurationError, UnsupportedCircuitError


def recorded(record, shots=10):
    with qml.queuing.AnnotatedQueue() as queue:
        record()
    return qml.tape.QuantumScript.from_queue(queue, shots=shots)


def measures(number, **options):
    """Some measurements on wires of their own, their values and a tape's numbers for them."""
    values = []
    tape = recorded(lambda: values.extend(qml.measure(w, **options) for w in range(number)))
    return values, MidCircuitNumbers.of(tape)


# -------------------------------------------------------------------------------------------------------- conditions


def test_measurements_are_numbered_in_the_order_of_the_tape():
    def record():
        qml.measure(3)
        qml.X(0)
        qml.measure(1)
        qml.measure(3)

    tape = recorded(record)
    numbers = MidCircuitNumbers.of(tape)
    assert len(numbers) == 3
    ops = tape.operations
    assert [numbers.condition(MeasurementValue([ops[i]])).bits for i in (0, 2, 3)] == [(0,), (1,), (2,)]
    assert numbers.add(qml.measure(5).measurements[0]) == 3


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0), (2, 1, 0)])
def test_the_table_of_a_condition_is_that_of_its_function(order):
    values, numbers = measures(3)
    ops = [values[i].measurements[0] for i in order]
    rng = np.random.default_rng(list(order))
    for _ in range(20):
        truth = {bits: bool(rng.integers(2)) for bits in product((0, 1), repeat=3)}
        # the value's own order of its measurements is PennyLane's; the function is of whatever order was given
        condition = numbers.condition(MeasurementValue(ops, lambda *bits, t=truth: t[bits]))
        for outcome in product((0, 1), repeat=3):
            index = int("0" + "".join(str(outcome[b]) for b in condition.bits), 2)
            assert condition.table[index] == truth[tuple(outcome[i] for i in order)]


def test_measurements_that_make_no_difference_are_left_out():
    (a, b, c), numbers = measures(3)
    assert numbers.condition(b) == Condition((1,), (False, True))
    assert numbers.condition(~b) == Condition((1,), (True, False))
    assert numbers.condition((a & b) | (a & ~b)) == Condition((0,), (False, True))
    assert numbers.condition((a + b + c) >= 4) == Condition((), (False,))
    assert numbers.condition((a + b + c) >= 0) == Condition((), (True,))
    assert numbers.condition(c - a) == Condition((0, 2), (False, True, True, False))


def test_what_never_holds_and_what_is_the_opposite():
    yes, no = Condition((1,), (False, True)), Condition((1,), (True, False))
    assert not yes.never
    assert Condition((), (False,)).never
    assert yes.is_opposite(no)
    assert not yes.is_opposite(yes)
    assert not yes.is_opposite(None)
    assert not yes.is_opposite(Condition((2,), (True, False)))
    assert not Condition((0, 1), (True, False, True, False)).is_opposite(
        Condition((0, 1), (False, True, True, False))
    )


def evaluated(node, bits):
    """What a formula of Qiskit's says of some bits."""
    if isinstance(node, (bool, np.bool_)):
        return bool(node)
    if isinstance(node, tuple):
        return bits[node[0]] == node[1]
    if isinstance(node, expr.Var):
        return bits[node.var]
    if isinstance(node, expr.Unary):
        assert node.op in {expr.Unary.Op.LOGIC_NOT, expr.Unary.Op.BIT_NOT}
        return not evaluated(node.operand, bits)
    left, right = evaluated(node.left, bits), evaluated(node.right, bits)
    name = node.op.name.removeprefix("LOGIC_").removeprefix("BIT_")
    return {"AND": left and right, "OR": left or right, "XOR": left != right}[name]


def size_of(node):
    if isinstance(node, expr.Unary):
        return size_of(node.operand)
    return 1 if isinstance(node, (expr.Var, tuple, bool)) else size_of(node.left) + size_of(node.right)


@pytest.mark.parametrize("width", [1, 2, 3])
def test_a_formula_says_what_its_table_says(width):
    clbits = list(ClassicalRegister(5, "c"))
    places = (4, 1, 3)[:width]
    for table in product((False, True), repeat=2**width):
        if len(set(table)) == 1:
            continue
        formula = qiskit_condition(Condition(places, table), clbits)
        for outcome in product((False, True), repeat=width):
            bits = dict.fromkeys(clbits, False) | {clbits[p]: b for p, b in zip(places, outcome, strict=True)}
            assert evaluated(formula, bits) == table[int("".join(str(int(b)) for b in outcome), 2)]


@pytest.mark.parametrize(
    ("table", "size"),
    [
        ((False, True), 1),
        ((True, False), 1),
        ((False, False, False, True), 2),
        ((False, True, True, True), 2),
        ((True, False, False, False), 2),
        ((True, True, True, False), 2),
        ((True, True, False, True), 2),
        ((False, True, True, False), 2),
        ((False, True, False, True), 1),
        ((False, False, False, True, True, True, False, True), 6),
        ((False, True, True, False, True, False, False, True), 3),
    ],
)
def test_a_formula_is_as_short_as_its_table_allows(table, size):
    clbits = list(ClassicalRegister(3, "c"))
    bits = tuple(range(len(table).bit_length() - 1))
    formula = qiskit_condition(Condition(bits, table), clbits)
    assert size_of(formula) == size
    if len(table) == 2:
        assert formula == (clbits[0], int(table[1]))


def test_operations_under_one_condition_are_one_stretch():
    def record():
        a, b = qml.measure(0), qml.measure(1)
        qml.cond(a, qml.X)(0)
        qml.cond(a & (b | ~b), qml.Y)(1)
        qml.cond(~a, qml.Z)(0)
        qml.cond((a | ~a), qml.S)(0)
        qml.T(1)
        qml.cond(b, qml.RX)(0.1, 1)

    found = [(s.condition, [op.name for op in s.operations]) for s in stretches(recorded(record))]
    assert found == [
        (None, ["MidMeasureMP", "MidMeasureMP"]),
        (Condition((0,), (False, True)), ["PauliX", "PauliY"]),
        (Condition((0,), (True, False)), ["PauliZ"]),
        (None, ["S", "T"]),
        (Condition((1,), (False, True)), ["RX"]),
    ]
    (plain,) = stretches(qml.tape.QuantumScript([qml.X(0), qml.Y(0)]))
    assert (plain.condition, len(plain.operations)) == (None, 2)


def test_stretches_that_do_nothing():
    yes, never = Condition((0,), (False, True)), Condition((), (False,))
    assert has_gates(Stretch(yes, (qml.X(0),)))
    assert has_gates(Stretch(None, (qml.QubitUnitary(np.eye(2), 0),)))
    assert has_gates(Stretch(yes, (qml.Identity(0), qml.X(0))))
    assert not has_gates(Stretch(yes, (qml.Identity(0), qml.GlobalPhase(0.1))))
    assert not has_gates(Stretch(never, (qml.X(0),)))


def test_bits_that_decide_whether_a_shot_counts():
    def record():
        qml.measure(0, postselect=1)
        qml.X(0)
        qml.measure(1)
        qml.measure(2, postselect=0)

    assert postselection(recorded(record)) == ((0, 1), (2, 0))
    assert postselection(qml.tape.QuantumScript([qml.X(0)])) == ()


# ------------------------------------------------------------------------------------------------------------ values

SHOTS = ["00", "01", "01", "10", "11", "11", "11"]


def read(make, shots=SHOTS):
    """A measurement of two mid-circuit values, read from shots that are written down: the first bit is that of the first."""

    def record():
        first, second = qml.measure(0), qml.measure(1)
        make(first, second)

    (block,) = blocks_of([recorded(record, shots=len(shots))])
    packed = np.array([[int(s[0]) + 2 * int(s[1])] for s in shots], dtype=np.uint8)
    from pennylane_threaded_ibmq.circuits.outcomes import ShotBits

    (result,) = decode_block(
        block, BlockResult({0: ShotBits(packed[None])}), np.random.default_rng(0)
    ).values()
    return result[0]


def test_samples_of_values():
    np.testing.assert_array_equal(read(lambda a, b: qml.sample(a)), [int(s[0]) for s in SHOTS])
    np.testing.assert_array_equal(read(lambda a, b: qml.sample(b)), [int(s[1]) for s in SHOTS])
    np.testing.assert_array_equal(
        read(lambda a, b: qml.sample(a - 2 * b)), [int(s[0]) - 2 * int(s[1]) for s in SHOTS]
    )
    np.testing.assert_array_equal(
        read(lambda a, b: qml.sample([b, a])), [[int(s[1]), int(s[0])] for s in SHOTS]
    )


def test_counts_of_values():
    assert read(lambda a, b: qml.counts(b)) == {0: 2, 1: 5}
    counts = read(lambda a, b: qml.counts(a + b))
    assert counts == {0: 1, 1: 3, 2: 3}
    assert list(counts) == [0, 1, 2]
    assert all(isinstance(n, np.int64) for n in counts.values())
    assert read(lambda a, b: qml.counts([b, a])) == {"00": 1, "10": 2, "01": 1, "11": 3}
    assert read(lambda a, b: qml.counts([a, b]), shots=["11", "00", "11"]) == {"00": 1, "11": 2}


def test_counts_of_values_that_were_not_measured():
    shots = ["00", "11", "11"]
    assert read(lambda a, b: qml.counts(a + b, all_outcomes=True), shots=shots) == {0: 1, 1: 0, 2: 2}
    assert read(lambda a, b: qml.counts([a, b], all_outcomes=True), shots=shots) == {
        "00": 1,
        "01": 0,
        "10": 0,
        "11": 2,
    }
    assert read(lambda a, b: qml.counts(a + b), shots=shots) == {0: 1, 2: 2}


def test_expectation_values_and_variances_of_values():
    numbers = [int(s[0]) - 2 * int(s[1]) for s in SHOTS]
    np.testing.assert_allclose(read(lambda a, b: qml.expval(a - 2 * b)), np.mean(numbers))
    np.testing.assert_allclose(read(lambda a, b: qml.var(a - 2 * b)), np.var(numbers))
    np.testing.assert_allclose(
        read(lambda a, b: qml.probs(op=[b, a])), np.array([1, 1, 2, 3])[[0, 1, 2, 3]] / 7
    )


def test_values_whose_measurement_was_put_off_are_read_from_its_wire():
    value, _ = measures(2)
    none = MidCircuitNumbers()
    read_back = none.value(qml.expval(value[1] - 3 * value[0]))
    assert read_back.deferred
    assert read_back.listed is False
    assert read_back.sources == (0, 1)
    assert read_back.values.tolist() == [0, 1, -3, -2]
    listed = none.value(qml.sample([value[1], value[0]]))
    assert listed.sources == (1, 0)
    assert listed.listed
    assert listed.values.tolist() == [[0, 1], [0, 1]]


# ----------------------------------------------------------------------------------------------------- which way it goes


def rules(*names, **options):
    return MidCircuitRules(lambda: frozenset(names), lambda: "ibm_test", **options)


def branching():
    m = qml.measure(0)
    qml.cond(m, qml.X)(1)


def test_rules_of_an_execution():
    config = ExecutionConfig(mcm_config=MCMConfig(mcm_method="deferred", postselect_mode="hw-like"))
    made = MidCircuitRules.of(config, lambda: frozenset("a"), lambda: "b")
    assert (made.method, made.postselect_mode, made.operations(), made.backend()) == (
        "deferred",
        "hw-like",
        {"a"},
        "b",
    )
    none = MidCircuitRules.of(None, lambda: frozenset("a"), lambda: "b")
    assert (none.method, none.postselect_mode, none.operations(), none.backend()) == (None, None, {"a"}, "b")
    assert (MidCircuitRules().operations(), MidCircuitRules().backend()) == (frozenset(), "")


def test_methods_of_simulators_are_refused():
    for method in (None, "device", "one-shot", "deferred"):
        mid_circuit.check_mcm_method(method)
    with pytest.raises(ConfigurationError) as caught:
        mid_circuit.check_mcm_method("tree-traversal")
    assert str(caught.value).startswith(
        "mcm_method='tree-traversal': this method looks into a simulator's state. Give "
    )
    assert str(caught.value).endswith("can do. Nothing was sent.")
    assert (caught.value.argument, caught.value.value) == ("mcm_method", "tree-traversal")


def test_what_measures_midway():
    assert mid_circuit.measures_midway(recorded(lambda: qml.measure(0)))
    assert mid_circuit.measures_midway(recorded(branching))
    assert not mid_circuit.measures_midway(recorded(lambda: qml.X(0)))
    (_, under) = recorded(branching).operations
    assert mid_circuit.measures_midway(qml.tape.QuantumScript([under]))


def test_only_branches_and_resets_need_names_in_a_target():
    plain, reset = recorded(lambda: qml.measure(0)), recorded(lambda: qml.measure(0, reset=True))
    branch = recorded(branching)

    def unasked():
        raise AssertionError("asked without need")

    assert mid_circuit.runs_natively(plain, MidCircuitRules(unasked))
    assert mid_circuit.runs_natively(plain, rules(method="device"))
    assert not mid_circuit.runs_natively(plain, MidCircuitRules(unasked, method="deferred"))
    assert not mid_circuit.runs_natively(branch, MidCircuitRules(unasked, method="deferred"))
    assert mid_circuit.runs_natively(branch, rules("if_else", "x"))
    assert not mid_circuit.runs_natively(branch, rules("reset"))
    assert mid_circuit.runs_natively(reset, rules("reset"))
    assert not mid_circuit.runs_natively(reset, rules("if_else"))


def test_a_method_that_the_backend_lacks_is_refused():
    def both():
        m = qml.measure(0, reset=True)
        qml.cond(m, qml.X)(1)

    with pytest.raises(UnsupportedCircuitError) as caught:
        mid_circuit.runs_natively(recorded(both), rules("x", method="one-shot"))
    assert str(caught.value) == (
        "mcm_method='one-shot': backend 'ibm_test' lacks 'if_else' and 'reset', which this circuit's mid-circuit "
        "measurements need. Give mcm_method='deferred' or None. Nothing was sent."
    )


def chosen(*measurements, batch=False, postselect=1):
    def record():
        if batch:
            qml.RX(np.array([0.1, 0.2]), 0)
        qml.measure("q", postselect=postselect)
        for mp in measurements:
            mp()

    return recorded(record)


def test_postselections_that_shots_cannot_do():
    expval, sample = (lambda: qml.expval(qml.Z(0))), (lambda: qml.sample(wires=[0]))
    shadow, of_shadow = (lambda: qml.classical_shadow(wires=[0])), (lambda: qml.shadow_expval(qml.Z(0)))
    filling = rules(postselect_mode="fill-shots")
    mid_circuit.check_postselection(chosen(expval, sample), rules())
    mid_circuit.check_postselection(chosen(expval, sample), rules(postselect_mode="hw-like"))
    mid_circuit.check_postselection(chosen(expval, batch=True), rules())
    mid_circuit.check_postselection(chosen(expval, sample, shadow, batch=True, postselect=None), filling)
    with pytest.raises(UnsupportedCircuitError) as caught:
        mid_circuit.check_postselection(chosen(expval, postselect=0), filling)
    assert str(caught.value) == (
        "qml.measure(wires='q', postselect=0): postselect_mode='fill-shots' needs a simulator that projects its state. Shots "
        "that measure something else are dropped here: give postselect_mode='hw-like' or None. Nothing was sent."
    )
    for bad in (shadow, of_shadow):
        with pytest.raises(UnsupportedCircuitError, match="since a shadow needs every shot"):
            mid_circuit.check_postselection(chosen(expval, bad), rules())
    with pytest.raises(
        UnsupportedCircuitError, match=r"the batch keep .* Run them one by one\. Nothing was sent\.$"
    ):
        mid_circuit.check_postselection(chosen(expval, sample, batch=True), rules())


def test_a_deferred_outcome_is_measured_on_its_wire_at_the_end():
    def record():
        qml.RY(0.3, 0)
        m = qml.measure(0, postselect=1)
        qml.cond(m, qml.RX)(0.4, 1)
        qml.measure(1, reset=True)
        qml.expval(qml.Z(1))
        qml.probs(wires=[0])

    tape = recorded(record)
    made = mid_circuit.defer(tape)
    assert made.measurements == tape.measurements
    assert made.shots == tape.shots
    last = made.operations[-1]
    assert [op.name for op in made.operations].count("MidMeasureMP") == 1
    assert (last.name, last.postselect, last.reset) == ("MidMeasureMP", 1, False)
    # the outcome was copied to the wire that is measured in the end
    copies = [op for op in made.operations if op.name == "CNOT" and op.wires[0] == 0]
    assert last.wires[0] in {0, *(op.wires[1] for op in copies)}
    assert not any(op.name.startswith("Conditional") for op in made.operations)
    # no projection, which no backend has
    assert not any("Projector" in op.name for op in made.operations)


def test_a_deferred_reset_is_a_reset():
    def record():
        qml.RY(0.7, 0)
        m = qml.measure(0, reset=True)
        qml.cond(m, qml.X)(1)
        qml.expval(qml.Z(0))
        qml.expval(qml.Z(1))

    (values,) = qml.devices.DefaultQubit().execute([mid_circuit.defer(recorded(record)).copy(shots=None)])
    np.testing.assert_allclose(values, [1, np.cos(0.7)])


def test_samples_are_filled_for_jax_alone():
    sample, counts = (lambda: qml.sample(wires=[0])), (lambda: qml.expval(qml.Z(0)))
    filling = rules(postselect_mode="pad-invalid-samples")
    assert mid_circuit.padding(chosen(sample), rules()) is None
    assert mid_circuit.padding(chosen(sample), rules(postselect_mode="hw-like")) is None
    assert mid_circuit.padding(chosen(sample, postselect=None), filling) is None
    assert mid_circuit.padding(chosen(counts), filling) is None
    invalid = np.iinfo(np.int32).min
    one = mid_circuit.padding(chosen(sample), filling)([np.array([1, 0, 1])])
    assert one.tolist() == [1, 0, 1, *[invalid] * 7]
    wide = mid_circuit.padding(chosen(sample), filling)([np.ones((8, 2), dtype=int)])
    assert wide.tolist() == [[1, 1]] * 8 + [[invalid] * 2] * 2
    several = mid_circuit.padding(chosen(counts, sample), filling)([(0.5, np.ones(9, dtype=int))])
    assert several[0] == 0.5
    assert several[1].tolist() == [1] * 9 + [invalid]
    copies = chosen(sample).copy(shots=[2, 3])
    first, second = mid_circuit.padding(copies, filling)([(np.array([1]), np.array([0, 1, 1]))])
    assert first.tolist() == [1, invalid]
    assert second.tolist() == [0, 1, 1]
