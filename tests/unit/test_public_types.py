"""The public interface is typed, for whoever checks a program with mypy."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from pennylane_threaded_ibmq.options import DeviceOptions
from pennylane_threaded_ibmq.settings import _PRIMITIVE_NAMES, _TRANSPILE_NAMES, Settings

from .test_docs_examples import PAGES, python_blocks

ROOT = Path(__file__).resolve().parents[2]


UNTYPED = (
    "pennylane,qiskit,qiskit_aer,qiskit_ibm_runtime,pennylane_qiskit,scipy,sklearn,covalent,dask,distributed,matplotlib,"
    "jax,torch,IPython"
)


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


WRONG_CALLS = {
    "max_jobs='x'": 'expected "int"',
    "progress='yes'": 'expected "bool |',
    "max_jbos=3": 'Unexpected keyword argument "max_jbos"',
    "primitive='sampelr'": "Literal['auto', 'estimator', 'sampler']",
    "shard_size='all'": "Literal['auto']",
}
"""What the device refuses, and what a type checker says of it."""


@pytest.mark.slow
def test_a_type_checker_refuses_what_the_device_would(tmp_path):
    (tmp_path / "mypy.ini").write_text(
        "[mypy]\nplugins = pydantic.mypy\n[mypy-pennylane.*,qiskit.*,qiskit_aer.*,qiskit_ibm_runtime.*]\n"
        "ignore_missing_imports = True\n[mypy-pennylane_threaded_ibmq.*]\nfollow_imports = silent\n"
    )
    wrong = tmp_path / "wrong.py"
    calls = "".join(f"ThreadedIBMQDevice(2, {call})\n" for call in WRONG_CALLS)
    wrong.write_text(f"from pennylane_threaded_ibmq import ThreadedIBMQDevice\n{calls}")
    done = mypy(tmp_path, wrong)
    for line, error in enumerate(WRONG_CALLS.values(), start=2):
        (found,) = [text for text in done.stdout.splitlines() if text.startswith(f"{wrong}:{line}: error")]
        assert error in found


@pytest.mark.slow
def test_the_examples_of_the_documentation_pass_a_type_checker(tmp_path):
    names = ",".join(f"{name}.*" for name in UNTYPED.split(","))
    (tmp_path / "mypy.ini").write_text(
        # a page makes its circuits and devices anew under the same names
        "[mypy]\nplugins = pydantic.mypy\nallow_redefinition = True\ncheck_untyped_defs = True\n"
        f"disable_error_code = no-redef\n[mypy-{names}]\nignore_missing_imports = True\nfollow_imports = skip\n"
        "[mypy-pennylane_threaded_ibmq.*]\nfollow_imports = silent\n"
    )
    pages = tmp_path / "pages"
    pages.mkdir()
    for page in PAGES:
        blocks = python_blocks(page.read_text(encoding="utf-8"))
        lines = []
        for block in blocks:
            # the lines of an error are those of the page
            lines += [""] * (block.line - 1 - len(lines)) + block.code.splitlines()
        if blocks:
            name = re.sub(r"\W", "_", str(page.relative_to(ROOT).with_suffix("")))
            (pages / f"{name}.py").write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--config-file", str(tmp_path / "mypy.ini")]
    command += ["--cache-dir", str(tmp_path / "cache"), "--scripts-are-modules", str(pages)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout


def test_every_option_has_a_type():
    known = {*Settings.model_fields, *_TRANSPILE_NAMES, *_PRIMITIVE_NAMES, "options"}
    assert set(DeviceOptions.__annotations__) == known


def test_the_package_says_that_it_is_typed():
    assert files("pennylane_threaded_ibmq").joinpath("py.typed").is_file()
