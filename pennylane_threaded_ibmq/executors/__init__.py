"""Executors and selectors: ``IBMQExecutor``, ``QCluster``, ``@qelectron`` and ``run_later``."""

from __future__ import annotations

# First of all, so that a mix of stacks gets the error that says so, and not what its PennyLane lacks below.
from ..device import ThreadedIBMQDevice as _Device  # noqa: F401
from ..store.archive import database_path
from .base import BaseQExecutor
from .cluster import QCluster
from .executor import IBMQExecutor
from .later import LaterFuture
from .node import QElectron, qelectron
from .others import QiskitExecutor, Simulator

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
