"""Results as legacy devices give them, and measurements that a program brings a method of its own for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from pennylane.measurements import (
    ClassicalShadowMP,
    ExpectationMP,
    MeasurementTransform,
    SampleMP,
    ShadowExpvalMP,
    VarianceMP,
)

from ..._compat import zip_strict

if TYPE_CHECKING:
    from pennylane.measurements import MeasurementProcess
    from pennylane.tape import QuantumScript
    from typing_extensions import TypeAlias

Post: TypeAlias = "Callable[[Any], Any]"


def own_methods(tape: QuantumScript, device: Any) -> dict[int, Callable[[], Any]]:
    """Measurements of a tape that are not read from shots, by their place, and what gives their results.

    Args:
        tape: Any tape.
        device: The device; a program may have put methods in its ``measurement_map``.
    """
    methods: dict[int, Callable[[], Any]] = {}
    for place, mp in enumerate(tape.measurements):
        name = device.measurement_map.get(type(mp))
        whole = isinstance(mp, MeasurementTransform)
        if name:
            methods[place] = partial(getattr(device, name), tape if whole else mp)
        elif whole and not isinstance(mp, (ClassicalShadowMP, ShadowExpvalMP)):
            methods[place] = partial(mp.process, tape, device)
    return methods


def as_legacy(
    measurements: Sequence[MeasurementProcess], own: dict[int, Callable[[], Any]], *, copies: bool
) -> Post:
    """A function that makes a tape's result from that of its measurements that were run.

    Args:
        measurements: All of them.
        own: Those that were not run.
        copies: The result has one entry a copy of the shot vector.
    """
    run = [_shape(mp) for place, mp in enumerate(measurements) if place not in own]

    def one(result: Any) -> Any:
        parts = iter([result] if len(run) == 1 else result)
        shaped = iter([shape(part) for shape, part in zip_strict(run, parts)])
        values = tuple(own[place]() if place in own else next(shaped) for place in range(len(measurements)))
        return values[0] if len(values) == 1 else values

    def post(results: Any) -> Any:
        return tuple(one(copy) for copy in results[0]) if copies else one(results[0])

    return post


def _shape(mp: MeasurementProcess) -> Callable[[Any], Any]:
    """Numbers are arrays without axes, and samples have no axis of length 1."""
    if isinstance(mp, SampleMP):
        return np.squeeze
    return np.asarray if isinstance(mp, (ExpectationMP, VarianceMP)) else _same


def _same(result: Any) -> Any:
    return result
