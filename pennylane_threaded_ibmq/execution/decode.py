"""From outcomes to PennyLane results: pure, vectorised over the rows of a block.

No PennyLane operator is made here: decoding may happen while another thread records a circuit, and PennyLane's
queue would take the operator for a part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pennylane.wires import Wires

from .measure import Kind, Readout
from .outcomes import Outcomes, ShotBits
from .plan import Block, Member
from .shadows import read_shadow

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BlockResult:
    """What came back for a block.

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
    """Read the results of a block.

    Args:
        block: What was run.
        result: What came back.
        rng: Puts the shots of a simulator's counts in an order, where the order matters.

    Returns:
        For each ``(tape position, measurement position)``, one result a copy of the shot vector.
    """
    out: dict[tuple[int, int], list[Any]] = {}
    for index in block.readouts:
        readout = block.template.readouts[index]
        for copy, bounds in enumerate(_bins(block.shots)):
            rows = _read(block, result, readout, index, bounds, copy, rng)
            for member in block.members:
                out.setdefault((member.position, index), []).append(_of_member(rows, member))
    return out


def _bins(shots: Any) -> list[tuple[int, int] | None]:
    """Bounds of each copy; ``None`` means all shots."""
    if not shots.has_partitioned_shots:
        return [None]
    return list(shots.bins())


def _of_member(rows: Any, member: Member) -> Any:
    """A tape's part of the rows: one value, or one a broadcast entry."""
    mine = rows[member.rows]
    if member.data.batch_size is None:
        return mine[0]
    if isinstance(mine, list) and mine and isinstance(mine[0], (dict, tuple)):
        return mine
    return np.stack([np.asarray(r) for r in mine]) if isinstance(mine, list) else mine


def _read(
    block: Block,
    result: BlockResult,
    readout: Readout,
    index: int,
    bounds: tuple[int, int] | None,
    copy: int,
    rng: np.random.Generator,
) -> Any:
    """Result of one measurement for every row of the block: an array or list of length ``rows``."""
    if readout.kind is Kind.WORDS:
        return _read_words(block, result, readout, index, bounds, copy, rng)
    (home,) = readout.settings
    outcomes = _cut(result.outcomes[home], bounds, rng)
    if readout.kind is Kind.SHADOW:
        assert result.recipes is not None
        recipes = result.recipes[home]
        if bounds is not None:
            recipes = recipes[:, slice(*bounds)]
        return read_shadow(readout, outcomes.ordered(rng), recipes)
    if readout.kind is Kind.PROBABILITIES:
        return outcomes.histogram(readout.bits) / outcomes.shots
    if readout.kind is Kind.EIGENVALUES:
        assert readout.eigenvalues is not None
        histogram = outcomes.histogram(readout.bits) / outcomes.shots
        mean = histogram @ readout.eigenvalues
        if not readout.variance:
            return mean
        return ((readout.eigenvalues - mean[:, None]) ** 2 * histogram).sum(axis=1)
    return _process(readout, outcomes.ordered(rng))


def _cut(outcomes: Outcomes, bounds: tuple[int, int] | None, rng: np.random.Generator) -> Outcomes:
    if bounds is None:
        return outcomes
    return outcomes.ordered(rng).shot_slice(*bounds)


def _process(readout: Readout, bits: ShotBits) -> list[Any]:
    """Counts and samples by PennyLane's own processing, one row at a time."""
    mp = readout.process
    assert mp is not None
    order = Wires(range(len(readout.bits))) if not mp.wires else mp.wires
    return [mp.process_samples(bits.samples(row, readout.bits), wire_order=order) for row in range(bits.rows)]


def _read_words(
    block: Block,
    result: BlockResult,
    readout: Readout,
    index: int,
    bounds: tuple[int, int] | None,
    copy: int,
    rng: np.random.Generator,
) -> FloatArray:
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
        outcomes = _cut(result.outcomes[readout.settings[0]], bounds, rng)
        first, second = outcomes.sum_moments(readout.bits, coeffs)
        return np.maximum(second - first**2, 0.0)
    else:
        values = _sampled(result, readout, block.rows, bounds, rng)
    mean: FloatArray = (coeffs * values[:, : len(readout.words)]).sum(axis=1)
    if not readout.variance:
        return mean + offsets
    return np.maximum(readout.mean_square(coeffs, values) - mean**2, 0.0)


def _estimated(block: Block, readout: Readout, table: FloatArray) -> FloatArray:
    place = {w: i for i, w in enumerate(block.template.words)}
    values: FloatArray = table[:, [place[w] for w in readout.all_words]]
    return values


def _sampled(
    result: BlockResult,
    readout: Readout,
    rows: int,
    bounds: tuple[int, int] | None,
    rng: np.random.Generator,
) -> FloatArray:
    values = np.empty((rows, len(readout.settings)))
    homes = np.array(readout.settings)
    for home in dict.fromkeys(readout.settings):
        mine = np.flatnonzero(homes == home)
        outcomes = _cut(result.outcomes[home], bounds, rng)
        values[:, mine] = outcomes.word_means([readout.bits[j] for j in mine])
    return values
