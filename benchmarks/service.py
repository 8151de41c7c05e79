"""A gradient on IBM Quantum Platform, played by the loopback service: jobs, requests, bytes and seconds."""

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
    remote_device,
    weights,
)
from .report import HAND, REMOTE, THIS, Target, Work
from .timing import Effort, Samples, best, seconds, take_turns

if TYPE_CHECKING:
    import numpy as np

JOBS, REQUESTS, SECONDS, SENT = "jobs", "requests", "seconds s", "sent kB"
TOKEN = "loopback-token"


def run(effort: Effort) -> Work:
    """The energy and the gradient, as ``qml.grad`` makes them: 73 tapes."""
    from pennylane_threaded_ibmq.loopback import Instance, LoopbackConfig, LoopbackProcess

    name = "ibm_torino" if not effort.quick else "ibm_manila"
    layers, wires = effort.size(3, 1), effort.size(4, 2)
    config = LoopbackConfig(
        backends=(name,),
        # qiskit.remote opens a session, which the open plan refuses
        instances=(Instance(plan="pay-as-you-go", pricing_type="paygo"),),
        job_secs=0.0 if effort.quick else 0.5,
    )
    angles = weights(layers, wires)
    exact = exact_gradient(angles)
    with LoopbackProcess(config) as service:
        crn = config.instances[0].crn

        def counted(make: Callable[[], Callable[[np.ndarray], Any]]) -> dict[str, float]:
            # logging in and reading the backend come before: every contender needs them once a process
            gradient = make()
            service.reset_counters()
            found: list[Any] = []
            took = seconds(lambda: found.append(gradient(angles)))
            counters = service.counters
            check_gradient(found[0], exact)
            return {
                JOBS: counters.jobs,
                REQUESTS: counters.requests,
                SECONDS: took,
                SENT: counters.bytes_received / 1e3,
            }

        with service.applied(token=TOKEN, instance=crn):
            # what is loaded on first use is measured by another work
            gradient_function(this_device(wires, name, crn))(angles)
            samples = take_turns(
                {
                    THIS: lambda: counted(
                        lambda: gradient_function(this_device(wires, name, crn), energy=True)
                    ),
                    REMOTE: lambda: counted(
                        lambda: gradient_function(remote_device(wires, open_backend(name)), energy=True)
                    ),
                    HAND: lambda: counted(lambda: by_hand(layers, wires, open_backend(name))),
                },
                effort.rounds,
                slow={REMOTE: 1},
            )
    return Work(
        f"Service: gradient with {6 * layers * wires + 1} tapes on the loopback {name}, {config.job_secs} s a job",
        samples,
        targets(samples),
        (
            "without logging in",
            "by hand: one job, without the energy, which qml.grad measures before the gradient",
        ),
    )


def targets(samples: Samples) -> tuple[Target, ...]:
    """What the issue asks for."""
    sent = best(samples, THIS, SENT) / best(samples, REMOTE, SENT)
    return (
        Target("jobs", 2, best(samples, THIS, JOBS), unit="jobs"),
        Target("requests", 20, best(samples, THIS, REQUESTS), unit="requests"),
        Target("seconds", 2, best(samples, THIS, SECONDS), unit="s"),
        Target("bytes sent, of those of qiskit.remote", 1 / 20, sent),
    )


def open_backend(name: str) -> Any:
    """A backend from the client."""
    from qiskit_ibm_runtime import QiskitRuntimeService

    return QiskitRuntimeService().backend(name)


def this_device(wires: int, name: str, crn: str) -> qml.devices.Device:
    """This device, logged in."""
    return qml.device("threaded.ibmq", wires=wires, backend=name, ibmqx_token=TOKEN, instance=crn)


def by_hand(layers: int, wires: int, backend: Any) -> Callable[[np.ndarray], Any]:
    """Transpiling is part of the work."""

    def gradient(angles: np.ndarray) -> Any:
        return HandWritten(layers_circuit(layers, wires, (0, 1)), backend).gradient(angles)

    return gradient
