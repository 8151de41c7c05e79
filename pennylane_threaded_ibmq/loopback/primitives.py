"""The Platform's primitives: bodies are decoded, checked, run and encoded as IBM's service does."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.primitives.containers import BitArray, DataBin, PrimitiveResult, SamplerPubResult
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit_ibm_runtime import RuntimeDecoder, RuntimeEncoder
from qiskit_ibm_runtime.execution_span import DoubleSliceSpan, ExecutionSpans

from .._compat import zip_strict
from .circuits import bit_columns, shuffled_picks
from .estimator import binding_rows, run_estimator, shots_for
from .machines import Machine, Output, check_shots
from .records import utc_now
from .responses import INVALID_JOB, JobRefusedError, validation
from .simulate import Counts, Engine, Run

DEFAULT_SHOTS = 4096


def _decode(params: Mapping[str, Any]) -> tuple[list[Any], Mapping[str, Any]]:
    """PUBs and options, with typed values decoded."""
    with validation():
        body = json.loads(json.dumps(params), cls=RuntimeDecoder)
        pubs = [list(pub) if isinstance(pub, (list, tuple)) else [pub] for pub in body["pubs"]]
        for pub in pubs:
            _check_type(pub[0])
    return pubs, body.get("options") or {}


def sampler(engine: Engine, params: Mapping[str, Any]) -> Output:
    """The program ``sampler``."""
    raw, options = _decode(params)
    shots = options.get("default_shots") or DEFAULT_SHOTS
    pubs = [_coerce(SamplerPub, index, pub, shots) for index, pub in enumerate(raw)]
    for index, pub in enumerate(pubs):
        _check(engine.machine, index, pub.circuit, pub.shots)
    result = run_sampler(engine, pubs)
    rows = sum(pub.parameter_values.size for pub in pubs)
    return Output(_encode(result), rows, sum(pub.parameter_values.size * pub.shots for pub in pubs))


def estimator(engine: Engine, params: Mapping[str, Any]) -> Output:
    """The program ``estimator``."""
    raw, options = _decode(params)
    shots = options.get("default_shots")
    precision = (
        1 / math.sqrt(shots) if shots else options.get("default_precision") or 1 / math.sqrt(DEFAULT_SHOTS)
    )
    pubs = [_coerce(EstimatorPub, index, pub, precision) for index, pub in enumerate(raw)]
    for index, pub in enumerate(pubs):
        if not pub.precision > 0:
            raise JobRefusedError(
                1002, f"The precision of PUB {index} is {pub.precision}; it must be positive."
            )
        _check(engine.machine, index, pub.circuit, shots_for(pub.precision))
        letters = {letter for label in _labels(pub.observables.tolist()) for letter in label}
        if not letters <= set("IXYZ"):
            raise JobRefusedError(
                1002,
                f"The observables of PUB {index} hold {sorted(letters - set('IXYZ'))}; I, X, Y, Z are allowed.",
            )
    result, rows, total = run_estimator(engine, pubs)
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


def run_sampler(engine: Engine, pubs: Sequence[SamplerPub]) -> PrimitiveResult:
    """Sample PUBs, all those with equal shots in one simulation.

    Returns:
        A result as IBM's sampler gives it: for each PUB one bit array per classical register.
    """
    start = utc_now()
    by_shots: dict[int, list[int]] = defaultdict(list)
    for index, pub in enumerate(pubs):
        by_shots[pub.shots].append(index)
    results: list[Any] = [None] * len(pubs)
    for shots, members in by_shots.items():
        runs = [Run(pubs[index].circuit, binding_rows(pubs[index])) for index in members]
        for index, rows in zip_strict(members, engine.sample(runs, shots)):
            results[index] = _pub_result(pubs[index], rows, engine.seed)
    slices = {
        index: ((*pub.shape, pub.shots), slice(0, pub.parameter_values.size), slice(0, pub.shots))
        for index, pub in enumerate(pubs)
    }
    spans = ExecutionSpans([DoubleSliceSpan(start, utc_now(), slices)])
    return PrimitiveResult(results, metadata={"execution": {"execution_spans": spans}, "version": 2})


def _pub_result(pub: SamplerPub, rows: list[Counts], seed: int | None) -> SamplerPubResult:
    circuit = pub.circuit
    bits = bit_columns((key for counts in rows for key in counts), circuit.num_clbits)
    starts = np.cumsum([0, *map(len, rows)])[:-1]
    # Each row gets its outcomes in random order, as a machine would give them.
    picks = np.array(
        [start + shuffled_picks(counts, seed) for start, counts in zip_strict(starts, rows)], dtype=np.intp
    ).reshape(len(rows), pub.shots)
    fields = {}
    for register in circuit.cregs:
        columns = [circuit.find_bit(bit).index for bit in register]
        packed = np.packbits(bits[:, columns], axis=1, bitorder="little")[:, ::-1]
        fields[register.name] = BitArray(
            np.ascontiguousarray(packed[picks]).reshape(*pub.shape, pub.shots, packed.shape[1]), register.size
        )
    return SamplerPubResult(
        DataBin(**fields, shape=pub.shape), metadata={"circuit_metadata": dict(circuit.metadata or {})}
    )
