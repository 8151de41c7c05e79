"""The classic client's typed values: ``{"__type__": ..., "__value__": ...}``."""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from qiskit import QuantumCircuit, qpy


def decoded_circuit(value: Any) -> QuantumCircuit:
    """A circuit of a job's inputs.

    Args:
        value: The typed value, or OpenQASM 3 text as dynamic circuits may be given.

    Returns:
        The circuit. Typed values within its metadata stay encoded.

    Raises:
        ValueError: It is neither.
        Exception: It cannot be read; which exceptions QPY raises is its own affair.
    """
    if isinstance(value, str):
        from qiskit import qasm3

        circuit: QuantumCircuit = qasm3.loads(value)
        return circuit
    if not isinstance(value, Mapping) or value.get("__type__") != "QuantumCircuit":
        raise ValueError(f"a circuit is expected, not {type(value).__name__} {str(value)[:100]}")
    content = zlib.decompress(base64.standard_b64decode(value["__value__"]))
    (circuit,) = qpy.load(io.BytesIO(content))
    return circuit


def decoded_noise_model(value: Any) -> Any:
    """The noise model of a job's inputs.

    Args:
        value: The typed value.

    Returns:
        Aer's noise model.

    Raises:
        ValueError: It is none.
    """
    from qiskit_aer.noise import NoiseModel

    if not isinstance(value, Mapping) or value.get("__type__") != "NoiseModel":
        raise ValueError(f"a noise model is expected, not {type(value).__name__}")
    return NoiseModel.from_dict(_plain(value["__value__"]))


def _plain(value: Any) -> Any:
    """A value with its numbers decoded; what else is typed stays as it is."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    kind, content = value.get("__type__"), value.get("__value__")
    if kind == "complex" and isinstance(content, list):
        return complex(*content)
    if kind == "ndarray" and isinstance(content, str):
        return np.load(io.BytesIO(zlib.decompress(base64.standard_b64decode(content))), allow_pickle=False)
    if kind == "ndarray":
        return np.array(_plain(content))
    if kind in {"int", "float"}:
        return content
    return {key: _plain(item) for key, item in value.items()}
