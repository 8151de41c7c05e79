"""From outcomes to PennyLane results: pure, vectorised over the rows of a block.

No PennyLane operator is made here: decoding may happen while another thread records a circuit, and PennyLane's
queue would take the operator for a part of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pennylane.measurements import CountsMP, SampleMP
from pennylane.wires import Wires

from .._compat import zip_strict
from .dynamic import MidCircuitValue, read_values
from .observables import is_own_measurement
from .outcomes import Outcomes, ShotBits
from .plan import Block, Member
from .readout import Kind, Readout
from .shadows import read_shadow

MISSING = object()
"""In place of a copy of a shot vector that is not run in a block."""

FloatArray = NDArray[np.float64]

MOST_INDEX_BITS = 62
"""Bits that one integer holds."""


@dataclass(frozen=True, eq=False)
class BlockResult:
    """The answer to a block.

    Attributes:
        outcomes: Outcomes of each setting (Sampler).
        word_values: Expectation value of each word of the template: ``(copies, rows, words)`` (Estimator).
        recipes: Bases drawn for each setting with a random basis: ``(rows, shots, wires)``.
    """

    outcomes: Mapping[int, Outcomes]
    word_values: FloatArray | None = None
    recipes: Mapping[int, NDArray[np.int8]] | None = None


def decode_block(
    block: Block, result: BlockResult, rng: np.random.Generator
) -> dict[tuple[int, int], list[Any]]:
    """Read the results of a block; ``rng`` puts the shots of a simulator's counts in an order, where the order matters.

    Returns:
        For each ``(tape position, measurement position)``, one result a copy of the shot vector; ``MISSING`` for copies that
        the block does not run.
    """
    out: dict[tuple[int, int], list[Any]] = {}
    parts: dict[int, Sequence[Outcomes]] = {}
    views = [_View(block, result, parts, copy, rng) for copy, _ in enumerate(block.shots)]
    for index in block.readouts:
        readout = block.template.readouts[index]
        for place, copy in enumerate(range(len(views)) if block.copies is None else block.copies):
            with np.errstate(divide="ignore", invalid="ignore"):  # a row without valid shots reads NaN
                rows = _read(views[copy], readout, index, place)
            for member in block.members:
                copies = out.setdefault((member.position, index), [MISSING] * len(views))
                copies[copy] = _of_member(rows, member)
    return out


@dataclass(frozen=True, eq=False)
class _View:
    """A block's outcomes as one copy of the shot vector sees them: its own shots, without invalid ones.

    Attributes:
        block: What was run.
        result: What came back.
        parts: Outcomes of the settings, split into the copies; shared by all views, so that no shot is in two.
        copy: Which copy.
        rng: Draws the split and the order.
        in_order: Shots of the settings that were put in an order. They are ordered once for all measurements: so samples
            of one tape belong to the same shots.
    """

    block: Block
    result: BlockResult
    parts: dict[int, Sequence[Outcomes]]
    copy: int
    rng: np.random.Generator
    in_order: dict[int, ShotBits] = field(default_factory=dict)

    def shots(self, home: int) -> ShotBits:
        """Shots of a setting in order, invalid ones included."""
        if home not in self.in_order:
            shots = self._mine(home).ordered(self.rng)
            # a service may give more shots than were asked for: samples and counts are as many as asked
            number = list(self.block.shots)[self.copy]
            self.in_order[home] = shots if shots.shots <= number else shots.shot_slice(0, number)
        return self.in_order[home]

    def valid_shots(self, home: int) -> list[ShotBits]:
        """Shots of a setting in order, one entry a row; rows may differ in their number of shots."""
        return self.shots(home).where(*self._postselected())

    def outcomes(self, home: int) -> Outcomes:
        """Outcomes of a setting, for statistics."""
        bits, values = self._postselected()
        part = self._mine(home)
        return part.keep(bits, values) if bits else part

    def _mine(self, home: int) -> Outcomes:
        """Outcomes of a setting that belong to this copy."""
        whole = self.result.outcomes[home]
        if not self.block.shots.has_partitioned_shots:
            return whole
        if home not in self.parts:
            self.parts[home] = whole.split(list(self.block.shots), self.rng)
        return self.parts[home][self.copy]

    def histogram(self, readout: Readout) -> FloatArray:
        """Share of each outcome of a readout's bits: shape ``(rows, 2**len(bits))``; NaN in a row without valid shots."""
        counts, totals = np.zeros((self.block.rows, 1 << len(readout.bits))), np.zeros(self.block.rows)
        for home, bits in readout.sources(0, self.block.settings):
            outcomes = self.outcomes(home)
            counts += outcomes.histogram(bits)
            totals += outcomes.totals
        return counts / totals[:, None]

    def _postselected(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        pairs = self.block.template.postselection
        return tuple(b for b, _ in pairs), tuple(v for _, v in pairs)


def _of_member(rows: Any, member: Member) -> Any:
    """A tape's part of the rows: one value, or one a broadcast entry."""
    values = rows[member.rows]
    if member.data.batch_size is None:
        return values[0]
    if isinstance(values, list) and values and isinstance(values[0], (dict, tuple)):
        return values
    return np.stack([np.asarray(r) for r in values]) if isinstance(values, list) else values


def _read(view: _View, readout: Readout, index: int, copy: int) -> Any:
    """Result of one measurement for every row of the block: an array or list of length ``rows``."""
    if readout.kind is Kind.WORDS:
        return _read_words(view, readout, index, copy)
    (home,) = readout.settings
    if readout.kind is Kind.SHADOW:
        assert view.result.recipes is not None
        ends = np.cumsum(list(view.block.shots))[:-1]
        recipes = np.split(view.result.recipes[home], ends, axis=1)[view.copy]
        return read_shadow(readout, view.shots(home), recipes)
    if readout.kind is Kind.PROBABILITIES:
        return view.histogram(readout)
    if readout.kind is Kind.EIGENVALUES:
        return _read_eigenvalues(view, readout, index)
    if readout.kind is Kind.MID_CIRCUIT:
        shots = view.valid_shots(home)
        return [
            read_values(readout, _value(m, index), shots[row])
            for m in view.block.members
            for row in range(m.rows.start, m.rows.stop)
        ]
    return [_process(readout, shots) for shots in view.valid_shots(home)]


def _read_eigenvalues(view: _View, readout: Readout, index: int) -> FloatArray:
    histogram = view.histogram(readout)
    values = np.empty_like(histogram)
    if readout.eigenvalues is not None:
        values[:] = readout.eigenvalues
    else:
        for member in view.block.members:
            values[member.rows] = _value(member, index).values
    mean: FloatArray = (histogram * values).sum(axis=1)
    if not readout.variance:
        return mean
    square: FloatArray = ((values - mean[:, None]) ** 2 * histogram).sum(axis=1)
    return square


def _value(member: Member, index: int) -> MidCircuitValue:
    value = member.data.measurements[index].value
    assert value is not None
    return value


def _process(readout: Readout, bits: ShotBits) -> Any:
    """Counts and samples of one row by PennyLane's own processing."""
    mp = readout.process
    assert mp is not None
    order = Wires(readout.labels or mp.wires or range(len(readout.bits)))
    if is_own_measurement(mp):
        return mp.process_samples(bits.samples(0, readout.bits), wire_order=order)
    if bits.shots == 0 and isinstance(mp, CountsMP):
        # PennyLane's processing fails without shots; with all_outcomes it names what there is to be counted
        blank = np.zeros((1, len(readout.bits)), dtype=np.int64)
        return dict.fromkeys(_count(mp, blank, order), 0) if mp.all_outcomes else {}
    plain = type(mp) is CountsMP and mp.obs is None and mp._eigvals is None  # noqa: SLF001 - the only way to tell
    if plain and len(readout.bits) <= MOST_INDEX_BITS:
        return _count_bits(mp, bits, readout.bits)
    samples = bits.samples(0, readout.bits)
    return (
        _count(mp, samples, order)
        if isinstance(mp, CountsMP)
        else mp.process_samples(samples, wire_order=order)
    )


def _count_bits(mp: CountsMP, shots: ShotBits, bits: Sequence[int]) -> dict[Any, np.int64]:
    """Counts of bit strings in the form of ``mp.process_samples``, which makes a text of each shot."""
    indices, counts = np.unique(shots.outcome_indices(0, bits), return_counts=True)
    width = f"0{len(bits)}b"
    if mp.all_outcomes:
        out = dict.fromkeys((format(k, width) for k in range(1 << len(bits))), np.int64(0))
        out.update((format(k, width), n) for k, n in zip_strict(indices.tolist(), counts))
        return out
    return dict(zip_strict(np.array([format(k, width) for k in indices.tolist()]), counts))


def _count(mp: CountsMP, samples: Any, order: Wires) -> Any:
    """As ``mp.process_samples``, which makes a measurement: it lands in the circuit that another thread records."""
    twin = SampleMP.__new__(SampleMP)
    twin.__dict__.update({**mp.__dict__, "_eigvals": None, "_dtype": None})
    return mp._samples_to_counts(twin.process_samples(samples, wire_order=order))  # noqa: SLF001 - see above


def _read_words(view: _View, readout: Readout, index: int, copy: int) -> FloatArray:
    block, result = view.block, view.result
    coeffs = np.empty((block.rows, len(readout.words)))
    offsets = np.empty(block.rows)
    for member in block.members:
        data = member.data.measurements[index]
        coeffs[member.rows] = data.coeffs
        offsets[member.rows] = data.offset
    if not readout.words:
        return np.zeros(block.rows) if readout.variance else offsets
    if result.word_values is not None:
        values = _estimated(block, readout, result.word_values[copy])
    elif readout.variance and readout.direct:
        first, second = _moments(view, readout, coeffs)
        return np.maximum(second - first**2, 0.0)
    else:
        values = _sampled(view, readout)
    mean: FloatArray = (coeffs * values[:, : len(readout.words)]).sum(axis=1)
    if not readout.variance:
        return mean + offsets
    return np.maximum(readout.mean_square(coeffs, values) - mean**2, 0.0)


def _estimated(block: Block, readout: Readout, table: FloatArray) -> FloatArray:
    place = {w: i for i, w in enumerate(block.template.words)}
    values: FloatArray = table[:, [place[w] for w in readout.all_words]]
    return values


def _moments(view: _View, readout: Readout, coeffs: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and mean square of a sum, from the shots of all settings that hold all its words."""
    run = frozenset(view.block.settings)
    words = [dict(readout.sources(j, run)) for j in range(len(readout.words))]
    together = [home for home in words[0] if all(home in sources for sources in words)]
    first, second, totals = np.zeros((3, view.block.rows))
    for home in together:
        outcomes = view.outcomes(home)
        sums = outcomes.moment_sums([sources[home] for sources in words], coeffs)
        first, second, totals = first + sums[0], second + sums[1], totals + outcomes.totals
    return first / totals, second / totals


def _sampled(view: _View, readout: Readout) -> FloatArray:
    """Mean of each word, from the shots of all settings that measure it: each shot counts the same."""
    sums, totals = np.zeros((2, view.block.rows, len(readout.settings)))
    entries_of: dict[int, list[tuple[int, Sequence[int]]]] = {}
    run = frozenset(view.block.settings)
    for j in range(len(readout.settings)):
        for home, bits in readout.sources(j, run):
            entries_of.setdefault(home, []).append((j, bits))
    for home, entries in entries_of.items():
        outcomes = view.outcomes(home)
        words = [j for j, _ in entries]
        sums[:, words] += outcomes.word_sums([bits for _, bits in entries])
        totals[:, words] += outcomes.totals[:, None]
    return sums / totals
