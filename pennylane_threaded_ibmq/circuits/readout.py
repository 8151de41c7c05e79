"""The end of a circuit, and the way in which a measurement's result is read from its bits."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from .pauli import Word

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pennylane.measurements import MeasurementProcess
    from pennylane.operation import Operator
    from typing_extensions import TypeAlias


class Kind(Enum):
    """Ways of reading a result."""

    WORDS = "words"
    """A weighted sum of Pauli words: expectation value or variance."""
    EIGENVALUES = "eigenvalues"
    """Expectation value or variance of an observable that was diagonalised."""
    PROBABILITIES = "probabilities"
    SAMPLES = "samples"
    """Counts and samples, by PennyLane's own ``process_samples``."""
    SHADOW = "shadow"
    MID_CIRCUIT = "mid-circuit"
    """Counts and samples of mid-circuit values."""


Source: TypeAlias = "tuple[int, tuple[int, ...]]"
"""A setting, and classical bits to be read there."""


@dataclass(frozen=True)
class Setting:
    """One way to end the circuit.

    Attributes:
        basis: Letter of each measured wire; ``rotations`` takes its place if that is not empty.
        rotations: Gates of PennyLane that turn the observable's basis into the computational one.
        wires: Measured wires: classical bit ``first + i`` is ``wires[i]``.
        random_basis: The basis is drawn anew for each shot (classical shadows).
        first: Classical bit of the first measured wire; those below it hold mid-circuit measurements.
    """

    basis: tuple[tuple[Any, str], ...]
    wires: tuple[Any, ...]
    rotations: tuple[Operator, ...] = ()
    random_basis: bool = False
    first: int = 0

    @property
    def is_local(self) -> bool:
        """Whether its rotations are of one wire each."""
        return all(len(gate.wires) == 1 for gate in self.rotations)

    def bits(self, wires: Sequence[Any]) -> list[int]:
        """Classical bits of some wires."""
        return [self.first + self.wires.index(w) for w in wires]


@dataclass(frozen=True, eq=False)
class Readout:
    """The way in which one measurement's result is read.

    Attributes:
        kind: Which of the ways.
        variance: A variance is asked for, not an expectation value.
        settings: Positions of the settings that are run for it; one each word for ``WORDS``.
        bits: Classical bits it reads in its setting; for ``WORDS`` one list a word.
        others: Settings that measure the same, with the bits to read there, for each entry of ``settings``: statistics take
            their shots too, where they are run anyway.
        words: The Pauli words.
        products: Words of the square of the sum, where a variance needs them.
        pairs: ``(i, j, sign, k)``: ``words[i] * words[j]`` is ``sign`` times word ``k`` of ``all_words``.
        direct: One setting holds all words, so that each shot has a value of the whole sum.
        eigenvalues: Eigenvalue of each outcome; ``None`` where each tape brings its own values.
        process: The measurement itself, where PennyLane's own processing is used.
        labels: Wires of ``bits``, where a user's own processing is given the samples of all.
        anywhere: Its bits are the same in every setting.
    """

    kind: Kind
    settings: tuple[int, ...]
    bits: tuple[Any, ...] = ()
    variance: bool = False
    words: tuple[Word, ...] = ()
    products: tuple[Word, ...] = ()
    pairs: tuple[tuple[int, int, float, int], ...] = ()
    direct: bool = False
    eigenvalues: NDArray[np.float64] | None = None
    process: MeasurementProcess | None = None
    labels: tuple[Any, ...] = ()
    anywhere: bool = False
    others: tuple[tuple[Source, ...], ...] = ()

    @property
    def all_words(self) -> tuple[Word, ...]:
        """The words and those of the square."""
        return self.words + self.products

    def sources(self, entry: int, run: Collection[int]) -> tuple[Source, ...]:
        """The settings, of those that are run, from which statistics of an entry of ``settings`` are read."""
        home = self.settings[entry]
        bits = self.bits[entry] if self.kind is Kind.WORDS else self.bits
        others = self.others[entry] if self.others else ()
        return ((home, bits), *(source for source in others if source[0] in run and source[0] != home))

    def mean_square(self, coeffs: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Expectation value of the squared sum, from those of all words: shape ``(rows,)``."""
        square: NDArray[np.float64] = (coeffs**2).sum(axis=1)
        for i, j, sign, k in self.pairs:
            square += 2.0 * sign * coeffs[:, i] * coeffs[:, j] * values[:, k]
        return square
