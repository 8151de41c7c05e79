"""Shift rules, derivatives as sums of values at shifted angles; and the Jacobian from results of tapes whose rows are shifts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pennylane.gradients import generate_shift_rule
from pennylane.measurements import VarianceMP

from .._compat import zip_strict

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pennylane.operation import Operator
    from pennylane.tape import QuantumScript
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


def has_variance(tape: QuantumScript) -> bool:
    """Whether rows measure the two moments of a variance."""
    return any(isinstance(mp, VarianceMP) for mp in tape.measurements)


def blocks_of(tape: QuantumScript, part: Sequence[Shifts]) -> list[tuple[Shifts | None, Term]]:
    """The blocks of rows: one block a term, each as long as the tape's own batch."""
    first: list[tuple[Shifts | None, Term]] = [(None, UNSHIFTED[0])] if has_variance(tape) else []
    return first + [(shift, term) for shift in part for term in shift.terms]


class Combination:
    """Makes the Jacobian of a tape from the results of its broadcast tapes."""

    def __init__(
        self,
        tape: QuantumScript,
        shifts: dict[int, Shifts],
        coefficients: dict[int, tuple[int, Operator]],
        parts: Sequence[Sequence[Shifts]],
    ) -> None:
        self._tape = tape
        self._shifts = shifts
        self._coefficients = coefficients
        self._parts = parts
        self._batch = () if tape.batch_size is None else (tape.batch_size,)

    def __call__(self, results: Sequence[Any]) -> Any:
        """The Jacobian, of each copy where there is a shot vector."""
        if not self._tape.trainable_params:
            return ()
        if not self._tape.shots.has_partitioned_shots:
            return self._jacobian(results)
        copies = self._tape.shots.num_copies
        return tuple(self._jacobian([result[copy] for result in results]) for copy in range(copies))

    def _jacobian(self, results: Sequence[Any]) -> Any:
        """Jacobian of one copy of the shot vector."""
        derivatives = self._of_angles(results)
        terms = self._of_coefficients(results)
        columns = []
        for place in range(len(self._tape.measurements)):
            column = []
            for index in self._tape.trainable_params:
                if index in self._coefficients:
                    owner, value = terms[index]
                    column.append(value if owner == place else np.zeros_like(value))
                else:
                    column.append(derivatives[index][place])
            columns.append(column[0] if len(column) == 1 else tuple(column))
        return columns[0] if len(columns) == 1 else tuple(columns)

    def _of_angles(self, results: Sequence[Any]) -> dict[int, list[Any]]:
        """For each trainable angle, the derivative of each measurement."""
        by_shift: dict[int, list[Any]] = {}
        for part, result in zip(self._parts, results):
            blocks = blocks_of(self._tape, part)
            tables = self._tables(result, len(blocks))
            start = len(blocks) - sum(len(shift.terms) for shift in part)
            for shift in part:
                stop = start + len(shift.terms)
                factors = np.array([c for c, _, _ in shift.terms])
                by_shift[id(shift)] = [self._derivative(t, slice(start, stop), factors) for t in tables]
                start = stop
        return {
            index: by_shift[id(shift)] if shift.terms else self._zeros()
            for index, shift in self._shifts.items()
        }

    def _tables(self, result: Any, blocks: int) -> list[tuple[NDArray[np.float64], ...]]:
        """Results of each measurement by block: one array, or the two moments of a variance."""
        # of each measurement one value, or the two moments of a variance
        counts = [2 if isinstance(mp, VarianceMP) else 1 for mp in self._tape.measurements]
        flat = iter(result if sum(counts) > 1 else (result,))
        tables = []
        for count in counts:
            arrays = [np.asarray(next(flat), dtype=np.float64) for _ in range(count)]
            tables.append(tuple(self._by_block(array, blocks) for array in arrays))
        return tables

    def _by_block(self, array: NDArray[np.float64], blocks: int) -> NDArray[np.float64]:
        return array.reshape((blocks, *self._batch, *array.shape[1:]))

    @staticmethod
    def _derivative(
        table: tuple[NDArray[np.float64], ...], rows: slice, factors: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Sum of the terms; of a variance ``<A^2> - <A>^2`` by the product rule."""
        first = np.tensordot(factors, table[0][rows], axes=1)
        if len(table) == 1:
            return first
        derivative: NDArray[np.float64] = (
            np.tensordot(factors, table[1][rows], axes=1) - 2 * table[0][0] * first
        )
        return derivative

    def _of_coefficients(self, results: Sequence[Any]) -> dict[int, tuple[int, Any]]:
        """For each trainable coefficient, its measurement and the expectation value of its term."""
        if not self._coefficients:
            return {}
        values = results[-1] if len(self._coefficients) > 1 else (results[-1],)
        return {
            index: (owner, np.asarray(value, dtype=np.float64))
            for (index, (owner, _)), value in zip_strict(self._coefficients.items(), values)
        }

    def _zeros(self) -> list[Any]:
        """Derivatives by what nothing depends on."""
        shapes = [mp.shape(shots=1, num_device_wires=len(self._tape.wires)) for mp in self._tape.measurements]
        return [np.zeros((*self._batch, *shape)) for shape in shapes]
