"""A parameter-shift gradient on this machine: the first of a circuit, and the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pennylane as qml

from .contenders import (
    HandWritten,
    check_gradient,
    exact_gradient,
    gradient_function,
    layers_circuit,
    local_device,
    remote_device,
    weights,
)
from .report import HAND, REMOTE, THIS, Target, Work
from .timing import Effort, Samples, best, seconds, take_turns

if TYPE_CHECKING:
    import numpy as np

FIRST, NEXT, TRANSPILES = "first s", "next s", "transpiles of the next"
PENNYLANE = "PennyLane alone"
"""The same gradient on a device that does nothing: what no device can save."""
REPEATS = 5
"""Next gradients in each turn of a fast contender."""


def run_small(effort: Effort) -> Work:
    """36 parameters on 4 qubits."""
    layers, wires = effort.size(3, 1), effort.size(4, 2)
    samples = measure(effort, layers, wires, slow={REMOTE: 2})
    targets = (
        Target("first, times faster than qiskit.remote", 40, ratio(samples, REMOTE, FIRST), at_least=True),
        Target("first, times hand-written Qiskit", 1.3, 1 / ratio(samples, HAND, FIRST)),
        Target("next, times faster than qiskit.remote", 60, ratio(samples, REMOTE, NEXT), at_least=True),
        Target("next, times hand-written Qiskit", 1.5, 1 / ratio(samples, HAND, NEXT)),
        Target("next, without PennyLane's own part, times hand-written Qiskit", 1.5, own_part(samples)),
        Target("next, circuits transpiled", 0, max(samples[THIS][TRANSPILES]), unit="circuits"),
    )
    return Work(title(layers, wires), samples, targets)


def run_large(effort: Effort) -> Work:
    """72 parameters on 8 qubits."""
    layers, wires = effort.size(3, 1), effort.size(8, 3)
    samples = measure(effort, layers, wires, slow={REMOTE: 1})
    targets = (
        Target("first, times hand-written Qiskit", 1.2, 1 / ratio(samples, HAND, FIRST)),
        Target("next, times hand-written Qiskit", 1.2, 1 / ratio(samples, HAND, NEXT)),
        Target("next, without PennyLane's own part, times hand-written Qiskit", 1.2, own_part(samples)),
    )
    return Work(title(layers, wires), samples, targets)


def title(layers: int, wires: int) -> str:
    """What is done."""
    tapes = 6 * layers * wires
    return f"Gradient: {tapes} tapes, StronglyEntanglingLayers {layers}x{wires}, <Z0 Z1>, 1024 shots, Aer"


def ratio(samples: Samples, contender: str, quantity: str) -> float:
    """How many times longer than this device a contender takes."""
    return best(samples, contender, quantity) / best(samples, THIS, quantity)


def own_part(samples: Samples) -> float:
    """What this device adds to PennyLane's own time for a gradient, against hand-written Qiskit."""
    added = best(samples, THIS, NEXT) - best(samples, PENNYLANE, NEXT)
    return added / best(samples, HAND, NEXT)


def measure(effort: Effort, layers: int, wires: int, slow: dict[str, int]) -> Samples:
    """Let the three take turns."""
    angles = weights(layers, wires)
    exact = exact_gradient(angles)

    def timed(make: Callable[[], Callable[[np.ndarray], Any]], repeats: int) -> dict[str, float]:
        gradients: list[Callable[[np.ndarray], Any]] = []

        def first() -> None:
            gradients.append(make())
            check_gradient(gradients[0](angles), exact)

        numbers = {FIRST: seconds(first)}
        numbers[NEXT] = min(seconds(lambda: gradients[0](angles)) for _ in range(repeats))
        return numbers

    def ours() -> dict[str, float]:
        devices: list[Any] = []

        def make() -> Callable[[np.ndarray], Any]:
            devices.append(local_device(wires))
            return gradient_function(devices[0])

        numbers = timed(make, REPEATS)
        before = devices[0].transpiles
        gradient_function(devices[0])(angles)
        return {**numbers, TRANSPILES: devices[0].transpiles - before}

    def theirs() -> dict[str, float]:
        return timed(lambda: gradient_function(remote_device(wires)), 1)

    def by_hand() -> dict[str, float]:
        return timed(lambda: HandWritten(layers_circuit(layers, wires, (0, 1))).gradient, REPEATS)

    def alone() -> dict[str, float]:
        gradient = gradient_function(qml.device("null.qubit", wires=wires))
        gradient(angles)
        return {NEXT: min(seconds(lambda: gradient(angles)) for _ in range(REPEATS))}

    # what is loaded on first use is measured by another work
    ours()
    by_hand()
    return take_turns({THIS: ours, HAND: by_hand, PENNYLANE: alone, REMOTE: theirs}, effort.rounds, slow=slow)
