"""What the extras ``classic`` and ``covalent`` install goes together and can be imported."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module, metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import pennylane_threaded_ibmq
from pennylane_threaded_ibmq._compat import entry_points
from pennylane_threaded_ibmq.stack import Stack, installed, judge, stack

DISTRIBUTION = "pennylane-threaded-ibmq"


def has(name):
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def test_the_stack_is_the_classic_one():
    assert judge(installed()).problems == {}
    assert stack() is Stack.CLASSIC


@pytest.mark.parametrize(
    "name",
    ["pennylane", "pennylane_qiskit.ibmq", "qiskit", "qiskit_aer", "qiskit_ibm_provider", "pkg_resources"],
)
def test_what_it_is_built_on_can_be_imported(name):
    import_module(name)


def test_pennylane_still_has_the_device_that_lanes_are_made_of():
    assert "qiskit.ibmq" in {point.name for point in entry_points("pennylane.plugins")}


def test_a_covalent_can_be_imported_and_is_the_one_that_was_tried():
    if not has("covalent"):
        pytest.skip("installed with the extra covalent only")
    program = "import covalent; print(covalent.__version__)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert metadata.version("covalent").startswith("0.232.")
    assert Version(metadata.version("pennylane")) < Version("0.32")


def test_nothing_that_our_packages_need_is_missing_or_of_another_version():
    extras = {"classic"} if not has("covalent") else {"covalent"}
    wrong = []
    seen = set()
    waiting = [(DISTRIBUTION, frozenset(extras))]
    while waiting:
        name, asked = waiting.pop()
        if (name, asked) in seen:
            continue
        seen.add((name, asked))
        for line in metadata.requires(name) or []:
            need = Requirement(line)
            if need.marker and not any(need.marker.evaluate({"extra": extra}) for extra in (asked or {""})):
                continue
            if not has(need.name):
                wrong.append(f"{name} needs {need}, which is missing")
                continue
            found = metadata.version(need.name)
            if not need.specifier.contains(found, prereleases=True):
                wrong.append(f"{name} needs {need}, and {found} is installed")
            waiting.append((need.name, frozenset(need.extras)))
    assert not wrong, "\n".join(wrong)
    assert len(seen) > 30


def test_the_entry_point_leads_to_the_device_class():
    (point,) = [p for p in entry_points("pennylane.plugins") if p.name == "threaded.ibmq"]
    assert point.value == "pennylane_threaded_ibmq.device:ThreadedIBMQDevice"
    pytest.importorskip("pennylane_threaded_ibmq.stacks.classic.device")
    assert point.load() is pennylane_threaded_ibmq.ThreadedIBMQDevice
    assert point.load().__module__ == "pennylane_threaded_ibmq.stacks.classic.device"


def test_doctor_names_the_stack():
    script = Path(sys.executable).parent / "threaded-ibmq"
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("QISKIT_IBM_", "IBMQX_"))}
    done = subprocess.run(
        [str(script), "doctor"], capture_output=True, text=True, check=False, env=environment
    )
    assert "ok    stack: classic\n" in done.stdout, done.stdout + done.stderr
    assert "BAD   qiskit" not in done.stdout
