"""Run shards on a simulator of this machine.

A batch is one shard unless the user says otherwise: Aer works through a run's rows on all cores by itself, and its
Python part holds the interpreter, so more runs side by side are slower, not faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .._compat import zip_strict
from ..circuits.decode import BlockResult
from ..circuits.outcomes import ShotCounts
from ..circuits.pubs import Pub, Request, collect
from ..exceptions import JobFailedError, ThreadedIBMQError
from ..simulators.local import LocalBackend
from ..store.records import ShardState
from .chunks import Chunk
from .runner import ShardRun

if TYPE_CHECKING:
    import numpy as np


class LocalRunner:
    """This machine.

    Args:
        backend: What simulates.
        seeded: Seeds of the simulator come from the shard's random numbers, so that runs can be repeated.
    """

    def __init__(self, backend: LocalBackend, *, seeded: bool) -> None:
        self.backend = backend
        self._seeded = seeded

    def run(self, run: ShardRun, _lane: Any = None) -> list[BlockResult]:
        """Simulate one shard."""
        run.refuse_given_up()
        run.report(ShardState.RUNNING)
        try:
            return run_local(run.requests, self.backend, run.rng, seeded=self._seeded)
        except ThreadedIBMQError:
            raise
        except Exception as error:
            positions = ", ".join(map(str, run.spec.shard.positions[:10]))
            raise JobFailedError(
                f"{self.backend.name} failed on tapes {positions}: {type(error).__name__}: {error} Nothing was charged; "
                "run fewer tapes at once to see which it is."
            ) from error

    def close(self) -> None:
        """A simulation under way cannot be stopped; its result is dropped."""


def run_local(
    requests: Sequence[Request], backend: LocalBackend, rng: np.random.Generator, *, seeded: bool
) -> list[BlockResult]:
    """Run the PUBs of some blocks.

    Args:
        requests: What to run.
        backend: Where.
        rng: Orders shots where order matters, and gives the simulator's seeds.
        seeded: Whether the simulator gets seeds.

    Returns:
        One result a request.
    """
    chunks = make_chunks(requests, rng, seeded=seeded)
    return read_chunks(requests, [chunk.run(backend) for chunk in chunks], rng)


def make_chunks(requests: Sequence[Request], rng: np.random.Generator, *, seeded: bool) -> list[Chunk]:
    """The calls of a simulator that the PUBs of some blocks need: one for each number of shots, one to estimate."""
    chunks = [
        Chunk(
            tuple(p.circuit for p in group),
            tuple(p.values for p in group),
            shots=group[0].shots,
            seed=_seed(rng, seeded=seeded),
        )
        for group in _by_shots(requests)
    ]
    estimated = _estimated(requests)
    if estimated:
        chunks.append(
            Chunk(
                tuple(p.circuit for p in estimated),
                tuple(p.values for p in estimated),
                precisions=tuple(p.shots**-0.5 for p in estimated),
                observables=tuple(p.observables for p in estimated),
                seed=_seed(rng, seeded=seeded),
            )
        )
    return chunks


def read_chunks(
    requests: Sequence[Request], found: Sequence[list[Any]], rng: np.random.Generator
) -> list[BlockResult]:
    """Results of the chunks of :func:`make_chunks`, put together by block."""
    results: dict[int, Any] = {}
    groups = _by_shots(requests)
    for group, counts in zip(groups, found):
        for pub, rows in zip_strict(group, counts):
            results[id(pub)] = ShotCounts.from_counts(rows, pub.circuit.num_clbits, pub.shots)
    estimated = _estimated(requests)
    if estimated:
        results.update({id(p): v for p, v in zip_strict(estimated, found[len(groups)])})
    return [collect(r, [results[id(p)] for p in r.pubs], rng) for r in requests]


def _by_shots(requests: Sequence[Request]) -> list[list[Pub]]:
    groups: dict[int, list[Pub]] = {}
    for request in requests:
        for pub in request.pubs:
            if not pub.observables:
                groups.setdefault(pub.shots, []).append(pub)
    return list(groups.values())


def _estimated(requests: Sequence[Request]) -> list[Pub]:
    return [pub for request in requests for pub in request.pubs if pub.observables]


def _seed(rng: np.random.Generator, *, seeded: bool) -> int | None:
    return int(rng.integers(0, 2**31)) if seeded else None
