"""Circuits between decoding and simulation: idle wires removed, content digested."""

from __future__ import annotations

import hashlib
import inspect
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt
from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.circuit import ControlFlowOp, QuantumRegister

_IDLE = frozenset({"barrier", "delay"})


def active_qubits(circuit: QuantumCircuit) -> set[int]:
    """Indices of the qubits on which something happens; barriers and delays are nothing."""
    return {
        circuit.find_bit(bit).index
        for instruction in circuit.data
        if instruction.operation.name not in _IDLE
        for bit in instruction.qubits
    }


def without_idle_wires(circuit: QuantumCircuit, keep: Iterable[int]) -> QuantumCircuit:
    """Reduce a circuit that was laid out on a whole chip to the wires that matter.

    A statevector of 133 qubits cannot be simulated; one of the 4 that are used can. Aer drops idle qubits by itself,
    but not those under a barrier or in front of control flow.

    Args:
        circuit: The circuit; classical bits and registers stay as they are.
        keep: Indices of the qubits to keep: all active ones, or those of an independent part.

    Returns:
        A circuit whose qubit ``i`` is the ``i``-th smallest kept one. Barriers are gone, delays on kept wires stay.
    """
    indices = sorted(keep)
    wires = QuantumRegister(len(indices), "q")
    places = {circuit.qubits[index]: wires[place] for place, index in enumerate(indices)}
    result = QuantumCircuit(wires, circuit.clbits, *circuit.cregs)
    for variable in getattr(
        circuit, "iter_declared_vars", tuple
    )():  # circuits before Qiskit 1.1 have no variables
        result.add_uninitialized_var(variable)
    options = _append_options()
    for instruction in circuit.data:
        if instruction.operation.name == "barrier" or not places.keys() >= set(instruction.qubits):
            continue
        qubits = [places[bit] for bit in instruction.qubits]
        result.append(instruction.operation, qubits, instruction.clbits, **options)
    return result


def ends_in_measurements(circuit: QuantumCircuit) -> bool:
    """Whether a circuit has no branches, resets no qubit, and does nothing with one that it has measured."""
    measured: set[Any] = set()
    for instruction in circuit.data:
        name, qubits = instruction.operation.name, instruction.qubits
        if name in _IDLE:
            continue
        if (
            name == "reset"
            or isinstance(instruction.operation, ControlFlowOp)
            or not measured.isdisjoint(qubits)
        ):
            return False
        if name == "measure":
            measured.update(qubits)
    return True


def measure_branches(circuit: QuantumCircuit) -> None:
    """Measure, into a register of their own behind all others, qubits that only branches act on.

    Aer would leave these qubits out, but not the jumps around the branch, and then fail to find them.
    """
    branched, measured = set(), set()
    for instruction in circuit.data:
        if isinstance(instruction.operation, ControlFlowOp):
            branched.update(instruction.qubits)
        elif instruction.operation.name == "measure":
            measured.update(instruction.qubits)
    missing = [qubit for qubit in circuit.qubits if qubit in branched - measured]
    if missing:
        register = ClassicalRegister(len(missing), "loopback_branches")
        circuit.add_register(register)
        circuit.measure(missing, register)


def first_bits(counts: Mapping[str, int], num_bits: int) -> Mapping[str, int]:
    """Counts of the first bits only; the others were added by :func:`measure_branches`."""
    totals: Counter[str] = Counter()
    for key, number in counts.items():
        totals[hex(int(key, 16) & ((1 << num_bits) - 1))] += number
    return dict(totals)


def independent_parts(circuit: QuantumCircuit) -> list[tuple[int, ...]]:
    """Sort the active qubits into parts between which nothing happens, so that each can be simulated by itself.

    Qubits that share a gate or a classical bit belong together; in a circuit with variables all do.

    Returns:
        Indices of the qubits of each part, in order.
    """
    if getattr(circuit, "num_vars", 0):
        return [tuple(sorted(active_qubits(circuit)))]
    leader: dict[Any, Any] = {}

    def find(bit: Any) -> Any:
        while leader.setdefault(bit, bit) is not bit:
            bit = leader[bit]
        return bit

    for instruction in circuit.data:
        if instruction.operation.name not in _IDLE:
            bits = [*instruction.qubits, *instruction.clbits]
            for bit in bits:
                leader[find(bit)] = find(bits[0])
    parts: dict[Any, list[int]] = {}
    for index, qubit in enumerate(circuit.qubits):
        if qubit in leader:
            parts.setdefault(find(qubit), []).append(index)
    return [tuple(part) for part in parts.values()]


def update_digest(digest: hashlib._Hash, circuit: QuantumCircuit) -> None:
    """Add what a circuit does to a digest, leaving out what differs between equal circuits.

    The serialised form would not do: it holds a running number as the circuit's name.

    Args:
        digest: The hash to update.
        circuit: The circuit, without parameters that have no value.
    """
    digest.update(f"{circuit.num_qubits}/{[(reg.name, reg.size) for reg in circuit.cregs]}".encode())
    for instruction in circuit.data:
        operation = instruction.operation
        qubits = [circuit.find_bit(bit).index for bit in instruction.qubits]
        clbits = [circuit.find_bit(bit).index for bit in instruction.clbits]
        digest.update(f"{operation.name}{qubits}{clbits}".encode())
        if isinstance(operation, ControlFlowOp):
            for block in operation.blocks:
                update_digest(digest, block)
            continue
        for parameter in operation.params:
            digest.update(_parameter_bytes(parameter))


def _parameter_bytes(parameter: Any) -> bytes:
    """A gate's parameter; numbers to nine digits, since the way an angle was computed shows in the last ones."""
    if isinstance(parameter, (int, float, complex, np.number, np.ndarray)):
        return np.asarray(np.round(parameter, 9) + 0.0).tobytes()  # + 0.0 makes zero of minus zero
    return str(parameter).encode()


def bit_columns(keys: Iterable[str], num_bits: int) -> npt.NDArray[np.uint8]:
    """Turn Aer's hexadecimal outcomes into bits.

    Args:
        keys: Outcomes such as ``"0x1f"``, over all classical bits of a circuit.
        num_bits: Number of classical bits.

    Returns:
        Array of shape ``(len(keys), num_bits)``; column ``i`` is classical bit ``i``.
    """
    width = max(1, (num_bits + 7) // 8)
    packed = b"".join(int(key, 16).to_bytes(width, "little") for key in keys)
    rows = np.frombuffer(packed, dtype=np.uint8).reshape(-1, width)
    return np.unpackbits(rows, axis=1, bitorder="little")[:, :num_bits]


def shuffled_picks(counts: Mapping[str, int], seed: int | None) -> npt.NDArray[np.int_]:
    """The outcome of each shot, as its place in the counts: these say how often, not when, so it is in random order.

    Args:
        counts: Outcomes of one row.
        seed: Makes the order depend on them alone.
    """
    picks = np.repeat(np.arange(len(counts)), list(counts.values()))
    rng = np.random.default_rng(None if seed is None else [seed, crc32(repr(counts).encode())])
    rng.shuffle(picks)
    return picks


def _append_options() -> dict[str, bool]:
    """Arguments with which ``QuantumCircuit.append`` takes an instruction as it is; older ones always do."""
    parameters = inspect.signature(QuantumCircuit.append).parameters
    return {"copy": False} if "copy" in parameters else {}
