"""A batch of a thousand tapes of one structure, on this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import pennylane as qml

from .contenders import SHOTS, HandWritten, layers_circuit, local_device, remote_device, weights
from .report import HAND, REMOTE, THIS, Target, Work
from .timing import Effort, Samples, Stopwatch, best, peak_bytes, seconds, take_turns

LAYERS, WIRES = 3, 4
TOTAL = "{} tapes s"
OUTSIDE = "{} tapes, outside the simulator s"
PARTS = ("preprocessing s", "plan s", "simulator s", "decode s")


def run(effort: Effort) -> Work:
    """Time for three sizes, its split, its growth, and memory."""
    sizes = [effort.size(250, 2), effort.size(500, 4), effort.size(1000, 8)]
    most = sizes[-1]
    few = effort.part(most, 10)
    samples = take_turns(
        {
            THIS: lambda: ours(sizes),
            REMOTE: lambda: {TOTAL.format(most): theirs(few) * most / few},
            HAND: lambda: by_hand(sizes),
        },
        effort.rounds,
        slow={REMOTE: 1},
    )
    memory(samples, most)
    return Work(
        f"Many: tapes of one structure, StronglyEntanglingLayers {LAYERS}x{WIRES}, probs, {SHOTS} shots, Aer",
        samples,
        targets(samples, sizes),
        (
            *(
                []
                if few == most
                else [f"qiskit.remote: {few} tapes, times {most // few}; it runs them one by one"]
            ),
            "the simulator's seconds include what Aer itself does in Python",
            "memory is what Python and NumPy hold; it has a run of its own, as it slows everything down",
        ),
    )


def targets(samples: Samples, sizes: list[int]) -> tuple[Target, ...]:
    """What the issue asks for."""
    most, least = sizes[-1], sizes[0]
    total, outside = TOTAL.format(most), OUTSIDE.format(most)
    growth = best(samples, THIS, outside) / best(samples, THIS, OUTSIDE.format(least)) / (most / least)
    return (
        Target(
            "times faster than qiskit.remote",
            50,
            best(samples, REMOTE, total) / best(samples, THIS, total),
            at_least=True,
        ),
        Target(
            "outside the simulator, times the simulation",
            1.0,
            best(samples, THIS, outside) / best(samples, THIS, PARTS[2]),
        ),
        Target(f"outside the simulator, growth from {least} to {most} tapes against linear", 1.2, growth),
        Target("peak memory, times the arrays of samples", 3.0, best(samples, THIS, "peak / sample arrays")),
    )


def make_tapes(number: int, measurement: Callable[[], Any] = qml.probs) -> list[qml.tape.QuantumScript]:
    """Tapes as a user writes them, each with its own angles."""
    return [
        qml.tape.QuantumScript(
            [qml.StronglyEntanglingLayers(weights(LAYERS, WIRES, seed), wires=range(WIRES))],
            [measurement(wires=range(WIRES))],
            shots=SHOTS,
        )
        for seed in range(number)
    ]


def ours(sizes: list[int]) -> dict[str, float]:
    """A new device for each size."""
    numbers: dict[str, float] = {}
    for size in sizes:
        device = local_device(WIRES)
        tapes = make_tapes(size)
        with parts() as watches:
            numbers[TOTAL.format(size)] = seconds(lambda d=device, t=tapes: d.batch_execute(t))
        inside = watches[PARTS[2]].seconds
        numbers[OUTSIDE.format(size)] = numbers[TOTAL.format(size)] - inside
        if size == sizes[-1]:
            numbers |= {name: watch.seconds for name, watch in watches.items()}
    return numbers


@contextmanager
def parts() -> Iterator[dict[str, Stopwatch]]:
    """Watch what the device spends its time on."""
    from pennylane_threaded_ibmq.device import planner
    from pennylane_threaded_ibmq.execution import batch
    from pennylane_threaded_ibmq.simulators.local import LocalBackend
    from pennylane_threaded_ibmq.stacks.current import device as current

    watches = {name: Stopwatch() for name in PARTS}
    places = [
        (current, "prepare_tape"),
        (planner.Planner, "plan_ready"),
        (LocalBackend, "sample"),
        (batch, "decode_block"),
    ]

    def watched(function: Callable[..., Any], watch: Stopwatch) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            with watch:
                return function(*args, **kwargs)

        return call

    with ExitStack() as stack:
        for (owner, name), watch in zip(places, watches.values(), strict=True):
            stack.enter_context(patch.object(owner, name, watched(getattr(owner, name), watch)))
        yield watches


def theirs(size: int) -> float:
    """Seconds of ``qiskit.remote``."""
    device, tapes = remote_device(WIRES), make_tapes(size)
    return seconds(lambda: qml.execute(tapes, device))


def by_hand(sizes: list[int]) -> dict[str, float]:
    """Angles as one array, probabilities as one array."""
    numbers = {}
    for size in sizes:
        rows = np.stack([weights(LAYERS, WIRES, seed).ravel() for seed in range(size)])

        def work(rows: np.ndarray = rows) -> np.ndarray:
            return HandWritten(layers_circuit(LAYERS, WIRES, range(WIRES))).probabilities(rows)

        numbers[TOTAL.format(size)] = seconds(work)
    return numbers


def memory(samples: Samples, size: int) -> None:
    """Add peak memory against the arrays that are the result."""
    for name, measurement in (("probs", qml.probs), ("sample", qml.sample)):
        tapes = make_tapes(size, measurement)
        device = local_device(WIRES)
        arrays = device.batch_execute(tapes)
        size_of_results = sum(np.asarray(a).nbytes for a in arrays)
        del arrays
        peak = peak_bytes(lambda d=device, t=tapes: d.batch_execute(t))
        samples[THIS][f"peak / {name} arrays"] = [peak / size_of_results]
        samples[THIS][f"peak, {name} MB"] = [peak / 1e6]
