"""The two arguments that every PennyLane device has."""

from __future__ import annotations

from typing import Any

from pennylane.measurements import Shots
from pennylane.wires import WireError, Wires

from ..exceptions import ConfigurationError


def check_wires(wires: Any) -> Wires:
    """Read the ``wires`` argument.

    Raises:
        ConfigurationError: Wires are neither a number of at least 1 nor distinct labels.
    """
    try:
        labels = Wires(range(wires)) if hasattr(wires, "__index__") else Wires(wires)
    except (TypeError, WireError):
        labels = Wires([])
    if wires is None or isinstance(wires, float) or not labels:
        raise ConfigurationError(
            f"wires={wires!r}: give the number of wires, at least 1, or their labels, each once; for example wires=4 "
            "or wires=['a', 'b']. Nothing was sent.",
            argument="wires",
            value=wires,
        )
    return labels


def check_shots(shots: Any) -> Shots:
    """Read the ``shots`` argument.

    Raises:
        ConfigurationError: Shots are not ``None``, a positive integer or a shot vector.
    """
    try:
        if not isinstance(shots, (float, bool, str)):
            return Shots(shots)
    except ValueError:
        pass
    raise ConfigurationError(
        f"shots={shots!r}: give a whole number of at least 1, or a sequence of such numbers. Nothing was sent.",
        argument="shots",
        value=shots,
    )
