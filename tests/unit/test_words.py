"""Pauli words: products, squares, and sums of observables."""

from __future__ import annotations

from itertools import product as combinations
from types import SimpleNamespace

import numpy as np
import pennylane as qml
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pennylane_threaded_ibmq.circuits import pauli
from pennylane_threaded_ibmq.circuits.pauli import pauli_sentence_of, product, square, word_of
from pennylane_threaded_ibmq.circuits.readout import Kind, Readout

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


@settings(max_examples=40)
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


def test_the_mean_of_a_square_for_each_row():
    words = (word("XX"), word("YY"), word("ZI"))
    products, pairs = square(words)
    readout = Readout(Kind.WORDS, (), words=words, products=products, pairs=pairs)
    rng = np.random.default_rng(0)
    coeffs = rng.normal(size=(3, 3))
    states = rng.normal(size=(3, 4)) + 1j * rng.normal(size=(3, 4))
    states /= np.linalg.norm(states, axis=1, keepdims=True)
    values = np.array([[np.vdot(s, matrix(w) @ s).real for w in readout.all_words] for s in states])
    for row, got in enumerate(readout.mean_square(coeffs, values)):
        total = sum(c * matrix(w) for c, w in zip(coeffs[row], words, strict=True))
        np.testing.assert_allclose(got, np.vdot(states[row], total @ total @ states[row]).real)


def test_words_of_a_square_that_are_there_already_are_not_measured_again():
    products, pairs = square((word("X"), word("IX"), word("XX")))
    assert products == ()
    assert pairs == ((0, 1, 1.0, 2), (0, 2, 1.0, 1), (1, 2, 1.0, 0))
    # what anticommutes cancels
    assert square((word("X"), word("Z"))) == ((), ())
    assert square((word("XX"), word("ZZ"))) == ((word("YY"),), ((0, 1, -1.0, 2),))


def test_words_as_older_pennylanes_need_them_put_together():
    """Before 0.34 a product and a sum are made of their parts, which are all that those are asked for."""
    # of one part: sentences are multiplied by another operator there
    tensor = SimpleNamespace(name=["PauliX"], obs=[qml.X(0) @ qml.Z(1)])
    bare = SimpleNamespace(name=["PauliX", "Hermitian"], obs=[qml.X(0), qml.Hermitian(np.eye(2), 1)])
    total = SimpleNamespace(name="Hamiltonian", coeffs=[2.0, 3.0, 0.5], ops=[qml.X(0), tensor, qml.X(0)])
    x, xz = qml.pauli.PauliWord({0: "X"}), qml.pauli.PauliWord({0: "X", 1: "Z"})
    assert pauli._sentence(qml.X(0)) == {x: 1.0}
    assert pauli._sentence(tensor) == {xz: 1.0}
    assert pauli._sentence(total) == {x: 2.5, xz: 3.0}
    assert isinstance(pauli._sentence(total), qml.pauli.PauliSentence)
    assert (
        pauli._sentence(SimpleNamespace(name="Hamiltonian", coeffs=[1.0, 1.0], ops=[qml.X(0), bare])) is None
    )
    assert pauli._sentence(bare) is None
    assert pauli._sentence(qml.Hermitian(np.eye(2), 0)) is None


def test_observables_without_words():
    assert pauli_sentence_of(qml.Hermitian(np.eye(2), 0)) is None
    assert dict(pauli_sentence_of(2.0 * qml.X(0))) == {qml.pauli.PauliWord({0: "X"}): 2.0}
