"""From blocks to the primitive unified blocs (PUBs) that a primitive runs, and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._compat import zip_strict
from .decode import BlockResult
from .outcomes import Outcomes, ShotBits
from .plan import Block
from .readout import Kind
from .shadows import ANGLES, draw_recipes

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from qiskit import QuantumCircuit


@dataclass(frozen=True, eq=False)
class Pub:
    """One circuit, an array of bindings, and how often to run each.

    Attributes:
        circuit: The transpiled circuit.
        values: Parameter values: shape ``(rows, parameters)``.
        shots: Shots of each row.
        setting: The template's setting it measures (Sampler); -1 for the Estimator.
        observables: Observables on the circuit's qubits (Estimator), one a word.
        slots: For a random basis: row and shot of each outcome, shape ``(rows, shots, 2)``.
    """

    circuit: QuantumCircuit
    values: NDArray[np.float64]
    shots: int
    setting: int = -1
    observables: tuple[Any, ...] = ()
    slots: NDArray[np.int64] | None = None

    @property
    def precision(self) -> float:
        """Standard error that asks an Estimator for exactly ``shots`` shots.

        Services run ``ceil(1 / precision**2)`` shots; ``shots**-0.5`` gives one too many for a quarter of all
        numbers, because the square of a rounded root is not the number.
        """
        return float((self.shots - 0.25) ** -0.5)


@dataclass(frozen=True, eq=False)
class Request:
    """The PUBs of one block, and what is needed to read them.

    Attributes:
        block: What they belong to.
        pubs: The PUBs, in order.
        recipes: Bases drawn, for each setting with a random basis.
    """

    block: Block
    pubs: tuple[Pub, ...]
    recipes: dict[int, NDArray[np.int8]]


def make_request(block: Block, rng: np.random.Generator) -> Request:
    """Expand a block into PUBs. Transpiles what was never transpiled before."""
    template = block.template
    if block.primitive == "estimator":
        compiled, observables = template.estimator_circuit()
        values = compiled.values(block.values)
        copies = [Pub(compiled.circuit, values, n, observables=observables) for n in block.copy_shots]
        return Request(block, tuple(copies), {})
    pubs: list[Pub] = []
    recipes: dict[int, NDArray[np.int8]] = {}
    shots = int(block.shots.total_shots)
    for index in block.settings:
        compiled = template.sampler_circuit(index)
        if not template.settings[index].random_basis:
            pubs.append(Pub(compiled.circuit, compiled.values(block.values), shots, index))
            continue
        shadows = (r for r in map(template.readouts.__getitem__, block.readouts) if r.kind is Kind.SHADOW)
        readout = next(r for r in shadows if r.settings == (index,))
        recipes[index] = draw_recipes(readout, block.rows, shots, rng)
        pubs += _random_pubs(compiled, block, index, recipes[index], template.random_size)
    return Request(block, tuple(pubs), recipes)


def _random_pubs(
    compiled: Any, block: Block, index: int, recipes: NDArray[np.int8], size: int
) -> Iterable[Pub]:
    """Shots with the same bases become one row, where that may be; rows with the same number of shots become one PUB."""
    by_count: dict[int, list[tuple[NDArray[np.float64], NDArray[np.int64]]]] = {}
    for row in range(block.rows):
        if block.single_shots:
            unique, inverse = recipes[row], np.arange(len(recipes[row]))
        else:
            unique, inverse = np.unique(recipes[row], axis=0, return_inverse=True)
        order = np.argsort(inverse.ravel(), kind="stable")
        ends = np.cumsum(np.bincount(inverse.ravel(), minlength=len(unique)))
        for recipe, shots in zip_strict(unique, np.split(order, ends[:-1])):
            angles = np.zeros(size)
            angles[: 2 * len(recipe)] = ANGLES[recipe].ravel()
            slots = np.stack([np.full(len(shots), row), shots], axis=1)
            by_count.setdefault(len(shots), []).append((np.concatenate([block.values[row], angles]), slots))
    for count, rows in by_count.items():
        values = compiled.values(np.stack([v for v, _ in rows]))
        yield Pub(compiled.circuit, values, count, index, slots=np.stack([s for _, s in rows]))


def collect(request: Request, results: Sequence[Any], rng: np.random.Generator) -> BlockResult:
    """Put the results of the PUBs of one block together.

    Args:
        request: What was sent.
        results: One result a PUB: ``Outcomes`` (Sampler) or values of shape ``(words, rows)`` (Estimator).
        rng: Orders the shots of simulators, where order matters.
    """
    if request.block.primitive == "estimator":
        return BlockResult({}, word_values=np.stack([np.asarray(r).T for r in results]))
    outcomes: dict[int, Outcomes] = {}
    bits: dict[int, NDArray[np.uint8]] = {}
    for pub, result in zip_strict(request.pubs, results):
        if pub.slots is None:
            outcomes[pub.setting] = result
            continue
        # a service may give more shots than were asked for, and each has its basis
        packed = result.ordered(rng).packed[:, : pub.shots]
        if pub.setting not in bits:
            shape = request.recipes[pub.setting].shape[:2]
            bits[pub.setting] = np.zeros((*shape, packed.shape[-1]), dtype=np.uint8)
        bits[pub.setting][pub.slots[..., 0], pub.slots[..., 1]] = packed
    outcomes.update({k: ShotBits(v) for k, v in bits.items()})
    return BlockResult(outcomes, recipes=request.recipes)
