"""Whether a backend can run a circuit as it stands. Primitives whose jobs the client prepares do not look, and IBM charges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._compat import zip_strict
from ..exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qiskit import QuantumCircuit

_DIRECTIVES = frozenset({"barrier"})


def check_isa(circuit: QuantumCircuit, backend: Any) -> None:
    """Refuse a circuit with a gate that a backend does not have on those qubits.

    Args:
        circuit: A transpiled circuit.
        backend: Where it is to run.

    Raises:
        ConfigurationError: There is such a gate.
    """
    target = getattr(backend, "target", None)
    if target is None:
        return
    problem = foreign_instruction(circuit, target)
    if problem:
        raise ConfigurationError(
            f"compile_backend: a circuit compiled for another system than backend {backend.name!r} has {problem}. Compile "
            "for the one that runs it: leave compile_backend out, and give a pass manager or a circuit that fits. "
            "Nothing was sent.",
            argument="compile_backend",
        )


def foreign_instruction(circuit: QuantumCircuit, target: Any) -> str:
    """The part of a circuit that a target cannot run as it stands; empty if it can run all of it.

    Args:
        circuit: A circuit on the target's qubits.
        target: A backend's target.
    """
    if target.num_qubits is not None and circuit.num_qubits > target.num_qubits:
        return f"{circuit.num_qubits} qubits, and the backend has {target.num_qubits}"
    return _foreign(circuit, target, {bit: i for i, bit in enumerate(circuit.qubits)})


def _foreign(circuit: QuantumCircuit, target: Any, place: Mapping[Any, int]) -> str:
    """The first instruction that a target does not have; empty if there is none."""
    for instruction in circuit.data:
        operation = instruction.operation
        qubits = tuple(place[bit] for bit in instruction.qubits)
        if operation.name not in _DIRECTIVES and not target.instruction_supported(operation.name, qubits):
            return f"{operation.name!r} on qubits {', '.join(map(str, qubits))}"
        for block in getattr(operation, "blocks", ()):
            inside = dict(zip_strict(block.qubits, qubits))
            problem = _foreign(block, target, inside)
            if problem:
                return problem
    return ""
