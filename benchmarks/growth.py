"""How processor time grows with qubits, rows, shots, words and parameters: this device, PennyLane's, and Qiskit by hand.

python -m benchmarks.growth --json growth.json                measure everything; about ten minutes on an idle machine
python -m benchmarks.growth --only qubits words               some of it
python -m benchmarks.growth --draw docs/images                measure, and draw a picture of each
python -m benchmarks.growth --read growth.json --draw DIR     draw what was measured before
python -m benchmarks.growth --quick                           small sizes, to see that it runs; the numbers mean nothing

All contenders take turns at each size, in one process with one thread each, warm: a first call is not counted, unless it
takes longer than a second and a half. Their results are compared, except those of ``null.qubit``, which does nothing. A size that a
contender would take more than ``--most`` seconds for, as it took for the sizes before, is left out.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pennylane as qml
from pennylane import numpy as pnp

from .by_hand import ByHand, ByRun, BySampler, rotations_circuit, word_circuits
from .contenders import layers_circuit, remote_device, weights
from .peers import DEFAULT, LIGHTNING, NULL, device, energy, layers
from .report import REMOTE, THIS

RUN, SAMPLER = "by hand, Aer.run", "by hand, SamplerV2"
CONTENDERS = (THIS, LIGHTNING, DEFAULT, NULL, RUN, SAMPLER, REMOTE)
HANDS: dict[str, type[ByHand]] = {RUN: ByRun, SAMPLER: BySampler}

LONG_CALL = 1.5
"""Seconds of a processor that a first call takes which is counted, and not repeated."""

WIRES = 4
WORD_WIRES = 8
PACKAGES = ("pennylane", "pennylane-lightning", "qiskit", "qiskit-aer", "numpy")

Call = Callable[[], Any]


def open_device(name: str, wires: int) -> qml.devices.Device:
    """A contender that is a device."""
    return remote_device(wires) if name == REMOTE else device(name, wires)


def gradient(name: str, *, wires: int = WIRES, depth: int = 1, shots: int = 1000) -> Call:
    """Value and gradient of an expectation value; by hand the gradient alone."""
    angles = weights(depth, wires)
    if name in HANDS:
        hand = HANDS[name]([layers_circuit(depth, wires, (0, 1))], shots)
        return lambda: hand.gradient(angles)
    method = "best" if name == THIS else "parameter-shift"
    node = qml.QNode(energy, open_device(name, wires), diff_method=method)
    differentiate = qml.grad(qml.set_shots(node, shots))
    given = pnp.array(angles, requires_grad=True)
    return lambda: differentiate(given)


def turn_all(angles: Any) -> Any:
    """A rotation of each qubit, a ring of CNOTs, an expectation value."""
    for wire in range(WIRES):
        qml.RY(angles[wire], wire)
    for wire in range(WIRES):
        qml.CNOT([wire, (wire + 1) % WIRES])
    return qml.expval(qml.Z(0) @ qml.Z(1))


class NewTapes:
    """Runs a batch of tapes that nothing has read before, as PennyLane makes them for each gradient.

    Args:
        device: Where they run.
        angles: Angles of each tape.
        shots: Shots of each.
    """

    def __init__(self, device: qml.devices.Device, angles: np.ndarray, shots: int) -> None:
        self._device, self._angles, self._shots = device, angles, shots
        self._tapes: list[qml.tape.QuantumScript] = []

    def prepare(self) -> None:
        """Make the tapes, which is not measured."""
        make = qml.tape.make_qscript(turn_all, shots=self._shots)
        self._tapes = [make(row) for row in self._angles]

    def __call__(self) -> Any:
        tapes, self._tapes = self._tapes, []
        return qml.execute(tapes, self._device, diff_method=None)


def tapes(name: str, rows: int, shots: int = 1000) -> Call:
    """A batch of tapes of one structure."""
    angles = np.random.default_rng(1).uniform(0, 2 * np.pi, (rows, WIRES))
    if name in HANDS:
        return rows_by_hand(name, angles, shots)
    return NewTapes(open_device(name, WIRES), angles, shots)


def broadcast(name: str, rows: int, shots: int = 1000) -> Call:
    """One call with an array for each angle."""
    angles = np.random.default_rng(1).uniform(0, 2 * np.pi, (rows, WIRES))
    if name in HANDS:
        return rows_by_hand(name, angles, shots)
    node = qml.set_shots(qml.QNode(turn_all, open_device(name, WIRES), diff_method=None), shots)
    return lambda: node(angles.T)


def rows_by_hand(name: str, angles: np.ndarray, shots: int) -> Call:
    """All rows in one call."""
    hand = HANDS[name]([rotations_circuit(WIRES, (0, 1))], shots)
    return lambda: hand.parities(angles, [[0b11]])[0][:, 0]


def random_words(number: int) -> list[dict[int, str]]:
    """Different words of four letters."""
    rng = np.random.default_rng(3)
    found: dict[tuple[tuple[int, str], ...], None] = {}
    while len(found) < number:
        wires = sorted(rng.choice(WORD_WIRES, 4, replace=False).tolist())
        found[tuple((wire, str(rng.choice(list("XYZ")))) for wire in wires)] = None
    return [dict(word) for word in found]


def energies(name: str, number: int, shots: int = 1000) -> Call:
    """Expectation value of a sum of words."""
    words = random_words(number)
    coefficients = np.random.default_rng(4).normal(size=number)
    coefficients /= np.abs(coefficients).sum()
    angles = weights(1, WORD_WIRES)
    if name in HANDS:

        def prepare(circuit: Any) -> None:
            circuit.compose(layers_circuit(1, WORD_WIRES, ()), inplace=True)

        circuits, masks, numbers = word_circuits(words, WORD_WIRES, prepare)
        hand = HANDS[name](circuits, shots)
        weighing = [coefficients[found] for found in numbers]
        return lambda: sum(
            found[0] @ weight
            for found, weight in zip(hand.parities(angles.reshape(1, -1), masks), weighing, strict=True)
        )
    letters = {"X": qml.X, "Y": qml.Y, "Z": qml.Z}
    hamiltonian = qml.Hamiltonian(
        coefficients, [qml.prod(*(letters[x](wire) for wire, x in word.items())) for word in words]
    )

    def circuit() -> Any:
        layers(angles)
        return qml.expval(hamiltonian)

    return qml.set_shots(qml.QNode(circuit, open_device(name, WORD_WIRES), diff_method=None), shots)


@dataclass(frozen=True)
class Growth:
    """Something that grows.

    Attributes:
        title: What is done.
        axis: What grows.
        sizes: Its sizes.
        quick: Sizes that only show that it runs.
        make: The call of a contender at a size.
        shots: Shots at a size, for the comparison of results.
        doubling: Whether a step of one doubles the work, instead of the size itself.
    """

    title: str
    axis: str
    sizes: tuple[int, ...]
    quick: tuple[int, ...]
    make: Callable[[str, int], Call]
    shots: Callable[[int], int] = lambda _: 1000
    doubling: bool = False

    def factor(self, before: int, after: int) -> float:
        """How many times longer the next size may take."""
        return 2.0 ** (after - before) if self.doubling else after / before


GROWTHS: dict[str, Growth] = {
    "qubits": Growth(
        "Value and gradient, 6 rows a qubit, 1000 shots",
        "qubits",
        (2, 4, 6, 8, 10, 12, 14, 16, 18, 20),
        (2, 3),
        lambda name, n: gradient(name, wires=n),
        doubling=True,
    ),
    "rows": Growth(
        "Tapes of one structure in a batch, 4 qubits, 1000 shots",
        "tapes",
        (10, 100, 1000, 10_000, 50_000),
        (2, 3),
        tapes,
    ),
    "broadcast": Growth(
        "One call with rows of angles, 4 qubits, 1000 shots",
        "rows",
        (10, 100, 1000, 10_000, 50_000),
        (2, 3),
        broadcast,
    ),
    "shots": Growth(
        "Value and gradient, 4 qubits, 24 rows",
        "shots",
        (100, 1000, 10_000, 100_000, 1_000_000),
        (10,),
        lambda name, n: gradient(name, shots=n),
        shots=lambda n: n,
    ),
    "words": Growth(
        f"Expectation value of a sum of words of 4 letters on {WORD_WIRES} qubits, 1000 shots",
        "words",
        (10, 30, 100, 300, 1000),
        (2, 3),
        energies,
    ),
    "parameters": Growth(
        "Value and gradient, 4 qubits, 2 rows a parameter, 1000 shots",
        "parameters",
        (12, 36, 120, 360, 996),
        (12,),
        lambda name, n: gradient(name, depth=n // (3 * WIRES)),
    ),
}


@dataclass
class Curve:
    """Times of a contender, milliseconds.

    Attributes:
        sizes: Sizes that it was measured at.
        processor: Samples of its processor time at each.
        wall: Samples of the time on the clock.
        left_out: The first size that it was not asked; ``None`` if it was asked all.
    """

    sizes: list[int] = field(default_factory=list)
    processor: list[list[float]] = field(default_factory=list)
    wall: list[list[float]] = field(default_factory=list)
    left_out: int | None = None

    def add(self, size: int, samples: list[tuple[float, float]]) -> None:
        """Add the samples of a size."""
        self.sizes.append(size)
        self.processor.append([processor for processor, _ in samples])
        self.wall.append([wall for _, wall in samples])

    def medians(self) -> dict[int, float]:
        """Processor time by size, milliseconds."""
        return {size: median(samples) for size, samples in zip(self.sizes, self.processor, strict=True)}


Curves = dict[str, Curve]


def grow(growth: Growth, sizes: tuple[int, ...], rounds: int, most: float) -> Curves:
    """Let all contenders take turns at each size."""
    names = [name for name in CONTENDERS if name != REMOTE or find_spec("pennylane_qiskit")]
    curves: Curves = {name: Curve() for name in names}
    for size in sizes:
        for curve in curves.values():
            if curve.left_out is None and curve.sizes:
                last = curve.medians()[curve.sizes[-1]]
                if last * growth.factor(curve.sizes[-1], size) > 1e3 * most:
                    curve.left_out = size
        calls = {name: growth.make(name, size) for name, curve in curves.items() if curve.left_out is None}
        for name, samples in take_turns(calls, rounds, 10 / np.sqrt(growth.shots(size))).items():
            curves[name].add(size, samples)
    return curves


def take_turns(calls: dict[str, Call], rounds: int, tolerance: float) -> dict[str, list[tuple[float, float]]]:
    """Processor time and time on the clock of some calls, milliseconds, some samples each."""
    samples: dict[str, list[tuple[float, float]]] = {}
    results = {}
    for name, call in calls.items():
        first, results[name] = timed(call)
        samples[name] = [first] if first[0] > 1e3 * LONG_CALL else []
    compare(results, tolerance)
    repeated = [name for name in calls if not samples[name]]
    for _ in range(rounds):
        for name in repeated:
            samples[name].append(timed(calls[name])[0])
    return samples


def timed(call: Call) -> tuple[tuple[float, float], Any]:
    """Processor time and time on the clock of a call, milliseconds, and what it returns."""
    if isinstance(call, NewTapes):
        call.prepare()
    # a contender does not pay for what others have left behind
    gc.collect()
    wall, processor = time.perf_counter(), time.process_time()
    result = call()
    return (1e3 * (time.process_time() - processor), 1e3 * (time.perf_counter() - wall)), result


def compare(results: dict[str, Any], tolerance: float) -> None:
    """Refuse contenders that do not do the same work."""
    found = {name: np.asarray(result, dtype=float) for name, result in results.items() if name != NULL}
    for name, result in found.items():
        # this device comes first, unless it has been left out
        first = next(iter(found.values()))
        off = np.abs(result.reshape(first.shape) - first).max()
        if off > tolerance:
            raise RuntimeError(f"{name} is off by {off:.3f}: it does other work")


def describe() -> str:
    """One line: what the numbers depend on."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {os.cpu_count()} cores, one thread, {packages}"


def table(growth: Growth, curves: Curves) -> str:
    """Medians as a table in Markdown, how many times those of this device in brackets."""
    sizes = sorted({size for curve in curves.values() for size in curve.sizes})
    found = {name: curve.medians() for name, curve in curves.items()}
    lines = [f"| {growth.axis} | " + " | ".join(curves) + " |", "|---" * (len(curves) + 1) + "|"]
    for size in sizes:
        ours = found[THIS].get(size)
        cells = [
            ""
            if size not in times
            else number(times[size]) + (f" ({number(times[size] / ours)})" if ours and name != THIS else "")
            for name, times in found.items()
        ]
        lines.append(f"| {size} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def number(value: float) -> str:
    """Two or three digits."""
    return f"{value:.2g}" if value < 99.5 else f"{value:,.0f}"


def main(argv: list[str] | None = None) -> int:
    """Measure or read, print tables, write and draw."""
    if os.environ.get("OMP_NUM_THREADS") != "1":
        # it is read when the libraries are loaded, which has happened here
        arguments = sys.argv[1:] if argv is None else argv
        os.environ["OMP_NUM_THREADS"] = "1"
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks.growth", *arguments])
    args = parse(argv)
    warnings.filterwarnings("ignore")
    if args.read:
        report = json.loads(args.read.read_text(encoding="utf-8"))
    else:
        report = {"machine": describe(), "growths": {}}
    for name in args.only or (report["growths"] if args.read else GROWTHS):
        growth = GROWTHS[name]
        if not args.read:
            print(f"{name} ...", flush=True, file=sys.stderr)
            curves = grow(growth, growth.quick if args.quick else growth.sizes, args.rounds, args.most)
            report["growths"][name] = {who: asdict(curve) for who, curve in curves.items()}
        curves = {who: Curve(**curve) for who, curve in report["growths"][name].items()}
        print(f"\n{growth.title}: processor time, ms\n\n{table(growth, curves)}", flush=True)
        if args.json:
            # what a run that is stopped has found so far is there
            args.json.write_text(json.dumps(report), encoding="utf-8")
        if args.draw:
            from .pictures import draw

            args.draw.mkdir(parents=True, exist_ok=True)
            for ending in args.format:
                draw(args.draw / f"growth-{name}.{ending}", growth, curves)
    print(f"\n{report['machine']}")
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.growth",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", choices=GROWTHS, metavar="WHAT", help=", ".join(GROWTHS))
    parser.add_argument("--quick", action="store_true", help="small sizes; the numbers mean nothing")
    parser.add_argument(
        "--rounds", type=int, default=3, help="turns of each contender (default: %(default)s)"
    )
    parser.add_argument(
        "--most", type=float, default=20, help="seconds of a size at most (default: %(default)s)"
    )
    parser.add_argument("--json", type=Path, help="file for all samples")
    parser.add_argument("--read", type=Path, help="such a file, to measure nothing")
    parser.add_argument("--draw", type=Path, help="folder for the pictures")
    parser.add_argument("--format", nargs="+", default=["svg"], help="svg, png (default: svg)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
