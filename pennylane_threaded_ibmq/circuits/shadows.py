"""Classical shadows: a Pauli basis drawn for each shot and wire.

A shadow's circuit has two more angles a wire, which turn X, Y or Z into the computational basis. Shots that drew
the same bases are rows of one circuit, so a shadow costs no more compilations than any other measurement.
"""

from __future__ import annotations

from math import pi
from typing import TYPE_CHECKING, Any

import numpy as np
from pennylane.measurements import ClassicalShadowMP
from pennylane.shadows import ClassicalShadow

from .outcomes import ShotBits
from .readout import Readout

if TYPE_CHECKING:
    from numpy.typing import NDArray

ANGLES = np.array([[0.0, -pi / 2], [-pi / 2, -pi / 2], [0.0, 0.0]])
"""Angles of RZ and then RY that measure X, Y and Z: PennyLane's recipes 0, 1 and 2."""


def draw_recipes(readout: Readout, rows: int, shots: int, rng: np.random.Generator) -> NDArray[np.int8]:
    """Draw the basis of each shot and wire: int8 of shape ``(rows, shots, wires)``, 0, 1, 2 for X, Y, Z.

    A measurement with a seed draws what PennyLane's simulators draw for that seed.
    """
    wires = len(readout.bits)
    seed = getattr(readout.process, "seed", None)
    if seed is None:
        return rng.integers(0, 3, size=(rows, shots, wires)).astype(np.int8)
    one = np.random.RandomState(seed).randint(0, 3, size=(shots, wires))
    return np.broadcast_to(one.astype(np.int8), (rows, shots, wires))


def read_shadow(readout: Readout, bits: ShotBits, recipes: NDArray[np.int8]) -> list[Any]:
    """A shadow, int8 of shape ``(2, shots, wires)``, or the expectation values estimated from it, per row."""
    mp = readout.process
    assert mp is not None
    out: list[Any] = []
    for row in range(bits.rows):
        samples = bits.samples(row, readout.bits).astype(np.int8)
        if isinstance(mp, ClassicalShadowMP):
            out.append(np.stack([samples, recipes[row]]))
            continue
        shadow = ClassicalShadow(samples, recipes[row], wire_map=mp.wires.tolist())
        out.append(np.asarray(shadow.expval(mp.H, mp.k)))
    return out
