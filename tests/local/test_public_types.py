"""The public interface is typed, for whoever checks a program with mypy."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from importlib.resources import files
from pathlib import Path

import pytest

from pennylane_threaded_ibmq.loose_options import LOOSE_OPTIONS
from pennylane_threaded_ibmq.options import DeviceOptions
from pennylane_threaded_ibmq.settings import Settings

from .test_docs_examples import PAGES, python_blocks

ROOT = Path(__file__).resolve().parents[2]


UNTYPED = (
    "pennylane,qiskit,qiskit_aer,qiskit_ibm_runtime,pennylane_qiskit,scipy,sklearn,covalent,dask,distributed,matplotlib,"
    "jax,torch,IPython"
)


PYRIGHT = shutil.which(
    "basedpyright", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
)
"""Pyright as a package of Python's; ``None`` where it is not installed."""


def run(*command, **options):
    words = [str(part) for part in command]
    return subprocess.run(words, capture_output=True, text=True, check=False, **options)


def installed(tmp_path):
    """A Python that has this package as its wheel installs it, and what it depends on from the one that runs this."""
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    if python.exists():
        return python
    venv.create(tmp_path / "venv", with_pip=False)
    packages = Path(
        run(python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])").stdout.strip()
    )
    shutil.copytree(ROOT / "pennylane_threaded_ibmq", packages / "pennylane_threaded_ibmq")
    others = [
        path for path in sys.path if path and Path(path).is_dir() and Path(path) not in (ROOT, ROOT / "tests")
    ]
    (packages / "others.pth").write_text("\n".join(others) + "\n")
    return python


def mypy(tmp_path, target):
    # a cache of its own: one that an earlier version of the package filled hides what is wrong now
    cache = ("--cache-dir", tmp_path / "cache")
    options = ("--config-file", tmp_path / "mypy.ini", "--python-executable", installed(tmp_path))
    # from elsewhere, so that the checkout is not found first
    return run(sys.executable, "-m", "mypy", *options, *cache, target, cwd=tmp_path)


def pyright(tmp_path, folder):
    """What Pyright says of the programs in a folder."""
    stubs = tmp_path / "stubs" / "pennylane"
    stubs.mkdir(parents=True)
    # PennyLane has no types, and what can be guessed from its code is wrong here and there
    for name in ("__init__", "numpy", "noise", "tape"):
        (stubs / f"{name}.pyi").write_text("from typing import Any\ndef __getattr__(name: str) -> Any: ...\n")
    (folder / "pyrightconfig.json").write_text(
        json.dumps(
            {
                "typeCheckingMode": "standard",
                "stubPath": str(tmp_path / "stubs"),
                # a page makes its circuits and devices anew under the same names, and its loops run
                "reportRedeclaration": False,
                "reportPossiblyUnboundVariable": False,
                # what is not installed here
                "reportMissingImports": False,
                "reportMissingModuleSource": False,
            }
        )
    )
    return run(PYRIGHT, "-p", folder, "--pythonpath", installed(tmp_path))


def write_pages(folder):
    """The Python of each page of the documentation as a program, each line where it is on its page."""
    folder.mkdir()
    for page in PAGES:
        blocks = python_blocks(page.read_text(encoding="utf-8"))
        lines = []
        for block in blocks:
            lines += [""] * (block.line - 1 - len(lines)) + block.code.splitlines()
        if blocks:
            name = re.sub(r"\W", "_", str(page.relative_to(ROOT).with_suffix("")))
            (folder / f"{name}.py").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.mark.slow
def test_a_typed_program_passes_strict_mypy(tmp_path):
    # PennyLane and Qiskit ship no types; a user of them says the same. Of an installed package mypy reads the
    # types and leaves its inside alone, and this one is to be read as installed.
    (tmp_path / "mypy.ini").write_text(
        "[mypy]\nplugins = pydantic.mypy\nstrict = True\n"
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


WRONG_CALLS = {
    "ThreadedIBMQDevice(2, max_jobs='x')": 'expected "int"',
    "ThreadedIBMQDevice(2, progress='yes')": 'expected "bool |',
    "ThreadedIBMQDevice(2, max_jbos=3)": 'Unexpected keyword argument "max_jbos"',
    "ThreadedIBMQDevice(2, primitive='sampelr')": "Literal['auto', 'estimator', 'sampler']",
    "ThreadedIBMQDevice(2, shard_size='all')": "Literal['auto']",
    "ThreadedIBMQDevice(2, job_tags='night-run')": 'expected "list[str] |',
    "IBMQExecutor(max_jobs='x')": 'expected "int"',
    "IBMQExecutor(max_jbos=3)": 'Unexpected keyword argument "max_jbos"',
    "IBMQExecutor(shots='many')": 'expected "int |',
    "QiskitExecutor(single_job='x')": 'expected "bool"',
    "Simulator(parallel='process')": "Literal['thread'",
    "QCluster(executors=3)": 'expected "BaseQExecutor |',
    "QCluster(selector='cyclic')": 'Missing named argument "executors"',
    "QCluster(executors=[IBMQExecutor()], selector='fastest')": "Literal['cyclic', 'random', 'least_busy']",
    "qelectron(executors=[3])": "List item 0 has incompatible type",
}
"""What is refused when the program runs, and what mypy says of it before."""

RIGHT_CALLS = """
from pennylane_threaded_ibmq import (
    BaseQExecutor, IBMQExecutor, QCluster, QElectron, QiskitExecutor, Simulator, ThreadedIBMQDevice, qelectron,
)
from typing import Any


class Own(BaseQExecutor):
    speed: int = 3


def choose(circuit: Any, executors: Any) -> Any:
    return executors[0]


members = [IBMQExecutor(backend="ibm_torino", ibmqx_token="t", hub="h", group="g", project="p", max_jobs=3, shots=[10, (5, 2)])]
QCluster(executors=members, selector=choose)
QCluster(executors=[QCluster(executors=IBMQExecutor()), Own(speed=4, persist_data=False), Simulator(device="default.qubit", shots=None)])
IBMQExecutor(instance="crn", timeout_secs=60, runs_on="lightning.qubit", resilience_level=2, job_tags=["a"], device="default.qubit")
QiskitExecutor(device="sampler", backend="ibm_torino", options={"resilience_level": 1}, cloud_instance="x", max_time=3)


def wrap(qnode: Any) -> None:
    electron: QElectron = qelectron(qnode, executors=members, selector="random", name="n", description="d")
    again: QElectron = qelectron(executors=Own())(qnode)
    print(electron(0.3), again.run_later(0.3).result(), qelectron(qnode)(1.0))
"""


def wrong_calls(folder):
    """A program with a wrong call a line, from the second one on."""
    names = "IBMQExecutor, QCluster, QiskitExecutor, Simulator, ThreadedIBMQDevice, qelectron"
    calls = "".join(f"{call}\n" for call in WRONG_CALLS)
    (folder / "wrong.py").write_text(f"from pennylane_threaded_ibmq import {names}\n{calls}")


PLUGINS = pytest.mark.parametrize("plugin", ["plugins = pydantic.mypy\n", ""], ids=["plugin", "plain"])


@pytest.mark.slow
@PLUGINS
def test_mypy_refuses_what_a_call_would_and_takes_what_it_would(tmp_path, plugin):
    (tmp_path / "mypy.ini").write_text(
        f"[mypy]\n{plugin}[mypy-pennylane.*,qiskit.*,qiskit_aer.*,qiskit_ibm_runtime.*]\nignore_missing_imports = True\n"
    )
    programs = tmp_path / "programs"
    programs.mkdir()
    wrong_calls(programs)
    (programs / "right.py").write_text(RIGHT_CALLS)
    done = mypy(tmp_path, programs)
    for line, error in enumerate(WRONG_CALLS.values(), start=2):
        found = re.findall(rf"wrong\.py:{line}: error: (.*)", done.stdout)
        assert any(error in text for text in found), (line, found)
    assert "right.py" not in done.stdout, done.stdout


@pytest.mark.slow
@pytest.mark.skipif(PYRIGHT is None, reason="needs basedpyright")
def test_pyright_refuses_what_a_call_would_and_takes_what_it_would(tmp_path):
    programs = tmp_path / "programs"
    programs.mkdir()
    wrong_calls(programs)
    (programs / "right.py").write_text(RIGHT_CALLS)
    done = pyright(tmp_path, programs)
    lines = {int(n) for n in re.findall(r"wrong\.py:(\d+):\d+ - error", done.stdout)}
    assert lines == set(range(2, len(WRONG_CALLS) + 2)), done.stdout
    assert "right.py" not in done.stdout, done.stdout


@pytest.mark.slow
@pytest.mark.skipif(PYRIGHT is None, reason="needs basedpyright")
def test_the_examples_of_the_documentation_pass_pyright(tmp_path):
    done = pyright(tmp_path, write_pages(tmp_path / "pages"))
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_the_examples_of_the_documentation_pass_mypy(tmp_path):
    names = ",".join(f"{name}.*" for name in UNTYPED.split(","))
    (tmp_path / "mypy.ini").write_text(
        # a page makes its circuits and devices anew under the same names
        "[mypy]\nplugins = pydantic.mypy\nallow_redefinition = True\ncheck_untyped_defs = True\nscripts_are_modules = True\n"
        f"disable_error_code = no-redef\n[mypy-{names}]\nignore_missing_imports = True\nfollow_imports = skip\n"
    )
    done = mypy(tmp_path, write_pages(tmp_path / "pages"))
    assert done.returncode == 0, done.stdout


def test_every_option_has_a_type():
    known = {*Settings.model_fields, *LOOSE_OPTIONS, "options"}
    assert set(DeviceOptions.__annotations__) == known


def test_the_package_says_that_it_is_typed():
    assert files("pennylane_threaded_ibmq").joinpath("py.typed").is_file()
