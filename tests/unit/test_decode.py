"""Results from outcomes that are written down, compared with what a person would count."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pennylane as qml
import pytest
from planned import blocks_of, shots_of

from pennylane_threaded_ibmq.circuits.decode import MISSING, BlockResult, decode_block
from pennylane_threaded_ibmq.circuits.mid_circuit import defer
from pennylane_threaded_ibmq.circuits.outcomes import ShotBits

RNG = np.random.default_rng(0)
SHOTS = ["000", "011", "011", "110", "101", "011", "111", "000"]
"""Eight shots of wires 0, 1 and 2."""


def column(shots, wire):
    return np.array([int(s[wire]) for s in shots])


def sign(shots, *wires):
    return np.prod([1 - 2 * column(shots, w) for w in wires], axis=0)


def read(measurement, shots=SHOTS, operations=None):
    """Result of one measurement whose only setting saw some shots."""
    operations = operations or [qml.RX(0.1, 0), qml.CNOT([0, 1]), qml.CNOT([1, 2])]
    tape = qml.tape.QuantumScript(operations, [measurement], shots=len(shots))
    (block,) = blocks_of([tape])
    outcomes = {}
    for setting in block.settings:
        measured = block.template.settings[setting].wires
        outcomes[setting] = shots_of(block, setting, [["".join(s[w] for w in measured) for s in shots]])
    return decode_block(block, BlockResult(outcomes), RNG)[0, 0][0]


def test_an_expectation_value_of_a_word():
    assert read(qml.expval(qml.Z(0))) == sign(SHOTS, 0).mean()
    assert read(qml.expval(qml.Z(0) @ qml.Z(2))) == sign(SHOTS, 0, 2).mean()
    assert read(qml.expval(qml.X(1))) == sign(SHOTS, 1).mean()


def test_an_expectation_value_of_a_sum_and_its_offset():
    h = 0.5 * qml.Z(0) - 2.0 * qml.Z(1) @ qml.Z(2) + 3.0 * qml.I(0)
    expected = (0.5 * sign(SHOTS, 0) - 2.0 * sign(SHOTS, 1, 2) + 3.0).mean()
    assert read(qml.expval(h)) == pytest.approx(expected, abs=1e-12)


def test_a_sum_of_nothing_but_a_number():
    assert read(qml.expval(2.5 * qml.I(0))) == 2.5
    assert read(qml.var(2.5 * qml.I(0))) == 0.0


def test_a_variance_is_that_of_the_shots():
    values = sign(SHOTS, 0)
    assert read(qml.var(qml.Z(0))) == pytest.approx((values**2).mean() - values.mean() ** 2, abs=1e-12)
    h = 0.5 * qml.Z(0) - 2.0 * qml.Z(1) @ qml.Z(2)
    values = 0.5 * sign(SHOTS, 0) - 2.0 * sign(SHOTS, 1, 2)
    assert read(qml.var(h)) == pytest.approx(values.var(), abs=1e-12)


def test_a_variance_is_never_negative():
    assert (
        read(qml.var(0.1 * qml.Z(0) + 0.2 * qml.Z(1)), ["11", "11", "11"], [qml.RX(0.1, 0), qml.CNOT([0, 1])])
        == 0.0
    )


def test_probabilities_count_the_first_wire_as_the_highest():
    expected = np.zeros(4)
    for shot in SHOTS:
        expected[int(shot[2] + shot[0], 2)] += 1 / len(SHOTS)
    np.testing.assert_allclose(read(qml.probs(wires=[2, 0])), expected, rtol=0, atol=1e-15)
    np.testing.assert_allclose(
        read(qml.probs()), np.bincount([int(s, 2) for s in SHOTS], minlength=8) / 8, rtol=0, atol=1e-15
    )


def test_eigenvalues_of_an_observable_that_is_no_word():
    projector = qml.expval(qml.Projector([1, 1], wires=[1, 2]))
    hits = np.array([s[1:] == "11" for s in SHOTS], dtype=float)
    assert read(projector) == pytest.approx(hits.mean())
    assert read(qml.var(qml.Projector([1, 1], wires=[1, 2]))) == pytest.approx(hits.var())
    matrix = np.diag([3.0, -1.0])
    values = np.where(column(SHOTS, 1) == 0, *np.sort(np.diag(matrix)))
    assert read(qml.expval(qml.Hermitian(matrix, 1))) == pytest.approx(values.mean())


def test_samples_are_the_shots_in_their_order():
    np.testing.assert_array_equal(read(qml.sample(wires=[2, 0])), [[int(s[2]), int(s[0])] for s in SHOTS])
    np.testing.assert_array_equal(read(qml.sample(qml.Z(0) @ qml.Z(1))), sign(SHOTS, 0, 1))


def test_counts_are_texts_of_bits():
    assert read(qml.counts(wires=[0, 1])) == {"00": 2, "01": 3, "11": 2, "10": 1}
    every = read(qml.counts(wires=[0, 1, 2], all_outcomes=True))
    assert list(every) == [format(i, "03b") for i in range(8)]
    assert sum(every.values()) == 8
    assert every["011"] == 3
    assert every["100"] == 0
    assert read(qml.counts(qml.Z(0))) == {1.0: 5, -1.0: 3}


def test_two_settings_and_what_each_measures_beside():
    """A word's shots are those of all settings that measure it: each shot counts the same."""
    h = qml.X(0) @ qml.X(1) + 2.0 * qml.Z(0) @ qml.Z(1) + 4.0 * qml.X(0)
    tape = qml.tape.QuantumScript([qml.RY(0.1, 0), qml.CNOT([0, 1])], [qml.expval(h)], shots=4)
    (block,) = blocks_of([tape])
    by_letter = {dict(s.basis)[0]: i for i, s in enumerate(block.template.settings)}
    xs, zs = ["00", "01", "11", "10"], ["00", "00", "11", "01"]
    outcomes = {by_letter["X"]: shots_of(block, by_letter["X"], [xs])}
    outcomes[by_letter["Z"]] = shots_of(block, by_letter["Z"], [zs])
    value = decode_block(block, BlockResult(outcomes), RNG)[0, 0][0]
    expected = sign(xs, 0, 1).mean() + 2.0 * sign(zs, 0, 1).mean() + 4.0 * sign(xs, 0).mean()
    assert value == pytest.approx(expected, abs=1e-12)


def test_a_word_is_read_wherever_it_is_measured():
    h = qml.Z(0) @ qml.X(1) + qml.Z(0) @ qml.Y(1) + 8.0 * qml.Z(0)
    tape = qml.tape.QuantumScript([qml.RY(0.1, 0), qml.CNOT([0, 1])], [qml.expval(h)], shots=4)
    (block,) = blocks_of([tape])
    first, second = ["00", "01", "11", "00"], ["10", "10", "11", "01"]
    by_letter = {dict(s.basis)[1]: i for i, s in enumerate(block.template.settings)}
    outcomes = {
        by_letter["X"]: shots_of(block, by_letter["X"], [first]),
        by_letter["Y"]: shots_of(block, by_letter["Y"], [second]),
    }
    value = decode_block(block, BlockResult(outcomes), RNG)[0, 0][0]
    both = np.concatenate([sign(first, 0), sign(second, 0)])
    expected = sign(first, 0, 1).mean() + sign(second, 0, 1).mean() + 8.0 * both.mean()
    assert value == pytest.approx(expected, abs=1e-12)


def test_a_variance_whose_words_share_no_setting():
    """Var of X + Z is that of X and of Z, as they anticommute: the square holds no product."""
    tape = qml.tape.QuantumScript([qml.RY(0.1, 0)], [qml.var(qml.X(0) + 3.0 * qml.Z(0))], shots=4)
    (block,) = blocks_of([tape])
    by_letter = {dict(s.basis)[0]: i for i, s in enumerate(block.template.settings)}
    xs, zs = ["0", "0", "0", "1"], ["0", "1", "1", "1"]
    outcomes = {by_letter["X"]: shots_of(block, by_letter["X"], [xs])}
    outcomes[by_letter["Z"]] = shots_of(block, by_letter["Z"], [zs])
    value = decode_block(block, BlockResult(outcomes), RNG)[0, 0][0]
    mean = sign(xs, 0).mean() + 3.0 * sign(zs, 0).mean()
    assert value == pytest.approx(1 + 9 - mean**2, abs=1e-12)


def test_a_variance_with_products():
    """(XX + YY)**2 = 2 + 2 XX YY = 2 - 2 ZZ."""
    h = qml.X(0) @ qml.X(1) + qml.Y(0) @ qml.Y(1)
    tape = qml.tape.QuantumScript([qml.RY(0.1, 0), qml.CNOT([0, 1])], [qml.var(h)], shots=4)
    (block,) = blocks_of([tape])
    shots = {"X": ["00", "01", "11", "11"], "Y": ["00", "01", "10", "11"], "Z": ["00", "01", "01", "10"]}
    outcomes = {
        i: shots_of(block, i, [shots[dict(s.basis)[0]]]) for i, s in enumerate(block.template.settings)
    }
    value = decode_block(block, BlockResult(outcomes), RNG)[0, 0][0]
    mean = sign(shots["X"], 0, 1).mean() + sign(shots["Y"], 0, 1).mean()
    assert value == pytest.approx(2 - 2 * sign(shots["Z"], 0, 1).mean() - mean**2, abs=1e-12)


def test_rows_go_to_the_tapes_that_they_are_of():
    tapes = [
        qml.tape.QuantumScript([qml.RX(0.1 * i, 0)], [qml.expval(c * qml.Z(0) + c * qml.I(0))], shots=2)
        for i, c in enumerate((1.0, 2.0, 3.0))
    ]
    tapes.insert(
        1,
        qml.tape.QuantumScript(
            [qml.RX(np.array([0.1, 0.2]), 0)], [qml.expval(qml.Z(0) + 0.5 * qml.I(0))], shots=2
        ),
    )
    (block,) = blocks_of(tapes)
    rows = [["0", "0"], ["0", "1"], ["1", "1"], ["0", "1"], ["1", "1"]]
    (setting,) = block.settings
    results = decode_block(block, BlockResult({setting: shots_of(block, setting, rows)}), RNG)
    assert results[0, 0][0] == 2.0
    np.testing.assert_array_equal(results[1, 0][0], [0.5, -0.5])
    assert results[2, 0][0] == 2.0
    assert results[3, 0][0] == 0.0


def test_each_copy_of_a_shot_vector_reads_its_own_shots():
    tape = qml.tape.QuantumScript(
        [qml.RX(0.1, 0), qml.CNOT([0, 1]), qml.CNOT([1, 2])],
        [qml.expval(qml.Z(0)), qml.sample(wires=[1])],
        shots=(1, 2, 5),
    )
    (block,) = blocks_of([tape])
    (setting,) = block.settings
    outcomes = shots_of(block, setting, [[s[:2] for s in SHOTS]])
    results = decode_block(block, BlockResult({setting: outcomes}), RNG)
    parts = [SHOTS[:1], SHOTS[1:3], SHOTS[3:]]
    assert results[0, 0] == [sign(part, 0).mean() for part in parts]
    for found, part in zip(results[0, 1], parts, strict=True):
        np.testing.assert_array_equal(np.ravel(found), column(part, 1))


def test_copies_that_a_block_does_not_run_are_missing():
    tape = qml.tape.QuantumScript([qml.RX(0.1, 0)], [qml.expval(qml.Z(0))], shots=(10, 20, 10))
    (block,) = blocks_of([tape], estimator=True)
    block = replace(block, copies=(0, 2))
    assert block.copy_shots == (10, 10)
    values = np.array([[[0.25]], [[-0.5]]])
    results = decode_block(block, BlockResult({}, word_values=values), RNG)
    assert results[0, 0][0] == 0.25
    assert results[0, 0][1] is MISSING
    assert results[0, 0][2] == -0.5


def test_values_of_an_estimator():
    h = 0.5 * qml.Z(0) @ qml.X(1) - 2.0 * qml.Y(0) + 3.0 * qml.I(0)
    tape = qml.tape.QuantumScript(
        [qml.RX(0.1, 0), qml.CNOT([0, 1])], [qml.expval(h), qml.expval(qml.Y(0))], shots=10
    )
    (block,) = blocks_of([tape], estimator=True)
    words = block.template.words
    table = np.array([[[0.1 * (1 + i) for i in range(len(words))]]])
    results = decode_block(block, BlockResult({}, word_values=table), RNG)
    value = {word: 0.1 * (1 + i) for i, word in enumerate(words)}
    zx, y = ((0, "Z"), (1, "X")), ((0, "Y"),)
    assert results[0, 0][0] == pytest.approx(0.5 * value[zx] - 2.0 * value[y] + 3.0)
    assert results[0, 1][0] == pytest.approx(value[y])


def test_more_shots_than_asked_for_count_for_means_and_not_for_samples():
    tape = qml.tape.QuantumScript(
        [qml.RX(0.1, 0)], [qml.expval(qml.Z(0)), qml.sample(wires=[0]), qml.counts(wires=[0])], shots=2
    )
    (block,) = blocks_of([tape])
    (setting,) = block.settings
    outcomes = shots_of(block, setting, [["0", "1", "1", "1"]])
    results = decode_block(block, BlockResult({setting: outcomes}), RNG)
    assert results[0, 0][0] == -0.5
    assert np.ravel(results[0, 1][0]).tolist() == [0, 1]
    assert results[0, 2][0] == {"0": 1, "1": 1}


def mid_circuit(measurement, **options):
    """A tape that measures wire 0 in the middle and wire 1 at its end."""
    with qml.queuing.AnnotatedQueue() as queue:
        qml.RX(0.3, 0)
        m = qml.measure(0, **options)
        qml.cond(m, qml.X)(1)
        measurement(m)
    return qml.tape.QuantumScript.from_queue(queue, shots=6)


def test_shots_that_were_not_selected_do_not_count():
    tape = mid_circuit(
        lambda _: (qml.expval(qml.Z(1)), qml.probs(wires=[1]), qml.counts(wires=[1])), postselect=1
    )
    (block,) = blocks_of([tape])
    (setting,) = block.settings
    # the first bit is that of the measurement in the middle
    shots = ["00", "11", "10", "11", "01", "11"]
    raw = np.array([[[int(s[0]) | int(s[1]) << 1] for s in shots]], dtype=np.uint8)
    results = decode_block(block, BlockResult({setting: ShotBits(raw)}), RNG)
    kept = [s[1] for s in shots if s[0] == "1"]
    assert results[0, 0][0] == pytest.approx(np.mean([1 - 2 * int(b) for b in kept]))
    np.testing.assert_allclose(results[0, 1][0], [kept.count("0") / 4, kept.count("1") / 4])
    assert results[0, 2][0] == {"0": 1, "1": 3}


def test_values_of_measurements_in_the_middle():
    tape = mid_circuit(lambda m: (qml.expval(m), qml.sample(2 * m + 1), qml.var(m), qml.counts(m)))
    (block,) = blocks_of([tape])
    (setting,) = block.settings
    middle = [0, 1, 1, 0, 1, 1]
    raw = np.array([[[bit] for bit in middle]], dtype=np.uint8)
    results = decode_block(block, BlockResult({setting: ShotBits(raw)}), RNG)
    assert results[0, 0][0] == pytest.approx(4 / 6)
    assert np.ravel(results[0, 1][0]).tolist() == [1 + 2 * b for b in middle]
    assert results[0, 2][0] == pytest.approx(4 / 6 - (4 / 6) ** 2)
    assert results[0, 3][0] == {0: 2, 1: 4}


def test_nothing_is_left_after_selection():
    tape = mid_circuit(
        lambda _: (
            qml.counts(wires=[1]),
            qml.counts(wires=[1], all_outcomes=True),
            qml.counts(qml.Z(1)),
            qml.expval(qml.Z(1)),
            qml.probs(wires=[1]),
        ),
        postselect=1,
    )
    (block,) = blocks_of([tape])
    (setting,) = block.settings
    raw = np.array([[[0b10], [0b00], [0b10], [0b00], [0b10], [0b00]]], dtype=np.uint8)
    results = decode_block(block, BlockResult({setting: ShotBits(raw)}), RNG)
    assert results[0, 0][0] == {}
    assert results[0, 1][0] == {"0": 0, "1": 0}
    assert results[0, 2][0] == {}
    assert np.isnan(results[0, 3][0])
    assert np.isnan(results[0, 4][0]).all()


def test_one_shot_is_a_shot():
    assert read(qml.counts(wires=[0]), ["100"]) == {"1": 1}
    assert read(qml.counts(wires=[0], all_outcomes=True), ["100"]) == {"0": 0, "1": 1}
    assert np.ravel(read(qml.sample(wires=[0]), ["100"])).tolist() == [1]


def test_probabilities_of_several_measurements_in_the_middle():
    with qml.queuing.AnnotatedQueue() as queue:
        qml.RX(0.3, 0)
        first = qml.measure(0, reset=True)
        qml.RX(0.3, 1)
        second = qml.measure(1)
        qml.cond(first & second, qml.X)(2)
        qml.probs(op=[second, first])
        qml.expval(first + 2 * second)
        qml.expval(qml.X(2) + qml.Z(2))
    tape = qml.tape.QuantumScript.from_queue(queue, shots=4)
    (block,) = blocks_of([tape])
    assert len(block.settings) == 2
    # bits 0 and 1 are those of the middle, bit 2 that of the end
    shots = {0: [0b001, 0b011, 0b000, 0b110], 1: [0b001, 0b001, 0b111, 0b000]}
    outcomes = {s: ShotBits(np.array([[[v] for v in values]], dtype=np.uint8)) for s, values in shots.items()}
    results = decode_block(block, BlockResult(outcomes), RNG)
    pairs = [(v >> 1 & 1, v & 1) for values in shots.values() for v in values]
    expected = np.zeros(4)
    for high, low in pairs:
        expected[2 * high + low] += 1 / 8
    # every setting holds the bits of the middle, and all of their shots count
    np.testing.assert_allclose(results[0, 0][0], expected)
    assert results[0, 1][0] == pytest.approx(np.mean([low + 2 * high for high, low in pairs]))


def deferred(*finals, shots=4):
    """A tape that measures wires 0 and 1 in the middle, made ready for backends that cannot."""
    with qml.queuing.AnnotatedQueue() as queue:
        qml.RX(0.3, 0)
        first = qml.measure(0)
        qml.RX(0.3, 1)
        second = qml.measure(1)
        qml.cond(first, qml.X)(2)
        for final in finals:
            final(first, second)
    return defer(qml.tape.QuantumScript.from_queue(queue, shots=shots))


def test_values_that_are_read_at_the_end_instead():
    tape = deferred(
        lambda a, b: qml.probs(op=[b, a]),
        lambda a, b: qml.expval(a + 2 * b),
        lambda a, b: qml.var(b),
        lambda a, b: qml.sample(a + 2 * b),
        lambda a, _: qml.counts(a),
        lambda *_: qml.expval(qml.X(2)),
        lambda *_: qml.expval(qml.Z(2)),
    )
    (block,) = blocks_of([tape])
    sources = block.template.readouts[0]
    assert not sources.anywhere
    rng = np.random.default_rng(5)
    rows = {s: rng.integers(0, 2, (4, len(block.template.settings[s].wires))) for s in block.settings}
    outcomes = {
        s: shots_of(block, s, [["".join(map(str, shot)) for shot in shots]]) for s, shots in rows.items()
    }
    results = decode_block(block, BlockResult(outcomes), RNG)

    def column_of(setting, bit):
        found = block.template.settings[setting]
        return rows[setting][:, bit - found.first]

    def pairs_of(readout):
        pairs = []
        for setting, bits in readout.sources(0, block.settings):
            pairs += list(zip(*(column_of(setting, bit) for bit in bits), strict=True))
        return np.array(pairs)

    probabilities = np.zeros(4)
    for high, low in pairs_of(block.template.readouts[0]):
        probabilities[2 * high + low] += 1
    np.testing.assert_allclose(results[0, 0][0], probabilities / probabilities.sum())
    low, high = pairs_of(block.template.readouts[1]).T
    assert results[0, 1][0] == pytest.approx(np.mean(low + 2 * high))
    (second,) = pairs_of(block.template.readouts[2]).T
    assert results[0, 2][0] == pytest.approx(np.var(second))
    home = block.template.readouts[3].settings[0]
    low, high = (column_of(home, bit) for bit in block.template.readouts[3].bits)
    assert np.ravel(results[0, 3][0]).tolist() == (low + 2 * high).tolist()
    (first,) = (column_of(home, bit) for bit in block.template.readouts[4].bits)
    assert results[0, 4][0] == {
        int(v): int(n) for v, n in zip(*np.unique(first, return_counts=True), strict=True)
    }


def test_values_in_the_middle_are_read_with_the_samples_of_the_end():
    """Shots of one tape belong together, so values are read where final samples are."""
    with qml.queuing.AnnotatedQueue() as queue:
        m = qml.measure(0)
        qml.RX(0.1, 1)
        qml.expval(qml.X(1))
        qml.sample(m)
        qml.sample(wires=[1])
    tape = qml.tape.QuantumScript.from_queue(queue, shots=4)
    (block,) = blocks_of([tape])
    value, sample = block.template.readouts[1:]
    assert value.anywhere
    assert value.settings == sample.settings
    assert dict(block.template.settings[sample.settings[0]].basis) == {1: "Z"}


def test_counts_of_an_observable_of_two_wires_and_of_values():
    assert read(qml.counts(qml.Z(0) @ qml.Z(1))) == {1.0: 4, -1.0: 4}
    every = read(qml.counts(qml.Projector([1, 1], wires=[1, 2]), all_outcomes=True))
    assert {round(float(k)): int(v) for k, v in every.items()} == {0: 4, 1: 4}


def test_counts_of_many_wires():
    """From 63 wires on an outcome is more than an integer holds."""
    for wires in (62, 63, 70):
        shots = ["0" * wires, "1" + "0" * (wires - 1), "1" * wires, "1" * wires]
        found = read(qml.counts(), shots, [qml.RX(0.1, w) for w in range(wires)])
        assert found == {shots[0]: 1, shots[1]: 1, shots[2]: 2}


def test_words_of_a_variance_are_read_where_all_of_them_are_measured():
    measurements = [qml.expval(qml.Z(0) @ qml.X(1) @ qml.Z(2)), qml.var(qml.Z(0) + qml.Z(1))]
    (block,) = blocks_of([qml.tape.QuantumScript([qml.RX(0.1, 0)], measurements, shots=10)])
    bases = [dict(setting.basis) for setting in block.template.settings]
    (together,) = [index for index, basis in enumerate(bases) if (basis.get(0), basis.get(1)) == ("Z", "Z")]
    assert len(bases) == 2
    assert all(basis[0] == "Z" for basis in bases)
    readout = block.template.readouts[1]
    assert readout.settings == (together, together)
    assert [[home for home, _ in others] for others in readout.others] == [[1 - together], []]
