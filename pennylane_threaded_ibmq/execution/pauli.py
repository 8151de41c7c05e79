"""Observables as sums of Pauli words, on every PennyLane that is supported."""

from __future__ import annotations

from typing import Any

from pennylane.operation import Operator


def pauli_sentence_of(obs: Any) -> Any:
    """An observable as a sum of Pauli words.

    Args:
        obs: The observable.

    Returns:
        PennyLane's ``PauliSentence``: each word with its coefficient; ``None`` if there is none.
    """
    if hasattr(Operator, "pauli_rep"):
        return obs.pauli_rep
    # PennyLane before 0.34 has the attribute on some classes only, under another name
    from pennylane.pauli import pauli_sentence

    try:
        return pauli_sentence(obs)
    except ValueError:
        return None
