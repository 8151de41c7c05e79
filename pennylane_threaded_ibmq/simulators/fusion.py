"""A program as few steps as a state vector needs: what changes no outcome is left out, and gates of one qubit are joined."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import pi
from typing import TYPE_CHECKING

import numpy as np

from .program import BARRIER, STATE, UNITARY, Placed, Program

if TYPE_CHECKING:
    from numpy.typing import NDArray

_S, _T = np.exp(0.5j * pi), np.exp(0.25j * pi)
_SX = np.array([[0.5 + 0.5j, 0.5 - 0.5j], [0.5 - 0.5j, 0.5 + 0.5j]], dtype=np.complex128)

FIXED: dict[str, NDArray[np.complex128]] = {
    "XGate": np.array([[0, 1], [1, 0]], dtype=np.complex128),
    "YGate": np.array([[0, -1j], [1j, 0]]),
    "ZGate": np.diag([1, -1]).astype(np.complex128),
    "HGate": np.array([[1, 1], [1, -1]], dtype=np.complex128) / np.sqrt(2),
    "SGate": np.diag([1, _S]),
    "SdgGate": np.diag([1, _S.conjugate()]),
    "TGate": np.diag([1, _T]),
    "TdgGate": np.diag([1, _T.conjugate()]),
    "SXGate": _SX,
    "SXdgGate": _SX.conj().T,
}
"""Matrices of the gates of one qubit without an angle."""

GENERATORS = {name: FIXED[name[1] + "Gate"] for name in ("RXGate", "RYGate", "RZGate")}
"""Generators of the rotations of one qubit: ``exp(-i angle / 2 * generator)``."""

KERNELS = {
    "CXGate": "CNOT",
    "CYGate": "CY",
    "CZGate": "CZ",
    "SwapGate": "SWAP",
    "CSwapGate": "CSWAP",
    "CCXGate": "Toffoli",
    "RXXGate": "IsingXX",
    "RYYGate": "IsingYY",
    "RZZGate": "IsingZZ",
}
"""Gates of several qubits that a state vector has kernels for, by Lightning's names of these."""

_ECR = np.array([[0, 0, 1, 1j], [0, 0, 1j, 1], [1, -1j, 0, 0], [-1j, 1, 0, 0]]) / np.sqrt(2)

DIAGONAL = frozenset(
    {"ZGate", "SGate", "SdgGate", "TGate", "TdgGate", "RZGate", "CZGate", "CCZGate", "RZZGate"}
)
"""Gates that change no probability by themselves."""

_GATES = frozenset({*FIXED, *GENERATORS, *KERNELS, BARRIER, STATE, UNITARY, "ECRGate", "CCZGate"})


@dataclass(frozen=True, eq=False)
class OneQubit:
    """Gates of one qubit in a row.

    Attributes:
        wires: The qubit.
        factors: A matrix, or a generator and the column of its angle, in the order of time.
    """

    wires: tuple[int]
    factors: tuple[NDArray[np.complex128] | tuple[NDArray[np.complex128], int], ...]

    @property
    def columns(self) -> tuple[int, ...]:
        """Columns of its angles."""
        return tuple(factor[1] for factor in self.factors if isinstance(factor, tuple))

    def matrices(self, values: NDArray[np.float64]) -> NDArray[np.complex128]:
        """The product for some rows of values: shape ``(rows, 2, 2)``."""
        product = np.broadcast_to(np.eye(2, dtype=np.complex128), (len(values), 2, 2))
        for factor in self.factors:
            if isinstance(factor, tuple):
                product = rotations(factor[0], values[:, factor[1]]) @ product
            else:
                product = factor @ product
        return np.ascontiguousarray(product)


@dataclass(frozen=True, eq=False)
class Entangling:
    """A gate that a state vector has a kernel for.

    Attributes:
        gate: One of ``KERNELS``.
        wires: Its qubits.
        angle: Its number, radians; ``None`` for none.
        column: Where its angle is, where each row brings its own.
    """

    gate: str
    wires: tuple[int, ...]
    angle: float | None = None
    column: int | None = None

    @property
    def columns(self) -> tuple[int, ...]:
        """Column of its angle."""
        return () if self.column is None else (self.column,)


@dataclass(frozen=True, eq=False)
class Dense:
    """A matrix on several qubits, or a state of qubits that nothing has touched.

    Attributes:
        wires: The qubits, the most significant first.
        array: The matrix or the state.
    """

    wires: tuple[int, ...]
    array: NDArray[np.complex128]
    columns: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class FusedCircuit:
    """A program as a state vector runs it.

    Attributes:
        num_qubits: Qubits that matter.
        num_clbits: Bits of an outcome. Bit ``i`` is wire ``num_clbits - 1 - i``, so that the first wires are an outcome.
        steps: The steps in the order of time.
    """

    num_qubits: int
    num_clbits: int
    steps: tuple[OneQubit | Entangling | Dense, ...]


def rotations(generator: NDArray[np.complex128], angles: NDArray[np.float64]) -> NDArray[np.complex128]:
    """``exp(-i angle / 2 * generator)`` for each angle: shape ``(angles, 2, 2)``."""
    half = angles[:, None, None] / 2
    matrices: NDArray[np.complex128] = np.cos(half) * np.eye(2) - 1j * np.sin(half) * generator
    return matrices


def can_fuse(program: Program) -> bool:
    """Whether all gates of a program are known here."""
    return all(gate.gate in _GATES for gate in program.gates)


def fuse(program: Program) -> FusedCircuit:
    """Fuse a program that :func:`can_fuse` takes."""
    gates = _that_matter(program)
    used = {qubit for gate in gates for qubit in gate.qubits} - set(program.measured)
    wires = {qubit: wire for wire, qubit in enumerate([*reversed(program.measured), *sorted(used)])}
    gates = [gate._replace(qubits=tuple(wires[q] for q in gate.qubits)) for gate in gates]
    return FusedCircuit(len(wires), program.num_clbits, tuple(_steps(_split(gates))))


def _that_matter(program: Program) -> list[Placed]:
    """Gates that an outcome depends on: not those beside what is measured, nor phases of the outcomes."""
    ancestors = set(program.measured)
    mixed: set[int] = set()
    relevant = []
    for gate in reversed(program.gates):
        aside = ancestors.isdisjoint(gate.qubits)
        phase = gate.gate in DIAGONAL and mixed.isdisjoint(gate.qubits)
        if gate.gate == BARRIER or aside or phase:
            continue
        relevant.append(gate)
        ancestors.update(gate.qubits)
        mixed.update(gate.qubits)
    return relevant[::-1]


def _split(gates: Iterable[Placed]) -> Iterator[Placed]:
    """Write the controlled-controlled Z by what has a kernel."""
    for gate in gates:
        if gate.gate == "CCZGate":
            target = Placed("HGate", gate.qubits[2:])
            yield from (target, gate._replace(gate="CCXGate"), target)
        else:
            yield gate


def _steps(gates: Iterable[Placed]) -> Iterator[OneQubit | Entangling | Dense]:
    """Join gates of one qubit; each run comes as late as it may, so that rows that differ there share what is before."""
    waiting: dict[int, list[Placed]] = {}
    for gate in gates:
        if len(gate.qubits) == 1 and gate.gate != STATE:
            waiting.setdefault(gate.qubits[0], []).append(gate)
            continue
        for wire in gate.qubits:
            if wire in waiting:
                yield _one_qubit(wire, waiting.pop(wire))
        if gate.array is not None:
            yield Dense(gate.qubits, np.ascontiguousarray(gate.array))
        elif gate.gate == "ECRGate":
            yield Dense(gate.qubits, _ECR)
        else:
            yield Entangling(gate.gate, gate.qubits, gate.angle, gate.column)
    for wire, run in waiting.items():
        yield _one_qubit(wire, run)


def _one_qubit(wire: int, gates: Sequence[Placed]) -> OneQubit:
    factors: list[NDArray[np.complex128] | tuple[NDArray[np.complex128], int]] = []
    for gate in gates:
        if gate.column is not None:
            factors.append((GENERATORS[gate.gate], gate.column))
        elif factors and not isinstance(factors[-1], tuple):
            factors[-1] = _matrix(gate) @ factors[-1]
        else:
            factors.append(_matrix(gate))
    return OneQubit((wire,), tuple(factors))


def _matrix(gate: Placed) -> NDArray[np.complex128]:
    if gate.array is not None:
        return gate.array
    if gate.angle is None:
        return FIXED[gate.gate]
    matrix: NDArray[np.complex128] = rotations(GENERATORS[gate.gate], np.array([gate.angle]))[0]
    return matrix
