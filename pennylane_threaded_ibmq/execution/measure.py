"""From measurements to circuits: which bases must be measured, and how each result is read from them.

A **setting** is one way to end the circuit: rotations, then a measurement of some wires. Measurements that share a
basis share a setting, so a tape costs as many circuits as it has incompatible bases.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np
from pennylane.measurements import (
    ClassicalShadowMP,
    ExpectationMP,
    MeasurementProcess,
    ProbabilityMP,
    ShadowExpvalMP,
    VarianceMP,
)
from pennylane.queuing import QueuingManager

from ..exceptions import UnsupportedCircuitError
from .gates import NATIVE_GATES
from .structure import TapeData, Word

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pennylane.operation import Operator
    from pennylane.tape import QuantumScript


class Kind(Enum):
    """How a result is read."""

    WORDS = "words"
    """A weighted sum of Pauli words: expectation value or variance."""
    EIGENVALUES = "eigenvalues"
    """Expectation value or variance of an observable that was diagonalised."""
    PROBABILITIES = "probabilities"
    SAMPLES = "samples"
    """Counts and samples, by PennyLane's own ``process_samples``."""
    SHADOW = "shadow"
    MID_CIRCUIT = "mid-circuit"


@dataclass(frozen=True)
class Setting:
    """One way to end the circuit.

    Attributes:
        basis: Letter of each measured wire; ``rotations`` takes its place if that is not empty.
        rotations: Gates of PennyLane that turn the observable's basis into the computational one.
        wires: Measured wires: classical bit ``i`` is ``wires[i]``.
        random_basis: The basis is drawn anew for each shot (classical shadows).
    """

    basis: tuple[tuple[Any, str], ...]
    wires: tuple[Any, ...]
    rotations: tuple[Operator, ...] = ()
    random_basis: bool = False

    def bits(self, wires: Sequence[Any]) -> list[int]:
        """Classical bits of some wires."""
        return [self.wires.index(w) for w in wires]


@dataclass(frozen=True, eq=False)
class Readout:
    """How one measurement's result is read.

    Attributes:
        kind: Which of the ways.
        variance: A variance is asked for, not an expectation value.
        settings: Positions of the settings it reads; one each word for ``WORDS``.
        bits: Classical bits it reads in its setting; for ``WORDS`` one list a word.
        words: The Pauli words.
        products: Words of the square of the sum, where a variance needs them.
        pairs: ``(i, j, sign, k)``: ``words[i] * words[j]`` is ``sign`` times word ``k`` of ``all_words``.
        direct: One setting holds all words, so that each shot has a value of the whole sum.
        eigenvalues: Eigenvalue of each outcome.
        process: The measurement itself, where PennyLane's own processing is used.
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

    @property
    def all_words(self) -> tuple[Word, ...]:
        """The words and those of the square."""
        return self.words + self.products

    def mean_square(self, coeffs: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Expectation value of the squared sum, from those of all words: shape ``(rows,)``."""
        square: NDArray[np.float64] = (coeffs**2).sum(axis=1)
        for i, j, sign, k in self.pairs:
            square += 2.0 * sign * coeffs[:, i] * coeffs[:, j] * values[:, k]
        return square


@dataclass
class _Group:
    """A setting in the making: wire to letter."""

    letters: dict[Any, str] = field(default_factory=dict)

    def takes(self, word: Word) -> bool:
        return all(self.letters.get(w, letter) == letter for w, letter in word)

    def add(self, word: Word) -> None:
        self.letters.update(word)


def plan_measurements(
    tape: QuantumScript, data: TapeData, all_wires: Sequence[Any]
) -> tuple[tuple[Setting, ...], tuple[Readout, ...]]:
    """Group the measurements of a tape into settings.

    Args:
        tape: An example of the structure.
        data: The same tape, read.
        all_wires: Wires that a measurement without wires means.

    Returns:
        The settings, and one readout a measurement.
    """
    order = {w: i for i, w in enumerate(all_wires)}
    groups: list[_Group] = []
    special: list[Setting] = []
    pending: list[tuple[MeasurementProcess, Any]] = []
    for mp, read in zip(tape.measurements, data.measurements, strict=True):
        pending.append((mp, _requirement(mp, read.words, all_wires)))
    wanted = [word for mp, need in pending for word in _measured_words(mp, need)]
    # the computational basis first: words of Z then join it instead of opening their own setting
    for word in wanted:
        if all(letter == "Z" for _, letter in word):
            _join(groups, word)
    for word in sorted(wanted, key=len, reverse=True):
        _join(groups, word)
    settings = [_setting(g.letters, order) for g in groups]
    readouts = []
    for mp, need in pending:
        if isinstance(need, Setting):
            special.append(need)
            readouts.append(_special_readout(mp, len(settings) + len(special) - 1, need))
        elif need is None:
            readouts.append(Readout(Kind.MID_CIRCUIT, (), process=mp))
        else:
            readouts.append(_group_readout(mp, need, groups, settings))
    return tuple(settings + special), tuple(readouts)


def _requirement(
    mp: MeasurementProcess, words: tuple[Word, ...] | None, all_wires: Sequence[Any]
) -> tuple[Word, ...] | Setting | None:
    """Words to be measured, or a setting of its own, or nothing (mid-circuit values)."""
    if mp.mv is not None:
        return None
    if words is not None:
        return words
    if isinstance(mp, (ClassicalShadowMP, ShadowExpvalMP)):
        return Setting((), tuple(mp.wires), random_basis=True)
    if mp.obs is None:
        wires = mp.wires or all_wires
        return (tuple((w, "Z") for w in wires),)
    sentence = mp.obs.pauli_rep
    if sentence is not None and len(sentence) == 1:
        (word,) = sentence
        if len(word) == len(mp.obs.wires):
            return (tuple(word.items()),)
    with QueuingManager.stop_recording():
        rotations = tuple(_native(mp.obs.diagonalizing_gates()))
    return Setting((), tuple(mp.obs.wires), rotations)


def _measured_words(mp: MeasurementProcess, need: tuple[Word, ...] | Setting | None) -> tuple[Word, ...]:
    """Words that a Sampler must measure: with those of the square where a variance has no single setting."""
    if not isinstance(need, tuple):
        return ()
    if not (isinstance(mp, VarianceMP) and mp.obs is not None and need):
        return need
    letters: dict[Any, str] = {}
    if all(letters.setdefault(w, letter) == letter for word in need for w, letter in word):
        # one setting for all of them, so that each shot has a value of the whole sum
        return (tuple(letters.items()),)
    return need + _square(need)[0]


_THIRD = {("X", "Y"): ("Z", 1j), ("Y", "Z"): ("X", 1j), ("Z", "X"): ("Y", 1j)}


def _product(left: Word, right: Word) -> tuple[complex, Word]:
    """Product of two words: a phase and a word."""
    letters = dict(left)
    phase: complex = 1.0
    for wire, letter in right:
        mine = letters.pop(wire, None)
        if mine is None:
            letters[wire] = letter
        elif mine != letter:
            if (mine, letter) in _THIRD:
                letters[wire], factor = _THIRD[mine, letter]
            else:
                letters[wire], factor = _THIRD[letter, mine]
                factor = -factor
            phase *= factor
    return phase, tuple(sorted(letters.items(), key=lambda wl: str(wl[0])))


def _square(words: tuple[Word, ...]) -> tuple[tuple[Word, ...], tuple[tuple[int, int, float, int], ...]]:
    """Words and pairs of ``(sum_i c_i w_i)**2``; pairs that anticommute cancel."""
    place = {word: k for k, word in enumerate(words)}
    pairs = []
    for i, left in enumerate(words):
        for j in range(i + 1, len(words)):
            phase, word = _product(left, words[j])
            if phase.imag == 0:
                pairs.append((i, j, phase.real, place.setdefault(word, len(place))))
    return tuple(place)[len(words) :], tuple(pairs)


def _native(gates: Sequence[Operator]) -> list[Operator]:
    """Decompose until the converter knows each gate."""
    out: list[Operator] = []
    for gate in gates:
        if gate.name in NATIVE_GATES:
            out.append(gate)
        elif gate.has_decomposition:
            out.extend(_native(gate.decomposition()))
        else:
            raise UnsupportedCircuitError(
                f"The basis change {gate.name}, needed to measure an observable, has no decomposition."
            )
    return out


def _join(groups: list[_Group], word: Word) -> None:
    if any(g.takes(word) and all(w in g.letters for w, _ in word) for g in groups):
        return
    for group in groups:
        if group.takes(word):
            group.add(word)
            return
    groups.append(_Group(dict(word)))


def _setting(letters: dict[Any, str], order: dict[Any, int]) -> Setting:
    basis = tuple(sorted(letters.items(), key=lambda wl: order.get(wl[0], len(order))))
    return Setting(basis, tuple(w for w, _ in basis))


def _home(word: Word, groups: Sequence[_Group]) -> int:
    for index, group in enumerate(groups):
        if all(group.letters.get(w) == letter for w, letter in word):
            return index
    raise AssertionError(word)  # every word joined a group


def _group_readout(
    mp: MeasurementProcess, words: tuple[Word, ...], groups: Sequence[_Group], settings: Sequence[Setting]
) -> Readout:
    if isinstance(mp, (ExpectationMP, VarianceMP)) and mp.obs is not None and mp.obs.pauli_rep is not None:
        variance = isinstance(mp, VarianceMP)
        shared = _shared_home(words, groups)
        products, pairs = _square(words) if variance else ((), ())
        measured = words if shared is not None else words + products
        homes = tuple(_home(w, groups) if shared is None else shared for w in measured)
        bits = tuple(
            tuple(settings[h].bits([w for w, _ in word])) for h, word in zip(homes, measured, strict=True)
        )
        return Readout(Kind.WORDS, homes, bits, variance, words, products, pairs, direct=shared is not None)
    home = _home(words[0], groups)
    wires = [w for w, _ in words[0]] if mp.obs is None else list(mp.obs.wires)
    return _read_bits(mp, home, tuple(settings[home].bits(wires)))


def _shared_home(words: tuple[Word, ...], groups: Sequence[_Group]) -> int | None:
    """A setting that holds all words, if there is one: then a variance is a plain sample variance."""
    for index, group in enumerate(groups):
        if all(group.letters.get(w) == letter for word in words for w, letter in word):
            return index
    return None


def _special_readout(mp: MeasurementProcess, home: int, setting: Setting) -> Readout:
    if setting.random_basis:
        return Readout(Kind.SHADOW, (home,), tuple(range(len(setting.wires))), process=mp)
    return _read_bits(mp, home, tuple(range(len(setting.wires))))


def _read_bits(mp: MeasurementProcess, home: int, bits: tuple[int, ...]) -> Readout:
    if isinstance(mp, ProbabilityMP):
        return Readout(Kind.PROBABILITIES, (home,), bits)
    if isinstance(mp, (ExpectationMP, VarianceMP)):
        eigenvalues = np.real(np.asarray(mp.eigvals(), dtype=np.complex128))
        return Readout(Kind.EIGENVALUES, (home,), bits, isinstance(mp, VarianceMP), eigenvalues=eigenvalues)
    return Readout(Kind.SAMPLES, (home,), bits, process=mp)


def setting_key(setting: Setting) -> Hashable:
    """What tells two settings of one structure apart."""
    return (setting.basis, setting.wires, setting.random_basis, tuple(id(r) for r in setting.rotations))
