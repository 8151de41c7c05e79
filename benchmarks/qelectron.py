"""What executors add to a call, and what ``run_later`` saves.

    python -m benchmarks.qelectron

Prints one line a measure with what was reached and what is wanted; ends with status 1 if something was not reached.
"""

from __future__ import annotations

import math
import os
import statistics
import sys
import tempfile
import threading
import time
import warnings

os.environ.setdefault("THREADED_IBMQ_HOME", tempfile.mkdtemp(prefix="qelectron-bench-"))

import pennylane as qml
from pennylane import numpy as np

from pennylane_threaded_ibmq import IBMQExecutor, qelectron
from pennylane_threaded_ibmq.loopback import SIMULATOR, LoopbackConfig, LoopbackService

ROUNDS = 300


def overhead(persist_data, layers):
    """Seconds a call of the plain QNode takes, and seconds that a qelectron adds; lower quartiles of alternating calls.

    The share is one of the whole call of the plain QNode on this machine's simulator, PennyLane's part included: the smallest call
    there is. Where a job of a service runs, the same milliseconds are a share of a second or more.
    """
    wires = 4
    options = {"seed_simulator": 1}
    dev = qml.device("threaded.ibmq", wires=wires, **options)

    @qml.qnode(dev, shots=1024)
    def plain(weights):
        for layer in weights:
            for w in range(wires):
                qml.RX(layer[w], w)
                qml.RZ(layer[w], w)
            for w in range(wires - 1):
                qml.CNOT([w, w + 1])
        return qml.probs(wires=range(wires))

    executor = IBMQExecutor(persist_data=persist_data, **options)
    circuit = qelectron(plain, executors=[executor, executor])
    weights = np.linspace(0, 1, layers * wires).reshape(layers, wires)
    times = {plain: [], circuit: []}
    for _ in range(20):
        plain(weights), circuit(weights)
    for round_ in range(ROUNDS):
        for f in (plain, circuit) if round_ % 2 else (circuit, plain):
            started = time.perf_counter()
            f(weights)
            times[f].append(time.perf_counter() - started)
    # the lower quartile: a machine that is shared has long delays, which say nothing of either
    base, other = (statistics.quantiles(times[f], n=4)[0] for f in (plain, circuit))
    return base, other - base


def later(calls, job_secs, slots):
    """Seconds for calls on the loopback service, its logins and jobs, and the threads they took."""
    with (
        LoopbackService(
            LoopbackConfig(job_secs=job_secs, slots=slots, backends=("ibm_manila", SIMULATOR))
        ) as service,
        service.applied(token=service.config.tokens[0], instance=service.config.instances[0].crn),
    ):
        executor = IBMQExecutor(backend=SIMULATOR, max_jobs=slots)

        @qelectron(executors=executor)
        @qml.qnode(qml.device("default.qubit", wires=4), shots=1024)
        def circuit(x):
            for w in range(4):
                qml.RX(x, w)
            return qml.probs(wires=range(4))

        circuit(0.1)
        before, threads = service.counters, threading.active_count()
        started = time.perf_counter()
        futures = [circuit.run_later(0.01 * i) for i in range(calls)]
        submitted = time.perf_counter() - started
        most = threading.active_count()
        for future in futures:
            future.result(300)
        seconds = time.perf_counter() - started
        counters = service.counters
        executor.close()
        return (
            seconds,
            submitted,
            counters.logins - before.logins,
            counters.jobs - before.jobs,
            most - threads,
        )


def main():
    """Run all and print."""
    warnings.simplefilter("ignore")
    reached = []

    def line(name, value, wanted, good):
        reached.append(good)
        print(f"{'ok  ' if good else 'MISS'}  {name:58s} {value:34s} wanted {wanted}")

    for persist in (False, True):
        for layers in (2, 20):
            base, added = overhead(persist, layers)
            line(
                f"overhead, {layers} layers, persist_data={persist}",
                f"{added * 1e3:+.3f} ms on {base * 1e3:.2f} ms: {100 * added / base:+.1f} %",
                "< 1 ms and < 2 %",
                added < 1e-3 and added < 0.02 * base,
            )
    calls, job_secs, slots = 100, 0.5, 20
    best = math.ceil(calls / slots) * job_secs
    seconds, submitted, logins, jobs, threads = later(calls, job_secs, slots)
    line(
        f"{calls} run_later, {job_secs} s a job, {slots} slots",
        f"{seconds:.2f} s ({submitted:.2f} s to submit), {jobs} jobs",
        f"<= {1.3 * best:.2f} s: 1.3 x a job each",
        seconds <= 1.3 * best,
    )
    line("logins after that of the first call", str(logins), "0", logins == 0)
    seconds, submitted, _, jobs, threads = later(1000, 0.1, slots)
    line(
        "1000 run_later",
        f"{seconds:.2f} s, {jobs} jobs, {threads} more threads",
        "< 50 threads",
        threads < 50,
    )
    return 0 if all(reached) else 1


if __name__ == "__main__":
    sys.exit(main())
