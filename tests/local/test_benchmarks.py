"""The benchmarks run and report; how fast anything is, no test asks."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pennylane_qiskit", reason="qiskit.remote is compared with on the pinned versions")

ROOT = Path(__file__).parents[2]


def run(*arguments):
    """Output of a benchmark."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_quick_run_reports_rows_and_targets(tmp_path):
    """Each contender has its rows, on the screen and as JSON."""
    path = tmp_path / "numbers.json"
    works = ["decode", "gradient", "many", "service"]
    assert "threaded.ibmq" in run("benchmarks", "--quick", "--only", *works, "--json", path)
    reports = json.loads(path.read_text())["works"]
    assert [work["title"].split(":")[0] for work in reports] == [work.capitalize() for work in works]
    for work in reports:
        assert {row["contender"] for row in work["rows"]} >= {"threaded.ibmq", "qiskit.remote"}
        assert all(row["samples"] for row in work["rows"])
        assert all({"text", "wanted", "got", "reached"} <= set(target) for target in work["targets"])


def test_peers_are_compared(tmp_path):
    path = tmp_path / "numbers.json"
    run("benchmarks.peers", "--quick", "--json", path)
    for work in json.loads(path.read_text())["works"]:
        assert {row["contender"] for row in work["rows"]} >= {
            "threaded.ibmq",
            "null.qubit",
        } or "Sampling" in work["title"]


def test_growth_is_measured_for_all_contenders_and_drawn_again_from_its_numbers(tmp_path):
    path, again = tmp_path / "growth.json", tmp_path / "again"
    printed = run("benchmarks.growth", "--quick", "--rounds", 1, "--json", path, "--draw", tmp_path)
    growths = json.loads(path.read_text())["growths"]
    assert list(growths) == ["qubits", "rows", "broadcast", "shots", "words", "parameters"]
    for curves in growths.values():
        assert list(curves) == [
            "threaded.ibmq",
            "lightning.qubit",
            "default.qubit",
            "null.qubit",
            "by hand, Aer.run",
            "by hand, SamplerV2",
            "qiskit.remote",
        ]
        for curve in curves.values():
            assert len(curve["sizes"]) == len(curve["processor"]) == len(curve["wall"]) > 0
    tables = run("benchmarks.growth", "--read", path, "--draw", again)
    assert tables == printed
    for name in growths:
        picture = f"growth-{name}.svg"
        assert (again / picture).read_bytes() == (tmp_path / picture).read_bytes()
        assert "qiskit.remote" in (again / picture).read_text()


def test_a_size_that_would_take_too_long_is_left_out(tmp_path):
    path = tmp_path / "growth.json"
    run("benchmarks.growth", "--quick", "--rounds", 1, "--only", "qubits", "--json", path, "--most", 0.2)
    run("benchmarks.growth", "--quick", "--rounds", 1, "--only", "qubits", "--most", 1e-9)
    curves = json.loads(path.read_text())["growths"]["qubits"]
    assert curves["threaded.ibmq"]["sizes"] == [2, 3]
    assert curves["threaded.ibmq"]["left_out"] is None
    assert curves["qiskit.remote"]["sizes"] == [2]
    assert curves["qiskit.remote"]["left_out"] == 3


@pytest.mark.parametrize("off", [0.0, 0.3])
def test_a_contender_that_does_other_work_is_refused(monkeypatch, off):
    monkeypatch.syspath_prepend(ROOT)
    compare = importlib.import_module("benchmarks.growth").compare
    results = {"threaded.ibmq": [0.5, 0.1], "null.qubit": [0.0, 0.0], "by hand": [0.5, 0.1 + off]}
    if off:
        with pytest.raises(RuntimeError, match=r"by hand is off by 0\.300"):
            compare(results, 0.1)
    else:
        compare(results, 0.1)
    del results["threaded.ibmq"]
    compare(results, 0.1)


def test_circuits_of_several_settings_are_compared(tmp_path):
    path = tmp_path / "numbers.json"
    command = [sys.executable, "-m", "benchmarks.settings", "--quick", "--json", path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    numbers = json.loads(path.read_text())
    assert len(numbers) == 6
    for name, ways in numbers.items():
        # transpiles come first; circuits that end in CZ have their computational basis compiled by itself too
        assert ways["one routed circuit"][0] == (2 if "CZ" in name else 1)
        assert ways["each by itself"][0] == 3
