"""Sampling without the cost of shots: a circuit's probabilities once, and draws from them.

Aer draws shot by shot, which takes longer than the evolution from a few hundred shots on. Where a circuit has no noise and
measures at its end only, its outcomes are a draw from one distribution, so the number of shots need not cost anything.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from .._compat import zip_strict
from .cores import count_threads
from .joining import JoinedCircuit, join

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from qiskit import QuantumCircuit
    from typing_extensions import TypeAlias

Rows: TypeAlias = "tuple[int, NDArray[np.float64]]"
"""A circuit's number, and some of its rows of values."""

Compute: TypeAlias = "Callable[[Sequence[Rows]], Iterable[NDArray[np.float64]]]"
"""Computes probabilities: one table of shape ``(rows, outcomes)`` for each entry."""

SEED_STEP = 2113
"""Distance between the seeds of two neighbours in a run of Aer: ``Controller::execute`` in its sources."""

MOST_BITS = 20
"""Qubits and measured bits of a circuit at most: a table of ``2**20`` probabilities takes 8 MB a row."""

MOST_PROBABILITIES = 1 << 23
"""Probabilities that are held at once: 64 MB."""

OUTCOMES_PER_SHOT = 4
"""A multinomial draw takes time for each outcome, a search in the cumulated probabilities for each shot. Measured on one
core: 44 ns an outcome against 160 ns a shot."""

QUBITS_SIDE_BY_SIDE = 10
"""From here on Aer's own work is more than that of its Python part, so that a second core has something to do."""

HARMLESS = frozenset({"barrier", "delay"})
"""Instructions that are no gates and change nothing without noise."""


@dataclass(frozen=True, eq=False)
class CountTable:
    """Counts of the rows of one circuit.

    Attributes:
        rows: Number of rows.
        row_of: Row of each entry, ascending: shape ``(entries,)``.
        outcomes: Outcome of each entry, classical bit ``i`` worth ``2**i``: shape ``(entries,)``.
        counts: Shots of each entry, none of them 0: shape ``(entries,)``.
    """

    rows: int
    row_of: NDArray[np.int64]
    outcomes: NDArray[np.int64]
    counts: NDArray[np.int64]

    @classmethod
    def join(cls, tables: Sequence[CountTable]) -> CountTable:
        """The rows of several tables, one after the other."""
        if len(tables) == 1:
            return tables[0]
        starts = np.cumsum([0, *(table.rows for table in tables)])
        parts = [replace(table, row_of=table.row_of + start) for table, start in zip(tables, starts)]
        return cls(
            int(starts[-1]),
            np.concatenate([table.row_of for table in parts]),
            np.concatenate([table.outcomes for table in parts]),
            np.concatenate([table.counts for table in parts]),
        )


class ExactForms:
    """Circuits that end in their probabilities instead of measurements, each made once. One that is gone takes its form with it."""

    def __init__(self) -> None:
        self._forms: dict[int, tuple[weakref.ref[QuantumCircuit], JoinedCircuit | None]] = {}

    def of(self, circuit: QuantumCircuit) -> JoinedCircuit | None:
        """The exact form of a circuit; ``None`` where its outcomes are no draw from one small table."""
        key = id(circuit)
        entry = self._forms.get(key)
        if entry is None or entry[0]() is not circuit:
            # an id is given again once its object is gone, so the entry goes with the object
            reference = weakref.ref(circuit, lambda _: self._forms.pop(key, None))
            entry = self._forms[key] = (reference, _exact_form(circuit))
        return entry[1]


def is_exact(simulator: Any) -> bool:
    """Whether an Aer simulator computes state vectors without noise."""
    options = simulator.options
    return getattr(options, "noise_model", None) is None and getattr(options, "method", None) in {
        None,
        "automatic",
        "statevector",
    }


def aer_tables(simulator: Any, forms: Sequence[JoinedCircuit]) -> Compute:
    """Probabilities by Aer, of circuits in their exact forms."""

    def compute(entries: Sequence[Rows]) -> Iterator[NDArray[np.float64]]:
        circuits = [forms[number] for number, _ in entries]
        tables = iter(_run(simulator, circuits, [array for _, array in entries]))
        for joined, (_, array) in zip_strict(circuits, entries):
            # without parameters all rows are the same
            rows = len(array) if joined.circuit.parameters else 1
            table = np.stack([next(tables) for _ in range(rows)])
            yield np.broadcast_to(table, (len(array), table.shape[1]))

    return compute


def sample_exactly(
    compute: Compute,
    bits: Sequence[int],
    values: Sequence[NDArray[np.float64]],
    shots: int,
    seed: int | None,
) -> list[CountTable]:
    """Draw the outcomes of circuits, each with rows of values.

    Args:
        compute: Computes probabilities of some rows.
        bits: Bits of an outcome of each circuit.
        values: One array of shape ``(rows, parameters)`` a circuit.
        shots: Shots of each row.
        seed: Seed of the first row, for draws that can be repeated.

    Returns:
        One table a circuit.
    """
    fresh = np.random.default_rng() if seed is None else None
    tables: list[list[CountTable]] = [[] for _ in bits]
    # each row has a stream of its own, so that results do not depend on how rows are cut
    seeds = count(seed or 0, SEED_STEP)
    for number, probabilities in _all_probabilities(compute, bits, values):
        if fresh is not None:
            tables[number].append(_draw(probabilities, shots, fresh))
            continue
        for one in probabilities:
            stream = np.random.Generator(np.random.Philox(key=next(seeds)))
            tables[number].append(_draw(one[None], shots, stream))
    return [CountTable.join(parts) for parts in tables]


def _all_probabilities(
    compute: Compute, bits: Sequence[int], values: Sequence[NDArray[np.float64]]
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Probabilities of all rows in order, as ``(circuit, (rows, outcomes))``, no more at once than memory allows."""
    for group in _groups(bits, values):
        for (number, _), raw in zip_strict(group, compute(group)):
            table = np.maximum(raw, 0.0)
            table /= table.sum(axis=1, keepdims=True)
            yield number, table


def _groups(bits: Sequence[int], values: Sequence[NDArray[np.float64]]) -> Iterator[list[Rows]]:
    """Circuits with some of their rows, in order, that are computed in one call."""
    group: list[Rows] = []
    room = MOST_PROBABILITIES
    for number, (width, array) in enumerate(zip_strict(bits, values)):
        size = 1 << width
        start = 0
        while start < len(array):
            rows = min(len(array) - start, room // size)
            if rows == 0:
                yield group
                group, room = [], MOST_PROBABILITIES
                continue
            group.append((number, array[start : start + rows]))
            room -= rows * size
            start += rows
    if group:
        yield group


def _run(
    simulator: Any, circuits: Sequence[JoinedCircuit], values: Sequence[NDArray[np.float64]]
) -> Iterable[NDArray[np.float64]]:
    options: dict[str, Any] = {}
    if all(joined.is_plain for joined in circuits) and _is_usual(simulator, "fusion"):
        options["fusion_enable"] = False
    parts = 1
    if _pays_side_by_side(circuits) and _is_usual(simulator, "max_parallel"):
        parts = count_threads()
        options["max_parallel_experiments"] = parts
    runs = [
        (joined, part)
        for joined, array in zip_strict(circuits, values)
        for part in _parts(joined, array, parts)
    ]
    binds = [joined.bind(part) for joined, part in runs]
    some = any(binds)
    result = simulator.run(
        [joined.circuit for joined, _ in runs],
        parameter_binds=binds if some else None,
        runtime_parameter_bind_enable=some,
        shots=1,
        method="statevector",
        **options,
    ).result()
    if not result.success:
        raise RuntimeError(f"{simulator.name}: {result.status}")
    return (np.asarray(one.data.probabilities, dtype=np.float64) for one in result.results)


def _parts(joined: JoinedCircuit, values: NDArray[np.float64], most: int) -> Sequence[NDArray[np.float64]]:
    """Rows of a circuit in as many parts as are run side by side, which Aer does not do with the rows of one."""
    if not joined.circuit.parameters:
        return [values]
    return np.array_split(values, min(most, len(values)))


def _pays_side_by_side(circuits: Sequence[JoinedCircuit]) -> bool:
    return any(joined.circuit.num_qubits >= QUBITS_SIDE_BY_SIDE for joined in circuits)


def _is_usual(simulator: Any, names: str) -> bool:
    """Whether all options of a simulator whose names begin so are Aer's own."""
    usual = dict(type(simulator)._default_options().items())  # noqa: SLF001 - Aer has no other way to ask for them
    options = simulator.options
    return all(getattr(options, name, None) == usual[name] for name in usual if name.startswith(names))


def _draw(probabilities: NDArray[np.float64], shots: int, rng: np.random.Generator) -> CountTable:
    """Draw the shots of some rows."""
    rows, outcomes = probabilities.shape
    if outcomes <= OUTCOMES_PER_SHOT * shots:
        counts = rng.multinomial(shots, probabilities)
        row_of, outcomes = np.nonzero(counts)
        return CountTable(rows, row_of, outcomes, counts[row_of, outcomes])
    parts = []
    for row in probabilities:
        ladder = np.cumsum(row)
        # a draw above the last step, which rounding may leave below 1, is one of the last outcome that can be
        places = np.searchsorted(ladder, rng.random(shots) * ladder[-1], side="right")
        outcomes, counts = np.unique(places, return_counts=True)
        parts.append(CountTable(1, np.zeros(len(outcomes), dtype=np.int64), outcomes, counts))
    return CountTable.join(parts)


def _exact_form(circuit: QuantumCircuit) -> JoinedCircuit | None:
    from qiskit.circuit import Gate

    if not 0 < circuit.num_clbits <= MOST_BITS or circuit.num_qubits > MOST_BITS:
        return None
    qubit_of: dict[Any, Any] = {}
    measured: set[Any] = set()
    unmeasured = circuit.copy_empty_like()
    for instruction in circuit.data:
        operation = instruction.operation
        if operation.name == "measure":
            (qubit,), (bit,) = instruction.qubits, instruction.clbits
            if bit in qubit_of or qubit in measured:
                return None
            qubit_of[bit] = qubit
            measured.add(qubit)
        elif operation.name in HARMLESS:
            continue
        elif (
            isinstance(operation, Gate) and not instruction.clbits and measured.isdisjoint(instruction.qubits)
        ):
            unmeasured.append(instruction)
        else:
            return None
    if len(qubit_of) != circuit.num_clbits or getattr(circuit, "_vars_local", None):
        return None
    joined = join(unmeasured)
    joined.circuit.save_probabilities([qubit_of[bit] for bit in circuit.clbits])
    return joined
