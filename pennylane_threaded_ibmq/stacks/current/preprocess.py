"""Preprocessing: refuse what cannot run, decompose what the converter does not know.

Most tapes of a gradient need nothing. They are recognised in one pass over their gates and handed on as they are;
PennyLane's own transforms, which cost more than the simulation when applied to each tape of a large batch, see
only the tapes that need them.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pennylane as qml
from pennylane.allocation import DynamicWire
from pennylane.devices.preprocess import decompose, device_resolve_dynamic_wires, validate_device_wires
from pennylane.measurements import (
    Shots,
)
from pennylane.queuing import QueuingManager
from pennylane.tape import QuantumScript

from ..._quantity import quantity
from ...circuits.broadcast import expand_broadcast, join_broadcast
from ...circuits.changes import wires_of
from ...circuits.decompositions import own_gates, preparation_gates
from ...circuits.gates import (
    ACCEPTED_GATES,
    CONSTANT_GATES,
    LOWERING,
    NATIVE_GATES,
    STATE_GATES,
    is_batched_constant,
    is_native,
    is_native_gate,
    late_preparations,
)
from ...circuits.mid_circuit import (
    MidCircuitRules,
    check_postselection,
    defer,
    measures_midway,
    padding,
    runs_natively,
)
from ...circuits.structure import REMEMBERED, wire_labels
from ...circuits.tape_checks import check_measurements
from ...exceptions import ThreadedIBMQError, UnknownWireError, UnsupportedCircuitError

if TYPE_CHECKING:
    from pennylane.operation import Operator
    from pennylane.tape import QuantumScriptBatch
    from pennylane.typing import PostprocessingFn, Result, ResultBatch
    from pennylane.wires import Wires


@dataclass(frozen=True)
class Rules:
    """Rules on what a device takes.

    Attributes:
        name: Name of the device, for error texts.
        wires: Wires of the device; ``None`` where it takes any.
        shots: Shots of a tape that brings none.
        mid_circuit: How mid-circuit measurements are to be run.
        parametrise: Angles are parameters of a circuit, so that entries of a broadcast are rows of one.
        ready: Gates that were looked at and need nothing, by their id. Tapes of a gradient share most of theirs.
    """

    name: str
    wires: Wires | None
    shots: int
    mid_circuit: MidCircuitRules = field(default_factory=MidCircuitRules)
    parametrise: bool = True
    ready: dict[int, Operator] = field(default_factory=dict, repr=False, compare=False)


def _first(results: ResultBatch) -> Result:
    return results[0]


@qml.transform
def prepare(tape: QuantumScript, rules: Rules) -> tuple[QuantumScriptBatch, PostprocessingFn]:
    """:func:`prepare_tape` as a transform of PennyLane's."""
    tapes, post = prepare_tape(tape, rules)
    return tapes, post or _first


def prepare_tape(tape: QuantumScript, rules: Rules) -> tuple[QuantumScriptBatch, PostprocessingFn | None]:
    """Make one tape ready for the device.

    Returns:
        Tapes that can run, and what makes the result from theirs: ``None`` if there is nothing to do.

    Args:
        tape: Any tape.
        rules: What the device takes.

    Raises:
        UnsupportedCircuitError: The tape holds something that cannot run.
        UnknownWireError: The tape uses wires that the device lacks.
    """
    if not tape.shots:
        warnings.warn(
            f"{rules.name} has no analytic results; a circuit without shots runs with {quantity(rules.shots, 'shot')}. "
            "Set them with qml.set_shots or shots= of the device.",
            UserWarning,
            stacklevel=2,
        )
        tape = tape.copy(shots=Shots(rules.shots))
    check_measurements(tape, rules.name)
    if not _is_ready(tape, rules) or (not rules.parametrise and tape.batch_size is not None):
        return _transform(tape, rules)
    return (tape,), padding(tape, rules.mid_circuit)


def _is_ready(tape: QuantumScript, rules: Rules) -> bool:
    """Whether the tape can go as it is: one look at each gate."""
    # a set, as PennyLane's wires are looked through one by one
    known, ready = None if rules.wires is None else rules.wires.toset(), rules.ready
    midway = prepares = False
    for op in tape.operations:
        if id(op) in ready:
            continue
        native = is_native_gate(op)
        if not native:
            if not is_native(op):
                return False
            midway = True
        # a batch size takes a look at parameters: it is asked for where it matters
        if (not native or op.name in CONSTANT_GATES) and is_batched_constant(op):
            return False
        if known is not None and not known.issuperset(wire_labels(op)):
            return False
        prepares = prepares or op.name in STATE_GATES
        if native and op.name not in STATE_GATES and len(ready) < REMEMBERED:
            # the object is kept, so that its id cannot be given to another one
            ready[id(op)] = op
    if known is not None and not all(known.issuperset(mp.wires) for mp in tape.measurements):
        return False
    if not all(mp.wires or mp.obs is not None for mp in tape.measurements):
        return False
    if prepares and late_preparations(tape.operations):
        return False
    if midway:
        check_postselection(tape, rules.mid_circuit)
    return not midway or runs_natively(tape, rules.mid_circuit)


def _transform(tape: QuantumScript, rules: Rules) -> tuple[QuantumScriptBatch, PostprocessingFn | None]:
    """PennyLane's own transforms, for the tapes that need them."""
    _check_wires(tape, rules)
    tape = _settle_allocations(tape, rules)
    (tape,), _ = validate_device_wires(tape, wires=rules.wires or wires_of(tape), name=rules.name)
    if measures_midway(tape):
        check_postselection(tape, rules.mid_circuit)
    lowered = _lower_whole(tape, rules)
    if lowered is not None and not _needs_entries(lowered, rules):
        return (lowered,), padding(lowered, rules.mid_circuit)
    # templates show which of their numbers are a batch only in what they decompose into
    return _each_entry(_lower_where_possible(tape, rules), rules)


def _lower_whole(tape: QuantumScript, rules: Rules) -> QuantumScript | None:
    """Lower a tape with its broadcast; ``None`` where a decomposition of PennyLane's takes none."""
    try:
        return _lower(tape, rules)
    except Exception as error:
        if tape.batch_size is not None:
            # what is wrong with the entries themselves is found with them
            return None
        if isinstance(error, ThreadedIBMQError):
            raise
        raise _undecomposed(tape, error, rules) from error


def _lower_where_possible(tape: QuantumScript, rules: Rules) -> QuantumScript:
    """The tape with those gates decomposed that can be with their broadcast."""
    operations: list[Operator] = []
    for op in tape.operations:
        try:
            operations += _decompose(QuantumScript([op]), rules).operations
        except Exception:  # noqa: BLE001 - looked at again for each entry
            operations.append(op)
    return tape.copy(operations=operations)


def _each_entry(tape: QuantumScript, rules: Rules) -> tuple[QuantumScriptBatch, PostprocessingFn]:
    """One tape for each entry of a broadcast."""
    return tuple(_lower_entry(entry, rules) for entry in expand_broadcast(tape)), join_broadcast


def _lower_entry(tape: QuantumScript, rules: Rules) -> QuantumScript:
    try:
        lowered = _lower(tape, rules)
    except ThreadedIBMQError:
        raise
    except Exception as error:
        raise _undecomposed(tape, error, rules) from error
    if lowered.batch_size is not None:
        raise UnsupportedCircuitError(
            "An operation of a broadcast circuit does not say which of its numbers are a batch. Run the entries one by "
            "one. Nothing was sent."
        )
    return lowered


def _undecomposed(tape: QuantumScript, error: Exception, rules: Rules) -> UnsupportedCircuitError:
    """The error about a tape that PennyLane could not decompose: it names the gate, if it is one alone."""
    for op in tape.operations:
        try:
            _decompose(QuantumScript([op]), rules)
        except Exception:  # noqa: BLE001 - whatever it is, this is the gate
            gate = f"{op.name} on wires {op.wires.tolist()}"
            break
    else:
        gate = "A gate"
    return UnsupportedCircuitError(
        f"{gate} cannot be decomposed by PennyLane: {type(error).__name__}: {error} Write it as other gates. Nothing "
        "was sent."
    )


def _needs_entries(tape: QuantumScript, rules: Rules) -> bool:
    """Whether entries of a broadcast cannot be rows of one circuit."""
    if not rules.parametrise:
        return tape.batch_size is not None
    # gates with angles only, which are nearly all, are left out by name: a look at each would take longer
    return any(is_batched_constant(op) for op in tape.operations if op.name not in LOWERING)


def _lower(tape: QuantumScript, rules: Rules) -> QuantumScript:
    """Settle mid-circuit measurements and decompose: one tape of one."""
    native = True
    # a gate may decompose into mid-circuit measurements, so they are looked for twice
    for _ in range(2):
        if native and measures_midway(tape):
            check_postselection(tape, rules.mid_circuit)
            native = runs_natively(tape, rules.mid_circuit)
            # outcomes may need wires that the device does not have; the backend's qubits are what counts
            tape = tape if native else defer(tape)
        tape = _settle_preparations(_decompose(tape, rules), rules)
        if not native or not measures_midway(tape):
            break
    return _settle_allocations(tape, rules)


def _settle_preparations(tape: QuantumScript, rules: Rules) -> QuantumScript:
    """Decompose preparations of states on wires that are not in the state 0 any more: PennyLane means a gate there."""
    # those of a batch are settled one by one, when it is expanded
    late = [i for i in late_preparations(tape.operations) if not is_batched_constant(tape.operations[i])]
    if not late:
        return tape
    with QueuingManager.stop_recording():
        operations: list[Operator] = []
        for place, op in enumerate(tape.operations):
            operations += preparation_gates(op) if place in late else [op]
    return _decompose(tape.copy(operations=operations), rules)


def _settle_allocations(tape: QuantumScript, rules: Rules) -> QuantumScript:
    """Give allocated wires labels of the device; a decomposition may allocate some, too."""
    if any(op.name in {"Allocate", "Deallocate"} for op in tape.operations):
        resets = rules.mid_circuit.method != "deferred" and "reset" in rules.mid_circuit.operations()
        (tape,), _ = device_resolve_dynamic_wires(tape, wires=rules.wires, allow_resets=resets)
    return tape


def _decompose(tape: QuantumScript, rules: Rules) -> QuantumScript:
    try:
        (tape,), _ = decompose(
            tape,
            stopping_condition=is_native,
            target_gates=set(NATIVE_GATES),
            skip_initial_state_prep=False,
            decomposer=own_gates,
            device_wires=rules.wires,
            name=rules.name,
            error=UnsupportedCircuitError,
        )
    except UnsupportedCircuitError as error:
        raise UnsupportedCircuitError(
            f"{str(error).rstrip('.')}. Accepted: {ACCEPTED_GATES}, qml.measure, qml.cond, and "
            "whatever decomposes into these. Nothing was sent."
        ) from None
    return tape


def _check_wires(tape: QuantumScript, rules: Rules) -> None:
    if rules.wires is None:
        return
    missing = [w for w in tape.wires if w not in rules.wires and not isinstance(w, DynamicWire)]
    if missing:
        raise UnknownWireError(
            f"Cannot run circuit(s) on {rules.name} as they contain wires not found on the device: {missing}. "
            f"The device has {rules.wires.tolist()}. Nothing was sent."
        )
