"""Tensors of the interfaces: PennyLane converts every gate of every tape, which costs more than reading them.

Angles are read as they are, whatever they are made of; only tapes with something else in them, such as a matrix, are
converted by PennyLane.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pennylane.math import Interface
from pennylane.transforms import convert_to_numpy_parameters

from .gates import LOWERING

if TYPE_CHECKING:
    from pennylane.devices.execution_config import ExecutionConfig
    from pennylane.tape import QuantumScript

READ_AS_THEY_ARE = frozenset({Interface.NUMPY, Interface.AUTOGRAD, Interface.TORCH})
"""JAX is not among them: under its compiler there is nothing to read before PennyLane converts."""


def wants_numpy(config: ExecutionConfig) -> bool:
    """Whether PennyLane must convert tapes before they come to the device."""
    # tapes of higher derivatives are compared by their parameters on the way, for which they must be numbers
    return config.interface not in READ_AS_THEY_ARE or config.derivative_order > 1


def convert_tensors(tapes: Iterable[QuantumScript]) -> tuple[QuantumScript, ...]:
    """Tapes whose tensors are only in angles and coefficients."""
    return tuple(tape if _angles_only(tape) else convert_to_numpy_parameters(tape)[0][0] for tape in tapes)


def _angles_only(tape: QuantumScript) -> bool:
    return all(op.name in LOWERING for op in tape.operations) and all(
        mp.mv is None and (mp.obs is None or mp.obs.pauli_rep is not None) for mp in tape.measurements
    )
