"""From measurements to circuits: which bases must be measured, and how each result is read from them.

A **setting** is one way to end the circuit: rotations, then a measurement of some wires. Measurements that share a
basis share a setting, so a tape costs as many circuits as it has incompatible bases. What a setting measures beside that is
read too: a word's shots are those of all settings that are run and measure it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
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

from .._compat import zip_strict
from .dynamic import MidCircuitValue
from .eigenbases import basis_gates, check_hermitian, check_processing
from .grouping import group_words
from .observables import MeasurementData, is_own_measurement, parts_of, real_number
from .pauli import Word, pauli_sentence_of, square
from .precision import to_complex
from .readout import Kind, Readout, Setting, Source
from .structure import TapeData

if TYPE_CHECKING:
    from pennylane.operation import Operator
    from pennylane.tape import QuantumScript


class _Bases:
    """The settings that measure words, in the order of their positions."""

    def __init__(self, settings: Sequence[Setting]) -> None:
        self.settings = settings
        self._letters = [frozenset(setting.basis) for setting in settings]

    def sources(self, words: Iterable[Word], wires: Sequence[Any]) -> tuple[Source, ...]:
        """The settings that measure all of some words together, with the bits of some of their wires."""
        letters = {pair for word in words for pair in word}
        return tuple(
            (index, tuple(self.settings[index].bits(wires)))
            for index, basis in enumerate(self._letters)
            if letters <= basis
        )


def plan_measurements(
    tape: QuantumScript, data: TapeData, all_wires: Sequence[Any], *, first: int = 0
) -> tuple[tuple[Setting, ...], tuple[Readout, ...]]:
    """Group the measurements of a tape into settings.

    Args:
        tape: An example of the structure.
        data: The same tape, read.
        all_wires: Wires that a measurement without wires means.
        first: Number of mid-circuit measurements: the first classical bit that is free.

    Returns:
        The settings, and one readout a measurement.
    """
    order = {w: i for i, w in enumerate(all_wires)}
    pending: list[tuple[MeasurementProcess, MeasurementData, Any]] = []
    for mp, read in zip_strict(tape.measurements, data.measurements):
        pending.append((mp, read, _requirement(mp, read, all_wires)))
    letters = group_words([word for mp, _, need in pending for word in _measured_words(mp, need)])
    settings = [replace(_setting(basis, order), first=first) for basis in letters]
    settings += [replace(need, first=first) for _, _, need in pending if isinstance(need, Setting)]
    if not settings:
        settings.append(Setting((), (), first=first))
    readouts: list[Readout] = []
    bases, special = _Bases(settings[: len(letters)]), len(letters)
    for mp, read, need in pending:
        if isinstance(need, Setting):
            readouts.append(_special_readout(mp, special, settings[special]))
            special += 1
        elif read.value is not None:
            readouts.append(_value_readout(mp, read.value, need, bases))
        else:
            readouts.append(_group_readout(mp, read, need, bases))
    return tuple(settings), _share_shots(readouts)


def _share_shots(readouts: Sequence[Readout]) -> tuple[Readout, ...]:
    """Every setting holds the mid-circuit bits: read them where final samples are read, so that shots correspond."""
    homes = [r.settings[0] for r in readouts if r.kind is Kind.SAMPLES]
    if not homes:
        return tuple(readouts)
    return tuple(replace(r, settings=(homes[0],)) if r.anywhere else r for r in readouts)


def _requirement(
    mp: MeasurementProcess, read: MeasurementData, all_wires: Sequence[Any]
) -> tuple[Word, ...] | Setting:
    """Words to be measured, none for mid-circuit values, or a setting of its own."""
    if read.value is not None:
        return (tuple((w, "Z") for w in dict.fromkeys(read.value.sources)),) if read.value.deferred else ()
    if read.words is not None:
        return read.words
    if isinstance(mp, (ClassicalShadowMP, ShadowExpvalMP)):
        _check_shadow(mp)
        return Setting((), tuple(mp.wires), random_basis=True)
    if mp.obs is None:
        wires = all_wires if is_own_measurement(mp) else mp.wires or all_wires
        return (tuple((w, "Z") for w in wires),)
    sentence = pauli_sentence_of(mp.obs)
    if sentence is not None and len(sentence) == 1:
        ((word, coeff),) = sentence.items()
        if len(word) == len(mp.obs.wires) and _is_apart(mp.obs):
            if not isinstance(mp, ProbabilityMP):
                # probabilities are of outcomes, whatever value each has
                real_number(to_complex(coeff), mp, "coefficient")
            return (tuple(word.items()),)
    with QueuingManager.stop_recording():
        check_hermitian(mp)
        rotations = basis_gates(mp)
    return Setting((), tuple(mp.obs.wires), rotations)


def _measured_words(mp: MeasurementProcess, need: tuple[Word, ...] | Setting) -> tuple[Word, ...]:
    """Words that a Sampler must measure: with those of the square where a variance has no single setting."""
    if not isinstance(need, tuple):
        return ()
    if not (isinstance(mp, VarianceMP) and mp.obs is not None and need):
        return need
    letters: dict[Any, str] = {}
    if all(letters.setdefault(w, letter) == letter for word in need for w, letter in word):
        # one setting for all of them, so that each shot has a value of the whole sum
        return (tuple(letters.items()),)
    return need + square(need)[0]


def _is_apart(obs: Operator) -> bool:
    """Whether no two factors or terms act on one wire.

    Those that do PennyLane diagonalises together, and lists their eigenvalues in another order than letters have them.
    """
    parts = parts_of(obs)
    wires = sum(len(part.wires) for part in parts)
    return not parts or (wires == len(obs.wires) and all(_is_apart(part) for part in parts))


def _check_shadow(mp: MeasurementProcess) -> None:
    """Refuse observables of a shadow with complex coefficients.

    Raises:
        UnsupportedCircuitError: One is no observable.
    """
    operators = getattr(mp, "H", ())
    for obs in operators if isinstance(operators, Iterable) else [operators]:
        for coeff in (pauli_sentence_of(obs) or {}).values():
            real_number(to_complex(coeff), mp, "coefficient")


def _setting(letters: Mapping[Any, str], order: Mapping[Any, int]) -> Setting:
    basis = tuple(sorted(letters.items(), key=lambda wl: order.get(wl[0], len(order))))
    return Setting(basis, tuple(w for w, _ in basis))


def _group_readout(
    mp: MeasurementProcess, read: MeasurementData, words: tuple[Word, ...], bases: _Bases
) -> Readout:
    if read.words is not None:
        return _words_readout(isinstance(mp, VarianceMP), words, bases)
    wires = [w for w, _ in words[0]] if mp.obs is None else list(mp.obs.wires)
    labels = tuple(wires) if is_own_measurement(mp) else ()
    (home, bits), *others = bases.sources(words, wires)
    return _read_bits(mp, home, bits, (tuple(others),), labels=labels)


def _words_readout(variance: bool, words: tuple[Word, ...], bases: _Bases) -> Readout:
    # a setting that holds all words gives each shot a value of the sum: then a variance is a plain sample variance
    together = {index for index, _ in bases.sources(words, ())}
    direct = bool(together)
    products, pairs = square(words) if variance else ((), ())
    homes, bits, others = [], [], []
    for word in words if direct else words + products:
        sources = bases.sources((word,), [w for w, _ in word])
        (home, places), *rest = sorted(sources, key=lambda source: source[0] not in together)
        homes.append(home)
        bits.append(places)
        others.append(tuple(rest))
    return Readout(
        Kind.WORDS, tuple(homes), tuple(bits), variance, words, products, pairs, direct, others=tuple(others)
    )


def _special_readout(mp: MeasurementProcess, home: int, setting: Setting) -> Readout:
    if setting.random_basis:
        return Readout(Kind.SHADOW, (home,), tuple(setting.bits(setting.wires)), process=mp)
    return _read_bits(mp, home, tuple(setting.bits(setting.wires)))


def _value_readout(
    mp: MeasurementProcess, value: MidCircuitValue, words: tuple[Word, ...], bases: _Bases
) -> Readout:
    if value.deferred:
        (home, bits), *others = bases.sources(words, value.sources)
    else:
        # every setting holds the bits of measurements in the middle
        home, bits = 0, tuple(value.sources)
        others = [(index, bits) for index in range(len(bases.settings))]
    return _read_bits(mp, home, bits, (tuple(others),), value=value)


def _read_bits(
    mp: MeasurementProcess,
    home: int,
    bits: tuple[int, ...],
    others: tuple[tuple[Source, ...], ...] = (),
    *,
    labels: tuple[Any, ...] = (),
    value: MidCircuitValue | None = None,
) -> Readout:
    anywhere = value is not None and not value.deferred
    if value is None and is_own_measurement(mp):
        return Readout(Kind.SAMPLES, (home,), bits, process=mp, labels=labels, anywhere=anywhere)
    if isinstance(mp, ProbabilityMP):
        return Readout(Kind.PROBABILITIES, (home,), bits, anywhere=anywhere, others=others)
    if isinstance(mp, (ExpectationMP, VarianceMP)):
        eigenvalues = None
        if value is None:
            numbers = np.asarray(mp.eigvals()).ravel()
            eigenvalues = np.array([real_number(number, mp, "eigenvalue") for number in numbers])
        variance = isinstance(mp, VarianceMP)
        return Readout(
            Kind.EIGENVALUES,
            (home,),
            bits,
            variance,
            eigenvalues=eigenvalues,
            anywhere=anywhere,
            others=others,
        )
    if mp.obs is not None:
        check_processing(mp, len(bits))
    kind = Kind.SAMPLES if value is None else Kind.MID_CIRCUIT
    return Readout(kind, (home,), bits, process=mp, labels=labels, anywhere=anywhere)
