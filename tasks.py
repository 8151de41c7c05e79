#!/usr/bin/env python3
"""Set this project up on a bare machine and run it.

    python3 tasks.py demo              VQE of H2, with a convergence plot
    python3 tasks.py test              every check and every test
    python3 tasks.py test -- -k foo    the same, with arguments for pytest
    python3 tasks.py lint              the checks that need no test
    python3 tasks.py docs              the documentation, in docs/_build/html
    python3 tasks.py bench             the benchmarks
    python3 tasks.py setup             only the environment

Needs Python 3.11 or newer and nothing else. Everything is installed into `.venv` beside this file, which is
used again until setup.cfg, pyproject.toml or the Python version changes; delete it to start afresh.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

MINIMUM = (3, 11)
KNOWN = ((3, 13), (3, 12), (3, 11))
ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / "setup-stamp.json"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")


class StepError(Exception):
    """A step failed; its text says which, and what to do."""


def main(argv: "list[str]") -> int:
    """Parse the command line, run one command, return the exit status."""
    own, extra = split_arguments(argv)
    parser = argparse.ArgumentParser(
        prog="tasks.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=sorted(COMMANDS), metavar="|".join(COMMANDS))
    parser.epilog = "Arguments after -- go to the program that the command runs."
    command = parser.parse_args(own).command
    try:
        COMMANDS[command](extra)
    except StepError as error:
        print("tasks.py: {}".format(error), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("tasks.py: interrupted", file=sys.stderr)
        return 130
    return 0


def split_arguments(argv: "list[str]") -> "tuple[list[str], list[str]]":
    """Split at the first ``--``: ours before it, the called program's after it."""
    if "--" not in argv:
        return argv, []
    at = argv.index("--")
    return argv[:at], argv[at + 1 :]


# ------------------------------------------------------------------------------------------------ commands


def demo(extra: "list[str]") -> None:
    """Run the example that the README shows."""
    prepare("examples")
    step("demo: VQE of H2", [PYTHON, "examples/h2_vqe.py", *extra])


def test(extra: "list[str]") -> None:
    """Run every check, cheap ones first; pytest comes last so that its summary is the last line."""
    prepare("dev")
    run_lint()
    build_docs()
    step("tests", [PYTHON, "-m", "pytest", "-n", "2", *extra])


def lint(extra: "list[str]") -> None:
    """Run the static checks."""
    refuse(extra, "lint")
    prepare("dev")
    run_lint()


def docs(extra: "list[str]") -> None:
    """Build the documentation."""
    refuse(extra, "docs")
    prepare("dev")
    build_docs()
    print("Open {}".format(ROOT / "docs" / "_build" / "html" / "index.html"))


def bench(extra: "list[str]") -> None:
    """Run the benchmarks side by side and print their table."""
    prepare("dev")
    step("benchmarks", [PYTHON, "-m", "benchmarks", *extra])


def setup(extra: "list[str]") -> None:
    """Make the environment with everything in it, and run nothing."""
    refuse(extra, "setup")
    prepare("dev")


def run_lint() -> None:
    """Run the static checks, cheap to expensive."""
    step("style (ruff check)", [BIN / "ruff", "check"])
    step("format (ruff format)", [BIN / "ruff", "format", "--check"])
    step("imports (import-linter)", [BIN / "lint-imports"])
    step("types (mypy)", [BIN / "mypy"])


def build_docs() -> None:
    """Build the documentation; a warning is a failure."""
    source = ROOT / "docs"
    options = ["-W", "--keep-going", "-q", "-b", "html"]
    step("documentation (sphinx)", [PYTHON, "-m", "sphinx", *options, source, source / "_build" / "html"])


def refuse(extra: "list[str]", command: str) -> None:
    """Say that a command takes no further arguments."""
    if extra:
        raise StepError("'{}' takes no arguments after --, got {}".format(command, " ".join(extra)))


# --------------------------------------------------------------------------------------------- environment


def prepare(extra_name: str) -> None:
    """Make ``.venv`` hold this project with one set of extras; do nothing if it does already."""
    wanted = fingerprint()
    stamp = read_stamp()
    known = stamp.get("extras", []) if stamp.get("fingerprint") == wanted and PYTHON.exists() else None
    if known is not None and (extra_name in known or "dev" in known):
        return
    if known is None:
        make_venv()
    target = ".[{}]".format(extra_name)
    # A failed installation must not look like a finished one.
    STAMP.unlink(missing_ok=True)
    options = ["--quiet", "--quiet", "--disable-pip-version-check", "-e", target]
    step(
        "install {} (the first time takes some minutes)".format(target),
        [PYTHON, "-m", "pip", "install", *options],
    )
    STAMP.write_text(
        json.dumps({"fingerprint": wanted, "extras": sorted({*(known or []), extra_name})}), encoding="utf-8"
    )


def make_venv() -> None:
    """Make an empty environment, in place of an outdated one."""
    if VENV.exists():
        shutil.rmtree(VENV)
    title = "virtual environment .venv (Python {}.{})".format(*sys.version_info)
    try:
        step(title, [sys.executable, "-m", "venv", VENV])
    except StepError as error:
        shutil.rmtree(VENV, ignore_errors=True)
        raise StepError(
            "{}. On Debian and Ubuntu the module is a package of its own: "
            "apt-get install python{}.{}-venv".format(error, *sys.version_info)
        ) from None


def fingerprint() -> str:
    """Return a digest of all that the environment depends on."""
    digest = hashlib.sha256()
    for name in ("setup.cfg", "pyproject.toml"):
        digest.update((ROOT / name).read_bytes())
    # A copied or moved environment is broken, so its place counts too.
    digest.update("{} {} {}".format(sys.version, sys.base_prefix, VENV).encode())
    return digest.hexdigest()


def read_stamp() -> "dict[str, Any]":
    """Return what the last installation left, or an empty mapping."""
    try:
        return dict(json.loads(STAMP.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


# --------------------------------------------------------------------------------------------------- steps


def step(title: str, command: "Sequence[str | Path]") -> None:
    """Run one command in the project's folder; announce it, and raise if it fails."""
    print("==> {}".format(title), flush=True)
    environment = dict(os.environ, VIRTUAL_ENV=str(VENV), PYTHONUTF8="1")
    environment["PATH"] = os.pathsep.join([str(BIN), os.environ.get("PATH", "")])
    environment.pop("PYTHONHOME", None)
    started = time.monotonic()
    arguments = [str(part) for part in command]
    try:
        status = subprocess.run(arguments, cwd=str(ROOT), env=environment, check=False).returncode
    except OSError as error:
        raise StepError("{}: {}".format(title, error)) from None
    if status != 0:
        seconds = time.monotonic() - started
        raise StepError("{} failed after {:.0f} s, exit status {}".format(title, seconds, status))


def check_python() -> "str | None":
    """Return an error text when this Python cannot run the project, else ``None``."""
    if sys.version_info[:2] >= MINIMUM:
        return None
    here = sys.version_info[:2]
    text = "tasks.py: needs Python {}.{} or newer; this is {}.{}.".format(*MINIMUM, *here)
    for major, minor in KNOWN:
        name = "python{}.{}".format(major, minor)
        if runs(name):
            return "{} Found {}: run it as '{} tasks.py'.".format(text, name, name)
    return text + " Install one of 3.11, 3.12 or 3.13."


def runs(name: str) -> bool:
    """Tell whether a program of this name starts; a version manager's shim may exist and refuse."""
    quiet = subprocess.DEVNULL
    try:
        return subprocess.run([name, "-c", ""], stdout=quiet, stderr=quiet, check=False).returncode == 0
    except OSError:
        return False


COMMANDS = {"demo": demo, "test": test, "lint": lint, "docs": docs, "bench": bench, "setup": setup}

if __name__ == "__main__":
    too_old = check_python()
    if too_old:
        sys.exit(too_old)
    sys.exit(main(sys.argv[1:]))
