"""This device against PennyLane's own simulators with shots: processor time of the process, one thread.

python -m benchmarks.peers                    all works; about four minutes
python -m benchmarks.peers --only gradients   some of them
python -m benchmarks.peers --quick            small sizes, to see that it runs; the numbers mean nothing

``null.qubit`` does nothing, so its time is PennyLane's own. Threads that wait for work are counted as work by the system, so
the libraries are given one thread each; wall time is about the same.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pennylane as qml
from pennylane import numpy as pnp

from .contenders import weights
from .report import THIS, Target, Work, as_json, show
from .timing import Effort, Samples, best, take_turns

LIGHTNING, DEFAULT, NULL = "lightning.qubit", "default.qubit", "null.qubit"
CONTENDERS = (THIS, LIGHTNING, DEFAULT, NULL)

MOST_QUBITS = {DEFAULT: 16}
"""Beyond these a contender takes minutes."""

Node = Callable[..., Any]


def device(name: str, wires: int) -> qml.devices.Device:
    """A contender."""
    options = {"progress": False} if name == THIS else {}
    return qml.device(name, wires=wires, **options)


def layers(angles: Any) -> None:
    """StronglyEntanglingLayers, in gates that no device needs to decompose."""
    count = angles.shape[1]
    for layer in range(angles.shape[0]):
        for wire in range(count):
            qml.RZ(angles[layer, wire, 0], wire)
            qml.RY(angles[layer, wire, 1], wire)
            qml.RZ(angles[layer, wire, 2], wire)
        for wire in range(count):
            qml.CNOT([wire, (wire + layer % (count - 1) + 1) % count])


def processor_ms(work: Callable[[], object], repeats: int = 3) -> float:
    """Processor time of a call, milliseconds: the least of some, after one that is not counted."""
    work()
    found = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        found.append(1e3 * (time.process_time() - start))
    return min(found)


def run_gradients(effort: Effort) -> Work:
    """``qml.grad`` of an expectation value, by the method that each device calls best for shots."""
    cases = [
        (2, 3, 1024),
        (4, 3, 1024),
        (4, 3, 100_000),
        (8, 2, 1024),
        (8, 2, 10_000),
        (10, 2, 1024),
        (12, 1, 1024),
        (16, 1, 1024),
        (20, 1, 1024),
    ]
    cases = [(2, 1, 10)] if effort.quick else cases

    def sample(name: str) -> dict[str, float]:
        numbers = {}
        for wires, depth, shots in cases:
            if wires > MOST_QUBITS.get(name, wires):
                continue
            angles = pnp.array(weights(depth, wires), requires_grad=True)
            method = "best" if name == THIS else "parameter-shift"
            node = qml.QNode(energy, device(name, wires), diff_method=method)
            gradient = qml.grad(qml.set_shots(node, shots))
            numbers[f"{wires} qubits, {6 * depth * wires} rows, {shots} shots ms"] = processor_ms(
                lambda gradient=gradient, angles=angles: gradient(angles)
            )
        return numbers

    samples = take_turns({name: _bound(sample, name) for name in CONTENDERS}, effort.rounds)
    wanted = {c: 0.3 if c[0] <= 10 else 0.6 for c in cases}
    targets = tuple(
        Target(f"{quantity[:-3]}, times lightning.qubit", wanted[case], _ratio(samples, LIGHTNING, quantity))
        for case, quantity in zip(cases, samples[THIS], strict=True)
    )
    return Work("Gradients: processor time of value and gradient", samples, targets)


def energy(angles: Any) -> Any:
    """An expectation value of two qubits."""
    layers(angles)
    return qml.expval(qml.Z(0) @ qml.Z(1))


MEASUREMENTS: dict[str, Callable[[], Any]] = {
    "expval": lambda: qml.expval(qml.Z(0) @ qml.X(1)),
    "probs": lambda: qml.probs(wires=[0, 2]),
    "counts": qml.counts,
    "sample": qml.sample,
}


def run_sampling(effort: Effort) -> Work:
    """Many shots of one circuit of 5 qubits."""
    shots = effort.size(1_000_000, 100)
    angles = weights(2, 5)

    def sample(name: str) -> dict[str, float]:
        dev = device(name, 5)
        numbers = {}
        for kind, measure in MEASUREMENTS.items():
            node = qml.set_shots(
                qml.QNode(lambda measure=measure: (layers(angles), measure())[1], dev), shots
            )
            numbers[f"{kind} ms"] = processor_ms(node)
        vector = qml.set_shots(
            qml.QNode(lambda: (layers(angles), MEASUREMENTS["expval"]())[1], dev), (shots // 5,) * 3
        )
        numbers["expval, three copies ms"] = processor_ms(vector)
        return numbers

    samples = take_turns({name: _bound(sample, name) for name in CONTENDERS[:3]}, effort.rounds)
    targets = tuple(
        Target(f"{quantity[:-3]}, times lightning.qubit", 1.0, _ratio(samples, LIGHTNING, quantity))
        for quantity in samples[THIS]
    )
    return Work(f"Sampling: {shots} shots of 5 qubits", samples, targets)


def run_kernel(effort: Effort) -> Work:
    """A kernel matrix: a circuit for each pair of points, all in one batch."""
    points = np.random.default_rng(2).uniform(0, 3, (effort.size(32, 3), 4))

    def embed(x: Any) -> None:
        for wire in range(4):
            qml.H(wire)
            qml.RZ(x[wire], wire)
        for wire in range(3):
            qml.CNOT([wire, wire + 1])
            qml.RZ(x[wire] * x[wire + 1], wire + 1)

    def tape(x: Any, y: Any) -> qml.tape.QuantumScript:
        with qml.queuing.AnnotatedQueue() as queue:
            embed(x)
            qml.adjoint(embed)(y)
            qml.probs(wires=range(4))
        return qml.tape.QuantumScript.from_queue(queue, shots=1000)

    pairs = [tape(x, y) for i, x in enumerate(points) for y in points[i + 1 :]]

    def sample(name: str) -> dict[str, float]:
        dev = device(name, 4)
        return {"ms": processor_ms(lambda: qml.execute(pairs, dev, diff_method=None))}

    samples = take_turns({name: _bound(sample, name) for name in CONTENDERS}, effort.rounds)
    target = Target("times lightning.qubit", 1.0, _ratio(samples, LIGHTNING, "ms"))
    return Work(f"Kernel: {len(pairs)} pairs in one batch, 4 qubits, 1000 shots", samples, (target,))


def run_parameters(effort: Effort) -> Work:
    """A long circuit: 1000 angles on 4 qubits."""
    depth = effort.size(83, 1)
    angles = pnp.array(weights(depth, 4), requires_grad=True)

    def sample(name: str) -> dict[str, float]:
        method = "best" if name == THIS else "parameter-shift"
        gradient = qml.grad(qml.set_shots(qml.QNode(energy, device(name, 4), diff_method=method), 1000))
        return {"ms": processor_ms(lambda: gradient(angles), repeats=1)}

    samples = take_turns({name: _bound(sample, name) for name in (THIS, NULL)}, 1)
    target = Target("times null.qubit", 0.1, _ratio(samples, NULL, "ms"))
    return Work(f"Parameters: {angles.size}, {2 * angles.size} rows, 4 qubits", samples, (target,))


def _bound(sample: Callable[[str], dict[str, float]], name: str) -> Callable[[], dict[str, float]]:
    return lambda: sample(name)


def _ratio(samples: Samples, other: str, quantity: str) -> float:
    return best(samples, THIS, quantity) / best(samples, other, quantity)


WORKS: dict[str, Callable[[Effort], Work]] = {
    "gradients": run_gradients,
    "sampling": run_sampling,
    "kernel": run_kernel,
    "parameters": run_parameters,
}


def main(argv: list[str] | None = None) -> int:
    """Run the works, print a table for each, and say which targets were reached."""
    if os.environ.get("OMP_NUM_THREADS") != "1":
        # it is read when the libraries are loaded, which has happened here
        arguments = sys.argv[1:] if argv is None else argv
        os.environ["OMP_NUM_THREADS"] = "1"
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks.peers", *arguments])
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", choices=WORKS, metavar="WORK", help=", ".join(WORKS))
    parser.add_argument("--quick", action="store_true", help="small sizes; the numbers mean nothing")
    parser.add_argument("--json", type=Path, help="file for all samples")
    args = parser.parse_args(argv)
    warnings.filterwarnings("ignore")
    effort = Effort(rounds=1 if args.quick else 2, quick=args.quick)
    works = []
    for name in args.only or WORKS:
        works.append(WORKS[name](effort))
        show(works[-1])
    if args.json:
        args.json.write_text(json.dumps(as_json(works, "one thread"), indent=2), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
