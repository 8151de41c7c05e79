"""Run PennyLane on IBM Quantum: a whole batch of circuits in as few jobs as it takes.

``qml.device("threaded.ibmq", wires=4)`` is all that most programs need from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from .device import ThreadedIBMQDevice

__all__ = ["ThreadedIBMQDevice", "__version__"]


def __getattr__(name: str) -> Any:
    """Import the device when it is first asked for: it brings PennyLane with it."""
    if name == "ThreadedIBMQDevice":
        from .device import ThreadedIBMQDevice

        return ThreadedIBMQDevice
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
