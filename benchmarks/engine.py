"""What more workers bring: ``python -m benchmarks.engine``.

A simulation-bound batch runs on one and on two workers in turn, each with one thread, and must give the same results.
Where other work goes on beside it, two workers get less than two cores, and wall time tells little. So the processor
time is told too: that of the busiest worker and that of this process, one after the other. It is how long a run takes
where each worker has a core to itself, and no less.

For more workers than there are cores, the simulation is replaced by waiting: what is left is all that this package
and its messages add.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import pickle
import statistics
import threading
import time
from collections import Counter
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
        yield client.get_executor()


def timed(function: Callable[..., Any], *arguments: Any) -> tuple[Any, float, int]:
    """Run a function in a worker: its result, the processor seconds that it took, and the worker's process."""
    begun = time.process_time()
    result = function(*arguments)
    return result, time.process_time() - begun, os.getpid()


class Measured(Executor):
    """Workers of an engine, and the processor seconds that each works.

    Args:
        executor: Runs the functions.
        workers: How many.
    """

    def __init__(self, executor: Executor, workers: int) -> None:
        self._executor = executor
        self._max_workers = workers
        self.busy: Counter[int] = Counter()

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **__: Any) -> Future[Any]:
        """Run a function on the engine, and take its time."""
        outside: Future[Any] = Future()
        outside.set_running_or_notify_cancel()

        def finish(inside: Future[Any]) -> None:
            try:
                result, spent, worker = inside.result()
            except BaseException as error:  # noqa: BLE001 - the waiter gets it
                outside.set_exception(error)
                return
            self.busy[worker] += spent
            outside.set_result(result)

        self._executor.submit(timed, function, *arguments).add_done_callback(finish)
        return outside


class Waiting(Executor):
    """Workers that wait as long as a simulation would take.

    Args:
        workers: How many.
    """

    def __init__(self, workers: int) -> None:
        self._max_workers = workers
        self._threads = ThreadPoolExecutor(workers)
        self.busy: Counter[int] = Counter()
        self.chunks = 0

    def submit(self, _: Callable[..., Any], /, *arguments: Any, **__: Any) -> Future[Any]:
        """Wait for the rows of a piece, and give counts."""
        self.chunks += 1
        return self._threads.submit(self._wait, arguments[1])

    def _wait(self, sent: bytes) -> list[Any]:
        chunk, _ = pickle.loads(sent)
        secs = MESSAGE_SECS + ROW_SECS * chunk.rows
        time.sleep(secs)
        self.busy[threading.get_ident()] += secs
        return [[{"0x0": chunk.shots}] * len(values) for values in chunk.values]


def measure(
    engine: Any, tapes: list[Any], rounds: int, before: Callable[[], None] = lambda: None
) -> tuple[list[float], tuple[Any, ...]]:
    """Wall seconds of some runs after a first, and the results; ``before`` is called when all is warm."""
    with qml.device(
        "threaded.ibmq", wires=max(len(t.wires) for t in tapes), engine=engine, seed_simulator=1
    ) as dev:
        dev.batch_execute(tapes[:2])  # compiles, and opens the workers' backends
        dev.batch_execute(tapes[:16])
        before()
        found: list[Any] = []
        taken = [seconds(lambda: found.append(dev.batch_execute(tapes))) for _ in range(rounds)]
    return taken, found[0]


def real(name: str, start: Any, tapes: list[Any], rounds: int) -> None:
    """One against two workers, in turn."""
    wall: dict[int, list[float]] = {1: [], 2: []}
    processor: dict[int, list[float]] = {1: [], 2: []}
    results = []
    for _ in range(rounds):
        for workers in wall:
            with start(workers) as executor:
                engine = Measured(executor, workers)
                begun = [0.0]

                def warm(engine: Measured = engine, begun: list[float] = begun) -> None:
                    engine.busy.clear()
                    begun[0] = time.process_time()

                taken, values = measure(engine, tapes, 1, warm)
                own = time.process_time() - begun[0]
            wall[workers] += taken
            processor[workers].append(own + max(engine.busy.values()))
            results.append(values)
    assert all(r == results[0] for r in results), "results depend on the workers"
    for what, times in (("wall", wall), ("processor", processor)):
        pairs = [a / b for a, b in zip(times[1], times[2], strict=True)]
        best = {w: min(t) for w, t in times.items()}
        print(
            f"{name:10} {what:9} s: 1 worker {best[1]:6.2f}, 2 workers {best[2]:6.2f}: {best[1] / best[2]:.2f} times "
            f"(best of {rounds}); pairs {', '.join(f'{p:.2f}' for p in pairs)}, median {statistics.median(pairs):.2f}",
            flush=True,
        )


def table(tapes: list[Any]) -> None:
    """More workers, whose simulation is waiting."""
    print(f"\nsimulated: {len(tapes)} rows of {ROW_SECS * 1e3:g} ms, {MESSAGE_SECS * 1e3:g} ms a message")
    print("seconds of this process (its processor time) and of the busiest worker; their sum; the clock")
    print("workers  pieces  process  worker    sum  times one  of the ideal  clock")
    first = 0.0
    for workers in (1, 2, 4, 8, 16, 32, 64):
        engine = Waiting(workers)
        begun = [0.0]

        def warm(engine: Waiting = engine, begun: list[float] = begun) -> None:
            engine.busy.clear()
            engine.chunks, begun[0] = 0, time.process_time()

        (clock,), _ = measure(engine, tapes, 1, warm)
        own, worker = time.process_time() - begun[0], max(engine.busy.values())
        first = first or own + worker
        gain = first / (own + worker)
        print(
            f"{workers:7}  {engine.chunks:6}  {own:7.2f}  {worker:6.2f}  {own + worker:5.2f}  {gain:9.1f}  "
            f"{gain / workers:12.0%}  {clock:5.2f}",
            flush=True,
        )


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
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"{chosen.rows} rows of {chosen.qubits} qubits, one thread a worker, wanted {WANTED} times")
    tapes = batch(chosen.qubits, chosen.rows)
    starts = {"processes": processes, "dask": dask}
    for name in chosen.engines:
        real(name, starts[name], tapes, chosen.rounds)
    if not chosen.no_table:
        table(batch(chosen.qubits, 512))


if __name__ == "__main__":
    main()
