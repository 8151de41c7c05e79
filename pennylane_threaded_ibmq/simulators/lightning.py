"""The state vector of PennyLane Lightning, which comes with PennyLane, as an engine for rows of one circuit.

Its kernels are several times faster than Aer's and take tenths of a microsecond to call, so that no circuit is bound and no
tape is made for a row. Rows that begin alike are evolved together as far as they are alike: the rows of a gradient differ in
one angle each, and share what comes before it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from .cores import count_threads
from .exact import Compute
from .fusion import KERNELS, Dense, Entangling, FusedCircuit, OneQubit, can_fuse, fuse
from .program import Placed, Program

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from typing_extensions import TypeAlias

Call: TypeAlias = "tuple[Callable[..., Any], list[tuple[Any, ...]], NDArray[np.int64] | None]"
"""A step of some rows: a kernel, its different arguments, and which of them each row takes; ``None`` for the first."""

logger = logging.getLogger(__name__)

MODULE = "pennylane_lightning.lightning_qubit_ops"

MOST_QUBITS = 20
"""Qubits at most: a state of 20 takes 16 MB, and one is held for each halving of the rows."""

ROWS_AT_ONCE = 2048
"""Rows whose gates are held at once."""

QUBITS_FOR_THREADS = 16
"""From here on a kernel takes long enough for a second thread to find the interpreter free: 10 microseconds."""


class Lightning:
    """Runs programs on state vectors.

    Args:
        ops: Lightning's module of kernels.
        single: Compute with 32-bit numbers: half the memory, half the time from 16 qubits on, and errors of probabilities
            of up to a millionth.
    """

    def __init__(self, ops: Any, *, single: bool = False) -> None:
        self._ops = ops
        self.single = single

    def fused(self, program: Program) -> FusedCircuit | None:
        """A program as it runs here; ``None`` where it cannot."""
        if not can_fuse(program):
            return None
        circuit = fuse(program)
        return circuit if circuit.num_qubits <= MOST_QUBITS else None

    def tables(self, circuits: Sequence[FusedCircuit]) -> Compute:
        """A function that computes the probabilities of rows of some circuits."""
        return lambda entries: (self.probabilities(circuits[number], rows) for number, rows in entries)

    def probabilities(self, circuit: FusedCircuit, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities of the outcomes.

        Args:
            circuit: The circuit.
            values: Its angles, radians: shape ``(rows, columns)``.

        Returns:
            Shape ``(rows, 2**num_clbits)``, classical bit ``i`` worth ``2**i``.
        """
        table = np.ones((len(values), 1 << circuit.num_clbits))
        if circuit.num_clbits == 0 or len(values) == 0:
            return table
        size = max(1, min(ROWS_AT_ONCE, -(-len(values) // _threads(circuit))))
        parts = [slice(start, start + size) for start in range(0, len(values), size)]

        def evolve(part: slice) -> None:
            _Evolution(self._ops, circuit, values[part], table[part], single=self.single).run()

        if _threads(circuit) == 1 or len(parts) == 1:
            for part in parts:
                evolve(part)
        else:
            with ThreadPoolExecutor(_threads(circuit)) as pool:
                list(pool.map(evolve, parts))
        return table


def find_lightning(*, single: bool = False) -> Lightning | None:
    """Lightning, if it is installed and does what it is known to do; no version is trusted to."""
    try:
        lightning = Lightning(import_module(MODULE), single=single)
        probabilities = lightning.probabilities(fuse(_SAMPLE), np.array([[0.4], [1.7]]))
        works = bool(np.allclose(probabilities, _EXPECTED, atol=1e-5 if single else 1e-7))
    except Exception as error:  # noqa: BLE001 - whatever another version does, Aer does the work then
        logger.info("Lightning is not used: %s: %s", type(error).__name__, error)
        return None
    if not works:
        logger.info("Lightning is not used: it computes other numbers than it is known to")
    return lightning if works else None


class _Evolution:
    """Some rows on one state vector."""

    def __init__(
        self,
        ops: Any,
        circuit: FusedCircuit,
        values: NDArray[np.float64],
        table: NDArray[np.float64],
        *,
        single: bool,
    ) -> None:
        self._size = circuit.num_qubits
        self._outcome = list(range(circuit.num_clbits))
        self._table = table
        self._type = np.dtype(np.complex64 if single else np.complex128)
        self._state = (ops.StateVectorC64 if single else ops.StateVectorC128)(self._size)
        self._load = getattr(self._state, "updateData", None) or self._state.UpdateData
        self._measure = ops.MeasurementsC64 if single else ops.MeasurementsC128
        self._calls = [self._call(step, values) for step in circuit.steps]

    def run(self) -> None:
        """Fill the table."""
        self._go_on(np.arange(len(self._table)), 0)

    def _go_on(self, rows: NDArray[np.int64], start: int) -> None:
        """Evolve rows whose steps so far were the same.

        Each time that they part, the most of them go on with the state that is there, so that the states that are kept are
        at most as many as the halvings of all rows.
        """
        for place in range(start, len(self._calls)):
            kernel, arguments, choices = self._calls[place]
            if choices is None:
                kernel(*arguments[0])
                continue
            if len(rows) > 1:
                *fewer, rows = _alike(rows, choices[rows])
                if fewer:
                    state = self._copy_state()
                    for some in fewer:
                        kernel(*arguments[choices[some[0]]])
                        self._go_on(some, place + 1)
                        self._load(state)
            kernel(*arguments[choices[rows[0]]])
        self._table[rows] = self._measure(self._state).probs(self._outcome)

    def _copy_state(self) -> NDArray[Any]:
        state = np.empty(1 << self._size, dtype=self._type)
        self._state.getState(state)
        return state

    def _call(self, step: OneQubit | Entangling | Dense, values: NDArray[np.float64]) -> Call:
        examples, choices = _different(values, step.columns)
        wires = list(step.wires)
        if isinstance(step, OneQubit):
            matrices = step.matrices(values[examples]).astype(self._type, copy=False)
            return self._state.applyMatrix, [(matrix, wires, False) for matrix in matrices], choices
        if isinstance(step, Dense):
            kernel = self._prepare if step.array.ndim == 1 else self._state.applyMatrix
            return kernel, [(step.array.astype(self._type, copy=False), wires, False)], None
        kernel = getattr(self._state, KERNELS[step.gate])
        if step.column is not None:
            return (
                kernel,
                [(wires, False, [angle]) for angle in values[examples, step.column].tolist()],
                choices,
            )
        return kernel, [(wires, False, [] if step.angle is None else [step.angle])], None

    def _prepare(self, state: NDArray[Any], wires: Sequence[int], _: bool) -> None:
        """Give qubits in the state 0 another state."""
        front = range(len(wires))
        axes = (2,) * self._size
        before = np.moveaxis(self._copy_state().reshape(axes), wires, front).reshape(len(state), -1)
        after = np.moveaxis(np.outer(state, before[0]).reshape(axes), front, wires)
        self._load(np.ascontiguousarray(after).ravel())


def _threads(circuit: FusedCircuit) -> int:
    return 1 if circuit.num_qubits < QUBITS_FOR_THREADS else count_threads()


def _different(
    values: NDArray[np.float64], columns: Sequence[int]
) -> tuple[list[int], NDArray[np.int64] | None]:
    """Rows that bring different values in some columns, and which of them each row is like; ``None`` if all are alike."""
    own = values[:, columns]
    others = np.flatnonzero((own != own[0]).any(axis=1))
    if len(others) == 0:
        return [0], None
    examples, choices = [0], np.zeros(len(values), dtype=np.int64)
    known: dict[bytes, int] = {}
    for row in others.tolist():
        key = own[row].tobytes()
        if key not in known:
            examples.append(row)
            known[key] = len(known) + 1
        choices[row] = known[key]
    return examples, choices


def _alike(rows: NDArray[np.int64], choices: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Rows that choose alike together, the largest group last."""
    if not (choices != choices[0]).any():
        return [rows]
    order = np.argsort(choices, kind="stable")
    ends = np.flatnonzero(np.diff(choices[order])) + 1
    return sorted(np.split(rows[order], ends), key=len)


_SAMPLE = Program(
    4,
    (
        Placed("HGate", (0,)),
        Placed("RXGate", (1,), 0.3),
        Placed("RYGate", (2,), column=0),
        Placed("state", (3,), array=np.array([0.6, 0.8j])),
        Placed("CXGate", (0, 1)),
        Placed("CYGate", (1, 2)),
        Placed("RXXGate", (2, 3), 0.7),
        Placed("TGate", (0,)),
        Placed("RYYGate", (0, 3), column=0),
        Placed("CSwapGate", (1, 0, 2)),
        Placed("RZZGate", (1, 2), 1.1),
        Placed("SXGate", (1,)),
        Placed("ECRGate", (3, 1)),
        Placed("CZGate", (2, 3)),
        Placed("CCXGate", (1, 0, 3)),
        Placed("SwapGate", (2, 1)),
        Placed("HGate", (2,)),
        Placed("RXGate", (3,), 0.9),
    ),
    (2, 0, 3),
)
"""A circuit with each kernel that is used, in which each of their conventions tells."""

_EXPECTED = [
    [0.15505141, 0.15453609, 0.09607924, 0.01816241, 0.10409649, 0.11381393, 0.27268651, 0.08557391],
    [0.05525876, 0.17352801, 0.23647234, 0.09027581, 0.01214755, 0.20562457, 0.03017316, 0.19651981],
]
"""Its probabilities for an angle of 0.4 and one of 1.7, by Qiskit."""
