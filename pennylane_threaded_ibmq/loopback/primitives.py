"""The Platform's programs, sampler and estimator: from a job's inputs to the text of its results."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from qiskit import QuantumCircuit
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit_ibm_runtime import RuntimeDecoder, RuntimeEncoder

from .errors import INVALID_JOB, JobRefusedError
from .estimator import run_estimator, shots_for
from .programs import Output, Program, check_shots
from .sampler import run_sampler
from .simulate import Engine
from .snapshots import Machine

DEFAULT_SHOTS = 4096


def primitive_programs(engine: Callable[[Machine], Engine]) -> dict[str, Program]:
    """The programs by id.

    Args:
        engine: Gives the engine that simulates a backend.
    """
    programs = _Primitives(engine)
    return {"sampler": programs.sampler, "estimator": programs.estimator}


def _decoded(params: Mapping[str, Any]) -> tuple[list[Any], Mapping[str, Any]]:
    """PUBs and options, with typed values decoded."""
    try:
        decoded = json.loads(json.dumps(params), cls=RuntimeDecoder)
        pubs = [list(pub) if isinstance(pub, (list, tuple)) else [pub] for pub in decoded["pubs"]]
        for pub in pubs:
            _check_type(pub[0])
    except Exception as error:
        raise JobRefusedError(
            1002, f"Error in the validation process of the job. {error}", INVALID_JOB
        ) from error
    return pubs, decoded.get("options") or {}


class _Primitives:
    def __init__(self, engine: Callable[[Machine], Engine]) -> None:
        self._engine = engine

    def sampler(self, machine: Machine, params: Mapping[str, Any]) -> Output:
        raw, options = _decoded(params)
        shots = options.get("default_shots") or DEFAULT_SHOTS
        pubs = [_coerce(SamplerPub, index, pub, shots) for index, pub in enumerate(raw)]
        for index, pub in enumerate(pubs):
            _check(machine, index, pub.circuit, pub.shots)
        result = run_sampler(self._engine(machine), pubs)
        rows = sum(pub.parameter_values.size for pub in pubs)
        return Output(_encode(result), rows, sum(pub.parameter_values.size * pub.shots for pub in pubs))

    def estimator(self, machine: Machine, params: Mapping[str, Any]) -> Output:
        raw, options = _decoded(params)
        shots = options.get("default_shots")
        precision = (
            1 / math.sqrt(shots)
            if shots
            else options.get("default_precision") or 1 / math.sqrt(DEFAULT_SHOTS)
        )
        pubs = [_coerce(EstimatorPub, index, pub, precision) for index, pub in enumerate(raw)]
        for index, pub in enumerate(pubs):
            if not pub.precision > 0:
                raise JobRefusedError(
                    1002, f"The precision of PUB {index} is {pub.precision}; it must be positive."
                )
            _check(machine, index, pub.circuit, shots_for(pub.precision))
            letters = {letter for label in _labels(pub.observables.tolist()) for letter in label}
            if not letters <= set("IXYZ"):
                raise JobRefusedError(
                    1002,
                    f"The observables of PUB {index} hold {sorted(letters - set('IXYZ'))}; I, X, Y, Z are allowed.",
                )
        result, rows, total = run_estimator(self._engine(machine), pubs)
        return Output(_encode(result), rows, total)


def _check_type(item: Any) -> None:
    """Refuse what is no circuit; OpenQASM text, which IBM takes too, is never sent by its client."""
    if not isinstance(item, QuantumCircuit):
        raise TypeError(f"the first entry of a PUB must be a circuit, not {type(item).__name__}")


def _coerce(kind: type[Any], index: int, pub: list[Any], default: float) -> Any:
    """Make a PUB of its list; the last entry, shots or precision, is the default where it is missing."""
    try:
        return kind.coerce(tuple(pub), default)
    except Exception as error:
        raise JobRefusedError(1002, f"PUB {index} is not valid: {error}", INVALID_JOB) from error


def _check(machine: Machine, index: int, circuit: QuantumCircuit, shots: int) -> None:
    machine.check_circuit(circuit, index)
    check_shots(shots, f"PUB {index}")


def _labels(observables: Any) -> list[str]:
    """All labels in nested lists of observables."""
    if isinstance(observables, Mapping):
        return list(observables)
    return [label for item in observables for label in _labels(item)]


def _encode(result: Any) -> str:
    return json.dumps(result, cls=RuntimeEncoder)
