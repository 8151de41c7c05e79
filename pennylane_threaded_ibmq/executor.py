"""Executors where programs written for Covalent look: ``from pennylane_threaded_ibmq.executor import IBMQExecutor``."""

from __future__ import annotations

from .executors import BaseQExecutor, IBMQExecutor, QCluster, QiskitExecutor, Simulator

__all__ = ["BaseQExecutor", "IBMQExecutor", "QCluster", "QiskitExecutor", "Simulator"]
