"""Cut a batch into shards: as few jobs as the service's limits allow."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from math import ceil, inf
from typing import Literal
from uuid import uuid4

from ..exceptions import UnsupportedCircuitError
from ..simulators.canonical import NoCanonicalFormError, canonical
from ..simulators.own_compile import NOT_RECOGNISED
from .limits import REFUSALS, SOURCE, JobSize, Weight
from .plan import Block, compiled_circuits


@dataclass(frozen=True)
class Limits:
    """Limits of one job of a service.

    Attributes:
        most: The most that a job may be.
        weigh: How much a block takes of it.
        shots: Most shots of a circuit; ``None`` for any number.
        stated_shots: What the backend says about that, and the service does not keep to; more is worth a warning.
        one_number_of_shots: All circuits of a job run equally often.
        equal_shots: They must even be asked for equally often, and with one precision.
    """

    most: JobSize
    weigh: Callable[[Block], Weight]
    shots: int | None = None
    stated_shots: int | None = None
    one_number_of_shots: bool = False
    equal_shots: bool = False


_PUB_FORM = 3
"""Raised whenever the same content is sent as PUBs, and comes back, in another form."""


@dataclass(frozen=True, eq=False)
class Shard:
    """The content of one job.

    Attributes:
        blocks: Blocks, or parts of some.
    """

    blocks: tuple[Block, ...]

    @property
    def positions(self) -> tuple[int, ...]:
        """Places in the batch of the tapes it serves, ascending."""
        return tuple(sorted({m.position for b in self.blocks for m in b.members}))

    def content(self, *extra: str) -> str:
        """A hash of all that is run, equal in any process; coefficients of observables stay here and do not count.

        Args:
            *extra: What else changes the results, such as the options of a primitive: texts that are equal in any process.
        """
        # the form of the PUBs counts, too: results of another form must not be read as if they were of this one
        digest = sha256(repr((_PUB_FORM, extra)).encode())
        for block in self.blocks:
            identity = (
                block.structure,
                block.values.shape,
                tuple(block.shots),
                block.readouts,
                block.primitive,
            )
            digest.update(repr(identity if block.copies is None else (*identity, block.copies)).encode())
            # words may be grouped in another way by another version
            digest.update(repr([block.template.settings[i].basis for i in block.settings]).encode())
            digest.update(block.values.tobytes())
        return digest.hexdigest()


def circuits_text(shard: Shard) -> str:
    """The compiled circuits of a shard, as a text that is equal in any process; a new one each time where there is none."""
    try:
        return canonical([circuit for block in shard.blocks for circuit in compiled_circuits(block)])
    except NoCanonicalFormError:
        warnings.warn(
            f"A dynamic circuit that was compiled by the user is not told apart from others. {NOT_RECOGNISED}",
            UserWarning,
            stacklevel=2,
        )
        return uuid4().hex


def cut(
    blocks: Sequence[Block], shard_size: int | Literal["auto"], limits: Limits | None
) -> tuple[Shard, ...]:
    """Cut blocks into shards.

    Args:
        blocks: Blocks of one batch.
        shard_size: Tapes in a shard, or ``"auto"``.
        limits: The shards become jobs of a service: one primitive each, within these limits. ``None`` on this machine.

    Returns:
        Shards; every row of every block is in exactly one of them.
    """
    shards: list[Shard] = []
    for part in _by_tapes(blocks, shard_size):
        if limits is None:
            shards.append(Shard(tuple(part)))
            continue
        for primitive in ("estimator", "sampler"):
            blocks_of_it = [b for b in part if b.primitive == primitive]
            for group in _groups(blocks_of_it, limits):
                shards += _pack(group, limits)
    return tuple(shards)


JOB_SECS = 0.03
"""Seconds that each further job takes beside others. Measured for up to 20 jobs at once on two cores, on both stacks: 10 to
50 ms for what the client does and the service answers."""

CIRCUIT_SECS = 0.07
"""Seconds that a circuit is taken to need while that is not known: as long as small ones do at a busy service."""

WORTH_SECS = 0.5
"""Less is not worth more jobs."""

GUESS_WORTH_SECS = 1.5
"""The same, while the service's speed is but a guess."""


def spread_size(
    tapes: int, circuits: float, most_jobs: int, circuit_secs: float | None
) -> int | Literal["auto"]:
    """Tapes in a shard with which jobs that run side by side end first.

    ``n`` jobs take about ``n * JOB_SECS``, and as long as the circuits of the largest.

    Args:
        tapes: Tapes of the batch.
        circuits: Their circuits, rows of values counted each.
        most_jobs: Jobs that run side by side.
        circuit_secs: Seconds a circuit, as measured; ``None`` if that is not known.

    Returns:
        The number; ``"auto"``, which is as many as fit, where more jobs would not be worth it.
    """
    each = CIRCUIT_SECS if circuit_secs is None else circuit_secs

    def secs(size: int) -> float:
        return ceil(tapes / size) * JOB_SECS + each * circuits * size / tapes

    sizes = {ceil(tapes / jobs) for jobs in range(1, min(most_jobs, tapes) + 1)}
    # as good as another with fewer jobs is no reason for more
    best = min(sorted(sizes, reverse=True), key=lambda size: round(secs(size), 6), default=1)
    worth = GUESS_WORTH_SECS if circuit_secs is None else WORTH_SECS
    return best if tapes and secs(tapes) - secs(best) >= worth else "auto"


def cut_like(
    blocks: Sequence[Block],
    layout: Sequence[tuple[int, ...]],
    shard_size: int | Literal["auto"],
    limits: Limits | None,
) -> tuple[Shard, ...]:
    """Cut blocks as an earlier batch was cut, so that its jobs are recognised whatever ``shard_size`` it had.

    Args:
        blocks: Blocks of one batch.
        layout: Positions of the tapes of each of its shards.
        shard_size: What is tried first, and taken if nothing fits.
        limits: As for :func:`cut`.
    """
    sizes: tuple[int | Literal["auto"], ...] = (shard_size, "auto", max(map(len, layout), default=1))
    cuts = [cut(blocks, size, limits) for size in dict.fromkeys(sizes)]
    return next((c for c in cuts if [shard.positions for shard in c] == list(layout)), cuts[0])


def _by_tapes(blocks: Sequence[Block], shard_size: int | Literal["auto"]) -> list[list[Block]]:
    if shard_size == "auto" or not blocks:
        return [list(blocks)] if blocks else []
    positions = sorted({m.position for b in blocks for m in b.members})
    chunk_of = {p: i // shard_size for i, p in enumerate(positions)}
    chunks: list[list[Block]] = [[] for _ in range((len(positions) + shard_size - 1) // shard_size)]
    for block in blocks:
        by_chunk: dict[int, list[int]] = {}
        for index, member in enumerate(block.members):
            by_chunk.setdefault(chunk_of[member.position], []).append(index)
        for chunk, indices in by_chunk.items():
            chunks[chunk].append(block.take(block.members[indices[0] : indices[-1] + 1]))
    return chunks


def _groups(blocks: Sequence[Block], limits: Limits) -> list[list[Block]]:
    """Blocks that may be in one job."""
    if not limits.one_number_of_shots:
        return [list(blocks)]
    groups: dict[int, list[Block]] = {}
    for block in blocks:
        for shots, part in _equal_parts(block) if limits.equal_shots else [(block.row_shots, block)]:
            groups.setdefault(shots, []).append(part)
    return list(groups.values())


def _equal_parts(block: Block) -> list[tuple[int, Block]]:
    """Parts of a block whose PUBs ask for one number of shots each, with that number."""
    if block.single_shots:
        return [(1, block)]
    if block.primitive == "sampler":
        return [(block.row_shots, block)]
    # an Estimator is asked once for each copy of a shot vector
    copies: dict[int, list[int]] = {}
    for copy, shots in enumerate(block.shots):
        copies.setdefault(shots, []).append(copy)
    if len(copies) == 1:
        return [(next(iter(copies)), block)]
    return [(shots, replace(block, copies=tuple(numbers))) for shots, numbers in copies.items()]


def _pack(blocks: Sequence[Block], limits: Limits) -> list[Shard]:
    shards: list[list[Block]] = []
    size = JobSize()
    for block in blocks:
        weight = limits.weigh(block)
        for piece in _pieces(block, weight, limits.most):
            more = weight.of(piece.rows)
            if not shards or (size + more).excess(limits.most):
                shards.append([])
                size = JobSize()
            shards[-1].append(piece)
            size += more
    return [Shard(tuple(s)) for s in shards]


def _pieces(block: Block, weight: Weight, most: JobSize) -> list[Block]:
    """Parts of a block that each fit in a job; tapes are never torn apart."""
    most_rows = weight.most_rows(most)
    if block.rows <= most_rows:
        return [block]
    pieces, first = [], 0
    members = block.members
    for i in range(1, len(members) + 1):
        full = i < len(members) and members[i].rows.stop - members[first].rows.start > most_rows
        if i == len(members) or full:
            pieces.append(block.take(members[first:i]))
            first = i
    for piece in pieces:
        if piece.rows > most_rows:
            _refuse_beyond(piece, weight, most)
    return pieces


def _refuse_beyond(block: Block, weight: Weight, most: JobSize) -> None:
    """Refuse a tape that is too large for a job by itself, where the service would."""
    name = weight.of(block.rows).excess(replace(most, bytes=inf))
    if not name:
        return
    number = getattr(weight.of(block.rows), name)
    what, remedy = REFUSALS[name]
    rows = f" {block.rows} rows of values with" if block.rows > 1 else ""
    raise UnsupportedCircuitError(
        f"Tape {block.members[0].position} has{rows} {number:,.0f} {what}; a job takes at most {getattr(most, name):,.0f} "
        f"({SOURCE}). {remedy}. Nothing was sent.",
        tape=block.members[0].position,
    )
