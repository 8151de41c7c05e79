"""What more workers bring: ``python -m benchmarks.engine``.

A simulation-bound batch runs on one and on two workers in turn, each with one thread, and must give the same results.
For more workers than there are cores, the simulation is replaced by waiting: what is left is all that this package
and its messages add.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import pickle
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pennylane as qml

from .timing import seconds

WANTED = 1.6
MESSAGE_SECS = 0.005
ROW_SECS = 0.02


def batch(qubits: int, rows: int, layers: int = 2, shots: int = 1000) -> list[qml.tape.QuantumScript]:
    """Tapes of one structure."""
    rng = np.random.default_rng(4)
    shape = qml.StronglyEntanglingLayers.shape(layers, qubits)
    made = []
    for _ in range(rows):
        operations = qml.StronglyEntanglingLayers.compute_decomposition(
            rng.uniform(0, 6, shape), range(qubits), [1] * layers, qml.CNOT
        )
        made.append(qml.tape.QuantumScript(operations, [qml.expval(qml.Z(0) @ qml.Z(1))], shots=shots))
    return made


@contextmanager
def processes(workers: int) -> Iterator[Executor]:
    """A pool of the standard library."""
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


@contextmanager
def dask(workers: int) -> Iterator[Any]:
    """A Dask cluster on this machine."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


class Waiting(Executor):
    """Workers that wait as long as a simulation would take.

    Args:
        workers: How many.
    """

    def __init__(self, workers: int) -> None:
        self._max_workers = workers
        self._threads = ThreadPoolExecutor(workers)

    def submit(self, _: Callable[..., Any], /, *arguments: Any, **__: Any) -> Future[Any]:
        """Wait for the rows of a piece, and give counts."""
        return self._threads.submit(self._wait, arguments[1])

    @staticmethod
    def _wait(sent: bytes) -> list[Any]:
        piece = pickle.loads(sent)
        time.sleep(MESSAGE_SECS + ROW_SECS * piece.rows)
        return [[{"0x0": piece.shots}] * len(values) for values in piece.values]


def measure(engine: Any, tapes: list[Any], rounds: int) -> tuple[list[float], tuple[Any, ...]]:
    """Wall seconds of some runs after a first, and the results."""
    with qml.device(
        "threaded.ibmq", wires=max(len(t.wires) for t in tapes), engine=engine, seed_simulator=1
    ) as dev:
        dev.batch_execute(tapes[:2])  # compiles, and opens the workers' backends
        dev.batch_execute(tapes[:16])
        found: list[Any] = []
        taken = [seconds(lambda: found.append(dev.batch_execute(tapes))) for _ in range(rounds)]
    return taken, found[0]


def real(name: str, start: Any, tapes: list[Any], rounds: int) -> float:
    """One against two workers, in turn."""
    times: dict[int, list[float]] = {1: [], 2: []}
    results = []
    for _ in range(rounds):
        for workers in times:
            with start(workers) as engine:
                taken, values = measure(engine, tapes, 1)
            times[workers] += taken
            results.append(values)
    assert all(r == results[0] for r in results), "results depend on the workers"
    best = {w: min(t) for w, t in times.items()}
    gain = best[1] / best[2]
    pairs = [a / b for a, b in zip(times[1], times[2], strict=True)]
    print(
        f"{name:10} 1 worker {best[1]:6.2f} s, 2 workers {best[2]:6.2f} s: {gain:.2f} times (best of {rounds}); "
        f"pairs {', '.join(f'{p:.2f}' for p in pairs)}, median {statistics.median(pairs):.2f}"
    )
    return gain


def table(tapes: list[Any]) -> None:
    """More workers, whose simulation is waiting."""
    print(f"\nsimulated: {len(tapes)} rows of {ROW_SECS * 1e3:g} ms, {MESSAGE_SECS * 1e3:g} ms a message")
    print("workers  seconds  times one  of the ideal")
    first = 0.0
    for workers in (1, 2, 4, 8, 16, 32, 64):
        taken, _ = measure(Waiting(workers), tapes, 2)
        first = first or min(taken)
        gain = first / min(taken)
        print(f"{workers:7}  {min(taken):7.2f}  {gain:9.1f}  {gain / workers:11.0%}")


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__)
    parser.add_argument("--qubits", type=int, default=16)
    parser.add_argument("--rows", type=int, default=160)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engines", nargs="*", default=["processes", "dask"], choices=["processes", "dask"])
    parser.add_argument("--no-table", action="store_true")
    chosen = parser.parse_args()
    # the workers inherit it: two workers with all threads each would only wait for each other
    os.environ["OMP_NUM_THREADS"] = "1"
    print(f"{chosen.rows} rows of {chosen.qubits} qubits, one thread a worker, wanted {WANTED} times")
    tapes = batch(chosen.qubits, chosen.rows)
    starts = {"processes": processes, "dask": dask}
    for name in chosen.engines:
        real(name, starts[name], tapes, chosen.rounds)
    if not chosen.no_table:
        table(batch(chosen.qubits, 512))


if __name__ == "__main__":
    main()
