"""From the body of ``POST /jobs`` to the text of ``GET /jobs/{id}/results``."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from qiskit import QuantumCircuit
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit_ibm_runtime import RuntimeDecoder, RuntimeEncoder

from .errors import JobRefusedError
from .estimator import run_estimator, shots_for
from .sampler import run_sampler
from .simulate import Engine
from .snapshots import Machine

DEFAULT_SHOTS = 4096
OVERHEAD_SECS = 2.0
SECS_PER_SHOT = 250e-6


@dataclass(frozen=True)
class Output:
    """What a job produced.

    Attributes:
        text: Results as JSON text.
        rows: Circuit executions.
        shots: Shots over all of them.
    """

    text: str
    rows: int
    shots: int


def usage_secs(shots: int) -> float:
    """QPU seconds charged for a job that ran: 2 for the job and 250 microseconds for each shot."""
    return OVERHEAD_SECS + shots * SECS_PER_SHOT


class Programs:
    """Runs jobs on their backends, one at a time.

    One at a time loses nothing: Aer holds Python's interpreter lock while it simulates.

    Args:
        machines: The backends by name.
        noise: Whether to simulate with the errors of their snapshots.
        seed: Makes the results of each row depend on its content alone.
    """

    def __init__(self, machines: Mapping[str, Machine], *, noise: bool, seed: int | None) -> None:
        self._machines = machines
        self._engines: dict[str, Engine] = {}
        self._noise = noise
        self._seed = seed
        self._programs: dict[str, Callable[[Machine, list[Any], Mapping[str, Any]], Output]] = {
            "sampler": self._sampler,
            "estimator": self._estimator,
        }

    @property
    def known(self) -> frozenset[str]:
        """Ids of the programs."""
        return frozenset(self._programs)

    def execute(self, program_id: str, backend: str, params: Mapping[str, Any]) -> Output:
        """Run one job.

        Args:
            program_id: One of :attr:`known`.
            backend: Name of the backend.
            params: ``params`` of the job's body, with its typed values still encoded.

        Returns:
            The results and what they cost.

        Raises:
            JobRefusedError: The job's content is not valid or cannot be simulated.
        """
        try:
            decoded = json.loads(json.dumps(params), cls=RuntimeDecoder)
            pubs = [list(pub) if isinstance(pub, (list, tuple)) else [pub] for pub in decoded["pubs"]]
            options = decoded.get("options") or {}
            for pub in pubs:
                _check_type(pub[0])
        except Exception as error:
            raise JobRefusedError(
                1002, f"Error in the validation process of the job. {error}", _CHECK
            ) from error
        return self._programs[program_id](self._machines[backend], pubs, options)

    def _sampler(self, machine: Machine, raw: list[Any], options: Mapping[str, Any]) -> Output:
        shots = options.get("default_shots") or DEFAULT_SHOTS
        pubs = [_coerce(SamplerPub, index, pub, shots) for index, pub in enumerate(raw)]
        for index, pub in enumerate(pubs):
            _check(machine, index, pub.circuit, pub.shots)
        result = run_sampler(self._engine(machine), pubs)
        rows = sum(pub.parameter_values.size for pub in pubs)
        return Output(_encode(result), rows, sum(pub.parameter_values.size * pub.shots for pub in pubs))

    def _estimator(self, machine: Machine, raw: list[Any], options: Mapping[str, Any]) -> Output:
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

    def _engine(self, machine: Machine) -> Engine:
        if machine.name not in self._engines:
            self._engines[machine.name] = Engine(machine, noise=self._noise, seed=self._seed)
        return self._engines[machine.name]


_CHECK = "Check the Job, it is not valid to run on this backend."


def _check_type(item: Any) -> None:
    """Refuse what is no circuit; OpenQASM text, which IBM takes too, is never sent by its client."""
    if not isinstance(item, QuantumCircuit):
        raise TypeError(f"the first entry of a PUB must be a circuit, not {type(item).__name__}")


def _coerce(kind: type[Any], index: int, pub: list[Any], default: float) -> Any:
    """Make a PUB of its list; the last entry, shots or precision, is the default where it is missing."""
    try:
        return kind.coerce(tuple(pub), default)
    except Exception as error:
        raise JobRefusedError(1002, f"PUB {index} is not valid: {error}", _CHECK) from error


def _check(machine: Machine, index: int, circuit: QuantumCircuit, shots: int) -> None:
    machine.check_circuit(circuit, index)
    if shots > machine.max_shots:
        raise JobRefusedError(
            1103,
            f"PUB {index} asks for {shots} shots; {machine.name} supports {machine.max_shots}.",
            "Use fewer shots. The maximum number of shots the backend supports can be found in its configuration.",
        )


def _labels(observables: Any) -> list[str]:
    """All labels in nested lists of observables."""
    if isinstance(observables, Mapping):
        return list(observables)
    return [label for item in observables for label in _labels(item)]


def _encode(result: Any) -> str:
    return json.dumps(result, cls=RuntimeEncoder)
