"""Preprocessing: refuse what cannot run, decompose what the converter does not know.

Most tapes of a gradient need nothing. They are recognised in one pass over their gates and handed on as they are;
PennyLane's own transforms, which cost more than the simulation when applied to each tape of a large batch, see
only the tapes that need them.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pennylane as qml
from pennylane.devices.preprocess import decompose, device_resolve_dynamic_wires, validate_device_wires
from pennylane.measurements import (
    ClassicalShadowMP,
    CountsMP,
    ExpectationMP,
    MeasurementProcess,
    ProbabilityMP,
    SampleMeasurement,
    SampleMP,
    ShadowExpvalMP,
    Shots,
    VarianceMP,
)
from pennylane.transforms import broadcast_expand, defer_measurements

from ..exceptions import UnknownWireError, UnsupportedCircuitError
from ..execution.gates import CONSTANT_GATES, MID_CIRCUIT_OPERATIONS, NATIVE_GATES
from .layers import layer_gates

if TYPE_CHECKING:
    from pennylane.operation import Operator
    from pennylane.tape import QuantumScript, QuantumScriptBatch
    from pennylane.typing import PostprocessingFn, Result, ResultBatch
    from pennylane.wires import Wires

SUPPORTED_MEASUREMENTS = (
    ExpectationMP,
    VarianceMP,
    ProbabilityMP,
    CountsMP,
    SampleMP,
    ClassicalShadowMP,
    ShadowExpvalMP,
)

MOST_MATRIX_WIRES = 6
"""Wires of the largest matrix that stands in for a missing decomposition; a backend needs 4**n gates for it."""


@dataclass(frozen=True)
class Rules:
    """What a device takes.

    Attributes:
        name: Name of the device, for error texts.
        wires: Wires of the device.
        shots: Shots of a tape that brings none.
        dynamic: The backend runs mid-circuit measurements itself.
    """

    name: str
    wires: Wires
    shots: int
    dynamic: bool = False


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
            f"{rules.name} has no analytic results; a circuit without shots runs with {rules.shots} shots. "
            "Set them with qml.set_shots or shots= of the device.",
            UserWarning,
            stacklevel=2,
        )
        tape = tape.copy(shots=Shots(rules.shots))
    _check_measurements(tape, rules)
    if not _is_ready(tape, rules):
        return _transform(tape, rules)
    return (tape,), None


def _is_ready(tape: QuantumScript, rules: Rules) -> bool:
    """Whether the tape can go as it is: one look at each gate."""
    known = rules.wires
    for op in tape.operations:
        if op.name not in NATIVE_GATES:
            return False
        # the batch size takes a look at each gate's parameters: it is asked for last
        if op.name in CONSTANT_GATES and tape.batch_size is not None:
            return False
        for wire in op.wires.labels:
            if wire not in known:
                return False
    return all(w in known for mp in tape.measurements for w in mp.wires) and all(
        mp.wires or mp.obs is not None for mp in tape.measurements
    )


def _transform(tape: QuantumScript, rules: Rules) -> tuple[QuantumScriptBatch, PostprocessingFn]:
    """PennyLane's own transforms, for the tapes that need them."""
    _check_wires(tape, rules)
    steps: list[tuple[Any, dict[str, Any]]] = [
        (validate_device_wires, {"wires": rules.wires, "name": rules.name})
    ]
    mid_circuit = any(
        op.name in MID_CIRCUIT_OPERATIONS or op.name.startswith("Conditional") for op in tape.operations
    )
    if mid_circuit and not rules.dynamic:
        steps.append((defer_measurements, {"allow_postselect": False}))
    steps.append(
        (
            decompose,
            {
                "stopping_condition": _stop,
                "target_gates": set(NATIVE_GATES),
                "skip_initial_state_prep": False,
                "decomposer": _decomposed,
                "device_wires": rules.wires,
                "name": rules.name,
                "error": UnsupportedCircuitError,
            },
        )
    )
    steps.append((_resolve_dynamic_wires, {"wires": rules.wires}))
    if tape.batch_size is not None and any(_batched_constant(op) for op in tape.operations):
        steps.append((broadcast_expand, {}))
    tapes: Sequence[QuantumScript] = (tape,)
    undo: list[tuple[PostprocessingFn, list[int]]] = []
    functions: list[list[tuple[int, PostprocessingFn]]] = []
    for transform, options in steps:
        fresh: list[QuantumScript] = []
        level: list[tuple[int, PostprocessingFn]] = []
        for one in tapes:
            made, fn = transform(one, **options)
            level.append((len(made), fn))
            fresh += made
        tapes = fresh
        functions.append(level)
    del undo

    def post(results: ResultBatch) -> Result:
        for level in reversed(functions):
            start, out = 0, []
            for count, fn in level:
                out.append(fn(tuple(results[start : start + count])))
                start += count
            results = tuple(out)
        return results[0]

    return tuple(tapes), post


def _resolve_dynamic_wires(tape: QuantumScript, wires: Wires) -> tuple[QuantumScriptBatch, PostprocessingFn]:
    """PennyLane's transform, for the few tapes that have such wires: it looks at every gate."""
    if all(op.name not in {"Allocate", "Deallocate"} for op in tape.operations):
        return (tape,), _first
    tapes, post = device_resolve_dynamic_wires(tape, wires=wires)
    return tapes, post


def _batched_constant(op: Operator) -> bool:
    return getattr(op, "batch_size", None) is not None and op.name not in NATIVE_GATES - CONSTANT_GATES


def _stop(op: Operator) -> bool:
    return op.name in NATIVE_GATES or op.name in MID_CIRCUIT_OPERATIONS or op.name.startswith("Conditional")


def _decomposed(op: Operator) -> list[Operator]:
    """The gates that an operation means; its matrix, if it has nothing else."""
    gates = layer_gates(op)
    if gates is not None:
        return gates
    if not op.has_decomposition and op.has_matrix and len(op.wires) <= MOST_MATRIX_WIRES:
        return [qml.QubitUnitary(op.matrix(), wires=op.wires)]
    return list(op.decomposition())


def _check_wires(tape: QuantumScript, rules: Rules) -> None:
    missing = [w for w in tape.wires if w not in rules.wires]
    if missing:
        raise UnknownWireError(
            f"Cannot run circuit(s) on {rules.name} as they contain wires not found on the device: {missing}. "
            f"The device has {rules.wires.tolist()}. Nothing was sent."
        )


def _check_measurements(tape: QuantumScript, rules: Rules) -> None:
    for mp in tape.measurements:
        # a measurement of the user's own brings its own processing of samples
        if not isinstance(mp, (*SUPPORTED_MEASUREMENTS, SampleMeasurement)):
            names = ", ".join(t.__name__.removesuffix("MP") for t in SUPPORTED_MEASUREMENTS)
            raise UnsupportedCircuitError(
                f"Measurement {mp} not accepted with finite shots on {rules.name}; it needs a state vector. "
                f"Accepted: {names}. Nothing was sent."
            )
        _check_observable(mp, rules)


def _check_observable(mp: MeasurementProcess, rules: Rules) -> None:
    if mp.obs is None or mp.obs.pauli_rep is not None:
        return
    if not mp.obs.has_diagonalizing_gates:
        raise UnsupportedCircuitError(
            f"Observable {mp.obs} of {type(mp).__name__.removesuffix('MP')} not supported on {rules.name}: it is "
            "no sum of Pauli words and has no diagonalizing gates. Nothing was sent."
        )
