"""Mid-circuit measurements: what is known about them before a run, and how they are written in a circuit.

A tape's mid-circuit measurements are numbered in order; measurement ``i`` is written to classical bit ``i`` of the
register that also takes the final bits. Whatever depends on them, a condition or a value to be returned, is a table
over those numbers. PennyLane orders the measurements of a value by random identifiers; here they are sorted by
number, so that equal circuits have equal tables.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, product
from typing import TYPE_CHECKING, Any

import numpy as np
from pennylane.measurements import CountsMP

from .._compat import zip_strict
from .._tensors import unwrapped
from .gates import LOWERING, is_conditional, is_mid_measure

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pennylane.measurements import MeasurementProcess
    from pennylane.operation import Operator
    from pennylane.tape import QuantumScript
    from typing_extensions import TypeAlias

    from .outcomes import ShotBits
    from .readout import Readout

Postselection: TypeAlias = "tuple[tuple[int, int], ...]"
"""``((bit, value), ...)``: shots in which a bit reads something else do not count."""


@dataclass(frozen=True)
class Condition:
    """The condition under which a gate is applied.

    Attributes:
        bits: Numbers of the measurements it depends on, ascending.
        table: Whether to apply, for each outcome of ``bits``, the first bit most significant.
    """

    bits: tuple[int, ...]
    table: tuple[bool, ...]

    @property
    def never(self) -> bool:
        """No outcome applies the gate."""
        return not any(self.table)

    def is_opposite(self, other: Condition | None) -> bool:
        """Whether exactly one of the two holds, whatever is measured."""
        if other is None or self.bits != other.bits:
            return False
        return all(a != b for a, b in zip_strict(self.table, other.table))


@dataclass(frozen=True, eq=False)
class MidCircuitValue:
    """The bits that a measurement of mid-circuit values reads, and its value for each of their outcomes.

    Attributes:
        sources: Numbers of the mid-circuit measurements; after deferring, the wires that hold their outcomes.
        values: Value of each outcome of ``sources``, shape ``(2**n,)``; for a list of values those of each
            member, shape ``(n, 2)``.
        listed: It is a list of values.
        deferred: ``sources`` are wires.
    """

    sources: tuple[Any, ...]
    values: NDArray[Any]
    listed: bool
    deferred: bool


class MidCircuitNumbers:
    """Numbers the mid-circuit measurements of one tape, in order."""

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}

    @classmethod
    def of(cls, tape: QuantumScript) -> MidCircuitNumbers:
        """Number those of a tape."""
        numbers = cls()
        for op in tape.operations:
            if is_mid_measure(op):
                numbers.add(op)
        return numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, op: Operator) -> int:
        """Number the next one."""
        number = len(self._numbers)
        self._numbers[_identity(op)] = number
        return number

    def condition(self, value: Any) -> Condition:
        """Read a condition; measurements that make no difference are left out."""
        bits, table = self._table(value)
        table = table.astype(bool).reshape((2,) * len(bits))
        others = list(bits)
        for axis in reversed(range(len(bits))):
            if np.array_equal(table.take(0, axis), table.take(1, axis)):
                table = table.take(0, axis)
                del others[axis]
        return Condition(tuple(others), tuple(table.ravel().tolist()))

    def value(self, mp: MeasurementProcess) -> MidCircuitValue:
        """Read a measurement of mid-circuit values."""
        if isinstance(mp.mv, (list, tuple)):
            parts = [self._table(v) for v in mp.mv]
            sources = tuple(s for refs, _ in parts for s in refs)
            values, listed = np.stack([table for _, table in parts]), True
        else:
            sources, values = self._table(mp.mv)
            listed = False
        deferred = any(isinstance(s, _OnWire) for s in sources)
        plain = tuple(s.wire for s in sources) if deferred else sources
        return MidCircuitValue(plain, values, listed, deferred)

    def _table(self, value: Any) -> tuple[tuple[Any, ...], NDArray[Any]]:
        refs = [self._reference(m) for m in value.measurements]
        order = sorted(range(len(refs)), key=lambda i: _sort_key(refs[i]))
        # PennyLane 0.37 has other names for both
        outcomes = value.items() if hasattr(value, "items") else value.branches.items()
        table = np.asarray([np.asarray(unwrapped(v))[()] for _, v in outcomes])
        table = table.reshape((2,) * len(refs)).transpose(order).ravel()
        return tuple(refs[i] for i in order), table

    def _reference(self, measurement: Operator) -> int | _OnWire:
        number = self._numbers.get(_identity(measurement))
        # deferring takes the measurement out of the tape and leaves its outcome on a wire
        return _OnWire(measurement.wires[0]) if number is None else number


def read_values(readout: Readout, value: MidCircuitValue, shots: ShotBits) -> Any:
    """Counts or samples of mid-circuit values, from the valid shots of one row.

    Returns:
        Samples: shape ``(shots,)``, or ``(shots, n)`` for a list of ``n`` values. Counts: a dictionary from values,
        or from texts such as ``"01"`` for a list, as PennyLane's own simulators give them.
    """
    mp = readout.process
    counts_mp = mp if isinstance(mp, CountsMP) else None
    if value.listed:
        bits = shots.samples(0, readout.bits)
        samples = np.stack([table[bits[:, i]] for i, table in enumerate(value.values)], axis=1)
        if counts_mp is None:
            return samples
        keys: list[Any] = ["".join(str(int(v)) for v in row) for row in samples]
        every: list[Any] = ["".join(str(int(v)) for v in row) for row in product(*value.values)]
    else:
        samples = value.values[shots.outcome_indices(0, readout.bits)]
        if counts_mp is None:
            return samples
        keys = samples.tolist()
        every = value.values.tolist()
    counts = Counter(keys)
    return {k: np.int64(counts[k]) for k in sorted(set(every) if counts_mp.all_outcomes else counts)}


@dataclass(frozen=True)
class _OnWire:
    wire: Any


def _identity(op: Operator) -> Any:
    name = op.meas_uid if hasattr(op, "meas_uid") else op.id
    return (name, op.wires.labels)


def _sort_key(reference: int | _OnWire) -> tuple[int, str]:
    return (-1, str(reference.wire)) if isinstance(reference, _OnWire) else (reference, "")


def postselection(tape: QuantumScript) -> Postselection:
    """Bits that decide whether a shot counts, and what they must read."""
    measured = [op for op in tape.operations if is_mid_measure(op)]
    return tuple((i, int(op.postselect)) for i, op in enumerate(measured) if op.postselect is not None)


@dataclass(frozen=True)
class Stretch:
    """Operations in a row under one condition.

    Attributes:
        condition: The condition; ``None`` without one.
        operations: The gates themselves, not their conditional wrappers.
    """

    condition: Condition | None
    operations: tuple[Operator, ...]


def stretches(tape: QuantumScript) -> Iterator[Stretch]:
    """Cut a tape into stretches: each becomes one block of a circuit, since every branch costs time on a QPU."""
    numbers = MidCircuitNumbers.of(tape)
    if not len(numbers):
        yield Stretch(None, tuple(tape.operations))
        return
    pairs: list[tuple[Condition | None, Operator]] = []
    for op in tape.operations:
        condition = numbers.condition(op.meas_val) if is_conditional(op) else None
        always = condition is not None and condition.table == (True,)
        pairs.append((None if always else condition, op.base if is_conditional(op) else op))
    for condition, group in groupby(pairs, key=lambda pair: pair[0]):
        yield Stretch(condition, tuple(op for _, op in group))


def has_gates(stretch: Stretch) -> bool:
    """Whether a conditional stretch does anything."""
    condition = stretch.condition
    if condition is not None and condition.never:
        return False
    return any(LOWERING.get(op.name) != () for op in stretch.operations)


def qiskit_condition(condition: Condition, clbits: Sequence[Any]) -> Any:
    """The condition as Qiskit takes it, of as few and as plain operations as a table allows.

    QPUs take logic on single bits in a condition, but neither arithmetic nor registers of more than 32 bits, and no
    branch within a branch.
    """
    if condition.table == (False, True):
        return (clbits[condition.bits[0]], 1)
    if condition.table == (True, False):
        return (clbits[condition.bits[0]], 0)
    return _formula([clbits[b] for b in condition.bits], condition.table)


def _formula(bits: Sequence[Any], table: tuple[bool, ...]) -> Any:
    """Shannon expansion: a formula for the first bit set, one for not set, and what joins them."""
    from qiskit.circuit.classical import expr

    if all(table) or not any(table):
        return all(table)
    half = len(table) // 2
    low, high = table[:half], table[half:]
    rest = bits[1:]
    if low == high:
        return _formula(rest, low)
    bit = expr.lift(bits[0])
    if_not, if_set = _formula(rest, low), _formula(rest, high)
    if if_set is True:
        return bit if if_not is False else expr.logic_or(bit, if_not)
    if if_set is False:
        return expr.logic_not(bit) if if_not is True else expr.logic_and(expr.logic_not(bit), if_not)
    if if_not is False:
        return expr.logic_and(bit, if_set)
    if if_not is True:
        return expr.logic_or(expr.logic_not(bit), if_set)
    if all(a != b for a, b in zip_strict(low, high)):
        return expr.bit_xor(bit, if_not)
    return expr.logic_or(expr.logic_and(bit, if_set), expr.logic_and(expr.logic_not(bit), if_not))
