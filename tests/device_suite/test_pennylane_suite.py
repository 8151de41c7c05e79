"""PennyLane's own device tests (``pl-device-test``), run against this device on Aer with 10 000 shots and all ops.

One test a file of the suite, each in a process of its own: the suite brings its own command line options and
configuration. No seed is given. The suite repeats its statistical tests up to ten times, which a seeded simulator
would turn into ten times the same numbers.
"""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from pennylane.devices.tests import get_device_tests

pytestmark = pytest.mark.suite

FOLDER = Path(get_device_tests())
FILES = sorted(path.name for path in FOLDER.glob("test_*.py"))
SHOTS = 10_000

SKIPS = {
    # results without shots, backprop and the state itself: only a simulator that shows its state has them
    "Device is in non-analytical mode.": 17,
    "test should only be run in analytic mode": 6,
    "test only works with analytic-mode pure statevector simulators": 2,
    "test only works with analytic-mode simulations": 4,
    "SparseHamiltonian only supported in analytic mode": 2,
    "Some plugins don't update state information when shots is not None.": 1,
    # a test of the error that samples without shots give; here there are shots
    "If shots!=None no error is raised.": 1,
    # each gradient test is meant for one of the differentiation methods that it is run with
    "test only works with backprop": 2,
    "test only works with parameter-shift": 1,
    # this device has PennyLane's new interface, and needs no wires
    "test is old interface specific.": 8,
    "test is specific to old device interface": 1,
    "test specific for old device interface.": 1,
    "test specific to old device interface.": 1,
    # a qubit device has no qutrits
    "QutritBasisState template only works on qutrit devices": 2,
    # QubitDensityMatrix: a circuit cannot prepare a mixed state
    "operation not supported on the device": 1,
}
"""Why tests are skipped, and how often in one file: ``qiskit.remote`` skips each of these too, and two more."""


@pytest.mark.parametrize("name", FILES)
def test_suite(name, tmp_path):
    """No test of the file fails, and none is skipped that ``qiskit.remote`` is not skipped for as well."""
    done = run_suite(name, "threaded.ibmq", tmp_path)
    assert done.returncode == 0, f"{done.stdout[-12_000:]}\n{done.stderr[-2_000:]}"
    assert not (too_many := unexpected_skips(done.stdout)), too_many


def run_suite(name, device, folder):
    """Run one file of the suite; its summary lists the reasons of skipped tests."""
    plugins = ["-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:warnings"]
    options = ["--device", device, "--shots", str(SHOTS), "--skip-ops", "--no-flaky-report"]
    hidden = ("PYTEST_", "QISKIT_IBM_", "IBMQX_")
    return subprocess.run(
        [sys.executable, "-m", "pytest", str(FOLDER / name), "-q", "-rs", "--tb=short", *plugins, *options],
        cwd=folder,
        env={k: v for k, v in os.environ.items() if not k.startswith(hidden)},
        capture_output=True,
        text=True,
        check=False,
    )


def unexpected_skips(output):
    """Reasons that are not among those above, or more frequent."""
    found = Counter()
    for number, reason in re.findall(r"^SKIPPED \[(\d+)\] \S+: (.*)$", output, re.MULTILINE):
        found[reason] += int(number)
    return {reason: n for reason, n in found.items() if n > SKIPS.get(reason, 0)}
