"""Pauli words: products, squares, and sums of observables."""

from __future__ import annotations

from itertools import product as combinations

import numpy as np
import pennylane as qml
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pennylane_threaded_ibmq.circuits.pauli import pauli_sentence_of, product, square, word_of

LETTERS = ["I", "X", "Y", "Z"]


def word(text, names="abcdef"):
    return word_of({n: letter for n, letter in zip(names, text, strict=False) if letter != "I"})


def matrix(some, names="ab"):
    return qml.pauli.PauliWord(dict(some)).to_mat(wire_order=list(names))


@pytest.mark.parametrize("left", list(combinations(LETTERS, repeat=2)))
@pytest.mark.parametrize("right", ["XX", "XZ", "YX", "ZY", "IZ", "YI", "ZZ", "II"])
def test_the_product_of_two_words(left, right):
    one, other = word("".join(left)), word(right)
    phase, made = product(one, other)
    np.testing.assert_allclose(phase * matrix(made), matrix(one) @ matrix(other), atol=1e-12)
    assert made == word_of(dict(made))


def test_letters_stand_in_the_order_of_the_names_of_wires():
    assert word_of({"b": "X", 10: "Y", 2: "Z", "a": "X"}) == ((10, "Y"), (2, "Z"), ("a", "X"), ("b", "X"))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.text(alphabet="IXYZ", min_size=3, max_size=3), min_size=1, max_size=6, unique=True),
    st.integers(0, 1000),
)
def test_the_square_of_a_sum(texts, seed):
    words = tuple(word(text) for text in texts if set(text) != {"I"})
    products, pairs = square(words)
    every = words + products
    assert len(set(every)) == len(every)
    coeffs = np.random.default_rng(seed).normal(size=len(words))
    names = "abc"
    total = sum((c * matrix(w, names) for c, w in zip(coeffs, words, strict=True)), np.zeros((8, 8)))
    made = (coeffs**2).sum() * np.eye(8, dtype=complex)
    for i, j, sign, k in pairs:
        assert i < j
        made += 2 * sign * coeffs[i] * coeffs[j] * matrix(every[k], names)
    np.testing.assert_allclose(made, total @ total, atol=1e-12)


def test_words_of_a_square_that_are_there_already_are_not_measured_again():
    products, pairs = square((word("X"), word("IX"), word("XX")))
    assert products == ()
    assert pairs == ((0, 1, 1.0, 2), (0, 2, 1.0, 1), (1, 2, 1.0, 0))
    # what anticommutes cancels
    assert square((word("X"), word("Z"))) == ((), ())
    assert square((word("XX"), word("ZZ"))) == ((word("YY"),), ((0, 1, -1.0, 2),))


def test_observables_without_words():
    assert pauli_sentence_of(qml.Hermitian(np.eye(2), 0)) is None
    assert dict(pauli_sentence_of(2.0 * qml.X(0))) == {qml.pauli.PauliWord({0: "X"}): 2.0}
