"""Pauli words into as few measured bases as can be found in milliseconds.

Two words can share a basis where they agree on each wire that both act on. Which words share one is a colouring of the
graph of those that cannot. Colours are given by saturation (DSATUR), then by greedy passes that keep the words of a colour
together, which never takes more colours. Qiskit's rustworkx has DSATUR too; on the dense graphs of Hamiltonians it takes 40
times as long as an array of conflicts (5000 words: 6 s and 1.5 GB), and how it decides between equals may change with its
version, while the jobs that a journal holds are recognised by their bases.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .pauli import Word

MOST_WORDS = 10_000
"""Words of a colouring by saturation: their conflicts take 100 MB. More are taken in order of their length."""

PASSES = 20
"""Greedy passes: most of what they save is saved by then."""

_LETTERS = "XYZ"
_ROWS_AT_ONCE = 1024
_COLOURED = -(1 << 62)


def group_words(words: Sequence[Word]) -> list[dict[Any, str]]:
    """Find bases that measure all words.

    Args:
        words: Pauli words without identities.

    Returns:
        Bases as ``{wire: letter}``; equal words in an equal order give equal bases. Each word is measured in one at least.
    """
    unique = list(dict.fromkeys(words))
    if not unique:
        return []
    wires = {w: i for i, w in enumerate(dict.fromkeys(w for word in unique for w, _ in word))}
    table = np.zeros((len(unique), len(wires)), dtype=np.int8)
    for row, word in zip(table, unique):
        for wire, letter in word:
            row[wires[wire]] = _LETTERS.index(letter) + 1
    # a long word is what short ones can join
    order = np.argsort(-np.count_nonzero(table, axis=1), kind="stable")
    labels = list(wires)
    return [
        {labels[i]: _LETTERS[basis[i] - 1] for i in np.flatnonzero(basis)} for basis in _bases(table[order])
    ]


def _bases(table: NDArray[np.int8]) -> NDArray[np.int8]:
    """Bases of words: one word a row, 0 for no letter."""
    if len(table) > MOST_WORDS:
        colours = _first_fit(table, range(len(table)))
    else:
        table = _outermost(table)
        colours = _saturate(_conflicts(table))
    best = colours
    # one colour or two are as few as can be
    for number in range(PASSES if best.max() > 1 else 0):
        colours = _first_fit(table, _by_colour(colours, largest_first=number % 2 == 1))
        best = min(best, colours, key=np.max)
    bases = np.zeros((best.max() + 1, table.shape[1]), dtype=np.int8)
    np.maximum.at(bases, best, table)
    return bases


def _agreements(table: NDArray[np.int8]) -> Iterator[tuple[slice, NDArray[np.float32], NDArray[np.float32]]]:
    """On how many wires each two words both act, and act alike: some rows of the two matrices at once."""
    acts = (table > 0).astype(np.float32)
    letters = np.concatenate([table == k for k in (1, 2, 3)], axis=1).astype(np.float32)
    for start in range(0, len(table), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        yield rows, acts[rows] @ acts.T, letters[rows] @ letters.T


def _outermost(table: NDArray[np.int8]) -> NDArray[np.int8]:
    """Words that are no part of a longer one."""
    lengths = np.count_nonzero(table, axis=1)
    inner = np.zeros(len(table), dtype=np.bool_)
    for rows, _, alike in _agreements(table):
        own = lengths[rows, None]
        inner[rows] = ((alike == own) & (lengths > own)).any(axis=1)
    outermost: NDArray[np.int8] = table[~inner]
    return outermost


def _conflicts(table: NDArray[np.int8]) -> NDArray[np.bool_]:
    """A table of the words that cannot share a basis."""
    conflicts = np.empty((len(table), len(table)), dtype=np.bool_)
    for rows, both, alike in _agreements(table):
        conflicts[rows] = both != alike
    return conflicts


def _saturate(conflicts: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Colour next the word that fits in the fewest colours, of those the one with most conflicts left."""
    number = len(conflicts)
    weights = conflicts.sum(axis=1)
    colours = np.zeros(number, dtype=np.int64)
    neighbourhoods: list[NDArray[np.bool_]] = []
    for _ in range(number):
        word = int(weights.argmax())
        neighbours = conflicts[word]
        colour = next((c for c, words in enumerate(neighbourhoods) if not words[word]), len(neighbourhoods))
        if colour == len(neighbourhoods):
            neighbourhoods.append(np.zeros(number, dtype=np.bool_))
        weights += number * (neighbours & ~neighbourhoods[colour]) - neighbours
        neighbourhoods[colour] |= neighbours
        weights[word] = _COLOURED
        colours[word] = colour
    return colours


def _by_colour(colours: NDArray[np.int64], *, largest_first: bool) -> Sequence[int]:
    """All words, those of a colour in a row: taken in this order they need no more colours."""
    sizes = np.bincount(colours)
    order = np.argsort(-sizes, kind="stable") if largest_first else np.arange(len(sizes))[::-1]
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    words: list[int] = np.argsort(rank[colours], kind="stable").tolist()
    return words


def _first_fit(table: NDArray[np.int8], order: Sequence[int]) -> NDArray[np.int64]:
    """Give each word the first colour whose basis takes it."""
    bases = np.zeros((8, table.shape[1]), dtype=np.int8)
    colours = np.zeros(len(table), dtype=np.int64)
    used = 0
    for word in order:
        (wires,) = np.nonzero(table[word])
        letters = table[word, wires]
        here = bases[: used + 1, wires]
        # the row after the last basis is empty and takes any word
        colour = int(((here == 0) | (here == letters)).all(axis=1).argmax())
        bases[colour, wires] = letters
        colours[word] = colour
        used = max(used, colour + 1)
        if used == len(bases):
            bases = np.concatenate([bases, np.zeros_like(bases)])
    return colours
