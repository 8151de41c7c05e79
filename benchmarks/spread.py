"""Sixty tapes on a remote simulator: how many jobs are best, and how near ``shard_size="auto"`` comes to that.

    python -m benchmarks.spread                      on the stack that is installed
    python -m benchmarks.spread --circuit-secs 0.002

The loopback service plays a simulator with 20 slots. Each size takes its turn with the others, on a device of its own, and the
smallest time of the rounds counts. ``auto`` is the default; ``auto, first`` is the first batch of the program, before anything
is known of the simulator, on the device that has compiled the circuit. Prints seconds, jobs and the ratio to the best.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from importlib.util import find_spec
from math import inf
from typing import Any

import numpy as np
import pennylane as qml

TAPES, SLOTS = 60, 20
JOBS = (1, 2, 4, 10, 15, 20)
TOKEN = "loopback-token"
TARGET = 1.3


def tapes(count: int) -> list[qml.tape.QuantumScript]:
    """Tapes of one structure."""
    return [
        qml.tape.QuantumScript([qml.RY(x, 0), qml.CNOT([0, 1])], [qml.expval(qml.PauliZ(1))], shots=300)
        for x in np.linspace(0, np.pi, count)
    ]


def measure(circuit_secs: float, request_secs: float, rounds: int) -> dict[str, tuple[float, int]]:
    """Seconds and jobs of each contender."""
    from pennylane_threaded_ibmq.loopback import CLASSIC_SIMULATOR, SIMULATOR, LoopbackConfig, LoopbackProcess

    classic = find_spec("qiskit_ibm_provider") is not None
    config = LoopbackConfig(circuit_secs=circuit_secs, request_secs=request_secs, slots=SLOTS)
    found: dict[str, tuple[float, int]] = {}
    with LoopbackProcess(config) as service, service.applied(token=TOKEN, classic=classic):
        backend = CLASSIC_SIMULATOR if classic else SIMULATOR

        def device(**options: Any) -> Any:
            return qml.device("threaded.ibmq", wires=2, backend=backend, ibmqx_token=TOKEN, **options)

        def run(name: str, dev: Any) -> None:
            service.reset_counters()
            began = time.perf_counter()
            values = dev.batch_execute(tapes(TAPES))
            secs = time.perf_counter() - began
            np.testing.assert_allclose(
                np.array(values, dtype=float), np.cos(np.linspace(0, np.pi, TAPES)), atol=0.4
            )
            found[name] = min(found.get(name, (inf, 0)), (secs, service.counters.jobs))

        auto = device()
        auto.batch_execute(tapes(1))  # compiles, and is too small to tell the speed
        run("auto, first", auto)
        sizes = {f"{jobs} jobs": device(shard_size=-(-TAPES // jobs)) for jobs in JOBS}
        for dev in sizes.values():
            dev.batch_execute(tapes(1))
        for _ in range(rounds):
            for name, dev in {**sizes, "auto": auto}.items():
                run(name, dev)
        for dev in (auto, *sizes.values()):
            dev.close()
    return found


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.spread",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--circuit-secs", type=float, default=0.1, help="of a circuit (default: %(default)s)")
    parser.add_argument("--request-secs", type=float, default=0.0, help="of a request (default: %(default)s)")
    parser.add_argument(
        "--rounds", type=int, default=3, help="times that each batch runs (default: %(default)s)"
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="spread-bench-") as home:
        os.environ["THREADED_IBMQ_HOME"] = home
        found = measure(args.circuit_secs, args.request_secs, args.rounds)
    best = min(secs for name, (secs, _) in found.items() if name.endswith("jobs"))
    print(
        f"{TAPES} tapes, {args.circuit_secs:g} s a circuit, {args.request_secs:g} s a request, {SLOTS} slots"
    )
    print(f"  {'':12} {'seconds':>8} {'jobs':>5} {'to the best':>12}")
    for name, (secs, jobs) in found.items():
        goal = f"   at most {TARGET}" if name.startswith("auto") else ""
        print(f"  {name:12} {secs:8.2f} {jobs:5} {secs / best:12.2f}{goal}")


if __name__ == "__main__":
    main()
