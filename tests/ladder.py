"""Tapes whose results are known: a turned qubit and its copy, by angles from 0 to pi."""

from __future__ import annotations

import numpy as np
import pennylane as qml


def ladder(count, shots=1000):
    return [
        qml.tape.QuantumScript([qml.RY(angle, 0), qml.CNOT([0, 1])], [qml.expval(qml.PauliZ(1))], shots=shots)
        for angle in np.linspace(0, np.pi, count)
    ]


def right(results):
    np.testing.assert_allclose(
        np.array(results, dtype=float), np.cos(np.linspace(0, np.pi, len(results))), atol=0.2
    )
