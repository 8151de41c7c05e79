"""PennyLane's layer templates, decomposed once for each shape.

A batch often holds a thousand tapes with the same template and other weights. PennyLane makes each of their gates
anew, checks included, which takes longer than Aer takes to simulate them. The gates of these templates depend on
the weights in one way only: each angle is one of them. So the gates of one example serve for all, with other angles.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from pennylane.queuing import QueuingManager

from .._compat import zip_strict

if TYPE_CHECKING:
    from pennylane.operation import Operator
    from typing_extensions import TypeAlias

LAYERS = frozenset(
    {"StronglyEntanglingLayers", "BasicEntanglerLayers", "SimplifiedTwoDesign", "AngleEmbedding"}
)
"""Templates whose angles are entries of their weights, whatever the weights are."""

Recipe: TypeAlias = "tuple[tuple[Operator, tuple[int, ...]], ...]"
"""Example gates, and for each of their angles its place among all weights."""


def layer_gates(op: Operator) -> list[Operator] | None:
    """The gates of a layer template, new ones with its weights as angles; ``None`` if that is not known to be right."""
    if op.name not in LAYERS or op.batch_size is not None or any(type(d) is not np.ndarray for d in op.data):
        return None
    try:
        recipe = _recipe(_layer_of(op))
    except TypeError:  # a hyperparameter that cannot be hashed
        return None
    if recipe is None:
        return None
    weights = [weight for d in op.data for weight in d.ravel().tolist()]
    return [_with_numbers(gate, [weights[i] for i in places]) if places else gate for gate, places in recipe]


@dataclass(frozen=True)
class _Layer:
    """A template without its weights; equal ones have the same gates."""

    kind: type[Operator]
    wires: tuple[Any, ...]
    shapes: tuple[tuple[int, ...], ...]
    options: tuple[tuple[str, Any], ...]
    op: Operator = field(compare=False)


def _layer_of(op: Operator) -> _Layer:
    options = tuple((k, tuple(v) if isinstance(v, list) else v) for k, v in op.hyperparameters.items())
    return _Layer(type(op), op.wires.labels, tuple(np.shape(d) for d in op.data), options, op)


@lru_cache(maxsize=64)
def _recipe(layer: _Layer) -> Recipe | None:
    """Decompose the template with weights that differ from each other, and see where they end up."""
    rng = np.random.default_rng(0)
    data = [rng.uniform(0.5, 1.0, np.shape(d)) for d in layer.op.data]
    place = {weight: i for i, weight in enumerate(float(w) for d in data for w in d.ravel())}
    with QueuingManager.stop_recording():
        # a copy, since PennyLane 0.31 cannot make an AngleEmbedding anew from its own hyperparameters
        gates = _with_numbers(layer.op, data).decomposition()
    angles = [[float(angle) for angle in gate.data] for gate in gates]
    if any(angle not in place for row in angles for angle in row):
        return None
    return tuple((gate, tuple(place[a] for a in row)) for gate, row in zip_strict(gates, angles))


def _with_numbers(op: Operator, numbers: Sequence[Any]) -> Operator:
    fresh = copy.copy(op)
    fresh.data = tuple(numbers)
    return fresh
