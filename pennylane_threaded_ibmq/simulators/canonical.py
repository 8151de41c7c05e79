"""One text for one value, in any process: by it a job is recognised that an earlier program has sent with the same options.

A ``repr`` will not do: that of a circuit holds its address, that of a noise model says nothing of its errors, and that of a
long array leaves its middle out. Nor do the bytes in which IBM's client sends objects: circuits have names and parameters have
ids that are new in each program.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from enum import Enum
from hashlib import sha256
from pathlib import PurePath
from typing import Any

import numpy as np
from pydantic import BaseModel

_GATES_OF_QISKIT = "qiskit.circuit.library."
"""Instructions from there are what their name and numbers say."""


class NoCanonicalFormError(TypeError):
    """A value is of a type that nothing tells apart by what it holds.

    Attributes:
        path: Where it is in what was given, such as ``("resilience", "layer_noise_model", 0)``.
        kind: Its type's name.
    """

    def __init__(self, value: Any, path: tuple[Any, ...]) -> None:
        super().__init__(f"{type(value).__name__} has no canonical form")
        self.path = path
        self.kind = type(value).__name__


def canonical(value: Any) -> str:
    """A text that is equal for equal values and for no others, in any process and any order of keys.

    Args:
        value: Options: numbers, texts, lists, mappings, arrays, and what IBM's client takes as options: noise models, circuits,
            what its noise learners give.

    Raises:
        NoCanonicalFormError: It holds something of another type.
    """
    return _text(_form(value, ()))


def _text(form: Any) -> str:
    return json.dumps(form, sort_keys=True, separators=(",", ":"))


def _form(value: Any, path: tuple[Any, ...]) -> Any:
    if value is None or (isinstance(value, (bool, int, float, str)) and not isinstance(value, Enum)):
        return _scalar(value)
    if isinstance(value, Mapping):
        pairs = [[_form(key, path), _form(one, (*path, key))] for key, one in value.items()]
        return {"map": sorted(pairs, key=_text)}
    if isinstance(value, (list, tuple)):
        return [_form(one, (*path, number)) for number, one in enumerate(value)]
    if isinstance(value, (set, frozenset)):
        return {"set": sorted((_form(one, path) for one in value), key=_text)}
    if isinstance(value, (np.ndarray, np.generic, complex, bytes)):
        return _numbers(value, path)
    if isinstance(value, (date, PurePath)):
        return {type(value).__name__: str(value)}
    if isinstance(value, Enum):
        return {type(value).__name__: _form(value.value, path)}
    return _object(value, path)


def _scalar(value: Any) -> Any:
    """Numbers that are equal have one form, whether they are whole numbers or not."""
    value = value.item() if isinstance(value, np.generic) else value
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _numbers(value: Any, path: tuple[Any, ...]) -> Any:
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    if value.dtype == object or not isinstance(value, np.ndarray):
        return _form(value.tolist(), path)
    # a list says the same as an array of its numbers
    return _form(value.tolist(), path) if value.size < 64 else {"array": _array(value)}


def _array(value: Any) -> list[Any]:
    return [value.dtype.str, list(value.shape), sha256(np.ascontiguousarray(value).tobytes()).hexdigest()]


def _object(value: Any, path: tuple[Any, ...]) -> Any:
    if isinstance(value, BaseModel):
        return _named(value, type(value).model_fields, path)
    if is_dataclass(value) and not isinstance(value, type):
        return _named(value, (field.name for field in fields(value)), path)
    form = _of_qiskit(value, path) if "qiskit" in sys.modules else None
    return form if form is not None else _of_client(value, path)


def _named(value: Any, names: Iterable[str], path: tuple[Any, ...]) -> Any:
    return {type(value).__name__: {name: _form(getattr(value, name, None), (*path, name)) for name in names}}


def _of_qiskit(value: Any, path: tuple[Any, ...]) -> Any:
    from qiskit import QuantumCircuit, circuit

    if isinstance(value, QuantumCircuit):
        return _circuit(value, path)
    if isinstance(value, circuit.CircuitInstruction):
        bits = [*value.qubits, *value.clbits]
        return {"placed": [_instruction(value.operation, path), [_bit(b, bits) for b in bits]]}
    if isinstance(value, circuit.Instruction):
        return _instruction(value, path)
    if isinstance(value, circuit.ParameterExpression):
        return {"parameter": str(value)}
    annotation = getattr(circuit, "Annotation", None)
    if annotation is not None and isinstance(value, annotation):
        return _named(value, _attributes(value), path)
    return None


def _circuit(value: Any, path: tuple[Any, ...]) -> Any:
    place = {bit: i for i, bit in enumerate([*value.qubits, *value.clbits])}
    body = [
        [_instruction(one.operation, path), [place[bit] for bit in (*one.qubits, *one.clbits)]]
        for one in value.data
    ]
    return {"circuit": [value.num_qubits, value.num_clbits, _form(value.global_phase, path), body]}


def _bit(bit: Any, bits: list[Any]) -> Any:
    """A bit outside of any circuit: its place in its register, or among the others."""
    text = repr(bit)
    return bits.index(bit) if " at 0x" in text else text


def _instruction(operation: Any, path: tuple[Any, ...]) -> Any:
    name = str(operation.name)
    if (getattr(operation, "blocks", ()) and name != "box") or getattr(
        operation, "condition", None
    ) is not None:
        raise NoCanonicalFormError(operation, path)  # conditions hold bits, which belong to one circuit
    # the one object of a standard gate has a class of its own, which comes from no module
    cls = getattr(operation, "base_class", type(operation))
    own = not str(cls.__module__).startswith(_GATES_OF_QISKIT)
    content = {
        "name": name,
        "params": getattr(operation, "params", ()),
        "label": getattr(operation, "label", None),
        "ctrl_state": getattr(operation, "ctrl_state", None),
        "annotations": getattr(operation, "annotations", ()),
        "duration": getattr(operation, "duration", None) if name in {"box", "delay"} else None,
        "unit": getattr(operation, "unit", None) if name in {"box", "delay"} else None,
        "definition": getattr(operation, "definition", None) if own else None,
    }
    return {"instruction": {key: _form(one, path) for key, one in content.items()}}


def _attributes(value: Any) -> list[str]:
    slots = [name for cls in type(value).__mro__ for name in getattr(cls, "__slots__", ())]
    return sorted({*slots, *getattr(value, "__dict__", ())})


def _of_client(value: Any, path: tuple[Any, ...]) -> Any:
    """The form in which IBM's client sends an object that it knows how to send."""
    if type(value).__name__ == "NoiseModel" and hasattr(value, "to_dict"):
        return {"NoiseModel": _noise_model(value.to_dict(), path)}
    try:
        from qiskit_ibm_runtime import RuntimeEncoder

        # the encoder makes nothing of a function; operators can be called too, and say what they are
        says = any(hasattr(value, name) for name in ("settings", "_json", "to_json"))
        form = RuntimeEncoder().default(value) if says or not callable(value) else None
    except (ImportError, TypeError):
        form = None
    if form is None or form is value:
        raise NoCanonicalFormError(value, path)
    return _form(form, path)


def _noise_model(model: Mapping[str, Any], path: tuple[Any, ...]) -> Any:
    """A noise model as Aer writes it: its errors have ids that are new in each program, and stand in the order of a set."""
    errors = [
        {**error, "id": None, "operations": sorted(error.get("operations", ()))}
        for error in model.get("errors", ())
    ]
    rest = {key: one for key, one in model.items() if key != "errors"}
    return [_form(rest, path), sorted((_form(error, path) for error in errors), key=_text)]
