"""What is released: the sdist and the wheel install, and work, where nothing else is."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from pennylane_threaded_ibmq._version import __version__

ROOT = Path(__file__).resolve().parents[2]

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))

IN_SDIST = (
    "CHANGELOG.md",
    "CITATION.cff",
    "CONTRIBUTING.md",
    "LICENSE",
    "SECURITY.md",
    "benchmarks/__main__.py",
    "docs/conf.py",
    "docs/index.md",
    "examples/h2_vqe.py",
    "recipe/recipe.yaml",
    "tasks.py",
    "tests/conftest.py",
    "tests/local/test_release.py",
)

HOOK = "import sys; from setuptools import build_meta; build_meta.{hook}(sys.argv[1])"
"""What pip and build call, see PEP 517."""

SMOKE = """
import pennylane as qml
import pennylane_threaded_ibmq as package

assert "site-packages" in package.__file__.replace("dist-packages", "site-packages"), package.__file__
for name in package.__all__:
    assert getattr(package, name) is not None, name
dev = qml.device("threaded.ibmq", wires=2)
assert type(dev) is package.ThreadedIBMQDevice

@qml.set_shots(200)
@qml.qnode(dev)
def bell():
    qml.Hadamard(0)
    qml.CNOT([0, 1])
    return qml.counts()

counts = bell()
assert set(counts) == {"00", "11"} and sum(counts.values()) == 200, counts
print("smoke", package.__version__)
"""


def run(*command, **options):
    environment = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "PYTHONHOME"}}
    done = subprocess.run(
        [str(c) for c in command], capture_output=True, text=True, check=False, env=environment, **options
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_the_version_is_written_once_and_cited_right():
    assert f"version: {__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert "attr: pennylane_threaded_ibmq._version.__version__" in (ROOT / "setup.cfg").read_text(
        encoding="utf-8"
    )
    assert f"## {__version__} " in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_conda_recipe_asks_for_what_setup_cfg_asks_for():
    """On the Pythons of the current stack."""
    recipe = yaml.safe_load((ROOT / "recipe" / "recipe.yaml").read_text(encoding="utf-8"))
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    wanted = {}
    for line in setup["options"]["install_requires"].splitlines():
        one = Requirement(line) if line and not line.startswith("#") else None
        if one and (one.marker is None or one.marker.evaluate({"python_version": "3.13"})):
            wanted[one.name] = str(one.specifier)
    run = dict(one.partition(" ")[::2] for one in recipe["requirements"]["run"])
    assert run.pop("python") == ">=${{ python_min }}"
    assert run == wanted
    assert recipe["context"]["version"] == __version__
    scripts = setup["options.entry_points"]["console_scripts"].split("\n")
    assert recipe["build"]["python"]["entry_points"] == [line for line in scripts if line]
    assert recipe["about"]["summary"] == setup["metadata"]["description"]


@pytest.mark.parametrize(
    "file",
    [".github/workflows/ci.yml", ".github/workflows/release.yml", ".ci/run", "README.md", "CONTRIBUTING.md"],
)
def test_commands_that_are_named_are_commands(file):
    said = set(re.findall(r"tasks\.py ([a-z][a-z-]*)", (ROOT / file).read_text(encoding="utf-8")))
    known = set(
        re.findall(
            r"^    python3 tasks\.py ([a-z-]+)", (ROOT / "tasks.py").read_text(encoding="utf-8"), re.MULTILINE
        )
    )
    assert said <= known
    assert said or file == ".github/workflows/release.yml"


def test_what_a_workflow_runs_is_there():
    for workflow in WORKFLOWS:
        for step in [
            s for job in yaml.safe_load(workflow.read_text())["jobs"].values() for s in job["steps"]
        ]:
            program = step.get("run", "").split(" ")[0]
            if "/" in program:
                assert os.access(ROOT / program, os.X_OK), program


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda p: p.name)
def test_actions_are_pinned_by_hash(workflow):
    used = re.findall(r"uses: (\S+)", workflow.read_text(encoding="utf-8"))
    assert used
    for action in used:
        assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", action), action


@pytest.mark.slow
def test_sdist_and_wheel_install_and_work(tmp_path):
    source = tmp_path / "source"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        for name in listed.stdout.decode().split("\0"):
            if name and (ROOT / name).is_file():
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, source / name)
    else:
        ignored = shutil.ignore_patterns(".*", "build", "_build", "*.egg-info", "__pycache__")
        shutil.copytree(ROOT, source, ignore=ignored)
    # the sdist, and the wheel made from it and not from the folder, with what is installed here: no network
    dist = tmp_path / "dist"
    run(sys.executable, "-c", HOOK.format(hook="build_sdist"), dist, cwd=source)
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    # whoever packages this for a distribution builds, tests and documents it from the sdist
    for name in IN_SDIST:
        assert (unpacked / name).is_file(), name
    assert not list(unpacked.rglob("_build"))
    run(sys.executable, "-c", HOOK.format(hook="build_wheel"), dist, cwd=unpacked)
    (wheel,) = dist.glob("*.whl")
    assert wheel.name == f"pennylane_threaded_ibmq-{__version__}-py3-none-any.whl"
    assert re.fullmatch(rf"pennylane_threaded_ibmq-{re.escape(__version__)}\.tar\.gz", sdist.name)
    names = zipfile.ZipFile(wheel).namelist()
    assert "pennylane_threaded_ibmq/py.typed" in names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"pennylane_threaded_ibmq"}
    # an environment without the project; what it depends on is borrowed from the one that runs this test
    venv.create(tmp_path / "venv", with_pip=True)
    binaries = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")
    python = binaries / "python"
    run(python, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", wheel)
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])").strip())
    borrowed = {sysconfig.get_paths()[kind] for kind in ("purelib", "platlib")}
    (packages / "borrowed.pth").write_text("\n".join(sorted(borrowed)) + "\n")
    assert run(python, "-c", SMOKE, cwd=tmp_path).strip() == f"smoke {__version__}"
    script = binaries / "threaded-ibmq"
    assert "rehearse" in run(script, "--help", cwd=tmp_path)
    assert run(script, "--version", cwd=tmp_path) == f"threaded-ibmq, version {__version__}\n"
