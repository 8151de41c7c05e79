"""Circuits without Qiskit: gates on qubits, with the column that holds each angle.

A template is lowered to such gates once; they become a circuit of Qiskit's for whatever Qiskit runs, or a program for a
state vector of this machine, which needs neither Qiskit nor its transpiler.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

UNITARY, STATE, BARRIER, MEASURE, RESET = "unitary", "state", "barrier", "measure", "reset"
"""Kinds of what is placed on qubits besides gates of Qiskit's library."""


class Placed(NamedTuple):
    """One gate on its qubits.

    Attributes:
        gate: Its class in ``qiskit.circuit.library``, or one of the words above.
        qubits: In PennyLane's order: the first is the most significant of a matrix or a state.
        angle: A number, radians; ``None`` for no angle, or for one that each row brings.
        column: Where among a row's values its angle is; ``None`` for none.
        array: A matrix of shape ``(2**n, 2**n)``, or a state of shape ``(2**n,)``.
        bit: Classical bit of a measurement.
    """

    gate: str
    qubits: tuple[int, ...]
    angle: float | None = None
    column: int | None = None
    array: NDArray[np.complex128] | None = None
    bit: int | None = None


@dataclass(frozen=True, eq=False)
class Program:
    """A circuit that measures at its end only.

    Attributes:
        num_qubits: Qubits of its register.
        gates: Gates in the order of time.
        measured: The qubit that each classical bit reads.
    """

    num_qubits: int
    gates: tuple[Placed, ...]
    measured: tuple[int, ...]

    @property
    def num_clbits(self) -> int:
        """Bits of an outcome."""
        return len(self.measured)
