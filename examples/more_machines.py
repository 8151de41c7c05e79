#!/usr/bin/env python3
"""Simulate one batch on more than one process, and see that the results are the same.

    python3 examples/more_machines.py                                    two processes of this machine
    python3 examples/more_machines.py --workers 8 --qubits 20
    python3 examples/more_machines.py --scheduler tcp://host:8786        a Dask cluster

Set OMP_NUM_THREADS=1 where there are as many workers as cores.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager

import numpy as np
import pennylane as qml


def batch(qubits: int, circuits: int, shots: int) -> list[qml.tape.QuantumScript]:
    """Make circuits of one structure with random angles."""
    rng = np.random.default_rng(1)
    shape = qml.StronglyEntanglingLayers.shape(2, qubits)
    return [
        qml.tape.QuantumScript(
            [qml.StronglyEntanglingLayers(rng.uniform(0, 2 * np.pi, shape), range(qubits))],
            [qml.expval(qml.Z(0) @ qml.Z(qubits - 1))],
            shots=shots,
        )
        for _ in range(circuits)
    ]


@contextmanager
def engine(scheduler: str | None, workers: int) -> Iterator[Executor | str]:
    """Give what the device takes as ``engine``: the address of a Dask scheduler, or a pool that ends with the block."""
    if scheduler:
        yield scheduler
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


def main() -> None:
    """Run the batch elsewhere and here, and compare."""
    args = parse_arguments()
    tapes = batch(args.qubits, args.circuits, args.shots)
    results = {}
    with engine(args.scheduler, args.workers) as workers:
        for name, options in (("on the workers", {"engine": workers}), ("on this machine alone", {})):
            with qml.device("threaded.ibmq", wires=args.qubits, seed_simulator=7, **options) as dev:
                started = time.perf_counter()
                results[name] = dev.batch_execute(tapes)
                print(f"{len(tapes)} circuits {name}: {time.perf_counter() - started:.1f} s")
    there, here = results.values()
    if there != here:
        raise SystemExit("The results differ.")
    print("The results are the same.")


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="One batch on several processes")
    parser.add_argument(
        "--scheduler", help="address of a Dask scheduler (default: processes of this machine)"
    )
    parser.add_argument("--workers", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument("--qubits", type=int, default=12, help="(default: %(default)s)")
    parser.add_argument("--circuits", type=int, default=40, help="(default: %(default)s)")
    parser.add_argument("--shots", type=int, default=1000, help="(default: %(default)s)")
    args = parser.parse_args()
    for name, least in (("workers", 1), ("qubits", 2), ("circuits", 1), ("shots", 1)):
        if getattr(args, name) < least:
            parser.error(f"argument --{name}: at least {least}, got {getattr(args, name)}")
    return args


# The workers read this file, too: without the guard each of them would start workers of its own.
if __name__ == "__main__":
    main()
