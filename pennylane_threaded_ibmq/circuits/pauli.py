"""Observables as sums of Pauli words, on every PennyLane that is supported, and the words of their squares."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import mul
from typing import TYPE_CHECKING, Any

from pennylane.operation import Operator

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

Word: TypeAlias = "tuple[tuple[Any, str], ...]"
"""A Pauli word: ``((wire, "X"), ...)`` without identities."""


def word_of(letters: Mapping[Any, str]) -> Word:
    """A word of letters by wire, in the order of the wires' names."""
    return tuple(sorted(letters.items(), key=lambda wl: str(wl[0])))


def pauli_sentence_of(obs: Any) -> Any:
    """An observable as PennyLane's ``PauliSentence``, each word with its coefficient; ``None`` if it is no sum of Pauli words."""
    return obs.pauli_rep if hasattr(Operator, "pauli_rep") else _sentence(obs)


def _sentence(obs: Any) -> Any:
    """The same before PennyLane 0.34, where a copied product of observables has lost its words."""
    from pennylane.pauli import PauliSentence, pauli_sentence

    if isinstance(obs.name, list):  # a Tensor
        parts = [_sentence(part) for part in obs.obs]
        return None if any(part is None for part in parts) else reduce(mul, parts)
    if obs.name == "Hamiltonian":
        total: dict[Any, Any] = {}
        for coeff, term in zip(obs.coeffs, obs.ops):
            sentence = _sentence(term)
            if sentence is None:
                return None
            for word, factor in sentence.items():
                total[word] = total.get(word, 0.0) + coeff * factor
        return PauliSentence(total)
    try:
        return pauli_sentence(obs)
    except (ValueError, AttributeError):
        return None


_IN_TURN = {(a, b): (c, 1j) for a, b, c in ("XYZ", "YZX", "ZXY")}
_PRODUCTS = {**_IN_TURN, **{(b, a): (c, -1j) for (a, b), (c, _) in _IN_TURN.items()}}


def product(left: Word, right: Word) -> tuple[complex, Word]:
    """Product of two words: a phase and a word."""
    letters = dict(left)
    phase: complex = 1.0
    for wire, letter in right:
        other = letters.pop(wire, None)
        if other is None:
            letters[wire] = letter
        elif other != letter:
            letters[wire], factor = _PRODUCTS[other, letter]
            phase *= factor
    return phase, word_of(letters)


def square(words: tuple[Word, ...]) -> tuple[tuple[Word, ...], tuple[tuple[int, int, float, int], ...]]:
    """Words and pairs of ``(sum_i c_i w_i)**2``; pairs that anticommute cancel."""
    place = {word: k for k, word in enumerate(words)}
    pairs = []
    for i, left in enumerate(words):
        for j in range(i + 1, len(words)):
            phase, word = product(left, words[j])
            if phase.imag == 0:
                pairs.append((i, j, phase.real, place.setdefault(word, len(place))))
    return tuple(place)[len(words) :], tuple(pairs)
