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
    command += ["--cache-dir", str(ROOT / ".mypy_cache" / "typing"), str(target)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.mark.slow
def test_a_typed_program_passes_strict_mypy(tmp_path):
    # PennyLane and Qiskit ship no types; a user of them says the same
    (tmp_path / "mypy.ini").write_text(
        "[mypy]\nplugins = pydantic.mypy\ndisallow_subclassing_any = False\n"
        "[mypy-pennylane.*,qiskit.*,qiskit_aer.*,qiskit_ibm_runtime.*,pennylane_qiskit.*,scipy.*]\n"
        "ignore_missing_imports = True\n"
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
