"""Gates with wrappers, lowered to what the converter knows, compared with their matrices: exactly, without shots.

This looks at many more combinations than circuits with shots can, and sees a sign under a control that few shots would not.
"""

from __future__ import annotations

import re
import warnings

import numpy as np
import pennylane as qml

from pennylane_threaded_ibmq.exceptions import ThreadedIBMQError

from .check import REFUSALS, namespace
from .circuits import LABELS
from .gates import GATES, PREPARATIONS, TEMPLATES, Numbers, available, wrapped

WIRES = 6
CLOSE = 1e-6


def make_gate(seed, index):
    """The gate with a number, in up to three wrappers: its source, and labels of all wires; the same each time."""
    rng = np.random.default_rng([97, seed, index])
    wires = list(LABELS[rng.integers(len(LABELS))])
    table = available([GATES, PREPARATIONS, TEMPLATES][rng.choice(3, p=[0.65, 0.1, 0.25])])
    count, source = table[rng.integers(len(table))]
    free = [wires[i] for i in rng.permutation(len(wires))[: rng.integers(count, WIRES + 1)]]
    numbers = Numbers(rng, free[:count])
    text, used = source(numbers), free[:count]
    for _ in range(rng.integers(1, 4)):
        text, more = wrapped(numbers, text, [w for w in free if w not in used])
        used = [*used, *more]
    return text, wires


def compare_gate(text, wires, lower):
    """The difference of one gate, as a text; empty without one.

    Args:
        text: Its source.
        wires: Labels of the device.
        lower: Gives the operations that a device with some wires makes of a tape.

    Returns:
        ``None`` where PennyLane has no matrix of it, or the device refuses it for a reason that is allowed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            wires_of = eval(text, namespace()).wires
            wanted = qml.matrix(eval(text, namespace()), wire_order=wires_of)
        except Exception:  # noqa: BLE001 - whatever PennyLane cannot do is not compared
            return None
        if not np.allclose(wanted @ wanted.conj().T, np.eye(len(wanted))):
            return None
        # where something has happened before, a preparation of a state is a gate
        before = [qml.Identity(w) for w in wires_of]
        # PennyLane 0.31 decomposes some operations rightly once
        op = eval(text, namespace())
        tape = qml.tape.QuantumScript([*before, op], [qml.probs(wires=wires_of)], shots=10)
        try:
            gates = lower(wires, tape)
        except ThreadedIBMQError as error:
            return None if any(re.search(p, str(error)) for p, _ in REFUSALS) else str(error)
        order = list(dict.fromkeys([*wires_of, *(w for gate in gates for w in gate.wires)]))
        found = qml.matrix(qml.tape.QuantumScript(gates), wire_order=order)
        wanted = np.kron(wanted, np.eye(2 ** (len(order) - len(wires_of))))
    overlap = abs(np.trace(found.conj().T @ wanted)) / len(wanted)
    return (
        "" if abs(overlap - 1) < CLOSE else f"{text} on {wires}: an overlap of {overlap:.6f} with its matrix"
    )


def assert_gates_agree(count, seed, lower):
    """Compare many gates, and fail with the sources of those that differ.

    Args:
        count: How many.
        seed: Seed of all of them.
        lower: As for :func:`compare_gate`.
    """
    found = [compare_gate(*make_gate(seed, index), lower) for index in range(count)]
    compared = sum(difference is not None for difference in found)
    print(f"\n{compared} of {count} gates in wrappers compared with their matrices")
    assert not any(found), "\n".join(filter(None, found))
    assert compared > count / 2
