"""The example runs to its end and learns something."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "kernel_classifier.py"


@pytest.mark.slow
def test_the_kernel_classifier_tells_flowers_apart():
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), "--train", "10", "--test", "8", "--shots", "256"],
        check=True, capture_output=True, text=True, timeout=250,
    )  # fmt: skip
    scores = dict(re.findall(r"^(\w+) +accuracy (\S+)", done.stdout, re.MULTILINE))
    assert set(scores) == {"ibmq_qasm_simulator", "fake_manila"}
    assert float(scores["ibmq_qasm_simulator"]) >= 0.75


def test_wrong_arguments_are_refused_by_name():
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), "--shots", "0"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "--shots: at least 2" in done.stderr
