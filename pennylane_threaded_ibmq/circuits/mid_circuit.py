"""The way of a tape's mid-circuit measurements: on the backend itself, or deferred to the end of the circuit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pennylane.measurements import ClassicalShadowMP, SampleMP, ShadowExpvalMP
from pennylane.ops import MeasurementValue, MidMeasure
from pennylane.queuing import QueuingManager
from pennylane.transforms import defer_measurements

from .._compat import zip_strict
from ..exceptions import ConfigurationError, UnsupportedCircuitError
from .gates import is_conditional, is_mid_measure

if TYPE_CHECKING:
    from pennylane.devices.execution_config import ExecutionConfig, MCMConfig
    from pennylane.tape import QuantumScript
    from pennylane.typing import PostprocessingFn, Result, ResultBatch

METHODS = ("device", "one-shot", "deferred")
"""Values of ``mcm_method``; ``None`` takes the first that the backend can do.

A backend that measures in the middle of a circuit runs each shot by itself, which is what PennyLane calls
``"one-shot"``; so that is another word for ``"device"``.
"""

INVALID_SAMPLE = np.iinfo(np.int32).min
"""PennyLane's substitute for an invalid shot where JAX needs arrays of a known length."""


@dataclass(frozen=True)
class MidCircuitRules:
    """Rules by which mid-circuit measurements are run.

    Attributes:
        operations: Gives the names of everything the backend runs; asked only where it matters.
        backend: Gives the name of the backend, for error texts.
        method: ``mcm_method`` of the QNode.
        postselect_mode: ``postselect_mode`` of the QNode.
    """

    operations: Callable[[], frozenset[str]] = frozenset
    backend: Callable[[], str] = str
    method: str | None = None
    postselect_mode: str | None = None

    @classmethod
    def of(
        cls,
        config: ExecutionConfig | None,
        operations: Callable[[], frozenset[str]],
        backend: Callable[[], str],
    ) -> MidCircuitRules:
        """Rules of one execution."""
        if config is None:
            return cls(operations, backend)
        mcm: MCMConfig = config.mcm_config
        return cls(operations, backend, mcm.mcm_method, mcm.postselect_mode)


def check_mcm_method(method: str | None) -> None:
    """Refuse methods of simulators.

    Raises:
        ConfigurationError: The device has no such method.
    """
    if method is not None and method not in METHODS:
        raise ConfigurationError(
            f"mcm_method={str(method)!r}: this method looks into a simulator's state. Give 'device' (or 'one-shot', "
            "which is the same here), 'deferred', or None for the best that the backend can do. Nothing was sent.",
            argument="mcm_method",
            value=str(method),
        )


def postselections(tape: QuantumScript) -> list[MidMeasure]:
    """The mid-circuit measurements of a tape that let only some shots count."""
    return [op for op in tape.operations if is_mid_measure(op) and op.postselect is not None]


def measures_midway(tape: QuantumScript) -> bool:
    """Whether a tape measures in the middle."""
    return any(is_mid_measure(op) or is_conditional(op) for op in tape.operations)


def runs_natively(tape: QuantumScript, rules: MidCircuitRules) -> bool:
    """Decide for one tape.

    Every backend measures in the middle; only branches and resets need names in its target.

    Raises:
        UnsupportedCircuitError: The method asked for cannot run this tape.
    """
    if rules.method == "deferred":
        return False
    needs = set()
    if any(is_conditional(op) for op in tape.operations):
        needs.add("if_else")
    if any(is_mid_measure(op) and op.reset for op in tape.operations):
        needs.add("reset")
    missing = needs - rules.operations() if needs else needs
    if missing and rules.method is not None:
        raise UnsupportedCircuitError(
            f"mcm_method={str(rules.method)!r}: backend {rules.backend()!r} lacks "
            f"{' and '.join(repr(m) for m in sorted(missing))}, which this circuit's mid-circuit measurements need. "
            "Give mcm_method='deferred' or None. Nothing was sent."
        )
    return not missing


def check_postselection(tape: QuantumScript, rules: MidCircuitRules) -> None:
    """Refuse what cannot be done by dropping shots.

    Raises:
        UnsupportedCircuitError: One of a tape's measurements and its postselection do not go together.
    """
    operations = postselections(tape)
    if not operations:
        return
    first = operations[0]
    name = f"qml.measure(wires={first.wires[0]!r}, postselect={first.postselect})"
    if rules.postselect_mode == "fill-shots":
        raise UnsupportedCircuitError(
            f"{name}: postselect_mode='fill-shots' needs a simulator that projects its state. Shots that measure "
            "something else are dropped here: give postselect_mode='hw-like' or None. Nothing was sent."
        )
    for mp in tape.measurements:
        if isinstance(mp, (ClassicalShadowMP, ShadowExpvalMP)):
            raise UnsupportedCircuitError(
                f"{name}: {mp} takes no postselection, since a shadow needs every shot. Nothing was sent."
            )
        if isinstance(mp, SampleMP) and tape.batch_size is not None:
            raise UnsupportedCircuitError(
                f"{name}: {mp} takes no postselection together with parameter broadcasting, since the entries of "
                "the batch keep different numbers of shots. Run them one by one. Nothing was sent."
            )


def defer(tape: QuantumScript) -> QuantumScript:
    """Defer the measurements of a tape; a postselected outcome is measured at the end of the circuit.

    PennyLane's transform projects the state for a postselection, which only a simulator can. So it is given the
    tape without postselection, and asked, by a sample of each outcome in question, on which wire it ends.
    """
    operations = postselections(tape)
    with QueuingManager.stop_recording():
        probes = [SampleMP(MeasurementValue([op])) for op in operations]
        free = [
            MidMeasure(op.wires, reset=op.reset, meas_uid=op.meas_uid) if is_mid_measure(op) else op
            for op in tape.operations
        ]
        (deferral,), _ = defer_measurements(
            tape.copy(operations=free, measurements=[*tape.measurements, *probes]), reduce_postselected=False
        )
        count = len(tape.measurements)
        ends = [
            MidMeasure(probe.wires, postselect=op.postselect)
            for op, probe in zip_strict(operations, deferral.measurements[count:])
        ]
        return deferral.copy(
            operations=[*deferral.operations, *ends], measurements=deferral.measurements[:count]
        )


def padding(tape: QuantumScript, rules: MidCircuitRules) -> PostprocessingFn | None:
    """For JAX: fill samples up to the number of shots, as PennyLane's simulators do; ``None`` if not needed."""
    if rules.postselect_mode != "pad-invalid-samples":
        return None
    if not postselections(tape) or not any(isinstance(mp, SampleMP) for mp in tape.measurements):
        return None
    several = len(tape.measurements) > 1
    copies = list(tape.shots)

    def pad(result: Any, shots: int) -> Any:
        parts = result if several else (result,)
        padded = tuple(
            _fill(part, shots) if isinstance(mp, SampleMP) else part
            for mp, part in zip_strict(tape.measurements, parts)
        )
        return padded if several else padded[0]

    def post(results: ResultBatch) -> Result:
        if not tape.shots.has_partitioned_shots:
            return pad(results[0], copies[0])
        return tuple(pad(r, n) for r, n in zip_strict(results[0], copies))

    return post


def _fill(samples: Any, shots: int) -> Any:
    missing = shots - len(samples)
    return np.concatenate([samples, np.full((missing, *samples.shape[1:]), INVALID_SAMPLE)])
