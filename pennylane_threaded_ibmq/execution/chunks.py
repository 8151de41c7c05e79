"""A simulation as plain values that can be sent to another process, and the part of it that runs there.

A chunk is some rows of a run. Aer gives the circuits of a run seeds at a fixed distance, so a chunk that starts at row
``n`` with the seed of that row gives exactly what the whole run gives there: results do not depend on how it is cut.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from .._compat import zip_strict
from ..simulators.exact import SEED_STEP, CountTable
from ..simulators.fusion import FusedCircuit
from ..simulators.local import LocalBackend, open_local

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from qiskit import QuantumCircuit

MOST_KEPT = 4
"""Backends that a worker keeps open."""

MOST_CIRCUITS = 32
"""Circuits that a worker keeps: all chunks of a run share them, and reading one takes longer than a small row."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """One call of a simulator.

    Attributes:
        circuits: Transpiled circuits, or fused ones.
        values: Rows of parameter values, one array a circuit.
        shots: Shots of each row (sampling).
        precisions: Standard error of each circuit's expectation values (estimating); empty for sampling.
        observables: Observables of each circuit (estimating).
        seed: Seed of the first row; ``None`` for none.
    """

    circuits: tuple[QuantumCircuit | FusedCircuit, ...]
    values: tuple[NDArray[np.float64], ...]
    shots: int = 0
    precisions: tuple[float, ...] = ()
    observables: tuple[tuple[Any, ...], ...] = ()
    seed: int | None = None

    @property
    def rows(self) -> int:
        """Rows of all circuits."""
        return sum(len(array) for array in self.values)

    @property
    def cost(self) -> float:
        """Time that it takes, in no unit."""
        return sum(_cost(c) * len(v) for c, v in zip_strict(self.circuits, self.values))

    def run(self, backend: LocalBackend) -> list[Any]:
        """One result a circuit: counts of its rows, or an array of shape ``(observables, rows)``."""
        if self.precisions:
            return list(
                backend.estimate(self.circuits, self.observables, self.values, self.precisions, self.seed)
            )
        return list(backend.sample(self.circuits, self.values, self.shots, self.seed))

    def cut(self, most: int) -> tuple[list[Chunk], list[list[int]]]:
        """Cut into chunks that take about the same time.

        Args:
            most: Most chunks.

        Returns:
            The chunks, and for each the places of its circuits in this one. Rows stay in order.
        """
        # Aer's Estimator draws the noise of all rows from one stream
        if most < 2 or self.rows < 2 or (self.precisions and self.seed is not None):
            return [self], [list(range(len(self.circuits)))]
        cost = np.repeat([_cost(c) for c in self.circuits], [len(v) for v in self.values])
        owner = np.repeat(np.arange(len(self.circuits)), [len(v) for v in self.values])
        middle = (np.cumsum(cost) - cost / 2) / cost.sum()
        chunk_of = np.minimum((middle * most).astype(int), most - 1)
        starts = np.concatenate([[0], np.cumsum([len(v) for v in self.values])])
        chunks, places = [], []
        for number in np.unique(chunk_of):
            rows = np.flatnonzero(chunk_of == number)
            numbers = [int(i) for i in np.unique(owner[rows])]
            values = tuple(
                self.values[i][max(rows[0] - starts[i], 0) : rows[-1] + 1 - starts[i]] for i in numbers
            )
            chunks.append(
                replace(
                    self,
                    circuits=tuple(self.circuits[i] for i in numbers),
                    values=values,
                    precisions=tuple(self.precisions[i] for i in numbers) if self.precisions else (),
                    observables=tuple(self.observables[i] for i in numbers) if self.observables else (),
                    seed=None if self.seed is None else self.seed + SEED_STEP * int(rows[0]),
                )
            )
            places.append(numbers)
        return chunks, places

    def join(self, results: Sequence[list[Any]], places: Sequence[list[int]]) -> list[Any]:
        """Put the results of the chunks of this one together."""
        whole: list[list[Any]] = [[] for _ in self.circuits]
        for result, positions in zip_strict(results, places):
            for place, one in zip_strict(positions, result):
                whole[place].append(one)
        if self.precisions:
            return [np.concatenate(parts, axis=1) for parts in whole]
        return [_join_counts(parts) for parts in whole]


def _join_counts(parts: Sequence[Any]) -> Any:
    """Counts of the rows of one circuit, all in the form that its rows were sampled in."""
    if all(isinstance(part, CountTable) for part in parts):
        return CountTable.join(parts)
    return [row for part in parts for row in part]


def _cost(circuit: QuantumCircuit | FusedCircuit) -> float:
    """Time that a row takes, in no unit."""
    amplitudes: float = 2.0 ** min(int(circuit.num_qubits), 40)
    steps = circuit.steps if isinstance(circuit, FusedCircuit) else circuit.data
    return 1e4 + len(steps) * amplitudes


@dataclass(frozen=True, eq=False)
class BackendSpec:
    """A backend as it can be sent.

    Attributes:
        backend: Its name, or a backend that can be pickled.
        noise_model: Replaces its noise.
        options: Options of Aer.
    """

    backend: Any
    noise_model: Any = None
    options: dict[str, Any] = field(default_factory=dict)


@lru_cache(maxsize=MOST_KEPT)
def _opened(spec: bytes) -> LocalBackend:
    known: BackendSpec = pickle.loads(spec)  # noqa: S301 - from the program that asked for this work
    backend = open_local(known.backend) if isinstance(known.backend, str) else known.backend
    return LocalBackend(backend, noise_model=known.noise_model, options=known.options)


@lru_cache(maxsize=MOST_CIRCUITS)
def _circuit(data: bytes) -> QuantumCircuit:
    return pickle.loads(data)  # noqa: S301 - as above


def pack(chunks: Sequence[Chunk]) -> list[bytes]:
    """Pieces as they are sent; a circuit that several share is written once, and read once by a worker."""
    circuits = {id(circuit): circuit for chunk in chunks for circuit in chunk.circuits}
    pickles = {key: pickle.dumps(circuit) for key, circuit in circuits.items()}
    return [
        pickle.dumps((replace(chunk, circuits=()), [pickles[id(circuit)] for circuit in chunk.circuits]))
        for chunk in chunks
    ]


def unpack(data: bytes) -> Chunk:
    """A chunk as it was before it was sent."""
    chunk: Chunk
    chunk, circuits = pickle.loads(data)  # noqa: S301 - as above
    return replace(chunk, circuits=tuple(_circuit(one) for one in circuits))


def run_chunk(spec: bytes, data: bytes) -> list[Any]:
    """Run a chunk in the process of a worker.

    Args:
        spec: The backend: a pickled :class:`BackendSpec`. It is opened once and kept.
        data: The chunk, from :func:`pack`.
    """
    return unpack(data).run(_opened(spec))


def _main() -> None:
    """Run chunks in this process: spec and chunks come in at the standard input, the results go out."""
    out, sys.stdout = sys.stdout.buffer, sys.stderr
    spec, chunks = pickle.load(sys.stdin.buffer)  # noqa: S301 - as above
    out.write(pickle.dumps([run_chunk(spec, chunk) for chunk in chunks]))
    out.flush()


if __name__ == "__main__":
    _main()
