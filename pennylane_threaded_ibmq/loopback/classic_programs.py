"""The classic API's programs: a list of circuits in, Qiskit's result dictionary out."""

from __future__ import annotations

import base64
import io
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from qiskit import QuantumCircuit, qpy

from .circuits import shuffled_picks
from .machines import Machine, Output
from .records import iso, utc_now
from .responses import INVALID_JOB, JobRefusedError, validation
from .simulate import Counts, Engine, Run

if TYPE_CHECKING:
    from qiskit import QuantumCircuit


def decode_circuit(value: Any) -> QuantumCircuit:
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


def decode_noise_model(value: Any) -> Any:
    """The noise model of a job's inputs.

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


DEFAULT_SHOTS = 4000
_CLASSIFIED = 2


def circuit_runner(engine: Engine, params: Mapping[str, Any]) -> Output:
    """The programs for circuits and for dynamic circuits."""
    job = _job(engine.machine, params)
    if job.seed is not None or job.noise_model is not None:
        engine = engine.variant(seed=job.seed, noise_model=job.noise_model)
    return _run(engine, job)


@dataclass(frozen=True)
class _Job:
    """Inputs, decoded and checked."""

    circuits: Sequence[QuantumCircuit]
    shots: int
    memory: bool
    seed: int | None
    noise_model: Any


def _job(machine: Machine, params: Mapping[str, Any]) -> _Job:
    with validation():
        values = params["circuits"]
        circuits = [decode_circuit(value) for value in (values if isinstance(values, list) else [values])]
        shots, seed = int(params.get("shots") or DEFAULT_SHOTS), params.get("seed_simulator")
        noise_model = params.get("noise_model")
        if noise_model is not None:
            noise_model = decode_noise_model(noise_model)
    if params.get("meas_level", _CLASSIFIED) != _CLASSIFIED:
        raise JobRefusedError(1002, "Only meas_level=2 is simulated.", INVALID_JOB)
    if not circuits:
        raise JobRefusedError(1002, "The job has no circuits.", INVALID_JOB)
    if len(circuits) > machine.max_circuits:
        raise JobRefusedError(
            1102,
            f"The job has {len(circuits)} circuits; {machine.name} supports {machine.max_circuits}.",
            "Use fewer circuits.",
        )
    if not 0 < shots <= machine.max_shots:
        raise JobRefusedError(
            1103,
            f"The job asks for {shots} shots; {machine.name} supports {machine.max_shots}.",
            "Use fewer shots.",
        )
    for index, circuit in enumerate(circuits):
        machine.check_circuit(circuit, index, "circuit")
        if circuit.num_parameters:
            raise JobRefusedError(1002, f"Circuit {index} has parameters without a value.", INVALID_JOB)
    simulator = machine.simulator
    return _Job(
        circuits,
        shots,
        bool(params.get("memory")),
        int(seed) if seed is not None and simulator else None,
        noise_model if simulator else None,
    )


def _run(engine: Engine, job: _Job) -> Output:
    no_bindings = np.empty((1, 0))
    rows = engine.sample([Run(circuit, no_bindings) for circuit in job.circuits], job.shots)
    result = {
        "backend_name": engine.machine.name,
        "backend_version": engine.machine.configuration["backend_version"],
        "qobj_id": "",
        "job_id": "",
        "success": True,
        "status": "COMPLETED",
        "date": iso(utc_now()),
        "results": [
            _experiment(circuit, rows[index][0], job, engine.seed)
            for index, circuit in enumerate(job.circuits)
        ],
    }
    return Output(json.dumps(result), len(job.circuits), len(job.circuits) * job.shots)


def _experiment(circuit: QuantumCircuit, counts: Counts, job: _Job, seed: int | None) -> dict[str, Any]:
    data: dict[str, Any] = {"counts": dict(counts)}
    if job.memory:
        outcomes = list(counts)
        data["memory"] = [outcomes[pick] for pick in shuffled_picks(counts, seed).tolist()]
    return {
        "shots": job.shots,
        "success": True,
        "status": "DONE",
        "meas_level": _CLASSIFIED,
        "data": data,
        "header": {
            "name": circuit.name,
            "memory_slots": circuit.num_clbits,
            "creg_sizes": [[register.name, register.size] for register in circuit.cregs],
            "qreg_sizes": [[register.name, register.size] for register in circuit.qregs],
            "n_qubits": circuit.num_qubits,
            "global_phase": float(circuit.global_phase),
            "metadata": circuit.metadata or {},
        },
    }
