"""Circuits of several settings that end one routed circuit, against each setting compiled by itself.

python -m benchmarks.settings                 20 random templates for each target; a few minutes
python -m benchmarks.settings --quick         a few, to see that it runs; the numbers mean nothing
python -m benchmarks.settings --json x.json   also write the numbers

Two-qubit gates and depths are means over all settings of all templates. Qiskit's routing is random, so that one template says
nothing. The last column is processor time, that of all threads.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pennylane as qml

from pennylane_threaded_ibmq.circuits.structure import StructureReader
from pennylane_threaded_ibmq.circuits.template import Template
from pennylane_threaded_ibmq.simulators.compile import Compiler

WIRES, LAYERS = 12, 3
LEVEL = 2
"""What the device asks for on a QPU."""

COLUMNS = ("transpiles", "two-qubit gates", "two-qubit depth", "depth", "ms a setting")


def fake_torino() -> Any:
    """133 qubits."""
    from qiskit_ibm_runtime.fake_provider import FakeTorino

    return FakeTorino()


def line_of_16() -> Any:
    """16 qubits in a line."""
    from qiskit.providers.fake_provider import GenericBackendV2
    from qiskit.transpiler import CouplingMap

    gates = ["id", "rz", "sx", "x", "cx"]
    return GenericBackendV2(16, basis_gates=gates, coupling_map=CouplingMap.from_line(16), seed=1)


TARGETS: dict[str, Callable[[], Any]] = {"fake_torino": fake_torino, "line of 16": line_of_16}
ENTANGLERS = {"CNOT": qml.CNOT, "CZ": qml.CZ, "IsingXX": lambda wires: qml.IsingXX(0.4, wires)}


def tape(rng: np.random.Generator, entangler: str, settings: int) -> qml.tape.QuantumScript:
    """Rotations, gates between random pairs, and words that are each a basis of their own."""
    operations: list[Any] = []
    for _ in range(LAYERS):
        operations += [qml.Rot(*rng.uniform(-3, 3, 3), wire) for wire in range(WIRES)]
        operations += [ENTANGLERS[entangler](pair.tolist()) for pair in rng.permutation(WIRES).reshape(-1, 2)]
    letters = np.unique(rng.integers(3, size=(settings, WIRES)), axis=0)
    # one of the settings is the computational basis, as nearly every observable has it
    letters[0] = 2
    words = [qml.pauli.string_to_pauli_word("".join("XYZ"[k] for k in row)) for row in letters]
    return qml.tape.QuantumScript(operations, [qml.expval(word) for word in words], shots=1000)


def compiled(script: qml.tape.QuantumScript, backend: Any, *, shared: bool) -> Iterator[float]:
    """The columns of one template: a sum for transpiles, means for the rest."""
    compiler = Compiler(backend, {"optimization_level": LEVEL})
    template = Template(
        script,
        StructureReader().read(script, 0),
        range(WIRES),
        compiler,
        route=compiler.route if shared else None,
    )
    # the pass manager is made once for a backend
    compiler(one_gate())
    before, started = compiler.transpiles, time.process_time()
    circuits = [template.sampler_circuit(index).circuit for index in range(len(template.settings))]
    spent = time.process_time() - started
    yield compiler.transpiles - before
    yield float(np.mean([sum(len(one.qubits) == 2 for one in c.data) for c in circuits]))
    yield float(np.mean([c.depth(lambda one: len(one.qubits) == 2) for c in circuits]))
    yield float(np.mean([c.depth() for c in circuits]))
    yield 1000 * spent / len(circuits)


def one_gate() -> Any:
    """A circuit of one gate."""
    from qiskit import QuantumCircuit

    circuit = QuantumCircuit(1)
    circuit.h(0)
    return circuit


def measure(name: str, entangler: str, templates: int, settings: int) -> dict[str, list[float]]:
    """Means over templates, one routed circuit and each by itself taking turns."""
    backend = TARGETS[name]()
    rows: dict[str, list[list[float]]] = {"one routed circuit": [], "each by itself": []}
    for seed in range(templates):
        script = tape(np.random.default_rng(seed), entangler, settings)
        for way, found in rows.items():
            found.append(list(compiled(script, backend, shared=way == "one routed circuit")))
    return {way: np.mean(found, axis=0).tolist() for way, found in rows.items()}


def main(argv: list[str] | None = None) -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.settings",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="a few templates; the numbers mean nothing")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    args = parser.parse_args(argv)
    warnings.filterwarnings("ignore")
    os.environ.setdefault("QISKIT_PARALLEL", "FALSE")
    templates, settings = (2, 3) if args.quick else (20, 15)
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, qiskit {version('qiskit')}")
    print(f"{templates} templates of {WIRES} wires, {LAYERS} layers, {settings} settings, level {LEVEL}")
    numbers = {}
    for name in TARGETS:
        for entangler in ENTANGLERS:
            numbers[f"{name}, {entangler}"] = found = measure(name, entangler, templates, settings)
            for way, row in found.items():
                cells = ", ".join(f"{column} {value:.1f}" for column, value in zip(COLUMNS, row, strict=True))
                print(f"{name:12} {entangler:8} {way:20} {cells}", flush=True)
    if args.json:
        args.json.write_text(json.dumps(numbers, indent=2), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
