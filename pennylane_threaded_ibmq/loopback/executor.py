"""The Platform's program ``executor``: quantum programs, as primitives that prepare their circuits themselves send them.

Bodies are decoded by IBM's own client and schemas, twirling is drawn by samplomatic as IBM's service draws it, and what
comes back is in the schema of the body. What it means, mitigation included, is the client's own affair: it carries all it
needs in ``passthrough_data``.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from .._compat import zip_strict
from .bits import Work, sample_bits
from .circuits import update_digest
from .machines import Output, check_shots
from .records import utc_now
from .responses import INVALID_JOB, JobRefusedError, validation
from .simulate import Engine

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

    from .bits import Bits

Arrays: TypeAlias = "dict[str, Any]"
"""Arrays by the name under which the client finds them."""

_UNCOMPRESSED = frozenset({"v0.1", "v0.2", "v1.0", "v1.1"})
"""Versions of the schema whose arrays are not compressed."""


def executor(engine: Engine, params: Mapping[str, Any]) -> Output:
    """The program ``executor``."""
    start = utc_now()
    program = _decode(params)
    check_shots(program.shots, "The program")
    for index, item in enumerate(program.items):
        engine.machine.check_circuit(item.circuit, index, "item")
    draws = [_draw(item, program.shots, engine.seed) for item in program.items]
    works = [
        Work(item.circuit, values.pop("parameter_values").reshape(item.size(), item.circuit.num_parameters))
        for item, values in zip_strict(program.items, draws)
    ]
    bits = sample_bits(engine, works, program.shots)
    data = [
        {**_registers(item, item_bits), **beside}
        for item, item_bits, beside in zip_strict(program.items, bits, draws)
    ]
    rows = sum(item.size() for item in program.items)
    return Output(_encode(params, program.items, data, start), rows, rows * program.shots)


def _decode(params: Mapping[str, Any]) -> Any:
    """The client's ``QuantumProgram``."""
    from qiskit_ibm_runtime.quantum_program.params_converters import QUANTUM_PROGRAM_PARAMS_CONVERTERS

    with validation():
        converter = QUANTUM_PROGRAM_PARAMS_CONVERTERS[params["schema_version"]]
        program, _ = converter.decoder(converter.model.model_validate(params))
    if program.meas_level != "classified":
        raise JobRefusedError(
            1002, f"meas_level {program.meas_level!r} cannot be simulated; 'classified' can.", INVALID_JOB
        )
    return program


def _draw(item: Any, shots: int, seed: int | None) -> Arrays:
    """``parameter_values`` of an item, of shape ``item.shape + (parameters,)``, and what its samplex gives besides."""
    if not hasattr(item, "samplex"):
        return {"parameter_values": item.circuit_arguments}
    samplex, arguments, shape = item.samplex.finalize(), item.samplex_arguments, item.shape
    content = hashlib.sha256(f"{seed} {shots} ".encode())
    update_digest(content, item.circuit)
    # Axes along which arguments vary are swept; along the others each element is a randomization of its own.
    lengths = (1,) * (len(shape) - arguments.ndim) + arguments.shape
    sweep_axes = [axis for axis, length in enumerate(lengths) if length > 1]
    times = math.prod(length for axis, length in enumerate(shape) if axis not in sweep_axes)
    draws: Arrays = {}
    for place in np.ndindex(*(lengths[axis] for axis in sweep_axes)):
        where: list[Any] = [slice(None)] * len(shape)
        for axis, index in zip_strict(sweep_axes, place):
            where[axis] = index
        own = where[len(shape) - arguments.ndim :]
        values = arguments[tuple(0 if isinstance(index, slice) else index for index in own)]
        sample = samplex.sample(values, num_randomizations=times, rng=_generator(content, values, seed))
        for name, value in dict(sample).items():
            if name not in draws:
                draws[name] = np.empty(shape + value.shape[1:], value.dtype)
            target = draws[name][tuple(where)]
            target[...] = value.reshape(target.shape)
    return draws


def _generator(content: hashlib._Hash, values: Mapping[str, Any], seed: int | None) -> np.random.Generator:
    """Randomness for one set of arguments; with a seed it follows from their content alone."""
    if seed is None:
        return np.random.default_rng()
    digest = content.copy()
    # The client gives arguments running numbers, which tell their order and nothing else.
    numbered = sorted((name.rstrip("0123456789"), len(name), name) for name in values)
    for stem, _, name in numbered:
        value = values[name]
        if isinstance(value, np.ndarray):  # an angle's last digits show how it was computed
            value = (np.round(value, 9) + 0.0).tobytes()
        digest.update(f"{stem} {value!r}".encode())
    return np.random.default_rng(list(digest.digest()))


def _registers(item: Any, bits: Bits) -> Arrays:
    """Outcomes by classical register, each of shape ``item.shape + (shots, bits)``."""
    circuit, shots = item.circuit, bits.shape[1]
    arrays = {}
    for register in circuit.cregs:
        places = [circuit.find_bit(bit).index for bit in register]
        first = places[0] if places else 0
        whole = slice(first, first + len(places))  # a slice takes no copy
        columns = bits[..., whole if places == list(range(whole.start, whole.stop)) else places]
        arrays[register.name] = columns.reshape(*item.shape, shots, register.size)
    return arrays


def schema_of(version: str) -> tuple[Any, Any]:
    """IBM's models of a result and of its arrays in one version of the schema."""
    schema = import_module(f"ibm_quantum_schemas.executor.version_{version[1:].replace('.', '_')}")
    common = import_module("ibm_quantum_schemas.common")
    tensor = common.TensorModel if version in _UNCOMPRESSED else common.CompressedTensorModel
    return schema.QuantumProgramResultModel, tensor


def _encode(params: Mapping[str, Any], items: list[Any], data: list[Arrays], start: datetime) -> str:
    version = params["schema_version"]
    model, tensor = schema_of(version)
    parts = [
        {
            "idx_item": index,
            "size": item.size(),
            "permutation": list(range(len(item.shape))),
            "element_range": (0, item.size(), 1),
        }
        for index, item in enumerate(items)
    ]
    result = {
        "schema_version": version,
        "data": [
            {
                "results": {name: tensor.from_numpy(value) for name, value in values.items()},
                "metadata": None if version == "v0.1" else {},
            }
            for values in data
        ],
        "metadata": {"chunk_timing": [{"start": start, "stop": utc_now(), "parts": parts}]},
        "passthrough_data": params["quantum_program"].get("passthrough_data"),
        "semantic_role": params["quantum_program"].get("semantic_role"),
    }
    text: str = model.model_validate(result).model_dump_json()
    return text
