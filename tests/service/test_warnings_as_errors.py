"""A program that takes every warning for an error runs: no warning of IBM's client reaches it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import pennylane as qml
from pennylane import numpy as pnp

dev = qml.device("threaded.ibmq", wires=2, backend="ibm_manila", journal={journal!r}, primitive_api={api!r})

@qml.set_shots(500)
@qml.qnode(dev)
def cost(x):
    qml.RX(x, 0)
    qml.CNOT([0, 1])
    return qml.expval(qml.Z(1))

x = pnp.array(0.7, requires_grad=True)
with qml.Tracker(dev) as tracker:
    gradient = float(qml.grad(cost)(x))
tapes = [qml.tape.QuantumScript([qml.RX(a, 0)], [qml.expval(qml.Z(0) + qml.X(0))], shots=100) for a in (0.1, 0.2)]
estimates = dev.batch_execute(tapes)
handle = dev.submit(tapes)
handle.result()
print(gradient, len(estimates), dev.usage(handle), len(handle.metrics()), tracker.totals["jobs"])
dev.close()
"""


@pytest.mark.parametrize("api", ["auto", "service"])
def test_a_gradient_and_an_estimator_batch_run_with_warnings_as_errors(start, tmp_path, new_client, api):
    service = start()
    environment = {
        **os.environ,
        **service.environment(token=service.config.tokens[0], instance=service.config.instances[0].crn),
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }
    # a client that IBM will refuse is named by a warning of ours, which the user is to see
    allowed = [] if new_client else ["-W", "ignore:qiskit-ibm-runtime:UserWarning"]
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            *allowed,
            "-c",
            PROGRAM.format(journal=str(tmp_path / "journal.sqlite"), api=api),
        ],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    gradient, estimates, usage, metrics, jobs = done.stdout.split()
    assert float(gradient) == pytest.approx(-0.64, abs=0.2)
    assert (int(estimates), int(metrics), int(jobs)) == (2, 1, 2)
    assert float(usage) > 0
