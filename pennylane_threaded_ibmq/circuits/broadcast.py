"""One tape for each entry of a broadcast, and their results together again.

Needed where the entries cannot be rows of one circuit: Qiskit takes no parameter in a matrix or a state, and some of
PennyLane's decompositions take no broadcast. PennyLane's own transform knows neither the numbers inside products and powers
nor how counts are joined.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pennylane as qml
from pennylane.ops import ControlledQubitUnitary
from pennylane.ops.functions import bind_new_parameters
from pennylane.ops.op_math import (
    Adjoint,
    Controlled,
    ControlledOp,
    Pow,
    Prod,
    ScalarSymbolicOp,
    SProd,
    SymbolicOp,
)
from pennylane.queuing import QueuingManager
from pennylane.tape import QuantumScript

from .._tensors import is_nested
from .gates import is_conditional

if TYPE_CHECKING:
    from pennylane.operation import Operator
    from pennylane.typing import Result, ResultBatch


def expand_broadcast(tape: QuantumScript) -> list[QuantumScript]:
    """One tape for each entry of a tape's broadcast; gates that all entries share are the same objects."""
    size = tape.batch_size or 1
    with QueuingManager.stop_recording():
        entries = [[_entry(op, index) for op in tape.operations] for index in range(size)]
    return [QuantumScript(operations, tape.measurements, shots=tape.shots) for operations in entries]


def join_broadcast(results: ResultBatch) -> Result:
    """Results of the entries in the form that a broadcast has: arrays get a first axis, counts become a list."""
    first = results[0]
    if isinstance(first, (dict, list)):
        return list(results)
    if is_nested(first):
        # copies of a shot vector, or several measurements
        return tuple(join_broadcast(column) for column in zip(*results))
    return qml.math.stack(results)


def _entry(op: Operator, index: int) -> Operator:
    flags = _batched(op)
    data = [d[index] if flag else d for d, flag in zip(op.data, flags)]
    if isinstance(op, Pow):
        # exponents are no part of its data; and a copy of a power keeps the batch size of its base
        several = qml.math.ndim(op.z) > 0
        if several or any(flags):
            base = bind_numbers(op.base, data) if data else op.base
            return qml.pow(base, op.z[index] if several else op.z, lazy=True)
    return bind_numbers(op, data) if any(flags) else op


def bind_numbers(op: Operator, data: Sequence[Any]) -> Operator:
    """An operation with other numbers; PennyLane's own function loses the control values of a controlled matrix."""
    if isinstance(op, Prod):
        rest = iter(data)
        return type(op)(*(bind_numbers(factor, [next(rest) for _ in factor.data]) for factor in op.operands))
    if isinstance(op, Adjoint):
        return Adjoint(bind_numbers(op.base, data))
    if isinstance(op, Pow):
        return Pow(bind_numbers(op.base, data), op.z)
    if isinstance(op, SProd):
        return SProd(data[0], bind_numbers(op.base, data[1:]))
    if is_conditional(op):
        return type(op)(op.meas_val, bind_numbers(op.base, data))
    if isinstance(op, ControlledQubitUnitary):
        return qml.ctrl(qml.QubitUnitary(*data, wires=op.base.wires), op.control_wires, **_control(op))
    if type(op) in {Controlled, ControlledOp}:
        return type(op)(bind_numbers(op.base, data), op.control_wires, **_control(op))
    return bind_new_parameters(op, data)


def _control(op: Operator) -> dict[str, Any]:
    return {"control_values": op.control_values, "work_wires": op.work_wires}


def _batched(op: Operator) -> list[bool]:
    """For each number of an operation, whether it has an entry for each member of a batch."""
    operands = getattr(op, "operands", None)
    if operands is not None:
        return [flag for operand in operands for flag in _batched(operand)]
    if isinstance(op, ScalarSymbolicOp) and not isinstance(op, Pow):
        return [qml.math.ndim(op.scalar) > 0, *_batched(op.base)]
    if isinstance(op, SymbolicOp):
        return _batched(op.base)
    return [qml.math.ndim(d) > n for d, n in zip(op.data, op.ndim_params)] if op.data else []
