"""Run PennyLane on IBM Quantum: a whole batch of circuits in as few jobs as it takes.

``qml.device("threaded.ibmq", wires=4)`` is all that most programs need from here. ``IBMQExecutor``, ``QCluster`` and
``qelectron`` run the circuits of a QNode on several backends, and later.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from .device import ThreadedIBMQDevice
    from .executors import (
        BaseQExecutor,
        IBMQExecutor,
        QCluster,
        QElectron,
        QiskitExecutor,
        Simulator,
        qelectron,
    )
    from .progress.progress import Progress

__all__ = [
    "BaseQExecutor",
    "IBMQExecutor",
    "Progress",
    "QCluster",
    "QElectron",
    "QiskitExecutor",
    "Simulator",
    "ThreadedIBMQDevice",
    "__version__",
    "qelectron",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for then: it brings PennyLane with it."""
    if name == "ThreadedIBMQDevice":
        return import_module(".device", __name__).ThreadedIBMQDevice
    if name == "Progress":
        return import_module(".progress.progress", __name__).Progress
    if name in ("qelectron", "executor"):
        # the module "qelectron", the former name of the executors' package, can be called
        return import_module(f".{name}", __name__)
    if name in __all__:
        return getattr(import_module(".executors", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
