"""What the installed Qiskit can serve, decided in one place."""

from __future__ import annotations

import inspect
from importlib.util import find_spec

from qiskit import QuantumCircuit


def serves_platform() -> bool:
    """Whether the Platform's primitives can be served.

    They are made of Qiskit's own containers. A Qiskit that is older than these can serve the classic API alone.
    """
    return all(
        find_spec(name) is not None
        for name in ("qiskit.primitives.containers", "qiskit_ibm_runtime.execution_span")
    )


def append_uncopied() -> dict[str, bool]:
    """Arguments with which ``QuantumCircuit.append`` takes an instruction as it is; older ones always do."""
    known = inspect.signature(QuantumCircuit.append).parameters
    return {"copy": False} if "copy" in known else {}
