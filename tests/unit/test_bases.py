"""Words that share bases: as few as there can be where that is known, and the same ones each time."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from pennylane_threaded_ibmq.circuits import grouping
from pennylane_threaded_ibmq.circuits.grouping import group_words


def word(text):
    return tuple((i, letter) for i, letter in enumerate(text) if letter != "I")


def bases(*texts):
    return sorted(
        "".join(b.get(i, "I") for i in range(len(texts[0]))) for b in group_words([word(t) for t in texts])
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ZZ"], ["ZZ"]),
        (["ZI", "IZ", "ZZ"], ["ZZ"]),
        (["ZI", "IX"], ["ZX"]),
        (["XI", "ZI"], ["XI", "ZI"]),
        (["XI", "YI", "ZI"], ["XI", "YI", "ZI"]),
        (["XX", "ZZ", "XI", "IZ"], ["XX", "ZZ"]),
        (["XII", "IYI", "IIZ"], ["XYZ"]),
        (["XXI", "IXX", "ZZI", "IZZ"], ["XXX", "ZZZ"]),
        # a path of conflicts needs two, a triangle three
        (["XI", "ZX", "IZ"], ["XZ", "ZX"]),
        (["XX", "XY", "XZ"], ["XX", "XY", "XZ"]),
    ],
)
def test_small_cases_that_are_known(words, expected):
    assert bases(*words) == expected


@pytest.mark.parametrize("wires", [1, 2, 3])
def test_all_words_need_all_bases(wires):
    words = ["".join(letters) for letters in product("IXYZ", repeat=wires)][1:]
    assert bases(*words) == sorted("".join(letters) for letters in product("XYZ", repeat=wires))


def test_nothing_needs_nothing():
    assert group_words([]) == []
    assert group_words([(), ()]) in ([], [{}])


def random_words(number, wires, seed):
    rng = np.random.default_rng(seed)
    return [
        tuple(
            (w, "XYZ"[rng.integers(3)]) for w in range(wires) if rng.random() < (0.6 if wires < 10 else 0.25)
        )
        for _ in range(number)
    ]


@pytest.mark.parametrize("most", [10_000, 10])
@pytest.mark.parametrize("seed", range(4))
def test_each_word_is_measured_and_no_two_bases_could_be_one(monkeypatch, seed, most):
    monkeypatch.setattr(grouping, "MOST_WORDS", most)
    words = [w for w in random_words(120, 5, seed) if w]
    found = group_words(words)
    assert found == group_words(words)
    for w in words:
        assert any(all(basis.get(i) == letter for i, letter in w) for basis in found)
    for i, one in enumerate(found):
        for other in found[i + 1 :]:
            assert any(one[w] != other[w] for w in one.keys() & other.keys())


def local_words(number, wires, seed):
    rng = np.random.default_rng(seed)
    places = [sorted(rng.choice(wires, 4, replace=False)) for _ in range(number)]
    return [tuple((int(w), "XYZ"[rng.integers(3)]) for w in place) for place in places]


def test_passes_save_bases(monkeypatch):
    """Words that keep their colour together make room for others."""
    words = [local_words(200, 20, seed) for seed in range(4)]
    kept = sum(len(group_words(some)) for some in words)
    monkeypatch.setattr(grouping, "PASSES", 0)
    assert kept < sum(len(group_words(some)) for some in words)


def test_many_rows_are_compared_in_parts(monkeypatch):
    words = [w for w in random_words(150, 5, 1) if w]
    whole = group_words(words)
    monkeypatch.setattr(grouping, "_ROWS_AT_ONCE", 7)
    assert group_words(words) == whole
