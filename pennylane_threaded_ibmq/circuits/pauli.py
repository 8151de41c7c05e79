"""Observables as sums of Pauli words, on every PennyLane that is supported."""

from __future__ import annotations

from functools import reduce
from operator import mul
from typing import Any

from pennylane.operation import Operator


def pauli_sentence_of(obs: Any) -> Any:
    """An observable as a sum of Pauli words.

    Args:
        obs: The observable.

    Returns:
        PennyLane's ``PauliSentence``: each word with its coefficient; ``None`` if there is none.
    """
    return obs.pauli_rep if hasattr(Operator, "pauli_rep") else _made(obs)


def _made(obs: Any) -> Any:
    """The same before PennyLane 0.34, where a copied product of observables has lost its words."""
    from pennylane.pauli import PauliSentence, pauli_sentence

    if isinstance(obs.name, list):  # a Tensor
        parts = [_made(part) for part in obs.obs]
        return None if any(part is None for part in parts) else reduce(mul, parts)
    if obs.name == "Hamiltonian":
        total: dict[Any, Any] = {}
        for coeff, term in zip(obs.coeffs, obs.ops):
            sentence = _made(term)
            if sentence is None:
                return None
            for word, factor in sentence.items():
                total[word] = total.get(word, 0.0) + coeff * factor
        return PauliSentence(total)
    try:
        return pauli_sentence(obs)
    except (ValueError, AttributeError):
        return None
