"""Tapes as data, for the journal: names of gates, wires and numbers, and nothing that runs when it is read.

A gate or measurement of PennyLane's is written as the parts that PennyLane itself takes it apart into (``_flatten``);
a value of mid-circuit measurements as the table of its outcomes. What a user's own class holds is not known, so tapes
with one are not written.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Sequence
from importlib import import_module
from itertools import product
from typing import Any

import numpy as np
from pennylane.measurements import MeasurementProcess, MeasurementValue, Shots
from pennylane.operation import Operator
from pennylane.tape import QuantumScript
from pennylane.wires import Wires

from .._compat import zip_strict
from .._tensors import unwrapped

FORMAT = 1
"""Number of the format inside; the journal has its own for what a batch's tapes are kept as."""

MOST_MEASURED = 12
"""Mid-circuit measurements in a value whose outcomes are written as a table."""

_ABOUT = ("all_outcomes", "seed", "k")
"""Attributes that a measurement of an older PennyLane has beside its observable and wires."""


class UnwritableError(ValueError):
    """A tape holds something that cannot be written as data."""


def write_tapes(tapes: Sequence[QuantumScript]) -> bytes:
    """Write tapes.

    Raises:
        UnwritableError: One of them holds something that cannot be written as data.
    """
    writer = _Writer()
    texts = []
    for position, tape in enumerate(tapes):
        try:
            parts = [writer.of_tape(part) for part in (tape.operations, tape.measurements)]
            texts.append(json.dumps([*parts, writer.write(tape.shots)], separators=(",", ":")))
        except UnwritableError as error:
            raise UnwritableError(f"tape {position}: {error}") from None
    return zlib.compress(f'{{"format":{FORMAT},"tapes":[{",".join(texts)}]}}'.encode(), 1)


def read_tapes(data: bytes) -> tuple[QuantumScript, ...]:
    """Read what :func:`write_tapes` wrote.

    Raises:
        ValueError: It is something else.
    """
    try:
        content = json.loads(zlib.decompress(data))
        version, tapes = content["format"], content["tapes"]
        if version == FORMAT:
            return tuple(
                QuantumScript(_read_list(*operations), _read_list(*measurements), shots=_read(shots))
                for operations, measurements, shots in tapes
            )
    except Exception as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    raise ValueError(f"format {version!r}, and this version reads {FORMAT}")


class _Writer:
    """Writes values in JSON's types. What JSON has not is a list that begins with a letter."""

    def __init__(self) -> None:
        self._ways: dict[type, Callable[[Any], Any]] = {np.float64: float}
        self._ways.update(dict.fromkeys((bool, str, int, float, type(None)), lambda value: value))
        self._proved: set[type] = set()

    def of_tape(self, members: Sequence[Any]) -> list[Any]:
        """Gates or measurements. One of each class is read back: PennyLane cannot put all together that it takes apart."""
        parts = [self.write(member) for member in members]
        for member, before in zip_strict(members, parts):
            if type(member) not in self._proved:
                self._proved.add(type(member))
                try:
                    same = self.write(_read(before)) == before
                except Exception:  # noqa: BLE001 - whatever a class of PennyLane's raises
                    same = False
                if not same:
                    raise UnwritableError(f"{type(member).__name__} does not come back as it was")
        return parts

    def write(self, value: Any) -> Any:
        """A value as data."""
        kind = type(value)
        way = self._ways.get(kind)
        if way is None:
            way = self._ways[kind] = self._way(value)
        return way(value)

    def _way(self, value: Any) -> Callable[[Any], Any]:
        if isinstance(value, (Operator, MeasurementProcess)):
            return self._conditional if hasattr(value, "meas_val") else self._way_of_object(type(value))
        if isinstance(value, Wires):
            return lambda wires: ["w", *map(self.write, wires)]
        if isinstance(value, MeasurementValue):
            return self._value
        if isinstance(value, Shots):
            return lambda shots: ["s", *([int(p.shots), int(p.copies)] for p in shots.shot_vector)]
        if isinstance(value, dict):
            return lambda mapping: ["d", *([self.write(k), self.write(v)] for k, v in mapping.items())]
        if isinstance(value, (tuple, list)):
            letter = "t" if isinstance(value, tuple) else "l"
            return lambda parts: [letter, *map(self.write, parts)]
        return _write_array

    def _way_of_object(self, kind: type) -> Callable[[Any], Any]:
        """A gate, observable or measurement."""
        name = f"{kind.__module__}:{kind.__qualname__}"
        try:
            known = _find(name) is kind
        except ValueError:
            known = False
        if not known:
            raise UnwritableError(f"{kind.__name__} is no class of PennyLane's")
        return lambda value: ["o", name, *map(self.write, _take_apart(value))]

    def _conditional(self, value: Any) -> list[Any]:
        return ["q", self.write(value.meas_val), self.write(getattr(value, "base", None) or value.then_op)]

    def _value(self, value: MeasurementValue) -> list[Any]:
        """The value that a function makes of mid-circuit measurements, for each of their outcomes."""
        if len(value.measurements) > MOST_MEASURED:
            raise UnwritableError(
                f"a value of {len(value.measurements)} mid-circuit measurements is too large"
            )
        outcomes = product((0, 1), repeat=len(value.measurements))
        table = [value.processing_fn(*bits) for bits in outcomes]
        return ["m", self.write(list(value.measurements)), self.write(table)]


def _take_apart(value: Any) -> tuple[Any, ...]:
    """The parts of a gate, observable or measurement, as values that hold no code."""
    if hasattr(value, "_flatten"):
        return tuple(value._flatten())  # noqa: SLF001 - PennyLane's own way to do this
    if isinstance(value, MeasurementProcess):
        observable = getattr(value, "H", None) if value.obs is None else value.obs
        about = {name: getattr(value, name) for name in _ABOUT if hasattr(value, name)}
        return observable, value.wires if observable is None and value.wires else None, about
    if type(value).__name__ == "Tensor":
        return (list(value.obs),)
    if type(value).__name__ == "Hamiltonian":
        return list(value.coeffs), list(value.ops)
    # its hyperparameters follow from its class, or it does not come back as it was
    return list(value.data), value.wires, dict(value.hyperparameters)


def _write_array(value: Any) -> Any:
    """An array or number of any library."""
    plain = unwrapped(value)
    array = np.asarray(plain.cpu() if hasattr(plain, "cpu") else plain)
    if array.dtype == np.float64 and not array.shape:
        return float(array)
    if array.dtype.kind not in "biufc":
        raise UnwritableError(f"{type(value).__name__} cannot be written as data")
    return ["a", array.dtype.str, list(array.shape), base64.b64encode(array.tobytes()).decode()]


def _find(name: str) -> Any:
    """A class of PennyLane's, by its module and name.

    Raises:
        ValueError: There is no such gate, observable or measurement in PennyLane.
    """
    module, _, qualified = name.partition(":")
    target: Any = None
    if module.partition(".")[0] == "pennylane":
        try:
            target = import_module(module)
            for part in qualified.split("."):
                target = getattr(target, part)
        except (ImportError, AttributeError):
            target = None
    if not (isinstance(target, type) and issubclass(target, (Operator, MeasurementProcess))):
        raise ValueError(f"PennyLane has no gate or measurement {name!r}")  # noqa: TRY004 - what is wrong is the name
    return target


def _read(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    letter, *parts = value
    return _READERS[letter](*parts)


def _read_list(*parts: Any) -> list[Any]:
    return [_read(part) for part in parts]


def _read_object(name: str, *parts: Any) -> Any:
    return _put_together(_find(name), *_read_list(*parts))


def _put_together(kind: Any, *parts: Any) -> Any:
    """Put together what :func:`_take_apart` took apart."""
    if hasattr(kind, "_unflatten"):
        return kind._unflatten(*parts)  # noqa: SLF001 - as above
    if issubclass(kind, MeasurementProcess):
        observable, wires, about = parts
        if observable is not None:
            return kind(observable, **about)
        return kind(wires=wires, **about)
    if kind.__name__ == "Tensor":
        return kind(*parts[0])
    if kind.__name__ == "Hamiltonian":
        return kind(*parts)
    data, wires, _ = parts
    return kind(*data, wires=wires)


def _read_conditional(value: Any, base: Any) -> Any:
    from pennylane.ops import Conditional

    return Conditional(_read(value), _read(base))


def _read_array(kind: str, shape: list[int], data: str) -> Any:
    dtype = np.dtype(kind)
    if dtype.kind not in "biufc":
        raise ValueError(f"no array of {kind!r} is written")
    return np.frombuffer(base64.b64decode(data), dtype).reshape(shape).copy()[()]


def _read_value(measurements: Any, table: Any) -> MeasurementValue:
    return MeasurementValue(_read(measurements), _Table(_read(table)))


class _Table:
    """The value of mid-circuit measurements for each of their outcomes."""

    def __init__(self, values: list[Any]) -> None:
        self._values = values

    def __call__(self, *bits: Any) -> Any:
        return self._values[int("0" + "".join(str(int(bit)) for bit in bits), 2)]


_READERS: dict[str, Callable[..., Any]] = {
    "o": _read_object,
    "q": _read_conditional,
    "m": _read_value,
    "w": lambda *labels: Wires(_read_list(*labels)),
    "s": lambda *parts: Shots(tuple((shots, copies) for shots, copies in parts) or None),
    "t": lambda *parts: tuple(_read_list(*parts)),
    "l": _read_list,
    "d": lambda *pairs: {_read(key): _read(part) for key, part in pairs},
    "a": _read_array,
}
