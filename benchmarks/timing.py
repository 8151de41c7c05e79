"""Taking turns, and taking time."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Samples = dict[str, dict[str, list[float]]]
"""Contender, then quantity, then one number a sample."""


@dataclass(frozen=True)
class Effort:
    """How much to run.

    Attributes:
        rounds: Turns of each contender.
        quick: Use sizes that only show that the benchmark runs.
        full: Run all of what takes ``qiskit.remote`` minutes, instead of a part.
    """

    rounds: int = 3
    quick: bool = False
    full: bool = False

    def size(self, full: int, quick: int) -> int:
        """One of two sizes."""
        return quick if self.quick else full

    def part(self, whole: int, divisor: int) -> int:
        """How much of ``whole`` equal things a slow contender does; the rest is reckoned."""
        return whole if self.full or self.quick else whole // divisor


class Stopwatch:
    """Adds up the seconds of ``with`` blocks."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._since = 0.0

    def __enter__(self) -> Stopwatch:
        self._since = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._since


def seconds(work: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    with Stopwatch() as watch:
        work()
    return watch.seconds


def peak_bytes(work: Callable[[], object]) -> int:
    """Most bytes that Python and NumPy held at once during a call, above what they held before."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        kept = work()
        _, peak = tracemalloc.get_traced_memory()
        del kept
    finally:
        tracemalloc.stop()
    return peak - before


def take_turns(
    contenders: Mapping[str, Callable[[], Mapping[str, float]]],
    rounds: int,
    *,
    slow: Mapping[str, int] | None = None,
) -> Samples:
    """Run contenders in turn.

    Args:
        contenders: Each makes one sample of each of its quantities.
        rounds: Turns of each.
        slow: Fewer turns for some: contenders that take minutes.
    """
    samples: Samples = {name: {} for name in contenders}
    for turn in range(rounds):
        for name, sample in contenders.items():
            if turn >= (slow or {}).get(name, rounds):
                continue
            for quantity, number in sample().items():
                samples[name].setdefault(quantity, []).append(number)
    return samples


def best(samples: Samples, contender: str, quantity: str) -> float:
    """The smallest sample of a quantity."""
    return min(samples[contender][quantity])
