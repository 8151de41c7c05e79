"""Executors and selectors: ``IBMQExecutor``, ``QCluster``, ``@qelectron`` and ``run_later``."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

# First of all, so that a mix of stacks gets the error that says so, and not what its PennyLane lacks below.
from ..device import ThreadedIBMQDevice as _Device  # noqa: F401
from .base import BaseQExecutor
from .cluster import QCluster
from .decorator import QElectron, qelectron
from .executor import IBMQExecutor
from .later import LaterFuture
from .qiskit_executor import QiskitExecutor
from .records import database_path
from .simulator import Simulator

__all__ = [
    "BaseQExecutor",
    "IBMQExecutor",
    "LaterFuture",
    "QCluster",
    "QElectron",
    "QiskitExecutor",
    "Simulator",
    "database_path",
    "qelectron",
]


class _CallableModule(ModuleType):
    """The decorator has the name of this package, so the package can be called in its place."""

    __wrapped__ = staticmethod(qelectron)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the decorator."""
        return qelectron(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule
