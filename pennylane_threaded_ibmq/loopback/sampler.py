"""The sampler: PUBs in, bit arrays out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np
import numpy.typing as npt
from qiskit.primitives.containers import BitArray, DataBin, PrimitiveResult, SamplerPubResult
from qiskit_ibm_runtime.execution_span import DoubleSliceSpan, ExecutionSpans

from .._compat import zip_strict
from .circuits import bit_columns
from .records import utc_now
from .simulate import Counts, Engine, Run

if TYPE_CHECKING:
    from qiskit.primitives.containers.sampler_pub import SamplerPub


def run_sampler(engine: Engine, pubs: Sequence[SamplerPub]) -> PrimitiveResult:
    """Sample PUBs, all those with equal shots in one simulation.

    Args:
        engine: Simulates the backend.
        pubs: PUBs, each with its shots.

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
            results[index] = _pub_result(pubs[index], rows, shots, engine.seed)
    slices = {
        index: ((*pub.shape, pub.shots), slice(0, pub.parameter_values.size), slice(0, pub.shots))
        for index, pub in enumerate(pubs)
    }
    spans = ExecutionSpans([DoubleSliceSpan(start, utc_now(), slices)])
    return PrimitiveResult(results, metadata={"execution": {"execution_spans": spans}, "version": 2})


def binding_rows(pub: Any) -> npt.NDArray[np.float64]:
    """Parameter values of a PUB as rows.

    Args:
        pub: A sampler or estimator PUB.

    Returns:
        Array of shape ``(number of bindings, number of parameters)``.
    """
    values = pub.parameter_values.as_array(pub.circuit.parameters)
    rows: npt.NDArray[np.float64] = np.asarray(values, dtype=float).reshape(
        pub.parameter_values.size, pub.circuit.num_parameters
    )
    return rows


def _pub_result(pub: SamplerPub, rows: list[Counts], shots: int, seed: int | None) -> SamplerPubResult:
    circuit = pub.circuit
    bits = bit_columns((key for counts in rows for key in counts), circuit.num_clbits)
    weights = [weight for counts in rows for weight in counts.values()]
    picks = np.repeat(np.arange(len(weights)), weights).reshape(len(rows), shots)
    # Counts say how often, not when: each row gets its outcomes in random order, as a machine would give them.
    if seed is None:
        picks = np.random.default_rng().permuted(picks, axis=1)
    else:
        for row, counts in zip_strict(picks, rows):
            np.random.default_rng([seed, crc32(repr(counts).encode())]).shuffle(row)
    fields = {}
    for register in circuit.cregs:
        columns = [circuit.find_bit(bit).index for bit in register]
        packed = np.packbits(bits[:, columns], axis=1, bitorder="little")[:, ::-1]
        fields[register.name] = BitArray(
            np.ascontiguousarray(packed[picks]).reshape(*pub.shape, shots, packed.shape[1]), register.size
        )
    return SamplerPubResult(
        DataBin(**fields, shape=pub.shape), metadata={"circuit_metadata": dict(circuit.metadata or {})}
    )
