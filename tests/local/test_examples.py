"""The programs of examples/ run, in small, and do what they say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
RUNS = {
    "h2_vqe.py": ("--steps 2 --shots 2048 --seed 1 --output h2.png", "final energy -1.1"),
    "kernel_classifier.py": ("--train 6 --test 4 --shots 100", "fake_manila            accuracy "),
    "more_machines.py": ("--circuits 4 --qubits 3 --shots 50", "The results are the same."),
}
"""Arguments, and what each prints in the end."""


def test_every_example_is_run():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(RUNS)


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_an_example_runs(name, tmp_path):
    arguments, promised = RUNS[name]
    command = [sys.executable, str(EXAMPLES / name), *arguments.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert promised in done.stdout
