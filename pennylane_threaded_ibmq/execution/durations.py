"""Duration of a circuit on a backend, from the durations of its target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .._compat import zip_strict

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

CIRCUIT_SECS = 100e-6
"""IBM's upper figure for a typical circuit, for a backend that tells no durations."""


class Durations:
    """Durations of one backend of Qiskit's."""

    def __init__(self, backend: Any) -> None:
        self._target = getattr(backend, "target", None)

    @property
    def known(self) -> bool:
        """Whether the backend tells how long its gates take."""
        return self.measure_secs > 0

    @property
    def measure_secs(self) -> float:
        """The longest measurement."""
        return self._longest("measure")

    @property
    def reset_secs(self) -> float:
        """The longest reset, by which a circuit begins."""
        return self._longest("reset")

    def circuit_secs(self, circuit: QuantumCircuit) -> float:
        """From the first gate to the last: the longest way through the circuit, branches as long as the longest."""
        if not self.known:
            return CIRCUIT_SECS
        qubits = {qubit: i for i, qubit in enumerate(circuit.qubits)}
        return self._longest_way(circuit, [qubits[q] for q in circuit.qubits])

    def _longest_way(self, circuit: QuantumCircuit, places: list[int]) -> float:
        """The same for a block whose qubits are the circuit's ``places``."""
        index = dict(zip_strict(circuit.qubits, places))
        ready: dict[int, float] = {}
        for item in circuit.data:
            used = tuple(index[qubit] for qubit in item.qubits)
            end = max((ready.get(q, 0.0) for q in used), default=0.0) + self._secs(item.operation, used)
            ready.update(dict.fromkeys(used, end))
        return max(ready.values(), default=0.0)

    def _secs(self, operation: Any, qubits: tuple[int, ...]) -> float:
        blocks = getattr(operation, "blocks", ())
        if blocks:
            times = _repetitions(operation)
            return times * max(self._longest_way(block, list(qubits)) for block in blocks)
        if operation.name == "delay":
            return self._delay_secs(operation)
        return _duration(self._gates(operation.name).get(qubits))

    def _delay_secs(self, operation: Any) -> float:
        scale = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "ps": 1e-12}
        factor = scale.get(operation.unit, getattr(self._target, "dt", None) or 0.0)
        try:
            return float(operation.duration) * factor
        except TypeError:  # a parameter, which nobody knows yet
            return 0.0

    def _longest(self, name: str) -> float:
        return max(map(_duration, self._gates(name).values()), default=0.0)

    def _gates(self, name: str) -> Mapping[Any, Any]:
        """Properties of a gate on the backend, by its qubits."""
        if self._target is None or name not in self._target.operation_names:
            return {}
        return self._target[name] or {}


def _duration(properties: Any) -> float:
    return float(getattr(properties, "duration", None) or 0.0)


def _repetitions(operation: Any) -> int:
    """Number of times that the body of a loop runs; a loop whose end is not known before counts once."""
    if operation.name != "for_loop":
        return 1
    try:
        return max(1, len(operation.params[0]))
    except TypeError:
        return 1
