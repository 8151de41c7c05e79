"""Random circuits on IBM's snapshots, compared with ``AerSimulator.from_backend`` running the very same circuits.

What is measured here is not the circuit, which the other families look at, but that it runs with the noise of the
snapshot, all of it and nothing else: the device reads a noise model of the qubits in use only.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.stats import hypergeom

from .cases import Case, labels
from .check import build, open_device
from .circuits import Circuit, Measurement, Shape
from .compare import FALSE_ALARM

SHOTS = 4000
REFERENCE_SHOTS = 40_000


def make_noisy(seed, index, *backends):
    """The case with a number, on one of some snapshots; the same each time."""
    rng = np.random.default_rng([98, seed, index])
    wires = labels(rng, 4)
    backend = str(rng.choice(backends))
    dynamic = 0.5 if backend == "fake_torino" else 0.0
    tapes = []
    for _ in range(int(rng.integers(1, 4))):
        shape = Shape(
            gates=5, templates=0, plain=True, batch=0, dynamic=dynamic, wires=3, vector=0, shots=(SHOTS,)
        )
        circuit = Circuit(rng, wires, shape)
        tape = circuit.make()
        asked = Measurement(str(rng.choice(["probs", "counts", "sample"])), "wires", repr(circuit.some(3)))
        lines = tuple(line.replace(", postselect=0", "").replace(", postselect=1", "") for line in tape.lines)
        tapes.append(type(tape)(lines, (asked,), SHOTS))
    options = {"backend": repr(backend)}
    if rng.random() < 0.5:
        options["optimization_level"] = str(rng.integers(0, 4))
    if rng.random() < 0.3:
        options["parametrise"] = "False"
    return Case("noise", tuple(wires), tuple(tapes), options)


@lru_cache(maxsize=None)
def _simulator(name):
    from qiskit_aer import AerSimulator
    from qiskit_ibm_runtime import fake_provider

    classes = {"fake_manila": fake_provider.FakeManilaV2, "fake_torino": fake_provider.FakeTorino}
    return AerSimulator.from_backend(classes[name]())


def compare_noise(case):
    """Differences of one batch, as texts."""
    tapes = [build(spec) for spec in case.tapes]
    dev = open_device(case)
    try:
        results = dev.batch_execute(tapes)
        circuits = _circuits(dev, tapes)
    finally:
        dev.close()
    simulator = _simulator(eval(case.options["backend"]))
    found = []
    for position, (tape, result) in enumerate(zip(tapes, results)):
        circuit, bits = circuits[position]
        counts = simulator.run(circuit, shots=REFERENCE_SHOTS, seed_simulator=position).result().get_counts()
        expected = np.zeros(2 ** len(bits), dtype=int)
        for key, number in counts.items():
            read = key.replace(" ", "")[::-1]
            expected[int("".join(read[b] for b in bits), 2)] += number
        got = _counts(result, len(bits))
        low = hypergeom.cdf(got, SHOTS + REFERENCE_SHOTS, got + expected, SHOTS)
        high = hypergeom.sf(got - 1, SHOTS + REFERENCE_SHOTS, got + expected, SHOTS)
        if (np.minimum(low, high) < FALSE_ALARM / 2).any():
            shares = (got / SHOTS).round(4).tolist(), (expected / REFERENCE_SHOTS).round(4).tolist()
            found.append("tape {}, {}: got {}, Aer gives {}".format(position, tape.measurements, *shares))
    return found


def _circuits(dev, tapes):
    """The circuit that ran for each tape, with its angles, and the bits that its measurement reads."""
    made = {}
    for shard in dev._plan(tuple(tapes)).shards:
        for block in shard.blocks:
            (index,) = block.readouts
            readout = block.template.readouts[index]
            compiled = block.template.sampler_circuit(readout.settings[0])
            for member in block.members:
                values = compiled.values(block.values)[member.rows][0]
                made[member.position] = (compiled.circuit.assign_parameters(values), readout.bits)
    return made


def _counts(result, width):
    if isinstance(result, dict):
        return np.array([result.get(format(i, f"0{width}b"), 0) for i in range(2**width)])
    result = np.asarray(result)
    if result.dtype.kind == "f":
        return np.round(result * SHOTS).astype(int)
    index = result.reshape(SHOTS, width) @ (1 << np.arange(width)[::-1])
    return np.bincount(index, minlength=2**width)
