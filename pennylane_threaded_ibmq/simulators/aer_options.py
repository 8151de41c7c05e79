"""Options of Aer that a user may set: checked before anything runs, as Aer itself ignores or misreads some."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._secrets import covered
from ..exceptions import ConfigurationError, nearest

ELSEWHERE = {
    "shots": "the shots of the circuits",
    "memory": "what the measurements ask for",
    "method": "the backend's name, such as 'aer_simulator_statevector'",
    "noise_model": "noise_model=",
    "seed_simulator": "seed_simulator=",
    "executor": "engine=",
    "runtime_parameter_bind_enable": "parametrise=",
}
"""Options of Aer that something else decides, by what that is."""

PRECISIONS = ("double", "single")
"""Numbers of 64 and of 32 bits."""

SHARED = frozenset({"precision"})
"""Options that Lightning's state vector has too."""

GPU_PACKAGE = "qiskit-aer-gpu"


def check_aer_options(options: Mapping[str, Any]) -> None:
    """Refuse options of :class:`qiskit_aer.AerSimulator` that cannot be set here.

    Raises:
        ConfigurationError: One is unknown, is set otherwise, or needs what is not installed.
    """
    from qiskit_aer import AerSimulator

    simulator = AerSimulator()
    known = sorted({name for name, _ in simulator.options.items()} - set(ELSEWHERE))
    for name in options:
        if name in ELSEWHERE:
            raise _refusal(name, options[name], f"this is decided by {ELSEWHERE[name]}")
        if name not in known:
            raise _refusal(
                name,
                options[name],
                f"Aer has no such option.{nearest(name, known)} Known: {', '.join(known)}",
            )
    precision = options.get("precision", "double")
    if precision not in PRECISIONS:
        raise _refusal("precision", precision, f"allowed: {' and '.join(map(repr, PRECISIONS))}")
    devices = tuple(simulator.available_devices())
    device = options.get("device", "CPU")
    if device not in devices:
        raise _refusal(
            "device",
            device,
            f"this Aer computes on {' and '.join(devices)} only. A GPU of NVIDIA's needs Linux and the package {GPU_PACKAGE} in "
            f"place of qiskit-aer: pip uninstall qiskit-aer, then pip install {GPU_PACKAGE}",
        )
    if device == "CPU":
        for name in ("cuStateVec_enable", "batched_shots_gpu"):
            if options.get(name):
                raise _refusal(name, options[name], "it is for device='GPU', which is not set")


def _refusal(name: str, value: Any, reason: str) -> ConfigurationError:
    shown = covered({name: value})
    return ConfigurationError(
        f"simulator_options: {name}={shown[name]!r}: {reason}. Nothing was sent.",
        argument="simulator_options",
        value=shown,
    )
