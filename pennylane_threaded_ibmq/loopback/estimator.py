"""The estimator: expectation values from real samples, never from the state itself.

What comes out is what a machine without error mitigation gives: an average over ``1 / precision**2`` shots of
eigenvalues, and therefore never beyond the spectrum of a Pauli observable.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from qiskit.primitives.containers import DataBin, PrimitiveResult, PubResult

from .._compat import zip_strict
from .circuits import bit_columns
from .simulate import Counts, Engine, Run

if TYPE_CHECKING:
    from qiskit.primitives.containers.estimator_pub import EstimatorPub
    from typing_extensions import TypeAlias

Observable: TypeAlias = "Mapping[str, float]"
Observables = Any
"""An array of :data:`Observable`; to mypy, what an object array holds is an array again."""


Place: TypeAlias = "tuple[int, ...]"
"""Indices into the array of a PUB's results."""


@dataclass
class _Basis:
    """Paulis that one setting of measurements serves, and the rows that need it."""

    letters: dict[int, str] = field(default_factory=dict)
    labels: set[str] = field(default_factory=set)
    rows: set[int] = field(default_factory=set)

    def takes(self, letters: Mapping[int, str]) -> bool:
        """Whether the Pauli agrees with this setting on every qubit that both use."""
        return all(self.letters.get(qubit, letter) == letter for qubit, letter in letters.items())


def shots_for(precision: float) -> int:
    """Shots that reach a precision: ``ceil(1 / precision**2)``, robust to rounding of the precision."""
    return math.ceil(round(1 / precision**2, 6))


def run_estimator(engine: Engine, pubs: Sequence[EstimatorPub]) -> tuple[PrimitiveResult, int, int]:
    """Estimate PUBs.

    Returns:
        A result as IBM's estimator gives it at resilience level 0, the number of circuit executions, and the number
        of shots.
    """
    results = []
    executions = shots = 0
    for pub in pubs:
        result, rows = _run_pub(engine, pub)
        results.append(result)
        executions += rows
        shots += rows * shots_for(pub.precision)
    return PrimitiveResult(results, metadata={"resilience": {}, "version": 2}), executions, shots


def _run_pub(engine: Engine, pub: EstimatorPub) -> tuple[PubResult, int]:
    shots = shots_for(pub.precision)
    shape = pub.shape
    indices = np.arange(pub.parameter_values.size).reshape(pub.parameter_values.shape)
    rows = np.broadcast_to(indices, shape)
    observables: Observables = np.broadcast_to(_observables(pub), shape)
    places = list(np.ndindex(shape))
    bases = _bases(rows, observables, places)
    parts = [(places, bases)]
    if engine.seed is not None:
        # What one observable gives must not depend on which others came with it, so none share a setting.
        parts = [(equal, _bases(rows, observables, equal)) for equal in _by_observable(observables, places)]
    means = np.zeros(shape)
    variances = np.zeros(shape)
    for members, settings in parts:
        samples = _sample(engine, pub, settings, shots)
        for place in members:
            mean, variance = _moments(observables[place], int(rows[place]), settings, samples)
            means[place] = mean
            variances[place] = variance
    errors = np.sqrt(variances / shots)
    data = DataBin(evs=means, stds=errors, ensemble_standard_error=errors, shape=shape)
    metadata = {
        "shots": shots,
        "target_precision": pub.precision,
        "circuit_metadata": dict(pub.circuit.metadata or {}),
        "resilience": {},
        "num_randomizations": 1,
    }
    return PubResult(data, metadata), sum(len(basis.rows) for basis in bases)


def _sample(engine: Engine, pub: EstimatorPub, bases: list[_Basis], shots: int) -> list[dict[int, _Sample]]:
    """Outcomes of each setting, by row."""
    bindings = binding_rows(pub)
    members_of = [sorted(basis.rows) for basis in bases]
    runs = [
        Run(pub.circuit, bindings[members], basis.letters) for basis, members in zip_strict(bases, members_of)
    ]
    return [
        {row: _Sample(counts, pub.circuit.num_clbits, basis) for row, counts in zip_strict(members, rows)}
        for basis, members, rows in zip_strict(bases, members_of, engine.sample(runs, shots))
    ]


def _moments(
    observable: Observable, row: int, bases: list[_Basis], samples: list[dict[int, _Sample]]
) -> tuple[float, float]:
    """Expectation value of one observable for one row, and its variance for one shot."""
    mean = sum(weight for label, weight in observable.items() if not _letters(label))
    variance = 0.0
    for basis, by_row in zip_strict(bases, samples):
        terms = {label: weight for label, weight in observable.items() if label in basis.labels}
        if terms:
            part, spread = by_row[row].moments(terms)
            mean += part
            variance += spread
    return mean, variance


def _by_observable(observables: Observables, places: list[Place]) -> list[list[Place]]:
    """Places sorted by what is measured there."""
    groups: dict[frozenset[tuple[str, float]], list[Place]] = {}
    for place in places:
        groups.setdefault(frozenset(observables[place].items()), []).append(place)
    return list(groups.values())


def _observables(pub: EstimatorPub) -> Observables:
    """The observables as an array of dictionaries from Pauli labels to coefficients."""
    array = np.empty(pub.observables.shape, dtype=object)
    for place in np.ndindex(pub.observables.shape):
        array[place] = {label: float(np.real(weight)) for label, weight in pub.observables[place].items()}
    return array


def binding_rows(pub: Any) -> npt.NDArray[np.float64]:
    """Parameter values of a PUB as rows.

    Returns:
        Array of shape ``(number of bindings, number of parameters)``.
    """
    values = pub.parameter_values.as_array(pub.circuit.parameters)
    rows: npt.NDArray[np.float64] = np.asarray(values, dtype=float).reshape(
        pub.parameter_values.size, pub.circuit.num_parameters
    )
    return rows


def _letters(label: str) -> dict[int, str]:
    """The Paulis of a label by qubit; the last letter is qubit 0."""
    return {qubit: letter for qubit, letter in enumerate(reversed(label)) if letter != "I"}


def _bases(rows: npt.NDArray[np.int_], observables: Observables, places: list[Place]) -> list[_Basis]:
    """Sort all Pauli terms into as few settings as a greedy search finds, and note which rows each serves."""
    bases: list[_Basis] = []
    home: dict[str, _Basis] = {}
    for place in places:
        for label in sorted(observables[place]):
            if label not in home:
                letters = _letters(label)
                if not letters:
                    continue
                basis = next((other for other in bases if other.takes(letters)), None)
                if basis is None:
                    basis = _Basis()
                    bases.append(basis)
                basis.letters.update(letters)
                basis.labels.add(label)
                home[label] = basis
            home[label].rows.add(int(rows[place]))
    return bases


class _Sample:
    """Outcomes of one row in one basis."""

    def __init__(self, counts: Counts, skipped_bits: int, basis: _Basis) -> None:
        bits = bit_columns(counts, skipped_bits + len(basis.letters))[:, skipped_bits:]
        self._signs = 1.0 - 2.0 * bits
        self._columns = {qubit: column for column, qubit in enumerate(basis.letters)}
        self._weights = np.fromiter(counts.values(), dtype=float, count=len(counts))

    def moments(self, terms: Mapping[str, float]) -> tuple[float, float]:
        """Mean and variance of a weighted sum of Paulis over the shots."""
        values: Any = 0.0
        for label, weight in terms.items():
            columns = [self._columns[qubit] for qubit in _letters(label)]
            values = values + weight * np.prod(self._signs[:, columns], axis=1)
        mean = float(np.average(values, weights=self._weights))
        variance = float(np.average((values - mean) ** 2, weights=self._weights))
        return mean, variance
