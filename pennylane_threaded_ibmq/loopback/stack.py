"""What the installed Qiskit can serve, decided in one place."""

from __future__ import annotations

import inspect
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from qiskit import QuantumCircuit

_ALWAYS = frozenset({"measure", "barrier", "reset", "delay"})


def serves_platform() -> bool:
    """Whether the Platform's primitives can be served.

    They are made of Qiskit's own containers. A Qiskit that is older than these can serve the classic API alone.
    """
    return all(
        find_spec(name) is not None
        for name in ("qiskit.primitives.containers", "qiskit_ibm_runtime.execution_span")
    )


def serves_executor() -> bool:
    """Whether the program ``executor`` can be served: IBM's client has to be one that can decode its bodies."""
    return serves_platform() and all(
        find_spec(name) is not None
        for name in ("qiskit_ibm_runtime.quantum_program", "ibm_quantum_schemas", "samplomatic")
    )


def append_uncopied() -> dict[str, bool]:
    """Arguments with which ``QuantumCircuit.append`` takes an instruction as it is; older ones always do."""
    known = inspect.signature(QuantumCircuit.append).parameters
    return {"copy": False} if "copy" in known else {}


def snapshot_classes() -> dict[str, type[Any]]:
    """The snapshots by name: those of IBM's client, or of Qiskit itself before that took them over."""
    home = "qiskit_ibm_runtime.fake_provider"
    if find_spec(home) is None:
        home = "qiskit.providers.fake_provider"
    base = import_module(f"{home}.fake_backend").FakeBackendV2
    classes: list[Any] = [
        item
        for item in vars(import_module(home)).values()
        if isinstance(item, type) and issubclass(item, base)
    ]
    # Some base classes have no name.
    return {item.backend_name: item for item in classes if getattr(item, "backend_name", None)}


def native_operations(simulator: Any) -> frozenset[str]:
    """Names of what Aer takes as it is."""
    names = getattr(simulator, "operation_names", None)
    if names is None:  # Aer before 0.13
        names = simulator.configuration().basis_gates
    return frozenset(names) | _ALWAYS
