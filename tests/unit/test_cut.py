"""How a batch is cut into jobs: every row is in one, none is beyond its limits, and there are as few as can be."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import numpy as np
import pennylane as qml
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planned import blocks_of

from pennylane_threaded_ibmq.circuits.limits import JobSize, Weight, weigh_plainly
from pennylane_threaded_ibmq.circuits.shards import Limits, circuits_text, cut, cut_like
from pennylane_threaded_ibmq.exceptions import UnsupportedCircuitError

ANY = JobSize(*[inf] * 7)


def tape(angle, *measurements, gate=qml.RX, shots=10, wires=1):
    operations = [gate(angle, w) for w in range(wires)]
    return qml.tape.QuantumScript(operations, measurements or [qml.expval(qml.Z(0))], shots=shots)


def limits(*, each=None, fixed=None, most=None, **options):
    """Limits by which a row weighs ``each`` and a block ``fixed`` beside."""
    weight = Weight(fixed or JobSize(), each or JobSize(circuits=1))
    return Limits(most or ANY, lambda _: weight, **options)


def positions(shards):
    return [shard.positions for shard in shards]


def test_a_batch_is_one_shard_on_this_machine():
    blocks = blocks_of([tape(0.1), tape(0.2, gate=qml.RY), tape(0.3)])
    assert positions(cut(blocks, "auto", None)) == [(0, 1, 2)]
    assert cut((), "auto", None) == ()
    assert cut((), 3, None) == ()


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (1, [(0,), (1,), (2,), (3,), (4,)]),
        (2, [(0, 1), (2, 3), (4,)]),
        (4, [(0, 1, 2, 3), (4,)]),
        (5, [(0, 1, 2, 3, 4)]),
        (9, [(0, 1, 2, 3, 4)]),
    ],
)
def test_so_many_tapes_in_a_shard(size, expected):
    blocks = blocks_of([tape(0.1), tape(0.2, gate=qml.RY), tape(0.3), tape(0.4, gate=qml.RY), tape(0.5)])
    assert positions(cut(blocks, size, None)) == expected
    assert positions(cut(blocks, size, limits())) == expected


def test_rows_stay_with_their_tapes():
    tapes = [tape(np.array([0.1, 0.2, 0.3])), tape(0.4), tape(np.array([0.5, 0.6]))]
    shards = cut(blocks_of(tapes), 1, None)
    assert [shard.blocks[0].values.ravel().tolist() for shard in shards] == [
        [0.1, 0.2, 0.3],
        [0.4],
        [0.5, 0.6],
    ]
    for shard in shards:
        (block,) = shard.blocks
        assert block.members[0].rows == slice(0, block.rows)


def test_a_job_is_of_one_primitive_and_the_estimator_comes_first():
    blocks = blocks_of([tape(0.1, qml.expval(qml.Z(0)), qml.counts(wires=[0])), tape(0.2)], estimator=True)
    shards = cut(blocks, "auto", limits())
    assert [{b.primitive for b in s.blocks} for s in shards] == [{"estimator"}, {"sampler"}]
    assert positions(shards) == [(0, 1), (0,)]


def test_a_job_takes_as_many_rows_as_its_limit():
    blocks = blocks_of([tape(0.1 * i) for i in range(10)])
    for most, expected in (
        (10, [10]),
        (9, [9, 1]),
        (5, [5, 5]),
        (4, [4, 4, 2]),
        (3, [3, 3, 3, 1]),
        (1, [1] * 10),
    ):
        shards = cut(blocks, "auto", limits(most=replace(ANY, circuits=most)))
        assert [sum(b.rows for b in s.blocks) for s in shards] == expected


def test_what_a_block_weighs_by_itself_counts_once_for_each_job():
    blocks = blocks_of([tape(0.1 * i) for i in range(6)])
    shards = cut(
        blocks, "auto", limits(each=JobSize(bytes=10), fixed=JobSize(bytes=5), most=replace(ANY, bytes=25))
    )
    assert [sum(b.rows for b in s.blocks) for s in shards] == [2, 2, 2]


def test_blocks_share_a_job_up_to_each_of_the_limits():
    blocks = blocks_of([tape(0.1), tape(0.2, gate=qml.RY), tape(0.3, gate=qml.RZ)])
    each = JobSize(circuits=1, executions=10, rz=3)
    for most, expected in (
        (replace(ANY, circuits=3), [(0, 1, 2)]),
        (replace(ANY, circuits=2), [(0, 1), (2,)]),
        (replace(ANY, executions=29), [(0, 1), (2,)]),
        (replace(ANY, executions=30), [(0, 1, 2)]),
        (replace(ANY, circuits=3, rz=5), [(0,), (1,), (2,)]),
    ):
        assert positions(cut(blocks, "auto", limits(each=each, most=most))) == expected


def test_a_tape_is_never_torn_apart():
    tapes = [
        tape(np.linspace(0, 1, 3)),
        tape(np.linspace(0, 1, 3)),
        tape(0.5),
        tape(0.6),
        tape(np.linspace(0, 1, 4)),
    ]
    shards = cut(blocks_of(tapes), "auto", limits(most=replace(ANY, circuits=5)))
    assert positions(shards) == [(0,), (1, 2, 3), (4,)]
    assert [sum(b.rows for b in s.blocks) for s in shards] == [3, 5, 4]


def test_a_tape_that_is_too_large_is_refused_with_its_numbers():
    tapes = [tape(0.1), tape(np.linspace(0, 1, 6))]
    with pytest.raises(UnsupportedCircuitError) as caught:
        cut(
            blocks_of(tapes),
            "auto",
            limits(each=JobSize(executions=1000), most=replace(ANY, executions=5000)),
        )
    assert caught.value.tape == 1
    text = str(caught.value)
    assert "Tape 1 has 6 rows of values with 6,000 executions" in text
    assert "a job takes at most 5,000" in text
    assert text.endswith("Nothing was sent.")


def test_a_tape_of_one_row_is_refused_without_a_word_of_rows():
    with pytest.raises(UnsupportedCircuitError, match=r"^Tape 0 has 7 rz gates; a job takes at most 6 "):
        cut(blocks_of([tape(0.1)]), "auto", limits(each=JobSize(rz=7), most=replace(ANY, rz=6)))


def test_a_large_request_alone_is_sent_as_it_is():
    """The limit of bytes is a guess of ours: the service has the last word."""
    tapes = [tape(np.linspace(0, 1, 6)), tape(0.1)]
    shards = cut(blocks_of(tapes), "auto", limits(each=JobSize(bytes=10), most=replace(ANY, bytes=50)))
    assert positions(shards) == [(0,), (1,)]


def test_a_job_of_one_number_of_shots():
    tapes = [tape(0.1, shots=10), tape(0.2, shots=20), tape(0.3, shots=10), tape(0.4, shots=(10, 10))]
    blocks = blocks_of(tapes)
    assert len(cut(blocks, "auto", limits())) == 1
    shards = cut(blocks, "auto", limits(one_number_of_shots=True))
    assert positions(shards) == [(0, 2), (1, 3)]
    assert [{b.row_shots for b in s.blocks} for s in shards] == [{10}, {20}]


def test_an_estimator_is_asked_for_each_number_of_a_shot_vector():
    blocks = blocks_of([tape(0.1, shots=(10, 20, 10)), tape(0.2, shots=20)], estimator=True)
    shards = cut(blocks, "auto", limits(one_number_of_shots=True, equal_shots=True))
    assert [[b.copies for b in s.blocks] for s in shards] == [[(0, 2)], [(1,), None]]
    assert [{n for b in s.blocks for n in b.copy_shots} for s in shards] == [{10}, {20}]
    whole = cut(
        blocks_of([tape(0.1, shots=(10, 10))], estimator=True),
        "auto",
        limits(one_number_of_shots=True, equal_shots=True),
    )
    assert [[b.copies for b in s.blocks] for s in whole] == [[None]]


def test_a_sampler_takes_a_shot_vector_at_once():
    blocks = blocks_of([tape(0.1, shots=(10, 20)), tape(0.2, shots=30)])
    shards = cut(blocks, "auto", limits(one_number_of_shots=True, equal_shots=True))
    assert positions(shards) == [(0, 1)]


def test_random_bases_are_rows_of_one_shot_each():
    tapes = [tape(0.1, qml.classical_shadow(wires=[0])), tape(0.2, qml.counts(wires=[0]), shots=1)]
    blocks = blocks_of(tapes, equal_shots=True)
    assert [b.single_shots for b in blocks] == [True, False]
    shards = cut(blocks, "auto", limits(one_number_of_shots=True, equal_shots=True))
    assert positions(shards) == [(0, 1)]


@settings(max_examples=80)
@given(
    st.lists(
        st.tuples(st.integers(1, 4), st.sampled_from([qml.RX, qml.RY]), st.sampled_from([5, 7])),
        min_size=1,
        max_size=12,
    ),
    st.one_of(st.just("auto"), st.integers(1, 13)),
    st.integers(4, 9),
    st.booleans(),
)
def test_every_row_is_in_exactly_one_shard(shapes, size, most, one_number):
    tapes = [
        tape(np.linspace(0.1, 0.9, rows) + i if rows > 1 else 0.1 + i, gate=gate, shots=shots)
        for i, (rows, gate, shots) in enumerate(shapes)
    ]
    shards = cut(
        blocks_of(tapes), size, limits(most=replace(ANY, circuits=most), one_number_of_shots=one_number)
    )
    found = [
        (member.position, float(value[0]))
        for shard in shards
        for block in shard.blocks
        for member in block.members
        for value in block.values[member.rows]
    ]
    expected = [(i, float(v)) for i, t in enumerate(tapes) for v in np.atleast_1d(t.operations[0].data[0])]
    assert sorted(found) == expected
    for shard in shards:
        assert sum(b.rows for b in shard.blocks) <= most
        if size != "auto":
            assert len(shard.positions) <= size
        if one_number:
            assert len({b.row_shots for b in shard.blocks}) == 1


def test_a_batch_is_cut_as_it_was():
    blocks = blocks_of([tape(0.1 * i) for i in range(6)])
    assert positions(cut_like(blocks, [(0, 1), (2, 3), (4, 5)], "auto", limits())) == [(0, 1), (2, 3), (4, 5)]
    assert positions(cut_like(blocks, [(0, 1, 2, 3, 4, 5)], 2, limits())) == [(0, 1, 2, 3, 4, 5)]
    # nothing fits: as it is asked for
    assert positions(cut_like(blocks, [(0, 1), (2, 3, 4, 5)], 3, limits())) == [(0, 1, 2), (3, 4, 5)]
    assert positions(cut_like(blocks, [], "auto", limits())) == [(0, 1, 2, 3, 4, 5)]


# ------------------------------------------------------------------------------------------ what a job is known by


def content(*tapes, extra=(), **options):
    (shard,) = cut(blocks_of(list(tapes), **options), "auto", None)
    return shard.content(*extra)


def test_equal_tapes_have_an_equal_content_and_others_do_not():
    base = content(tape(0.1))
    assert content(tape(0.1)) == base
    others = [
        content(tape(0.2)),
        content(tape(0.1, shots=11)),
        content(tape(0.1, shots=(5, 5))),
        content(tape(0.1, gate=qml.RY)),
        content(tape(0.1, qml.expval(qml.X(0)))),
        content(tape(0.1, qml.var(qml.Z(0)))),
        content(tape(0.1), tape(0.1)),
        content(tape(0.1), estimator=True),
        content(tape(0.1), extra=("option",)),
        content(tape(0.1), extra=("option", "")),
    ]
    assert len({base, *others}) == 1 + len(others)


def test_rows_are_what_is_run_whoever_they_are_of():
    assert content(tape(np.array([0.1, 0.2]))) == content(tape(0.1), tape(0.2))


def test_coefficients_stay_here():
    assert content(tape(0.1, qml.expval(2.0 * qml.Z(0)))) == content(tape(0.1, qml.expval(3.0 * qml.Z(0))))


def test_the_text_of_circuits_tells_them_apart():
    def text(*tapes):
        (shard,) = cut(blocks_of(list(tapes)), "auto", None)
        return circuits_text(shard)

    base = text(tape(0.1))
    # rows are no part of a circuit, and what is measured is
    assert text(tape(0.2)) == text(tape(0.1), tape(0.3)) == base
    others = [
        text(tape(0.1, gate=qml.RY)),
        text(tape(0.1, qml.expval(qml.X(0)))),
        text(tape(0.1, wires=2)),
        text(tape(0.1), tape(0.1, gate=qml.RY)),
    ]
    assert len({base, *others}) == 1 + len(others)


# --------------------------------------------------------------------------------------------------- sums of sizes


def test_sizes_are_added_and_multiplied_field_by_field():
    a, b = JobSize(1, 2, 3, 4, 5, 6, 7), JobSize(10, 20, 30, 40, 50, 60, 70)
    assert a + b == JobSize(11, 22, 33, 44, 55, 66, 77)
    assert a * 3 == JobSize(3, 6, 9, 12, 15, 18, 21)
    assert Weight(a, b).of(2) == JobSize(21, 42, 63, 84, 105, 126, 147)


@pytest.mark.parametrize(
    "name", ["circuits", "executions", "instructions", "two_qubit_gates", "rz", "sx", "bytes"]
)
def test_each_limit_is_kept_to_its_last_unit(name):
    most = replace(ANY, **{name: 10})
    assert JobSize(**{name: 10}).excess(most) == ""
    assert JobSize(**{name: 11}).excess(most) == name
    for fixed, row, rows in ((0, 3, 3), (1, 3, 3), (2, 3, 2), (10, 3, 0), (11, 3, 0), (0, 10, 1), (0, 11, 0)):
        assert Weight(JobSize(**{name: fixed}), JobSize(**{name: row})).most_rows(most) == rows
    assert Weight(JobSize(**{name: 10}), JobSize()).most_rows(most) == inf
    assert Weight(JobSize(**{name: 11}), JobSize()).most_rows(most) == 0
    assert Weight(JobSize(), JobSize(**{name: 5})).most_rows(ANY) == inf


def test_the_first_limit_that_is_passed_is_named():
    assert JobSize(circuits=2, bytes=2).excess(JobSize(1, 1, 1, 1, 1, 1, 1)) == "circuits"


def test_what_is_known_of_a_classic_job():
    (block,) = blocks_of([tape(0.1, qml.expval(qml.X(0) + qml.Z(0)), shots=100)])
    weight = weigh_plainly(block)
    assert weight.fixed == JobSize()
    assert (weight.row.circuits, weight.row.executions) == (2, 200)
    (shadow,) = blocks_of([tape(0.1, qml.classical_shadow(wires=[0, 1]), shots=100, wires=2)])
    assert weigh_plainly(shadow).row.circuits == 9
    (few,) = blocks_of([tape(0.1, qml.classical_shadow(wires=[0, 1]), shots=4, wires=2)])
    assert weigh_plainly(few).row.circuits == 4
