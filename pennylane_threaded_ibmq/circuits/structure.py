"""Structures of tapes: those that share one share a template, and differ in angles and shots alone.

A tape is read into a key (gates, wires, matrices, measured words) and its data (angles, coefficients). Tapes with
equal keys run as rows of one parametrised circuit. ``tape.hash`` is not used: it costs milliseconds a tape and
rounds what it hashes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from pennylane.ops.op_math import ControlledOp

from .._tensors import unwrapped
from ..exceptions import UnsupportedCircuitError
from .dynamic import MidCircuitNumbers
from .gates import ANGLES, CONSTANT_GATES, is_conditional, is_mid_measure
from .observables import MeasurementData, read_measurement
from .precision import to_numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pennylane.measurements import MeasurementProcess
    from pennylane.operation import Operator
    from pennylane.tape import QuantumScript
    from typing_extensions import TypeAlias

_Gate: TypeAlias = "tuple[Operator, tuple[Any, ...], int | None]"

REMEMBERED = 4096
"""Gates that are remembered at most: enough for the tapes of a gradient, little next to a batch of 10 000 others."""


@dataclass(frozen=True, eq=False)
class TapeData:
    """One tape, read: its structure's key and what differs between tapes of that structure.

    Attributes:
        key: Equal keys share a template.
        angles: Angles of the gates, radians: shape ``(rows, n)``.
        batch_size: Rows that the tape stands for by parameter broadcasting; ``None`` without broadcasting.
        measurements: One entry a measurement.
    """

    key: Hashable
    angles: NDArray[np.float64]
    batch_size: int | None
    measurements: tuple[MeasurementData, ...]


class StructureReader:
    """Reads the tapes of one batch.

    Measurements are read once per object: the tapes of a gradient share theirs, and a molecular Hamiltonian takes
    milliseconds to read. They share most gates too.
    """

    def __init__(self) -> None:
        self._gates: dict[int, _Gate] = {}
        self._measurements: dict[int, tuple[MeasurementProcess, MeasurementData]] = {}

    def read(self, tape: QuantumScript, position: int) -> TapeData:
        """Read one preprocessed tape; its position in the batch is for error texts.

        Raises:
            UnsupportedCircuitError: An angle is not a finite number.
        """
        key: list[Hashable] = []
        raw: list[Any] = []
        phases: list[Any] = []
        mid_circuit = MidCircuitNumbers()
        for op in tape.operations:
            _, gate, count = self._gates.get(id(op)) or self._gate(op)
            if count is not None:
                key.append(gate)
                if count:
                    raw += op.data
                elif op.data:
                    phases += op.data
            elif op.name in CONSTANT_GATES:
                key.append((*gate, _constants(op)))
            else:
                key.append(_mid_circuit_key(op, mid_circuit, raw, phases))
        measurements = tuple(self._measurement(mp, mid_circuit) for mp in tape.measurements)
        if phases:
            _check_phases(phases, tape, position)
        # a phase is dropped, but one that is broadcast still makes a batch
        angles, batch_size = _angle_rows(raw, tape, position, scalars=all(np.ndim(p) == 0 for p in phases))
        return TapeData((tuple(key), tuple(m.key for m in measurements)), angles, batch_size, measurements)

    def _gate(self, op: Operator) -> _Gate:
        """A gate with its part of the key and the number of its angles; ``None`` if its numbers are structure."""
        name = op.name
        description = (op, (name, wire_labels(op)), ANGLES.get(name))
        if len(self._gates) < REMEMBERED:
            # the object is kept, so that its id cannot be given to another one
            self._gates[id(op)] = description
        return description

    def _measurement(self, mp: MeasurementProcess, mid_circuit: MidCircuitNumbers) -> MeasurementData:
        entry = self._measurements.get(id(mp))
        if entry is not None:
            return entry[1]
        data = read_measurement(mp, mid_circuit)
        if getattr(mp, "mv", None) is None:
            # the object is kept, so that its id cannot be given to another one
            self._measurements[id(mp)] = (mp, data)
        return data


def wire_labels(op: Operator) -> tuple[Hashable, ...]:
    """Labels of a gate's wires; PennyLane puts those of a CNOT together, and checks them, each time that it is asked."""
    if isinstance(op, ControlledOp) and not op.work_wires:
        return (*op.control_wires.labels, *op.base.wires.labels)
    return op.wires.labels  # type: ignore[no-any-return]


def _constants(op: Operator) -> Hashable:
    if op.name == "Barrier":
        return None
    data = [to_numbers(d) for d in op.data] or [to_numbers(op.hyperparameters["state"])]
    return tuple((d.shape, d.dtype.str, d.tobytes()) for d in data)


def _angle_rows(
    raw: list[Any], tape: QuantumScript, position: int, *, scalars: bool
) -> tuple[NDArray[np.float64], int | None]:
    """Angles in rows, and the tape's batch size; ``scalars``: nothing else is broadcast."""
    flat = _as_array(raw)
    if flat is None:  # tensors with a graph, or arrays of a broadcast among scalars
        raw = [unwrapped(value) for value in raw]
        flat = _as_array(raw)
    batch_size = None
    if scalars and flat is not None and flat.shape == (len(raw),):
        # to ask the tape for its batch size would cost more than all the rest
        angles = flat.reshape(1, -1)
    else:
        batch_size = tape.batch_size
        angles = np.empty((batch_size or 1, len(raw)), dtype=np.complex128)
        for j, value in enumerate(raw):
            angles[:, j] = np.asarray(unwrapped(value))
    if angles.dtype.kind == "c":
        if np.any(angles.imag):
            _refuse_number(tape, position, _is_not_real, "real")
        angles = angles.real
    angles = angles.astype(np.float64, copy=False)
    if not np.isfinite(angles).all():
        _refuse_number(tape, position, _is_not_finite, "finite")
    return angles, batch_size


def _as_array(raw: list[Any]) -> NDArray[Any] | None:
    """Numbers as an array of whatever they are; ``None`` if they are no numbers of one shape."""
    if not raw:
        return np.empty(0)
    try:
        flat = np.array(raw)
    except (TypeError, ValueError, RuntimeError):
        return None
    return flat if flat.dtype.kind in "biufc" else None


def to_numpy(value: Any) -> NDArray[np.float64]:
    """Real numbers of whatever they are made of, a tensor that belongs to a gradient under way included."""
    number = np.asarray(unwrapped(value))
    if _is_not_real(number):
        raise UnsupportedCircuitError(
            f"The angle {number} has no derivative here: it must be a real number. Nothing was sent."
        )
    return number.real.astype(np.float64)


def _is_not_real(number: NDArray[Any]) -> bool:
    return number.dtype.kind not in "biuf" and (number.dtype.kind != "c" or bool(np.any(number.imag)))


def _is_not_finite(number: NDArray[Any]) -> bool:
    # as the double precision that angles are read in
    return not np.isfinite(number.astype(np.complex128)).all()


def _check_phases(phases: list[Any], tape: QuantumScript, position: int) -> None:
    """Phases of a whole circuit are dropped; what is no phase must not be."""
    for phase in phases:
        number = np.asarray(unwrapped(phase))
        if _is_not_real(number):
            _refuse_number(tape, position, _is_not_real, "real")
        if _is_not_finite(number):
            _refuse_number(tape, position, _is_not_finite, "finite")
        if number.ndim and tape.batch_size is None:
            raise UnsupportedCircuitError(
                f"Tape {position} has a GlobalPhase of {len(number)} phases, which this PennyLane takes for no broadcast. "
                "Leave it out: nothing that is measured depends on it. Nothing was sent.",
                tape=position,
            )


def _refuse_number(
    tape: QuantumScript, position: int, is_bad: Callable[[NDArray[Any]], bool], kind: str
) -> NoReturn:
    """Refuse a tape by its first number that is bad."""
    index, op, number = next(
        (index, op, number)
        for index, op in enumerate(tape.operations)
        if op.name not in CONSTANT_GATES
        for number in (np.asarray(unwrapped(d)) for d in op.data)
        if is_bad(number)
    )
    raise UnsupportedCircuitError(
        f"Tape {position}: operation {index}, {op.name} on wires {list(op.wires)}, has the parameter {number}; angles must "
        f"be {kind} numbers. Nothing was sent.",
        tape=position,
    )


def _mid_circuit_key(op: Operator, numbers: MidCircuitNumbers, raw: list[Any], phases: list[Any]) -> Hashable:
    """Key of a mid-circuit measurement or of a gate conditioned on some."""
    if is_mid_measure(op):
        numbers.add(op)
        return (op.name, op.wires.labels, bool(op.reset), op.postselect)
    if not is_conditional(op):
        raise UnsupportedCircuitError(
            f"{op.name} on wires {list(op.wires)} was not decomposed before the circuit was read. Run it with a QNode, "
            "dev.batch_execute or dev.submit, which do so. Nothing was sent."
        )
    base = op.base
    count = ANGLES.get(base.name)
    constants = _constants(base) if count is None else None
    if count:
        raw += base.data
    elif count == 0:
        phases += base.data
    return ("Conditional", base.name, base.wires.labels, constants, numbers.condition(op.meas_val))
