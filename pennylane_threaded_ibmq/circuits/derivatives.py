"""Gradients as rows: the parameter shifts of a tape are bindings of its one template, not tapes of their own.

PennyLane makes a tape for each shift, and each is preprocessed, read and put together again; for small circuits that takes
longer than the simulation. Here the shifted angles of one tape are arrays in a broadcast tape, whose rows the device
runs anyway, and derivatives are sums over rows. What a row measures, how often and with which statistics, is what a
shifted tape would.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pennylane as qml
from pennylane.measurements import ExpectationMP, ProbabilityMP, VarianceMP
from pennylane.operation import StatePrepBase
from pennylane.ops import LinearCombination
from pennylane.queuing import QueuingManager
from pennylane.tape import QuantumScript

from ..exceptions import UnsupportedCircuitError
from .broadcast import bind_numbers, expand_broadcast, join_broadcast
from .changes import only_result
from .gates import ANGLES, CONSTANT_GATES, is_conditional
from .jacobian import Combination, Shifts, Term, blocks_of, has_variance, shift_rule
from .mid_circuit import postselections
from .observables import is_own_measurement
from .structure import to_numpy
from .variances import has_moments, moments

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pennylane.measurements import MeasurementProcess
    from pennylane.operation import Operator
    from pennylane.tape import QuantumScriptBatch
    from pennylane.typing import PostprocessingFn

ROWS_A_TAPE = 512
"""Rows of one broadcast tape at most."""

EXECUTIONS_A_TAPE = 1_000_000
"""Rows times shots of one broadcast tape at most: a shard takes tapes whole, and a job takes ten times as many."""

# ------------------------------------------------------------------------------------------------- what is supported


def can_differentiate(tape: QuantumScript) -> bool:
    """Whether rows give the gradient of a tape, before or after it is preprocessed.

    Expectation values, variances and probabilities do, with gates that have shift rules or decompose into some, and
    with trainable coefficients of a Hamiltonian.
    """
    return (
        all(_is_measured_by_rows(mp) for mp in tape.measurements)
        and not postselections(tape)
        and all(_has_terms(mp) for mp in tape.measurements)
        # what is trainable is asked of few gates: it takes longer than all else here
        and all(op.name in ANGLES or not _is_trainable(op) or _ends_in_angles(op) for op in tape.operations)
    )


def _is_measured_by_rows(mp: MeasurementProcess) -> bool:
    if is_own_measurement(mp):
        return False
    if isinstance(mp, ProbabilityMP):
        return mp.obs is None
    if isinstance(mp, VarianceMP):
        return has_moments(mp)
    return isinstance(mp, ExpectationMP)


def _has_terms(mp: MeasurementProcess) -> bool:
    """Whether the trainable numbers of an observable are coefficients that can be taken apart."""
    obs = mp.obs
    if obs is None or not any(qml.math.requires_grad(d) for d in obs.data):
        return True
    return isinstance(mp, ExpectationMP) and _coefficients(obs)


def _coefficients(obs: Operator) -> bool:
    return isinstance(obs, LinearCombination) and not any(term.data for term in obs.ops)


def _is_trainable(op: Operator) -> bool:
    return any(qml.math.requires_grad(d) for d in op.data)


def _ends_in_angles(op: Operator) -> bool:
    """Whether the numbers of an operation end as angles of gates that can be shifted."""
    if is_conditional(op):
        return _ends_in_angles(op.base)
    if op.name in ANGLES:
        return True
    # a state or a matrix has no shift rule, nor has what becomes one
    if isinstance(op, StatePrepBase) or op.name in CONSTANT_GATES:
        return False
    try:
        if not op.has_decomposition:
            return False
        with QueuingManager.stop_recording():
            parts = op.decomposition()
    except Exception:  # noqa: BLE001 - what cannot be decomposed is named, with its tape, when it is prepared
        return False
    return all(_ends_in_angles(part) for part in parts if _is_trainable(part))


@qml.transform
def expand_trainable_batches(tape: QuantumScript) -> tuple[QuantumScriptBatch, PostprocessingFn]:
    """One tape for each entry of a broadcast by trainable parameters: no Jacobian has an axis for both."""
    # gates are asked for their batch size only where a number of theirs has a shape at all: that takes ten times as long
    if any(_has_shape(d) for op in tape.operations for d in op.data) and any(
        _is_trainable(op) and op.batch_size for op in tape.operations
    ):
        return tuple(expand_broadcast(tape)), join_broadcast
    return (tape,), only_result


def _has_shape(number: Any) -> bool:
    return not isinstance(number, (int, float)) and getattr(number, "shape", None) != ()


# ------------------------------------------------------------------------------------------------------------- tapes


def gradient_tapes(tape: QuantumScript) -> tuple[tuple[QuantumScript, ...], PostprocessingFn]:
    """Broadcast tapes whose rows give the derivatives of a tape.

    Args:
        tape: A preprocessed tape; it may be broadcast itself, by parameters that are not trainable.

    Returns:
        Tapes, and what makes the Jacobian of their results: for each copy of the shot vector, for each measurement, for
        each trainable parameter an array of the measurement's own shape, where levels of length one are left out.

    Raises:
        UnsupportedCircuitError: A trainable parameter has no shift rule.
    """
    shifts, coefficients = _split_parameters(tape)
    with QueuingManager.stop_recording():
        measurements = _row_measurements(tape)
        parts = list(_chunks(tape, [s for s in shifts.values() if s.terms]))
        tapes = [_row_tape(tape, part, measurements) for part in parts]
        if coefficients:
            tapes.append(tape.copy(measurements=[qml.expval(term) for _, term in coefficients.values()]))
    return tuple(tapes), Combination(tape, shifts, coefficients, parts)


def _split_parameters(
    tape: QuantumScript,
) -> tuple[dict[int, Shifts], dict[int, tuple[int, Operator]]]:
    """Trainable parameters: shifts of the angles, and measurement and term of the coefficients."""
    shifts: dict[int, Shifts] = {}
    coefficients: dict[int, tuple[int, Operator]] = {}
    info = tape.par_info
    for index in tape.trainable_params:
        place, parameter = info[index]["op_idx"], info[index]["p_idx"]
        if place < len(tape.operations):
            shifts[index] = Shifts(place, parameter, _terms(tape.operations[place], parameter))
            continue
        measurement = place - len(tape.operations)
        obs = tape.measurements[measurement].obs
        if obs is None or not _coefficients(obs):
            raise UnsupportedCircuitError(
                f"Trainable numbers of the observable {obs} cannot be differentiated on the device. Give "
                "diff_method='parameter-shift', or write the observable as qml.Hamiltonian. Nothing was sent."
            )
        coefficients[index] = (measurement, obs.ops[parameter])
    return shifts, coefficients


def _terms(op: Operator, parameter: int) -> tuple[Term, ...]:
    """The shift rule of one angle of a gate."""
    gate = op.base if is_conditional(op) else op
    if gate.name not in ANGLES and gate.grad_method != "A":
        raise UnsupportedCircuitError(
            f"Gate {gate.name} on wires {gate.wires.tolist()} has a trainable parameter and no shift rule. Give "
            "diff_method='finite-diff' or 'spsa', or make the parameter one that is not trainable. Nothing was sent."
        )
    if ANGLES.get(gate.name) == 0:
        # a phase of the whole circuit, which nothing that is measured depends on
        return ()
    return shift_rule(gate, parameter)


def _row_measurements(tape: QuantumScript) -> list[MeasurementProcess]:
    """Measurements of the rows: for a variance the first two moments, which are linear in the state."""
    measurements: list[MeasurementProcess] = []
    for mp in tape.measurements:
        measurements += moments(mp.obs) if isinstance(mp, VarianceMP) else [mp]
    return measurements


def _chunks(tape: QuantumScript, shifts: Sequence[Shifts]) -> Iterator[tuple[Shifts, ...]]:
    """Shifts that share a broadcast tape."""
    most = max(1, min(ROWS_A_TAPE, EXECUTIONS_A_TAPE // int(tape.shots.total_shots or 1)))
    copies = tape.batch_size or 1
    # the moments of a variance are needed unshifted too
    room = most - copies if has_variance(tape) else most
    chunk: list[Shifts] = []
    rows = 0
    for shift in shifts:
        more = len(shift.terms) * copies
        if rows and rows + more > room:
            yield tuple(chunk)
            chunk, rows = [], 0
        chunk.append(shift)
        rows += more
    if chunk:
        yield tuple(chunk)


def _row_tape(
    tape: QuantumScript, part: Sequence[Shifts], measurements: Sequence[MeasurementProcess]
) -> QuantumScript:
    blocks = blocks_of(tape, part)
    copies = tape.batch_size
    changes: dict[int, dict[int, list[tuple[int, Term]]]] = {}
    for block, (shift, term) in enumerate(blocks):
        if shift is not None:
            changes.setdefault(shift.operation, {}).setdefault(shift.parameter, []).append((block, term))
    operations = list(tape.operations)
    for place, op in enumerate(operations):
        shifts = changes.get(place)
        if shifts is None and (copies is None or op.batch_size is None):
            continue
        data = [
            _shift(value, len(blocks), copies, (shifts or {}).get(parameter, ()))
            for parameter, value in enumerate(op.data)
        ]
        operations[place] = bind_numbers(op, data)
    return QuantumScript(operations, measurements, shots=tape.shots)


def _shift(
    value: Any, blocks: int, copies: int | None, changes: Sequence[tuple[int, Term]]
) -> NDArray[np.float64] | Any:
    """One parameter for all rows; as it is where all rows share it."""
    number = to_numpy(value)
    if not changes and number.ndim == 0:
        return value
    rows = np.empty((blocks, copies or 1))
    rows[:] = number
    for block, (_, scale, shift) in changes:
        rows[block] = scale * number + shift
    return rows.ravel()
