"""From nothing to a device: import and construction, in a fresh process each."""

from __future__ import annotations

import os
import subprocess
import sys

from .report import REMOTE, THIS, Target, Work
from .timing import Effort, best, take_turns

IMPORT, DEVICE, CIRCUIT = "import s", "import and qml.device s", "and a first circuit s"

RUN = """
@qml.qnode(dev, shots=100)
def circuit():
    qml.Hadamard(0)
    return qml.expval(qml.Z(0))
circuit()
"""

SCRIPTS = {
    THIS: {
        IMPORT: "import pennylane_threaded_ibmq",
        DEVICE: "import pennylane as qml; dev = qml.device('threaded.ibmq', wires=4)",
    },
    REMOTE: {
        IMPORT: "import pennylane_qiskit",
        DEVICE: (
            "import pennylane as qml; from qiskit_aer import AerSimulator; "
            "dev = qml.device('qiskit.remote', wires=4, backend=AerSimulator())"
        ),
    },
    "lightning.qubit": {
        IMPORT: "import pennylane_lightning.lightning_qubit",
        DEVICE: "import pennylane as qml; dev = qml.device('lightning.qubit', wires=4)",
    },
    "pennylane alone": {
        IMPORT: "import pennylane",
        DEVICE: "import pennylane as qml; dev = qml.device('default.qubit', wires=4)",
    },
}
for _scripts in SCRIPTS.values():
    _scripts[CIRCUIT] = _scripts[DEVICE] + RUN

TIMER = "import time; _t = time.perf_counter()\n{}\nprint(time.perf_counter() - _t)"


def run(effort: Effort) -> Work:
    """Start each in turn."""
    contenders = {
        name: lambda scripts=scripts: {quantity: in_fresh_process(code) for quantity, code in scripts.items()}
        for name, scripts in SCRIPTS.items()
    }
    if not effort.quick:
        # files into the system's cache
        in_fresh_process(SCRIPTS[REMOTE][CIRCUIT])
        in_fresh_process(SCRIPTS[THIS][CIRCUIT])
    samples = take_turns(contenders, effort.rounds)
    targets = tuple(
        Target(f"{quantity.removesuffix(' s')}, times qiskit.remote", 1.0, ours / theirs)
        for quantity in (IMPORT, DEVICE, CIRCUIT)
        for ours, theirs in [(best(samples, THIS, quantity), best(samples, REMOTE, quantity))]
    )
    return Work("Start: fresh processes on this machine", samples, targets)


def in_fresh_process(code: str) -> float:
    """Seconds that some code takes in a new interpreter, without the interpreter's own start."""
    command = [sys.executable, "-W", "ignore", "-c", TIMER.format(code)]
    # an installation compiles its modules once; a checkout that may not write them would compile at each start
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])
