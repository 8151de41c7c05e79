"""Questions to outcomes, answered exactly from bit strings that are written down, at widths around those of bytes and integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pennylane_threaded_ibmq.circuits.outcomes import ShotBits, ShotCounts
from pennylane_threaded_ibmq.simulators.exact import CountTable

WIDTHS = [1, 7, 8, 9, 15, 16, 17, 56, 57, 62, 63, 64, 65, 72]


def packed(shots):
    """Shots, each a list of bits with bit 0 first, as a service packs them: highest bits first."""
    width = len(shots[0])
    size = max(1, (width + 7) // 8)
    numbers = [sum(bit << i for i, bit in enumerate(shot)) for shot in shots]
    raw = b"".join(number.to_bytes(size, "big") for number in numbers)
    return np.frombuffer(raw, dtype=np.uint8).reshape(len(shots), size)


def in_order(rows):
    return ShotBits(np.stack([packed(shots) for shots in rows]))


def counted(rows):
    """The same as the counts of a simulator."""
    width = len(rows[0][0])
    counts = []
    for shots in rows:
        found = {}
        for shot in shots:
            key = hex(sum(bit << i for i, bit in enumerate(shot)))
            found[key] = found.get(key, 0) + 1
        counts.append(found)
    return ShotCounts.from_counts(counts, width, len(rows[0]))


def tabled(rows):
    """The same as a table of counts."""
    width = len(rows[0][0])
    entries = []
    for number, shots in enumerate(rows):
        found = {}
        for shot in shots:
            value = sum(bit << i for i, bit in enumerate(shot))
            found[value] = found.get(value, 0) + 1
        entries += [(number, value, times) for value, times in found.items()]
    row_of, outcomes, counts = (np.array(column, dtype=np.int64) for column in zip(*entries, strict=True))
    return ShotCounts.from_counts(CountTable(len(rows), row_of, outcomes, counts), width, len(rows[0]))


FORMS = [in_order, counted]


def forms(width):
    return [*FORMS, tabled] if width <= 62 else FORMS


def drawn(width, rows=3, shots=11, seed=0):
    """Shots that repeat, so that counts have something to count."""
    rng = np.random.default_rng([seed, width])
    some = rng.integers(0, 2, (4, width))
    return [[some[i].tolist() for i in rng.integers(0, 4, shots)] for _ in range(rows)]


def parity(shot, mask):
    return sum(shot[bit] for bit in mask) % 2


@pytest.mark.parametrize("width", WIDTHS)
def test_signs_of_words(width):
    rows = drawn(width)
    masks = [[], [0], [width - 1], [0, width - 1], list(range(width)), [width // 2, width // 2]]
    expected = [[sum(1 - 2 * parity(shot, mask) for shot in shots) for mask in masks] for shots in rows]
    for form in forms(width):
        np.testing.assert_array_equal(form(rows).word_sums(masks), expected)


@pytest.mark.parametrize("width", WIDTHS)
def test_moments_of_a_sum(width):
    rows = drawn(width)
    masks = [[0], [width - 1], list(range(width))]
    coeffs = np.array([[1.5, -2.0, 0.25], [0.0, 1.0, 3.0], [-1.0, 0.5, 0.125]])
    values = [
        [sum(c * (1 - 2 * parity(shot, m)) for c, m in zip(line, masks, strict=True)) for shot in shots]
        for line, shots in zip(coeffs, rows, strict=True)
    ]
    for form in forms(width):
        first, second = form(rows).moment_sums(masks, coeffs)
        np.testing.assert_allclose(first, [sum(v) for v in values], rtol=0, atol=1e-12)
        np.testing.assert_allclose(second, [sum(x * x for x in v) for v in values], rtol=0, atol=1e-12)


@pytest.mark.parametrize("width", WIDTHS)
def test_histograms_count_the_first_bit_as_the_highest(width):
    rows = drawn(width)
    for bits in ([0], [width - 1], [0, width - 1][: 1 + (width > 1)], [width - 1, 0][: 1 + (width > 1)], []):
        expected = np.zeros((len(rows), 1 << len(bits)))
        for row, shots in enumerate(rows):
            for shot in shots:
                expected[row, int("".join(str(shot[b]) for b in bits) or "0", 2)] += 1
        for form in forms(width):
            np.testing.assert_array_equal(form(rows).histogram(bits), expected)


@pytest.mark.parametrize("width", WIDTHS)
def test_shots_in_order_are_the_shots(width):
    rows = drawn(width)
    bits = list(range(width))[::-1]
    outcomes = in_order(rows)
    assert (outcomes.rows, outcomes.shots) == (len(rows), len(rows[0]))
    assert outcomes.totals.tolist() == [len(rows[0])] * len(rows)
    assert outcomes.ordered(np.random.default_rng(0)) is outcomes
    for row, shots in enumerate(rows):
        np.testing.assert_array_equal(outcomes.samples(row, bits), [[s[b] for b in bits] for s in shots])
        few = bits[:62]
        expected = [int("".join(str(s[b]) for b in few), 2) for s in shots]
        assert outcomes.outcome_indices(row, few).tolist() == expected
    part = outcomes.shot_slice(2, 5)
    np.testing.assert_array_equal(part.samples(1, bits), [[s[b] for b in bits] for s in rows[1][2:5]])


@pytest.mark.parametrize("width", WIDTHS)
def test_counts_put_in_an_order_hold_the_same_shots(width):
    rows = drawn(width)
    bits = list(range(width))
    for form in forms(width)[1:]:
        outcomes = form(rows).ordered(np.random.default_rng(7))
        for row, shots in enumerate(rows):
            assert sorted(outcomes.samples(row, bits).tolist()) == sorted(shots)


def test_the_order_of_counts_is_drawn_and_follows_the_seed():
    rows = [[[i % 2] for i in range(64)]]
    first, again, other = (counted(rows).ordered(np.random.default_rng(s)).samples(0, [0]) for s in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()
    # Aer's threads list outcomes in any order: the shots do not depend on it
    table = counted(rows)
    turned = ShotCounts(table.row_of[::-1], table.packed[::-1], table.weights[::-1], 1, 64)
    assert (turned.ordered(np.random.default_rng(1)).samples(0, [0]) == first).all()


def test_rows_put_in_an_order_do_not_mix():
    rows = [[[0]] * 5, [[1]] * 5]
    outcomes = counted(rows).ordered(np.random.default_rng(3))
    assert outcomes.samples(0, [0]).ravel().tolist() == [0] * 5
    assert outcomes.samples(1, [0]).ravel().tolist() == [1] * 5


@pytest.mark.parametrize("width", [2, 9, 65])
def test_shots_that_are_kept(width):
    rows = drawn(width, shots=13)
    rows[0] = [[1 - rows[1][0][0], *rows[1][0][1:]]] * 13  # nothing of this row is kept
    bits, values = [0, width - 1], [rows[1][0][0], rows[1][0][-1]]
    kept = [[s for s in shots if [s[b] for b in bits] == values] for shots in rows]
    masks = [[0], list(range(width))]
    expected = [[sum(1 - 2 * parity(s, m) for s in shots) for m in masks] for shots in kept]
    for form in forms(width):
        outcomes = form(rows).keep(bits, values)
        assert outcomes.totals.tolist() == [len(shots) for shots in kept]
        np.testing.assert_array_equal(outcomes.word_sums(masks), expected)
        assert (outcomes.rows, outcomes.shots) == (3, 13)
    for row, shots in enumerate(in_order(rows).where(bits, values)):
        assert shots.samples(0, list(range(width))).tolist() == kept[row]


def test_a_split_in_the_order_of_the_shots():
    rows = [[[i % 2, i // 2 % 2] for i in range(7)]]
    parts = in_order(rows).split([2, 1, 4], np.random.default_rng(0))
    assert [part.samples(0, [0, 1]).tolist() for part in parts] == [rows[0][:2], rows[0][2:3], rows[0][3:]]


@settings(max_examples=60)
@given(
    st.lists(st.lists(st.integers(0, 3), min_size=10, max_size=10), min_size=1, max_size=3),
    st.sampled_from([[10], [1, 9], [3, 3, 4], [5, 1, 1, 3]]),
    st.integers(0, 9),
)
def test_each_shot_is_in_one_part_of_a_split(values, sizes, seed):
    rows = [[[v & 1, v >> 1] for v in row] for row in values]
    parts = counted(rows).split(sizes, np.random.default_rng(seed))
    assert [part.shots for part in parts] == sizes
    total = sum(part.histogram([1, 0]) for part in parts)
    np.testing.assert_array_equal(total, counted(rows).histogram([1, 0]))
    for part, size in zip(parts, sizes, strict=True):
        assert part.histogram([1, 0]).sum(axis=1).tolist() == [size] * len(rows)
        assert (part.weights > 0).all()


def test_every_division_of_a_split_is_possible():
    rows = [[[0]] * 2 + [[1]] * 2]
    seen = {
        tuple(counted(rows).split([2, 2], np.random.default_rng(seed))[0].histogram([0])[0].tolist())
        for seed in range(60)
    }
    assert seen == {(2.0, 0.0), (1.0, 1.0), (0.0, 2.0)}
