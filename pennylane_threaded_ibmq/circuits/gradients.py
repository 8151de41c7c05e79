"""Parameter-shift gradients through conditional gates.

PennyLane gives a conditional gate no shift rule and falls back to finite differences with a step of 1e-7: with
finite shots that is noise times ten million. Yet for each outcome of its condition a conditional gate is the gate
itself or nothing, so the rule of the gate is the rule of the conditional gate.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import pennylane as qml
from pennylane.gradients import param_shift
from pennylane.ops import Conditional
from pennylane.queuing import QueuingManager

from .._compat import zip_strict
from ..exceptions import UnsupportedCircuitError
from .changes import only_result
from .decompositions import EXPONENTIALS
from .derivatives import can_differentiate, gradient_tapes
from .gates import ANGLES, is_conditional
from .jacobian import shift_rule
from .variances import has_wrong_rule

if TYPE_CHECKING:
    from pennylane.devices.execution_config import ExecutionConfig
    from pennylane.operation import Operator
    from pennylane.tape import QuantumScript, QuantumScriptBatch
    from pennylane.typing import PostprocessingFn


def gradient_method(config: ExecutionConfig) -> Any:
    """The gradient transform to use: PennyLane's own, but for the parameter-shift rule."""
    first = config.derivative_order == 1
    if config.gradient_method is shift_expanded:
        return shift_expanded if first else shift_expanded_again
    if config.gradient_method is not param_shift:
        return config.gradient_method
    return shift_through_conditions if first else shift_again


def _all_have_rules(tape: QuantumScript) -> bool:
    """Whether PennyLane would hand the tape back as it is; it asks each gate ten times as long as this does."""
    for op in tape.operations:
        # a property there is worked out by each object, and needs PennyLane's own look
        if op.data and getattr(type(op), "grad_method", None) != "A":
            return False
    return not any(qml.math.requires_grad(d) for mp in tape.measurements for d in getattr(mp.obs, "data", ()))


def _expand(tape: QuantumScript, **options: Any) -> tuple[QuantumScriptBatch, PostprocessingFn]:
    """Decompose what has no rule, under conditions as well."""
    if _all_have_rules(tape):
        return (tape,), only_result
    tapes, post = param_shift.expand_transform(with_rules(tape), **options)
    return tapes, post


expand = qml.transform(_expand)
"""Decomposes what has no rule, before PennyLane looks at what a tape's derivatives are taken by."""


def _shift(
    tape: QuantumScript, *, again: bool, **options: Any
) -> tuple[QuantumScriptBatch, PostprocessingFn]:
    if any(has_wrong_rule(mp) for mp in tape.measurements):
        return _variances(tape, options, again=again)
    _refuse_differences(tape, options)
    tapes, post = param_shift.tape_transform(with_rules(tape), **options)
    return tapes, post


_transform = partial(
    qml.transform, classical_cotransform=param_shift.classical_cotransform, final_transform=True
)


@partial(_transform, expand_transform=_expand)
def shift_through_conditions(
    tape: QuantumScript, **options: Any
) -> tuple[QuantumScriptBatch, PostprocessingFn]:
    """``qml.gradients.param_shift`` with its options, on a tape whose conditional gates have rules.

    Raises:
        UnsupportedCircuitError: PennyLane's rule would give a wrong number, and there is no other here.
    """
    return _shift(tape, again=False, **options)


@partial(_transform, expand_transform=_expand)
def shift_again(tape: QuantumScript, **options: Any) -> tuple[QuantumScriptBatch, PostprocessingFn]:
    """The same where its result will be differentiated once more."""
    return _shift(tape, again=True, **options)


@_transform
def shift_expanded(tape: QuantumScript, **options: Any) -> tuple[QuantumScriptBatch, PostprocessingFn]:
    """The same for a tape that :func:`expand` has seen, so that PennyLane makes no transform of it for each call.

    Where JAX is newer than PennyLane knows, it looks for a part of itself each time that it makes one, and fails to import it:
    that takes as long as the rest of a small call.
    """
    return _shift(tape, again=False, **options)


@_transform
def shift_expanded_again(tape: QuantumScript, **options: Any) -> tuple[QuantumScriptBatch, PostprocessingFn]:
    """The same where its result will be differentiated once more."""
    return _shift(tape, again=True, **options)


def _variances(
    tape: QuantumScript, options: Mapping[str, Any], *, again: bool
) -> tuple[QuantumScriptBatch, PostprocessingFn]:
    """The same derivatives as rows, by the product rule."""
    names = sorted(name for name, value in options.items() if value is not None and value is not False)
    if names or again or not can_differentiate(tape):
        raise UnsupportedCircuitError(
            "PennyLane's parameter-shift rule is wrong for the variance of a sum or a multiple of observables (it "
            "takes their square for constant), and with "
            + (", ".join(names) or "higher derivatives or this circuit")
            + " there is "
            "no other here. Give diff_method='best', or measure the expectation values of A and A @ A. Nothing was sent."
        )
    if tape.batch_size is not None and any(op.batch_size for op in _trained(tape)):
        raise UnsupportedCircuitError(
            "The parameter-shift rule takes no broadcast by trainable parameters, as no Jacobian has an axis for both. Give "
            "diff_method='best', or run the entries one by one. Nothing was sent."
        )
    tapes, post = gradient_tapes(tape)
    return tapes, post


def _trained(tape: QuantumScript) -> list[Operator]:
    """The operations that have trainable parameters, once for each."""
    found = [tape.par_info[index] for index in tape.trainable_params]
    return [info["op"] for info in found if info["op_idx"] < len(tape.operations)]


def _refuse_differences(tape: QuantumScript, options: Mapping[str, Any]) -> None:
    """Refuse what PennyLane would differentiate by differences of its own choice: a step of 1e-7 makes any shots noise."""
    # without shots a step may be as small as it likes
    if not tape.shots or any(
        options.get(name) is not None for name in ("argnum", "fallback_fn", "gradient_recipes")
    ):
        return
    for op in _trained(tape):
        if not is_conditional(op) and op.grad_method == "F":
            raise UnsupportedCircuitError(
                f"{op.name} on wires {op.wires.tolist()} has a trainable parameter and no shift rule. Give diff_method="
                "'finite-diff' or 'spsa' with a step that shots can tell, such as gradient_kwargs={'h': 0.1}, or make the "
                "parameter one that is not trainable. Nothing was sent."
            )


def with_rules(tape: QuantumScript) -> QuantumScript:
    """Give conditional gates the shift rules of their gates, and take apart what has none. Any other tape is handed back as it is."""
    with QueuingManager.stop_recording():
        parts = [_with_rule(op) if is_conditional(op) else _taken_apart(op) for op in tape.operations]
    if all(len(part) == 1 and part[0] is op for part, op in zip_strict(parts, tape.operations)):
        return tape
    operations = [op for part in parts for op in part]
    result = tape.copy(operations=operations)
    if len(operations) == len(tape.operations):
        result.trainable_params = tape.trainable_params
    else:
        parameters = result.get_parameters(trainable_only=False)
        result.trainable_params = qml.math.get_trainable_indices(parameters)
    return result


def _with_rule(op: Operator) -> list[Operator]:
    """The conditional gate with a rule, or what it decomposes into where the gate itself has none."""
    base = op.base
    if base.num_params == 0:
        return [op]
    if getattr(base, "grad_method", "F") == "A":
        gate = Conditional(op.meas_val, base)
        gate.grad_recipe = [
            [list(term) for term in shift_rule(base, index)] for index in range(base.num_params)
        ]
        return [gate]
    if base.has_decomposition and any(qml.math.requires_grad(p) for p in base.data):
        return [part for gate in base.decomposition() for part in _with_rule(Conditional(op.meas_val, gate))]
    return [op]


def _taken_apart(op: Operator) -> list[Operator]:
    if not _lacks_rule(op):
        return [op]
    return [part for gate in op.decomposition() for part in _taken_apart(gate)]


def _lacks_rule(op: Operator) -> bool:
    """Whether an operation that is trained has no shift rule, while PennyLane takes it for one that has, but decomposes."""
    if op.name in ANGLES or is_conditional(op) or not any(map(qml.math.requires_grad, op.data)):
        return False
    return op.grad_method is not None and op.has_decomposition and not _has_rule(op)


def _has_rule(op: Operator) -> bool:
    if op.name in EXPONENTIALS:
        # the factor of one is complex, which no shift rule is about; the other takes no numbers for its base
        return False
    try:
        for index in range(op.num_params):
            shift_rule(op, index)
    except Exception:  # noqa: BLE001 - the kinds of errors vary with the operation
        return False
    return True
