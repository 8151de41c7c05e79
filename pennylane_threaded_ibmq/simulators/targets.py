"""Targets of Qiskit: parts of one, and whether a backend can run a circuit as it stands."""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING, Any

from .._compat import zip_strict
from ..exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qiskit import QuantumCircuit


def reduced_target(target: Any, *, qubits: Set[int] | None = None, without: Set[str] = frozenset()) -> Any:
    """A target with all qubits of another and some of its gates.

    Args:
        target: The whole.
        qubits: Keep only gates on these; ``None`` for all.
        without: Names of gates to leave out.
    """
    from qiskit.transpiler import Target

    part = Target(num_qubits=target.num_qubits, dt=target.dt, qubit_properties=target.qubit_properties)
    for name in target.operation_names:
        if name in without:
            continue
        operation = target.operation_from_name(name)
        properties = target[name]
        if None in properties:
            part.add_instruction(operation, name=name)
            continue
        remaining = {q: p for q, p in properties.items() if qubits is None or all(i in qubits for i in q)}
        if remaining:
            part.add_instruction(operation, remaining, name=name)
    return part


_MANY = 4096
"""More qubits than any circuit has."""


def general_target() -> Any:
    """A target with the gates of hardware between any qubits: what is compiled for it has the form of what ran, not the layout."""
    from qiskit.circuit import Delay, IfElseOp, Measure, Parameter, Reset
    from qiskit.circuit.library import CXGate, IGate, RZGate, SXGate, XGate
    from qiskit.transpiler import Target

    # without connections a circuit keeps its own number of qubits
    target = Target(num_qubits=_MANY)
    for gate in (CXGate(), IGate(), RZGate(Parameter("angle")), SXGate(), XGate(), Measure(), Reset()):
        target.add_instruction(gate, None)
    target.add_instruction(Delay(Parameter("duration")), None)
    target.add_instruction(IfElseOp, None, name="if_else")
    return target


def check_isa(circuit: QuantumCircuit, backend: Any) -> None:
    """Refuse a circuit with a gate that a backend does not have on those qubits: not all primitives look, and IBM charges.

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
    """The part of a circuit that a target cannot run as it stands; empty if it can run all of it."""
    if target.num_qubits is not None and circuit.num_qubits > target.num_qubits:
        return f"{circuit.num_qubits} qubits, and the backend has {target.num_qubits}"
    return _foreign(circuit, target, {bit: i for i, bit in enumerate(circuit.qubits)})


def _foreign(circuit: QuantumCircuit, target: Any, place: Mapping[Any, int]) -> str:
    """The first instruction that a target does not have; empty if there is none."""
    for instruction in circuit.data:
        operation = instruction.operation
        qubits = tuple(place[bit] for bit in instruction.qubits)
        if operation.name != "barrier" and not target.instruction_supported(operation.name, qubits):
            return f"{operation.name!r} on qubits {', '.join(map(str, qubits))}"
        for block in getattr(operation, "blocks", ()):
            inside = dict(zip_strict(block.qubits, qubits))
            problem = _foreign(block, target, inside)
            if problem:
                return problem
    return ""
