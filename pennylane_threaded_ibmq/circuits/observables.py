"""Measurements, read: the Pauli words of each, its coefficients, and the key that is equal for equal ones."""

from __future__ import annotations

from cmath import isfinite
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pennylane.measurements import (
    ClassicalShadowMP,
    CountsMP,
    ExpectationMP,
    MeasurementProcess,
    SampleMP,
    ShadowExpvalMP,
    VarianceMP,
)
from pennylane.operation import Operator

from ..exceptions import UnsupportedCircuitError
from .dynamic import MidCircuitNumbers, MidCircuitValue
from .pauli import Word, pauli_sentence_of, word_of
from .precision import to_complex, to_numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class MeasurementData:
    """One measurement, read.

    Attributes:
        key: What makes it part of a structure.
        words: Pauli words of an expectation value or variance; ``None`` for everything else.
        coeffs: One real coefficient a word; may differ between tapes of one structure.
        offset: Coefficient of the identity.
        value: The mid-circuit values it reads; its table may differ between tapes of one structure.
    """

    key: Hashable
    words: tuple[Word, ...] | None = None
    coeffs: NDArray[np.float64] | None = None
    offset: float = 0.0
    value: MidCircuitValue | None = None


class _OneOfAKind(int):
    """An object's identity: part of a key of this process, and no part of what is written down, where it would be new each time."""

    def __repr__(self) -> str:
        return "_"


def is_own_measurement(mp: MeasurementProcess) -> bool:
    """Whether a measurement's class is a user's own, which brings its own processing of samples, whatever it is a kind of."""
    return not type(mp).__module__.startswith("pennylane.") and hasattr(mp, "process_samples")


def read_measurement(mp: MeasurementProcess, mid_circuit: MidCircuitNumbers) -> MeasurementData:
    """Read one measurement."""
    kind = type(mp).__name__
    if getattr(mp, "mv", None) is not None:
        value = mid_circuit.value(mp)
        return MeasurementData(
            (kind, "value", value.sources, value.listed, value.deferred, _options(mp)), value=value
        )
    if is_own_measurement(mp):
        # nothing tells its objects apart; the template keeps this one, and so its id
        obs = None if mp.obs is None else operator_key(mp.obs)
        return MeasurementData((kind, _OneOfAKind(id(mp)), mp.wires.labels, obs))
    if isinstance(mp, (ExpectationMP, VarianceMP)) and mp.obs is not None:
        sentence = pauli_sentence_of(mp.obs)
        if sentence is not None:
            words, coeffs, offset = [], [], 0.0
            for word, coeff in sentence.items():
                number = real_number(to_complex(coeff), mp, "coefficient")
                if len(word) == 0:
                    offset += number
                else:
                    words.append(word_of(word))
                    coeffs.append(number)
            return MeasurementData(
                (kind, "words", tuple(words)), tuple(words), np.array(coeffs, dtype=np.float64), offset
            )
    if isinstance(mp, (ClassicalShadowMP, ShadowExpvalMP)):
        operators = getattr(mp, "H", None)
        if operators is not None:
            many = operators if isinstance(operators, Iterable) else [operators]
            operators = tuple(operator_key(o) for o in many)
        return MeasurementData((kind, mp.wires.labels, operators, mp.seed, getattr(mp, "k", None)))
    if mp.obs is not None:
        return MeasurementData((kind, "obs", operator_key(mp.obs), _options(mp)))
    eigvals = mp.eigvals() if mp._eigvals is not None else None  # noqa: SLF001 - the only way to tell
    return MeasurementData(
        (kind, mp.wires.labels, None if eigvals is None else to_numbers(eigvals).tobytes(), _options(mp))
    )


IMAGINARY = 1e-6
"""Imaginary part, relative to numbers of at least 1, that is taken for rounding: single precision has 7 digits."""


def real_number(value: Any, mp: MeasurementProcess, what: str) -> float:
    """A number of an observable, which must be real for the observable to be one.

    Raises:
        UnsupportedCircuitError: It has an imaginary part, or is not finite.
    """
    number = complex(value)
    if not isfinite(number):
        raise UnsupportedCircuitError(
            f"{mp} has the {what} {number:.6g}, which is no finite number. Nothing was sent."
        )
    if abs(number.imag) > IMAGINARY * max(1.0, abs(number)):
        raise UnsupportedCircuitError(
            f"{mp} is no observable: it has the {what} {number:.6g}, whose imaginary part no shots can give. Measure its "
            "Hermitian and anti-Hermitian parts, (A + A†)/2 and (A - A†)/2i, one by one. Nothing was sent."
        )
    return number.real


def _options(mp: MeasurementProcess) -> Hashable:
    if isinstance(mp, CountsMP):
        return bool(mp.all_outcomes)
    if isinstance(mp, SampleMP):
        return str(getattr(mp, "_dtype", None))
    return None


def operator_key(op: Operator) -> Hashable:
    """A key that is equal for equal observables: names, wires and all numbers."""
    operands = getattr(op, "operands", None)
    if operands is None and isinstance(op.name, list):
        # a Tensor of PennyLane's before 0.37: it has a list of names, and no operands
        return ("Tensor", tuple(operator_key(o) for o in op.obs))
    if operands is not None:
        numbers = tuple(_bytes(d) for d in op.data) if op.name == "LinearCombination" else ()
        return (op.name, tuple(operator_key(o) for o in operands), numbers)
    base = getattr(op, "base", None)
    if isinstance(base, Operator):
        scalar = getattr(op, "scalar", None)
        power = getattr(op, "z", None)
        return (op.name, operator_key(base), _bytes(scalar), _bytes(power), *_controls(op))
    extra = tuple(sorted((k, _bytes(v)) for k, v in op.hyperparameters.items()))
    return (op.name, op.wires.labels, tuple(_bytes(d) for d in op.data), extra)


def _controls(op: Operator) -> tuple[Hashable, ...]:
    """The wires that control an operator, and the values that they must have; nothing for one that is not controlled."""
    values = getattr(op, "control_values", None)
    return () if values is None else (op.control_wires.labels, tuple(map(bool, values)))


def parts_of(obs: Operator) -> tuple[Operator, ...]:
    """Factors or terms of an observable, or the one that it wraps."""
    operands = getattr(obs, "operands", None)
    if operands is not None:
        return tuple(operands)
    base = getattr(obs, "base", None)
    return (base,) if isinstance(base, Operator) else ()


def _bytes(value: Any) -> Hashable:
    if value is None or isinstance(value, (str, bool, int)):
        return value
    try:
        array = to_complex(value)
    except (TypeError, ValueError):
        return repr(value)
    return (array.shape, array.tobytes())
