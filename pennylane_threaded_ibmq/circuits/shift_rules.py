"""Shift rules: derivatives as sums of values at shifted angles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pennylane.gradients import generate_shift_rule

if TYPE_CHECKING:
    from pennylane.operation import Operator
    from typing_extensions import TypeAlias

Term: TypeAlias = "tuple[float, float, float]"
"""``(c, a, s)`` of a shift rule: the derivative is the sum of ``c * f(a * x + s)``."""

UNSHIFTED: tuple[Term, ...] = ((1.0, 1.0, 0.0),)


@dataclass(frozen=True)
class Shifts:
    """The shifts that differentiate one trainable angle.

    Attributes:
        operation: Place of its gate in the tape.
        parameter: Place among the data of the gate.
        terms: Its shift rule; none where the measured values do not depend on it.
    """

    operation: int
    parameter: int
    terms: tuple[Term, ...]


def shift_rule(gate: Operator, parameter: int) -> tuple[Term, ...]:
    """The shift rule of one angle of a gate that has one."""
    own = gate.grad_recipe[parameter]
    if own is not None:
        return tuple((float(c), float(a), float(s)) for c, a, s in own)
    # nothing depends on the phase of a branch, so that any rule gives zero; PennyLane takes no rule without terms
    rule = generate_shift_rule(gate.parameter_frequencies[parameter] or (1,))
    return tuple((float(c), 1.0, float(s)) for c, s in rule)
