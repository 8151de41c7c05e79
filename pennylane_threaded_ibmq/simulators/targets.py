"""Parts of a Qiskit target."""

from __future__ import annotations

from collections.abc import Set
from typing import Any


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
