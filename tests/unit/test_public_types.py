"""The public interface is typed, for whoever checks a program with mypy."""

from __future__ import annotations

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def mypy(tmp_path, target):
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", str(tmp_path / "mypy.ini")]
    # a cache of its own: one that an earlier version of the package filled hides what is wrong now
    command += ["--cache-dir", str(tmp_path / "cache"), str(target)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.mark.slow
def test_a_typed_program_passes_strict_mypy(tmp_path):
    # PennyLane and Qiskit ship no types; a user of them says the same. Of an installed package mypy reads the
    # types and leaves its inside alone, and this one is to be read as installed.
    (tmp_path / "mypy.ini").write_text(
        "[mypy]\nplugins = pydantic.mypy\n"
        "[mypy-pennylane.*,qiskit.*,qiskit_aer.*,qiskit_ibm_runtime.*,pennylane_qiskit.*,scipy.*]\n"
        "ignore_missing_imports = True\n"
        "[mypy-pennylane_threaded_ibmq.*]\nfollow_imports = silent\n"
    )
    done = mypy(tmp_path, ROOT / "tests" / "typing" / "usage.py")
    assert done.returncode == 0, done.stdout
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "from pennylane_threaded_ibmq import ThreadedIBMQDevice\nx: int = ThreadedIBMQDevice(2).name\n"
    )
    done = mypy(tmp_path, wrong)
    assert done.returncode == 1
    assert "Incompatible types in assignment" in done.stdout


def test_the_package_says_that_it_is_typed():
    assert files("pennylane_threaded_ibmq").joinpath("py.typed").is_file()
