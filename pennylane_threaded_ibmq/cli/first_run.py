"""The smallest run that shows that everything works: a Bell pair, on this machine or as one job at IBM."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pennylane as qml

from .._quantity import quantity
from ..device import ThreadedIBMQDevice
from ..exceptions import ThreadedIBMQError
from .output import span

SHOTS = 100
LEAST_EQUAL = 0.7
"""Share of 00 and 11 below which no system of today should be; without noise it is 1."""


@dataclass(frozen=True)
class FirstRun:
    """One run.

    Attributes:
        backend: Where.
        good: It gave what it should.
        told: What it gave, for people.
        advice: What to do if it is not good.
        counts: How often each pair of bits was measured.
        job_ids: Its jobs.
        estimated_secs: QPU seconds that were estimated.
        usage_secs: QPU seconds that were charged; ``None`` where nothing is.
        secs: From the sending to the result.
    """

    backend: str
    good: bool
    told: str
    advice: str = ""
    counts: dict[str, int] | None = None
    job_ids: tuple[str, ...] = ()
    estimated_secs: float = 0.0
    usage_secs: float | None = None
    secs: float = 0.0


def bell() -> qml.tape.QuantumScript:
    """Two qubits that are measured alike."""
    return qml.tape.QuantumScript(
        [qml.Hadamard(0), qml.CNOT([0, 1])], [qml.counts(wires=[0, 1])], shots=SHOTS
    )


def run_here() -> FirstRun:
    """Run on this machine."""
    with ThreadedIBMQDevice(2, backend="aer_simulator") as device:
        return _run(device, "aer_simulator", 0.0)


def run_there(
    backend: str | None,
    instance: str | None,
    options: Mapping[str, Any],
    *,
    ask: Callable[[str], bool] | None,
) -> list[FirstRun]:
    """Run at IBM.

    Args:
        backend: A system; ``None`` for the least busy.
        instance: CRN or name of the instance.
        options: Options of a device about the account.
        ask: Asked with the cost before the job is sent; ``None`` sends it.

    Returns:
        The run; nothing if it was not wanted.
    """
    try:
        with ThreadedIBMQDevice(2, backend=backend or "least_busy", instance=instance, **options) as device:
            estimate = device.estimate(bell())
            name = device.backend_name
            rest = "" if estimate.left_secs is None else f" of the {span(estimate.left_secs)} that are left"
            text = (
                f"A Bell pair on {name}: {quantity(estimate.jobs, 'job')} of {quantity(estimate.shots, 'shot')}. It is estimated to use "
                f"{span(estimate.qpu_secs)} of QPU time{rest}."
            )
            if ask is not None and not ask(text):
                return []
            return [_run(device, name, estimate.qpu_secs)]
    except ThreadedIBMQError as error:
        return [FirstRun(backend or "least_busy", good=False, told=str(error))]


def _run(device: Any, name: str, estimated: float) -> FirstRun:
    started = time.monotonic()
    handle = device.submit(bell())
    (result,) = handle.result()
    secs = time.monotonic() - started
    counts = {str(key): int(value) for key, value in result.items()}
    equal = (counts.get("00", 0) + counts.get("11", 0)) / SHOTS
    usage = handle.usage_secs
    good = sum(counts.values()) == SHOTS and equal >= LEAST_EQUAL and 0 < counts.get("00", 0) < SHOTS
    charged = "" if usage is None else f", {usage:g} s charged"
    job = f", job {', '.join(handle.job_ids)}" if handle.job_ids else ""
    return FirstRun(
        name,
        good,
        f"{counts}, {equal:.0%} equal{job}{charged}, after {span(secs)}",
        "" if good else "00 and 11 should be about half of the shots each. Try another backend.",
        counts,
        tuple(handle.job_ids),
        estimated,
        usage,
        secs,
    )
