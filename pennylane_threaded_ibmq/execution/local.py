"""Run blocks on a simulator of this machine.

All blocks go in one run: Aer works through a run's rows on all cores by itself, and its Python part holds the
interpreter, so more runs side by side are slower, not faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..ibm.local import LocalBackend
from .decode import BlockResult
from .outcomes import ShotCounts
from .pubs import Pub, Request, collect

if TYPE_CHECKING:
    import numpy as np


def run_local(
    requests: Sequence[Request], backend: LocalBackend, rng: np.random.Generator
) -> list[BlockResult]:
    """Run the PUBs of some blocks.

    Args:
        requests: What to run.
        backend: Where.
        rng: Orders shots where order matters.

    Returns:
        One result a request.
    """
    pubs = [pub for request in requests for pub in request.pubs]
    results: dict[int, Any] = {}
    by_shots: dict[int, list[Pub]] = {}
    for pub in pubs:
        if pub.observables:
            continue
        by_shots.setdefault(pub.shots, []).append(pub)
    for shots, group in by_shots.items():
        counts = backend.sample(
            [p.circuit for p in group], [p.values for p in group], shots, backend.next_seed()
        )
        for pub, rows in zip(group, counts, strict=True):
            results[id(pub)] = ShotCounts.from_counts(rows, pub.circuit.num_clbits, shots)
    estimated = [pub for pub in pubs if pub.observables]
    if estimated:
        values = backend.estimate(
            [p.circuit for p in estimated],
            [p.observables for p in estimated],
            [p.values for p in estimated],
            [p.shots**-0.5 for p in estimated],
            backend.next_seed(),
        )
        results.update({id(p): v for p, v in zip(estimated, values, strict=True)})
    return [collect(r, [results[id(p)] for p in r.pubs], rng) for r in requests]
