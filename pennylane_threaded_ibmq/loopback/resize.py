"""Results of the wrong size, for the faults ``pubs`` and ``rows``."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from .faults import Fault


def resized(fault: Fault, text: str) -> str:
    """Results with another number of PUBs or parameter rows; of the classic API, of circuits or entries of memory.

    Args:
        fault: Says what is off, and how far.
        text: The results as they are.
    """
    result = json.loads(text)
    if "schema_version" in result:
        return _quantum_program(fault, text, result["schema_version"])
    if "__type__" not in result:
        return json.dumps(_classic(fault, result))
    return _primitive(fault, text)


def _classic(fault: Fault, result: dict[str, Any]) -> dict[str, Any]:
    circuits = result.get("results", [])  # a URL has none
    if fault.effect == "pubs" and circuits:
        return {**result, "results": _other_length(circuits, fault.delta)}
    for circuit in circuits:
        if "memory" in circuit["data"]:
            circuit["data"]["memory"] = _other_length(circuit["data"]["memory"], fault.delta)
    return result


def _quantum_program(fault: Fault, text: str, version: str) -> str:
    # Only who serves the program `executor` gets here.
    from .executor import schema_of

    model, tensor = schema_of(version)
    result = model.model_validate_json(text)
    if fault.effect == "pubs":
        result.data = _other_length(result.data, fault.delta)
    for item in result.data if fault.effect == "rows" else ():
        item.results = {
            name: tensor.from_numpy(_other_sweep(value.to_numpy(), fault.delta))
            for name, value in item.results.items()
        }
    resized_text: str = result.model_dump_json()
    return resized_text


def _other_sweep(array: Any, delta: int) -> Any:
    """An array with other rows; its last axes are shots and bits, and those in front of its rows randomizations."""
    rows = array if array.ndim > 2 else array[np.newaxis]
    return rows.take(_other_length(list(range(rows.shape[-3])), delta), axis=-3)


def _primitive(fault: Fault, text: str) -> str:
    # Only who serves the Platform gets here.
    from qiskit.primitives.containers import PrimitiveResult
    from qiskit_ibm_runtime import RuntimeDecoder, RuntimeEncoder

    result: Any = json.loads(text, cls=RuntimeDecoder)
    pubs = list(result)
    if fault.effect == "pubs":
        pubs = _other_length(pubs, fault.delta)
    else:
        pubs = [type(pub)(_other_rows(pub.data, fault.delta), pub.metadata) for pub in pubs]
    return json.dumps(PrimitiveResult(pubs, result.metadata), cls=RuntimeEncoder)


def _other_length(items: list[Any], delta: int) -> list[Any]:
    """A list shortened at its end, or with its last item repeated."""
    return items[:delta] if delta < 0 else items + items[-1:] * delta


def _other_rows(data: Any, delta: int) -> Any:
    """A data bin with another number of rows; one without rows gets its only one repeated."""
    from qiskit.primitives.containers import BitArray, DataBin

    rows = data.shape[0] if data.shape else 1
    picks = _other_length(list(range(rows)), delta)
    shape = (len(picks), *data.shape[1:])

    def pick(array: Any) -> Any:
        return (array if data.shape else np.asarray(array)[np.newaxis])[picks]

    fields = {
        name: BitArray(pick(value.array), value.num_bits) if isinstance(value, BitArray) else pick(value)
        for name, value in data.items()
    }
    return DataBin(**fields, shape=shape)
