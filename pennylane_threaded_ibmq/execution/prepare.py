"""Prepare a batch: compiled, with a seed for each shard, and nothing written down or sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..circuits.plan import Block
from ..circuits.pubs import compiled_circuits
from ..circuits.shards import Shard
from ..exceptions import ThreadedIBMQError, UnsupportedCircuitError
from .runner import ShardSpec

if TYPE_CHECKING:
    import numpy as np


def prepare(
    shards: Sequence[Shard], rng: np.random.Generator, most_secs: Sequence[int] | None = None
) -> tuple[ShardSpec, ...]:
    """Compile the shards of a batch, and give each its seed.

    Args:
        shards: The batch, cut.
        rng: Gives the seeds.
        most_secs: QPU seconds after which each job is stopped; ``None`` for the service's own limit.

    Raises:
        UnsupportedCircuitError: A tape cannot be transpiled.
    """
    for shard in shards:
        transpile_blocks(shard.blocks)
    seeds = rng.integers(0, 2**63, size=len(shards))
    return tuple(
        ShardSpec(shard, number, int(seeds[number]), None if most_secs is None else most_secs[number])
        for number, shard in enumerate(shards)
    )


def transpile_blocks(blocks: Sequence[Block]) -> None:
    """Transpile what blocks need, where that was not done before.

    Raises:
        UnsupportedCircuitError: One cannot be transpiled; it names the tape.
    """
    for block in blocks:
        try:
            compiled_circuits(block)
        except ThreadedIBMQError:
            raise
        except Exception as error:
            position = block.members[0].position
            raise UnsupportedCircuitError(
                f"Tape {position} cannot be transpiled for the backend: {error} Nothing was sent.",
                tape=position,
            ) from error
