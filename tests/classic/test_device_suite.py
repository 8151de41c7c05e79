"""The device tests that the classic PennyLane ships, run against this device on Aer with shots and all operations."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pennylane.devices import tests as suite

FOLDER = Path(suite.__file__).parent
FILES = sorted(path.name for path in FOLDER.glob("test_*.py"))
SHOTS = 8192

REFUSED = {
    # a measurement of the state, with shots: a legacy device warns and hands over a state that it does not have
    "test_sample_measurement_with_shots",
    # it wants another error for zero shots than the one that names what is allowed
    "test_no_0_shots",
    # it wants a device that cannot do without wires; this one takes circuits on any
    "test_no_wires_given",
}
"""Tests of what this device refuses with a clear error, or can do."""


@pytest.mark.suite
@pytest.mark.parametrize("name", FILES)
def test_suite(name, tmp_path):
    hidden = ("PYTEST_", "QISKIT_IBM_", "IBMQX_")
    alone = ["-c", os.devnull, "--rootdir", str(FOLDER)]
    alone += ["-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:warnings"]
    options = ["--device", "threaded.ibmq", "--shots", str(SHOTS), "--skip-ops", "--no-flaky-report"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", str(FOLDER / name), "-q", "--tb=short", *alone, *options],
        cwd=tmp_path,
        env={k: v for k, v in os.environ.items() if not k.startswith(hidden)},
        capture_output=True,
        text=True,
        check=False,
    )
    failed = set(re.findall(r"^(?:FAILED|ERROR) \S+::(\w+)", done.stdout, re.MULTILINE))
    assert failed <= REFUSED, done.stdout[-12_000:] + done.stderr[-2_000:]
    assert re.search(r"\d+ (passed|skipped)", done.stdout), done.stdout[-2_000:] + done.stderr[-2_000:]
