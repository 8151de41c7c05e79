"""What pip makes of this project: in empty environments of each Python, and over packages that are there already.

    python -m tests.installations            install and run, minutes for each case
    python -m tests.installations --short    ask pip what it would do, with the Pythons that are there
    python -m tests.installations --only 3.11,pennylane==0.44

A case is good if the device works, or pip refuses, or the first use names the command that mends the environment; and if
nothing that was there is replaced by something older. Pythons are looked for on the path (``python3.12``) and at pyenv.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13")
WATCHED = ("pennylane", "pennylane-qiskit", "qiskit", "qiskit-aer", "qiskit-ibm-runtime")
FIRST_USE = """
import warnings
warnings.simplefilter("error", FutureWarning)
import pennylane as qml
dev = qml.device("threaded.ibmq", wires=1, shots=100)
circuit = qml.QNode(lambda: qml.expval(qml.PauliZ(0)), dev)
assert circuit() == 1.0
print("works")
"""

IN_COVALENT = """
import os, tempfile
os.environ["HOME"] = tempfile.mkdtemp()  # Covalent writes there when it is imported
import covalent as ct
assert ct.executor.ThreadedIBMQExecutor.__module__ == "pennylane_threaded_ibmq.stacks.classic.covalent"
"""
"""Covalent finds the executor by itself, in what pip installed."""


@dataclass(frozen=True)
class Case:
    """One environment: a Python, what is there before, and which extra is installed over it."""

    python: str
    before: tuple[str, ...] = ()
    extra: str = ""

    def __str__(self) -> str:
        return " ".join([self.python, *self.before, self.extra]).strip()


CASES = (
    *(Case(python) for python in PYTHONS),
    *(Case(python, extra="[classic]") for python in ("3.9", "3.12", "3.13")),
    *(Case(python, extra="[covalent]") for python in ("3.8", "3.11")),
    # with the autoray of its time: today's breaks PennyLane 0.37 before anything of ours is there
    Case("3.11", ("pennylane==0.37.0", "autoray<0.8")),
    *(Case("3.11", (f"pennylane=={old}",)) for old in ("0.38.0", "0.44.1")),
    Case("3.11", ("qiskit==2.6.2", "qiskit-ibm-runtime==0.51.0")),
    Case("3.11", ("pennylane-qiskit==0.45.0",)),
    Case("3.11", ("qiskit<2", "qiskit-ibm-runtime<0.40")),
    Case("3.13", ("pennylane==0.44.1", "qiskit==2.1.2")),
)


class InstallationError(Exception):
    """A case is not good; its text says why."""


def interpreter(python: str) -> str | None:
    """A Python of this version; ``None`` if there is none that starts."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [str(path / "bin" / "python") for path in sorted(pyenv.glob(f"{python}.*"))]
    for name in (*found, f"python{python}"):
        program = shutil.which(name)
        if program and run(program, "-c", "import venv, ensurepip").returncode == 0:
            return program
    return None


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, outside of the project's folder, so that its sources are not found by chance."""
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    with tempfile.TemporaryDirectory() as elsewhere:
        return subprocess.run(
            [str(part) for part in command],
            capture_output=True,
            text=True,
            check=False,
            cwd=elsewhere,
            env={**clean, "PYTHONUTF8": "1"},
        )


def versions(python: Path) -> dict[str, str]:
    """The watched packages of an environment."""
    listed = run(python, "-m", "pip", "list", "--format=json", "--disable-pip-version-check")
    found = {one["name"].lower().replace("_", "-"): one["version"] for one in json.loads(listed.stdout)}
    return {name: found[name] for name in WATCHED if name in found}


def planned(python: Path, target: str) -> dict[str, str] | None:
    """The watched packages that pip would install; ``None`` if it refuses."""
    report = run(
        python, "-m", "pip", "install", "--dry-run", "--quiet", "--report", "-", "--no-warn-conflicts", target
    )
    if report.returncode != 0:
        return None
    installs = json.loads(report.stdout)["install"]
    found = {
        one["metadata"]["name"].lower().replace("_", "-"): one["metadata"]["version"] for one in installs
    }
    return {name: found[name] for name in WATCHED if name in found}


def refuse_downgrades(before: dict[str, str], after: dict[str, str]) -> None:
    """Raise if something is older than it was."""
    older = {
        n: (before[n], after[n])
        for n in before
        if n in after and Version(after[n]).release < Version(before[n]).release
    }
    if older:
        raise InstallationError(f"replaced by something older: {older}")


def environment(case: Case, folder: Path) -> Path:
    """A fresh environment with what a case has before; its Python."""
    base = interpreter(case.python)
    assert base is not None
    run(base, "-m", "venv", folder)
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--upgrade", "pip")
    if case.before:
        done = run(python, "-m", "pip", "install", "--quiet", *case.before)
        if done.returncode != 0:
            raise InstallationError(f"what should be there before cannot be installed: {done.stderr[-500:]}")
    return python


def judge(case: Case) -> str:
    """Install for real and use the device: what came of it.

    Raises:
        InstallationError: Nothing good.
    """
    with tempfile.TemporaryDirectory() as folder:
        python = environment(case, Path(folder))
        before = versions(python)
        done = run(python, "-m", "pip", "install", "--quiet", f"{ROOT}{case.extra}")
        if done.returncode != 0:
            if versions(python) != before:
                raise InstallationError("pip refused and changed something")
            return f"pip refuses: {done.stderr.strip().splitlines()[-1][:120]}"
        after = versions(python)
        refuse_downgrades(before, after)
        used = run(python, "-c", FIRST_USE + (IN_COVALENT if case.extra == "[covalent]" else ""))
        shown = ", ".join(f"{name} {version}" for name, version in after.items())
        if used.returncode == 0:
            return f"works: {shown}"
        if "StackError" in used.stderr and "pip install" in used.stderr:
            return f"first use names the command: {shown}"
        raise InstallationError(f"{shown}: {used.stderr[-1500:]}")


def judge_shortly(python: str) -> str:
    """What pip would do in an empty environment.

    Raises:
        InstallationError: It would install what is no stack.
    """
    from pennylane_threaded_ibmq.stack import judge as judge_versions

    with tempfile.TemporaryDirectory() as folder:
        found = planned(environment(Case(python), Path(folder)), str(ROOT))
    if found is None:
        return "pip refuses"
    verdict = judge_versions(found)
    # what both stacks have beside the watched packages is not asked for here
    wrong = {name: text for name, text in verdict.problems.items() if name in WATCHED}
    if verdict.stack is None or wrong:
        raise InstallationError(f"pip would install {found}, which is no stack: {dict(verdict.problems)}")
    return f"the {verdict.stack.value} stack: {found}"


def look_over_environment(folder: Path) -> str:
    """What pip would change of the watched packages in one of the project's own environments.

    Raises:
        InstallationError: Anything.
    """
    found = planned(folder / "bin" / "python", str(ROOT))
    if found is None or found:
        raise InstallationError(f"pip would change {found}")
    return "nothing is changed"


def main(argv: list[str]) -> int:
    """Judge the cases; the exit status says whether all are good."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="ask pip, install nothing")
    parser.add_argument("--only", default="", help="only cases whose name begins so; commas stand for blanks")
    options = parser.parse_args(argv)
    if options.short:
        works = [(python, python, judge_shortly) for python in PYTHONS]
        own = [ROOT / name for name in (".venv", ".venv-pinned") if (ROOT / name / "bin").exists()]
        works += [(f"over {path.name}", path, look_over_environment) for path in own]
    else:
        works = [(str(case), case, judge) for case in CASES]
    bad = 0
    for name, what, work in works:
        python = what if isinstance(what, str) else getattr(what, "python", None)
        if not name.startswith(options.only.replace(",", " ")):
            continue
        if python is not None and interpreter(python) is None:
            print(f"{name:45} left out, there is no Python {python}", flush=True)
            continue
        try:
            text = work(what)
        except InstallationError as error:
            text, bad = f"BAD {error}", bad + 1
        print(f"{name:45} {text}", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
