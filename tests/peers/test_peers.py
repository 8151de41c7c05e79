"""Tests of PennyLane, Lightning and pennylane-qiskit, run with this device from their sources.

Their packages ship no tests, so a checkout is needed: TESTS_PEERS names a folder with one or more of
``pennylane``, ``pennylane-lightning`` and ``pennylane-qiskit``, each at the version that is installed. Nothing of theirs is copied here.

A test that fails runs twice more, since many are statistical with a seed that only their own device takes. One that then
still fails must also fail on their own device, or stand in the list below with its reason.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.suite, pytest.mark.slow, pytest.mark.timeout(3600)]

FOLDER = os.environ.get("TESTS_PEERS")
FILES = {
    "pennylane": [
        *(f"measurements/test_{name}.py" for name in ("counts", "expval", "probs", "sample", "var")),
        *(f"measurements/test_{name}.py" for name in ("classical_shadow", "measurements")),
        *(f"shadow/test_shadow_{name}.py" for name in ("class", "entropies", "transforms")),
        "gradients/parameter_shift/test_parameter_shift_shot_vec.py",
        *(
            f"gradients/finite_diff/test_{name}_shot_vec.py"
            for name in ("finite_difference", "spsa_gradient")
        ),
        "gradients/core/test_hadamard_gradient.py",
        "transforms/test_split_non_commuting.py",
        *(f"transforms/test_{name}.py" for name in ("broadcast_expand", "batch_params", "batch_input")),
        *(
            f"transforms/test_{name}.py"
            for name in ("diagonalize_measurements", "defer_measurements", "transpile")
        ),
        *(f"workflow/interfaces/qnode/test_{name}_qnode_shot_vector.py" for name in ("autograd", "jax")),
        "test_return_types.py",
        "test_return_types_qnode.py",
        "test_tensor_measurements.py",
    ],
    "pennylane-lightning": ["test_measurements.py"],
    # the rest of test_base_device.py and all of test_qiskit_device.py look inside its own classes
    "pennylane-qiskit": [
        *(f"test_{name}.py" for name in ("apply", "expval", "integration", "var")),
        *(
            f"test_base_device.py::TestExecution::test_{name}"
            for name in ("sampler_output_shape", "sampler_output_shape_multi_measurements")
        ),
        "test_base_device.py::TestExecution::test_observables_that_need_split_non_commuting",
    ],
}
LEFT_OUT = {
    # it looks for the name of PennyLane's device in the text of an error that is ours
    r"test_state_measurement_with_shots": "the error names threaded.ibmq instead of default.qubit",
    # shots can be dropped by what they measured, not made
    r"test_postselect_mode\[fill-shots\]": "postselect_mode='fill-shots' is refused",
    # what has no shots runs on PennyLane's simulator, whose error has other words than Lightning's
    r"test_not_an_observable": "the error is one of default.qubit",
    # PennyLane's simulator can be compiled by JAX as a whole; a job cannot
    r"test_probs\.py::TestProbs::test_integration_jax": "a device that sends circuits is a callback for JAX",
    # pennylane-qiskit's own classes have other arguments and attributes than this device
    r"test_integration\.py::TestDeviceIntegration::test_(load|incorrect|args)": "its own constructors",
    r"test_integration\.py::TestKeywordArguments": "its own arguments",
    # here a batch is run tape by tape, by a device that is not its own
    r"test_integration\.py::TestBatchExecution": "calls inside its own device",
    # what has no shots runs on PennyLane's simulator
    r"test_integration\.py::TestNoise": "noise without shots",
}
"""Tests that fail on this device and should: a pattern of their ids, and why."""

CASES = [(project, name) for project, names in FILES.items() for name in names]


@pytest.mark.parametrize(("project", "name"), CASES, ids=[f"{p}-{n}" for p, n in CASES])
def test_of_peer(project, name, tmp_path):
    """No test fails that should not, and some of them ran circuits on this device."""
    if not FOLDER:
        pytest.skip("TESTS_PEERS names no folder with their checkouts")
    tests = Path(FOLDER).expanduser().resolve() / project / "tests"
    if not (tests / name.partition("::")[0]).exists():
        pytest.skip(f"{tests / name} is not there")
    output = run(tests, [name], tmp_path)
    used = re.search(r"tests that ran circuits on threaded\.ibmq: (\d+), tapes: (\d+)", output)
    assert used, output[-4000:]
    print(f"{project}/{name}: {used[0]}; {output.strip().splitlines()[-1]}")
    assert int(used[1]), "no test of this file has shots; take it from the list"
    failed = [test for test in failures(output) if not any(re.search(p, test) for p in LEFT_OUT)]
    for _ in range(2):
        failed = failed and failures(run(tests, failed, tmp_path))
    also_there = set(failures(run(tests, failed, tmp_path, ours=False))) if failed else set()
    assert set(failed) <= also_there, output[-12_000:]


def run(tests, names, folder, *, ours=True):
    """Run some tests from their own folder; the output ends in the names of those that failed."""
    plugins = ["-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:warnings", "-o", "addopts="]
    plugins += ["-p", "on_this_device"] if ours else ["-p", "random_seed"]
    hidden = ("PYTEST_", "QISKIT_IBM_", "IBMQX_")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
    environment |= {"PYTHONPATH": str(Path(__file__).parent), "HOME": str(folder)}
    options = ["-q", "-rfE", "--tb=short", "-m", "not tf"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *names, *options, *plugins],
        cwd=tests,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in {0, 1}, f"{done.stdout[-4000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def failures(output):
    """Ids of the tests that failed."""
    return re.findall(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", output, re.MULTILINE)
