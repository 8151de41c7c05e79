"""The benchmarks run and report; how fast anything is, no test asks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pennylane_qiskit", reason="qiskit.remote is compared with on the pinned versions")

ROOT = Path(__file__).parents[2]


def test_a_quick_run_reports_rows_and_targets(tmp_path):
    """Each contender has its rows, on the screen and as JSON."""
    path = tmp_path / "numbers.json"
    works = ["decode", "gradient", "many", "service"]
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", *works, "--json", path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "threaded.ibmq" in done.stdout
    reports = json.loads(path.read_text())["works"]
    assert [work["title"].split(":")[0] for work in reports] == [work.capitalize() for work in works]
    for work in reports:
        assert {row["contender"] for row in work["rows"]} >= {"threaded.ibmq", "qiskit.remote"}
        assert all(row["samples"] for row in work["rows"])
        assert all({"text", "wanted", "got", "reached"} <= set(target) for target in work["targets"])


def test_peers_are_compared(tmp_path):
    path, picture = tmp_path / "numbers.json", tmp_path / "growth.png"
    command = [sys.executable, "-m", "benchmarks.peers", "--quick", "--json", path, "--plot", picture]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for work in json.loads(path.read_text())["works"]:
        assert {row["contender"] for row in work["rows"]} >= {
            "threaded.ibmq",
            "null.qubit",
        } or "Sampling" in work["title"]
    assert picture.stat().st_size > 10_000
