"""Preprocessing on the classic stack: what the current one does with PennyLane's transforms, done without them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pennylane as qml
from pennylane.queuing import QueuingManager
from pennylane.tape import QuantumScript

from ...circuits.broadcast import expand_broadcast, join_broadcast
from ...circuits.changes import measurements_on, wires_of
from ...circuits.decompositions import preparation_gates
from ...circuits.gates import (
    ACCEPTED_GATES,
    is_batched_constant,
    is_conditional,
    is_mid_measure,
    is_native,
    is_native_gate,
    late_preparations,
)
from ...circuits.tape_checks import check_measurements
from ...exceptions import ThreadedIBMQError, UnknownWireError, UnsupportedCircuitError
from .decompositions import parts_of
from .results import Post, as_legacy, own_methods

if TYPE_CHECKING:
    from pennylane.measurements import Shots
    from pennylane.operation import Operator

MOST_DEPTH = 20
"""Decompositions inside decompositions; nothing in PennyLane comes near it."""


def prepare_classic(
    tape: QuantumScript, *, device: Any, shots: Shots, parametrise: bool = True
) -> tuple[Sequence[QuantumScript], Post]:
    """Make one tape ready for the device.

    Args:
        tape: Any tape.
        device: The device.
        shots: Shots that it runs with.
        parametrise: Angles are parameters of a circuit, so that entries of a broadcast are rows of one.

    Returns:
        Tapes that can run, and what makes the result from theirs.

    Raises:
        UnsupportedCircuitError: The tape holds something that cannot run.
        UnknownWireError: The tape uses wires that the device lacks.
    """
    name, wires = device.name, device.wires
    missing = [w for w in tape.wires if w not in wires] if wires else ()
    if missing:
        raise UnknownWireError(
            f"Cannot run circuit(s) on {name} as they contain wires not found on the device: {missing}. "
            f"The device has {wires.tolist()}. Nothing was sent."
        )
    own = own_methods(tape, device)
    post = as_legacy(tape.measurements, own, copies=shots.has_partitioned_shots)
    if own:
        left = [mp for place, mp in enumerate(tape.measurements) if place not in own]
        tape = QuantumScript(tape.operations, left, shots=shots)
    check_measurements(tape, name)
    if any(is_mid_measure(op) for op in tape.operations):
        tape = _defer_measurements(tape)
    plain = QuantumScript(tape.operations, measurements_on(tape, wires or wires_of(tape)), shots=shots)
    lowered = _lowered_whole(plain, name)
    if lowered is not None and (
        lowered.batch_size is None or (parametrise and not _has_batched_constant(lowered))
    ):
        return (lowered,), post
    # some operations show which of their numbers are a batch only in what they decompose into
    tapes = [_lowered(entry, name) for entry in expand_broadcast(_lowered_where_possible(plain, name))]
    return tapes, lambda results: post((join_broadcast(results),))


def _lowered_whole(tape: QuantumScript, device: str) -> QuantumScript | None:
    """The tape, lowered with its broadcast; ``None`` where a decomposition of PennyLane's takes none."""
    try:
        return _lowered(tape, device)
    except UnsupportedCircuitError:
        if tape.batch_size is None:
            raise
        return None


def _has_batched_constant(tape: QuantumScript) -> bool:
    """Whether entries cannot be rows of one circuit: Qiskit takes no parameter in a matrix or a state."""
    return any(is_batched_constant(op) for op in tape.operations)


def _lowered_where_possible(tape: QuantumScript, device: str) -> QuantumScript:
    """The tape with those gates decomposed that can be with their broadcast."""
    operations: list[Operator] = []
    with QueuingManager.stop_recording():
        for op in tape.operations:
            try:
                operations += _gates(op, device)
            except UnsupportedCircuitError:
                operations.append(op)
    return QuantumScript(operations, tape.measurements, shots=tape.shots)


def _lowered(tape: QuantumScript, device: str) -> QuantumScript:
    """A tape whose gates the converter knows."""
    operations = tape.operations
    with QueuingManager.stop_recording():
        if not all(is_native(op) for op in operations):
            operations = [gate for op in operations for gate in _gates(op, device)]
        late = late_preparations(operations)
        if late:
            parts = [preparation_gates(op) if place in late else [op] for place, op in enumerate(operations)]
            operations = [gate for gates in parts for op in gates for gate in _gates(op, device)]
    return QuantumScript(operations, tape.measurements, shots=tape.shots)


def _gates(op: Operator, device: str, depth: int = 0) -> list[Operator]:
    """Decompose until the converter knows each gate."""
    if is_native_gate(op):
        return [op]
    try:
        parts = parts_of(op) if depth < MOST_DEPTH and (op.has_decomposition or op.has_matrix) else None
    except ThreadedIBMQError:
        raise
    except Exception as error:
        raise UnsupportedCircuitError(
            f"{op.name} on wires {op.wires.tolist()} cannot be decomposed by PennyLane: {type(error).__name__}: {error} "
            "Write it as other gates. Nothing was sent."
        ) from error
    if parts is not None:
        return [gate for part in parts for gate in _gates(part, device, depth + 1)]
    raise UnsupportedCircuitError(
        f"Operator {op} not supported on {device} and does not provide a decomposition. Accepted: "
        f"{ACCEPTED_GATES}, and whatever decomposes into these. Nothing was sent."
    )


def _defer_measurements(tape: QuantumScript) -> QuantumScript:
    """Mid-circuit measurements become wires that are measured at the end."""
    defer = qml.defer_measurements(tape)
    if isinstance(defer, QuantumScript):
        return defer
    if callable(defer):  # before PennyLane 0.33 it is a transform of functions, and the tape is no function
        with qml.tape.QuantumTape() as recorded:
            defer()
        return recorded
    (result,), _ = defer
    if any(is_mid_measure(op) or is_conditional(op) for op in result.operations):
        raise UnsupportedCircuitError(
            "A mid-circuit measurement could not be put off to the end of the circuit. Nothing was sent."
        )
    return result
