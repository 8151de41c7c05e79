"""The former name of :mod:`pennylane_threaded_ibmq.covalent`, kept for one release."""

from __future__ import annotations

from ..covalent import IBMQExecutor, ThreadedIBMQExecutor, register

__all__ = ["IBMQExecutor", "ThreadedIBMQExecutor", "register"]
