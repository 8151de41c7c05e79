"""Tapes that come to ``execute`` as they were written, without PennyLane's preprocessing before it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ...circuits.changes import names_wires
from ...circuits.gates import (
    LOWERING,
    STATE_GATES,
    is_batched_constant,
    is_mid_measure,
    is_native,
    is_native_gate,
    late_preparations,
)
from ...circuits.mid_circuit import check_postselection, measures_midway, runs_natively
from ...circuits.tape_checks import check_measurements
from .preprocess import Rules, prepare_tape

if TYPE_CHECKING:
    from pennylane.measurements import MeasurementProcess
    from pennylane.operation import Operator
    from pennylane.tape import QuantumScript, QuantumScriptBatch
    from pennylane.typing import PostprocessingFn


class RawTapes:
    """Prepares those tapes of one call that nobody has prepared; the others, nearly all, cost one look at each gate.

    A tape that was prepared is not prepared again: measurements that were deferred have wires that the device lacks.

    Args:
        rules: What the device takes.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        # a tape of a gradient shares most of its gates and measurements; objects are kept, and so are their ids
        self._gates: dict[int, Operator] = {}
        self._measurements: dict[int, MeasurementProcess] = {}
        self._any_method = replace(rules.mid_circuit, method=None)

    def prepare(self, tape: QuantumScript) -> tuple[QuantumScriptBatch, PostprocessingFn | None]:
        """As :func:`~.preprocess.prepare_tape`, where that is needed.

        Raises:
            UnsupportedCircuitError: The tape holds something that cannot run.
        """
        apart = not self._rules.parametrise and tape.batch_size is not None
        if tape.shots and not apart and self._measured(tape) and self._native(tape):
            return (tape,), None
        return prepare_tape(tape, self._rules)

    def _measured(self, tape: QuantumScript) -> bool:
        """Whether all measurements say what they read."""
        known = self._measurements
        new = [mp for mp in tape.measurements if id(mp) not in known]
        if not new:
            return True
        check_measurements(tape, self._rules.name)
        # what one that names no wires reads is a matter of the tape
        named = [mp for mp in new if names_wires(mp)]
        known.update((id(mp), mp) for mp in named)
        return len(named) == len(new)

    def _native(self, tape: QuantumScript) -> bool:
        """Whether the converter knows all gates."""
        known = self._gates
        for op in tape.operations:
            if id(op) in known:
                continue
            if op.name not in LOWERING or not is_native_gate(op):
                if not is_native(op) or is_batched_constant(op):
                    return False
                if measures_midway(tape) and not runs_natively(tape, self._any_method):
                    return False
                if is_mid_measure(op) and op.postselect is not None:
                    # what goes together with it is a matter of the tape, too
                    check_postselection(tape, self._rules.mid_circuit)
                    continue
                if op.name in STATE_GATES:
                    # where it stands is a matter of the tape
                    if late_preparations(tape.operations):
                        return False
                    continue
            known[id(op)] = op
        return True
