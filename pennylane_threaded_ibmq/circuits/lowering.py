"""A tape as gates of Qiskit's names on numbered qubits, with plain columns for angles: what every simulator reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import pi
from typing import TYPE_CHECKING, Any

import numpy as np

from .._compat import zip_strict
from ..exceptions import UnsupportedCircuitError
from ..simulators.program import BARRIER, MEASURE, RESET, STATE, UNITARY, Placed
from .dynamic import Condition, has_gates, stretches
from .gates import ANGLES, LOWERING, STATE_GATES, Angle, is_mid_measure
from .precision import double_state, double_unitary
from .structure import wire_labels

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pennylane.operation import Operator
    from pennylane.tape import QuantumScript
    from typing_extensions import TypeAlias

    from .readout import Setting

_Written: TypeAlias = "tuple[float | None, int | None]"
"""An angle as it is written: a number, or a column."""


@dataclass(frozen=True, eq=False)
class Part:
    """Gates in a row under one condition.

    Attributes:
        condition: The condition; ``None`` without one.
        gates: The gates, measurements in the middle and resets.
    """

    condition: Condition | None
    gates: tuple[Placed, ...]


@dataclass
class Lowered:
    """The operations of a tape.

    Attributes:
        parts: Its gates.
        sources: The angle of the tape that each column is made of.
        scales: What it is multiplied by.
    """

    parts: list[Part] = field(default_factory=list)
    sources: list[int] = field(default_factory=list)
    scales: list[float] = field(default_factory=list)

    def values(self, angles: NDArray[np.float64]) -> NDArray[np.float64]:
        """Columns from the angles of tapes: shape ``(rows, columns)``, radians."""
        values: NDArray[np.float64] = angles[:, self.sources] * self.scales
        return values


def lower(tape: QuantumScript, qubit_of: Mapping[Any, int], fixed: NDArray[np.float64] | None) -> Lowered:
    """Lower the operations of a tape.

    Args:
        tape: A preprocessed tape.
        qubit_of: The qubit of each wire.
        fixed: Angles of the tape that are written into the gates; ``None`` for columns.
    """
    lowered = Lowered()
    writer = _Writer(lowered, qubit_of, fixed)
    for part in stretches(tape):
        if part.condition is not None and not has_gates(part):
            writer.skip(part.operations)
            continue
        lowered.parts.append(
            Part(part.condition, tuple(gate for op in part.operations for gate in writer.gates(op)))
        )
    return lowered


class _Writer:
    """Reads operations one after the other."""

    def __init__(
        self, lowered: Lowered, qubit_of: Mapping[Any, int], fixed: NDArray[np.float64] | None
    ) -> None:
        self._lowered = lowered
        self._qubit_of = qubit_of
        self._fixed = fixed
        self._touched: set[Any] = set()
        self._start = 0
        self._measured = 0

    def skip(self, operations: tuple[Operator, ...]) -> None:
        """Leave operations out that no outcome applies; their angles are angles of the tape all the same."""
        self._start += sum(ANGLES.get(op.name, 0) for op in operations)

    def gates(self, op: Operator) -> Iterator[Placed]:
        """The gates of one operation."""
        qubits = tuple([self._qubit_of[w] for w in wire_labels(op)])
        if is_mid_measure(op):
            yield Placed(MEASURE, qubits, bit=self._measured)
            if op.reset:
                yield Placed(RESET, qubits)
            self._measured += 1
        elif op.name in LOWERING:
            yield from _steps(op.name, qubits, self._angle)
            self._start += ANGLES[op.name]
        else:
            yield from constant_gates(op, qubits, fresh=self._touched.isdisjoint(qubits))
        self._touched.update(qubits)

    def _angle(self, angle: Angle) -> _Written:
        if self._fixed is not None:
            return _number(self._fixed[self._start :], angle)
        self._lowered.sources.append(self._start + angle.source)
        self._lowered.scales.append(angle.scale)
        return None, len(self._lowered.sources) - 1


def constant_gates(op: Operator, qubits: tuple[int, ...], *, fresh: bool) -> Iterator[Placed]:
    """Gates of an operation whose data are part of the structure; ``fresh``: nothing has touched its qubits before."""
    if op.name == "QubitUnitary":
        yield Placed(UNITARY, qubits, array=double_unitary(op))
    elif op.name in STATE_GATES:
        if not fresh:
            raise UnsupportedCircuitError(
                f"{op.name} on wires {op.wires.tolist()}, which other gates have used before, is a gate of its own in "
                "PennyLane and must be decomposed; submit the tape through a QNode, dev.submit or dev.batch_execute."
            )
        yield Placed(STATE, qubits, array=double_state(op.data[0]))
    elif op.name == "BasisState":
        bits = np.asarray(op.data[0] if op.data else op.hyperparameters["state"]).astype(int)
        for qubit, bit in zip_strict(qubits, bits):
            if bit:
                yield Placed("XGate", (qubit,))
    else:
        yield Placed(BARRIER, qubits)


_DIAGONAL = frozenset({"CZGate", "RZZGate"})


def last_diagonals(gates: Sequence[Placed]) -> Iterator[tuple[int, ...]]:
    """The qubits of each diagonal gate on two qubits that is the last on both: a measurement of both does not see it."""
    followed: set[int] = set()
    for gate in reversed(gates):
        if gate.gate in _DIAGONAL and followed.isdisjoint(gate.qubits):
            yield gate.qubits
        followed.update(gate.qubits)


def basis_change(setting: Setting, qubit_of: Mapping[Any, int], first_column: int) -> Iterator[Placed]:
    """Gates that turn what a setting measures into the computational basis; angles of a random one begin at ``first_column``."""
    for op in setting.rotations:
        qubits = tuple(qubit_of[w] for w in op.wires)
        if op.name in LOWERING:
            yield from _steps(op.name, qubits, partial(_number, op.data))
        else:
            yield from constant_gates(op, qubits, fresh=False)
    if setting.random_basis:
        for i, wire in enumerate(setting.wires):
            yield Placed("RZGate", (qubit_of[wire],), column=first_column + 2 * i)
            yield Placed("RYGate", (qubit_of[wire],), column=first_column + 2 * i + 1)
    for wire, letter in setting.basis:
        if letter == "X":
            yield Placed("HGate", (qubit_of[wire],))
        elif letter == "Y":
            yield Placed("RXGate", (qubit_of[wire],), pi / 2)


def _steps(name: str, qubits: tuple[int, ...], write: Callable[[Angle], _Written]) -> Iterator[Placed]:
    """The gates of an operation that is lowered; ``write`` says what becomes of its angles."""
    for step in LOWERING[name]:
        angle = step.angles[0] if step.angles else None
        number, column = write(angle) if isinstance(angle, Angle) else (angle, None)
        yield Placed(step.gate, tuple(qubits[i] for i in step.wires), number, column)


def _number(data: Sequence[Any] | NDArray[np.float64], angle: Angle) -> _Written:
    return float(data[angle.source]) * angle.scale, None
