"""The circuits, and how each contender runs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pennylane as qml
from pennylane import numpy as pnp

SHOTS = 1024


def weights(layers: int, wires: int, seed: int = 0) -> np.ndarray:
    """Angles of StronglyEntanglingLayers."""
    return np.random.default_rng(seed).uniform(0, 2 * np.pi, (layers, wires, 3))


def local_device(wires: int) -> qml.devices.Device:
    """This device on Aer."""
    return qml.device("threaded.ibmq", wires=wires)


def remote_device(wires: int, backend: Any = None) -> qml.devices.Device:
    """PennyLane's own device for Qiskit, on Aer or on a backend."""
    if backend is None:
        from qiskit_aer import AerSimulator

        backend = AerSimulator()
    return qml.device("qiskit.remote", wires=wires, backend=backend)


def gradient_function(device: qml.devices.Device, *, energy: bool = False) -> Callable[[np.ndarray], Any]:
    """The parameter-shift gradient of ``<Z0 Z1>`` after StronglyEntanglingLayers: two tapes a parameter.

    Args:
        device: Where the tapes run.
        energy: Measure the expectation value first, as ``qml.grad`` does: one more tape, in a batch of its own.
    """

    @qml.qnode(device, diff_method="parameter-shift", shots=SHOTS)
    def circuit(angles: np.ndarray) -> Any:
        qml.StronglyEntanglingLayers(angles, wires=range(angles.shape[1]))
        return qml.expval(qml.Z(0) @ qml.Z(1))

    gradient = qml.grad(circuit) if energy else qml.gradients.param_shift(circuit)
    return lambda angles: gradient(pnp.array(angles, requires_grad=True))


def exact_gradient(angles: np.ndarray) -> np.ndarray:
    """The same without shots, for a check that all contenders do the same work."""

    @qml.qnode(qml.device("default.qubit"), diff_method="backprop")
    def circuit(angles: np.ndarray) -> Any:
        qml.StronglyEntanglingLayers(angles, wires=range(angles.shape[1]))
        return qml.expval(qml.Z(0) @ qml.Z(1))

    return np.asarray(qml.grad(circuit)(pnp.array(angles, requires_grad=True)))


def check_gradient(found: Any, exact: np.ndarray) -> None:
    """Refuse a gradient that is too far off for its shots."""
    most = np.abs(np.asarray(found).reshape(exact.shape) - exact).max()
    if most > 7 / np.sqrt(2 * SHOTS):
        raise RuntimeError(f"a gradient is off by {most:.3f}: this contender does other work")


def layers_circuit(layers: int, wires: int, measured: Sequence[int]) -> Any:
    """StronglyEntanglingLayers in Qiskit."""
    from qiskit import QuantumCircuit
    from qiskit.circuit import ParameterVector

    angles = iter(ParameterVector("p", 3 * layers * wires))
    circuit = QuantumCircuit(wires, len(measured))
    for layer in range(layers):
        for wire in range(wires):
            circuit.rz(next(angles), wire)
            circuit.ry(next(angles), wire)
            circuit.rz(next(angles), wire)
        for wire in range(wires):
            circuit.cx(wire, (wire + layer % (wires - 1) + 1) % wires)
    for bit, wire in enumerate(measured):
        circuit.measure(wire, bit)
    return circuit


class HandWritten:
    """The best that a Qiskit user writes by hand: one circuit, transpiled once, and one PUB with all rows.

    Args:
        circuit: A circuit with a parameter vector and one register.
        backend: A service's backend; ``None`` for Aer with its own Sampler.
    """

    def __init__(self, circuit: Any, backend: Any = None) -> None:
        from qiskit.transpiler import generate_preset_pass_manager

        if backend is None:
            from qiskit_aer import AerSimulator
            from qiskit_aer.primitives import SamplerV2

            backend = AerSimulator()
            self._sampler: Any = SamplerV2.from_backend(backend)
        else:
            from qiskit_ibm_runtime import SamplerV2

            self._sampler = SamplerV2(mode=backend)
        self._circuit = generate_preset_pass_manager(target=backend.target, optimization_level=1).run(circuit)
        # transpiling may drop parameters that do not matter
        self._columns = [parameter.index for parameter in self._circuit.parameters]

    def bits(self, rows: np.ndarray) -> Any:
        """Measured bits for each row of angles."""
        pub = (self._circuit, rows[:, self._columns], SHOTS)
        return self._sampler.run([pub]).result()[0].data.c

    def gradient(self, angles: np.ndarray) -> np.ndarray:
        """Parameter-shift gradient of the parity of two measured bits."""
        flat = angles.ravel()
        shifts = np.pi / 2 * np.eye(len(flat))
        packed = self.bits(np.concatenate([flat + shifts, flat - shifts])).array[..., 0]
        values = 1 - 2 * ((packed ^ (packed >> 1)) & 1).mean(axis=-1)
        return (values[: len(flat)] - values[len(flat) :]) / 2

    def probabilities(self, rows: np.ndarray) -> np.ndarray:
        """Probabilities of all outcomes for each row of angles; the first bit counts most, as in PennyLane."""
        bits = self.bits(rows)
        packed = bits.array[..., 0].astype(np.int64)
        reverse = np.array([int(f"{k:0{bits.num_bits}b}"[::-1], 2) for k in range(1 << bits.num_bits)])
        index = reverse[packed] + (np.arange(len(rows)) << bits.num_bits)[:, None]
        counts = np.bincount(index.ravel(), minlength=len(rows) << bits.num_bits)
        return counts.reshape(len(rows), -1) / SHOTS
