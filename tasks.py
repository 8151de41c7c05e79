#!/usr/bin/env python3
"""Set this project up on a bare machine and run it.

    python3 tasks.py demo              VQE of H2, with a convergence plot
    python3 tasks.py test              every check and every test, on each stack
    python3 tasks.py test -- -k foo    the checks, and the current stack's tests with arguments for pytest
    python3 tasks.py test-pinned       only the tests of IBM's client, with the older of the two sets of versions
    python3 tasks.py test-classic      only the tests of the classic stack, without and with Covalent
    python3 tasks.py test-install      what pip makes of this project, on each Python that is there and over old packages
    python3 tasks.py lint              the checks that need no test
    python3 tasks.py docs              the documentation, in docs/_build/html
    python3 tasks.py bench             the benchmarks
    python3 tasks.py setup             only the environment
    python3 tasks.py setup-classic     only the two environments of the classic stack

Needs Python 3.11 or newer and nothing else. The classic stack needs 3.11 or 3.12, and with Covalent 3.11: `test` looks for
such a Python beside a newer one, and says what it leaves out where there is none. Everything is installed into `.venv`
beside this file with the newest versions, the older set that is tested into `.venv-pinned` (there are the benchmarks, since
they compare with `qiskit.remote`), the classic stack into `.venv-classic` and `.venv-covalent`. They are used again until setup.cfg,
pyproject.toml or the Python version changes; delete one to start it afresh.
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


class StepError(Exception):
    """A step failed; its text says which, and what to do."""


class Environment:
    """One virtual environment beside this file.

    Args:
        name: Its folder.
        newest: The newest Python that its packages can be installed on; ``None`` for any.
    """

    def __init__(self, name: str, newest: "tuple[int, int] | None" = None) -> None:
        self.name = name
        self.folder = ROOT / name
        self.newest = newest
        self.stamp = self.folder / "setup-stamp.json"
        self.bin = self.folder / ("Scripts" if os.name == "nt" else "bin")
        self.python = self.bin / ("python.exe" if os.name == "nt" else "python")

    def prepare(self, *extras: str) -> None:
        """Make it hold this project with some extras; do nothing if it does already."""
        wanted = self.fingerprint()
        stamp = self.read_stamp()
        known = (
            stamp.get("extras", []) if stamp.get("fingerprint") == wanted and self.python.exists() else None
        )
        if known is not None and ("dev" in known or set(extras) <= set(known)):
            return
        if known is None:
            self.make()
        target = ".[{}]".format(",".join(extras))
        # A failed installation must not look like a finished one.
        self.stamp.unlink(missing_ok=True)
        options = ["--quiet", "--quiet", "--disable-pip-version-check", "-e", target]
        step(
            self,
            "install {} into {} (the first time takes some minutes)".format(target, self.name),
            [self.python, "-m", "pip", "install", *options],
        )
        self.stamp.write_text(
            json.dumps({"fingerprint": wanted, "extras": sorted({*(known or []), *extras})}), encoding="utf-8"
        )

    def make(self) -> None:
        """Make it empty, in place of an outdated one."""
        interpreter = self.interpreter()
        if self.folder.exists():
            shutil.rmtree(self.folder)
        try:
            step(
                self,
                "virtual environment {} ({})".format(self.name, interpreter),
                [interpreter, "-m", "venv", self.folder],
            )
        except StepError as error:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise StepError(
                "{}. On Debian and Ubuntu the module is a package of its own: "
                "apt-get install python{}.{}-venv".format(error, *sys.version_info)
            ) from None

    def interpreter(self) -> str:
        """Return the Python to make it with: this one, unless it is too new."""
        if self.newest is None or sys.version_info[:2] <= self.newest:
            return sys.executable
        for version in KNOWN:
            name = "python{}.{}".format(*version)
            if version <= self.newest and runs(name):
                return name
        raise StepError(
            "{} needs Python {}.{} at most; this is {}.{}. Install python3.11 beside it, or run tasks.py with "
            "that.".format(self.name, *self.newest, *sys.version_info[:2])
        )

    def fingerprint(self) -> str:
        """Return a digest of all that the environment depends on."""
        digest = hashlib.sha256()
        for name in ("setup.cfg", "pyproject.toml"):
            digest.update((ROOT / name).read_bytes())
        # A copied or moved environment is broken, so its place counts too.
        digest.update("{} {} {}".format(sys.version, sys.base_prefix, self.folder).encode())
        return digest.hexdigest()

    def read_stamp(self) -> "dict[str, Any]":
        """Return what the last installation left, or an empty mapping."""
        try:
            return dict(json.loads(self.stamp.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return {}


CURRENT = Environment(".venv")
PINNED = Environment(".venv-pinned")
PINNED_TESTS = (
    "tests/service",
    "tests/local/test_arguments.py",
    "tests/local/test_benchmarks.py",
    "tests/local/test_documented_examples.py",
    "tests/local/test_stack.py",
)
"""What depends on IBM's client, or compares with ``qiskit.remote``."""

CLASSIC = (
    (Environment(".venv-classic", newest=(3, 12)), "classic", ()),
    # the same client as in the other, so that what is about the loopback service alone is tested there
    (
        Environment(".venv-covalent", newest=(3, 11)),
        "covalent",
        ("-m", "not (sweep or suite)", "--ignore-glob=*/test_loopback_*.py"),
    ),
)


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
    CURRENT.prepare("examples")
    step(CURRENT, "demo: VQE of H2", [CURRENT.python, "examples/h2_vqe.py", *extra])


def test(extra: "list[str]") -> None:
    """Run every check, cheap ones first, then the tests of each stack; with arguments those of the current one."""
    CURRENT.prepare("dev")
    run_lint()
    build_docs()
    step(CURRENT, "tests", [CURRENT.python, "-m", "pytest", "-n", "2", *extra])
    if extra:
        return
    test_pinned([])
    # after both environments are there, as it also asks what pip would change in them
    test_install(["--short"])
    left_out = []
    for stack in CLASSIC:
        try:
            stack[0].interpreter()
        except StepError as error:
            left_out.append("left out, the tests of the {} stack: {}".format(stack[1], error))
        else:
            test_stack(*stack)
    for text in left_out:
        print("==> {}".format(text), flush=True)


def test_pinned(extra: "list[str]") -> None:
    """Run the tests that touch IBM's client with the pinned versions."""
    PINNED.prepare("pinned", "test")
    step(
        PINNED,
        "tests with the pinned versions",
        [PINNED.python, "-m", "pytest", "-n", "2", *PINNED_TESTS, *extra],
    )


def test_install(extra: "list[str]") -> None:
    """Install into fresh and old environments, and look at what comes of it."""
    CURRENT.prepare("dev")
    step(CURRENT, "installations", [CURRENT.python, "-m", "tests.installations", *extra])


def test_classic(extra: "list[str]") -> None:
    """Run the tests of the classic stack in each of its environments."""
    setup_classic([])
    for environment, name, options in CLASSIC:
        test_stack(environment, name, (*options, *extra))


def test_stack(environment: Environment, name: str, options: "Sequence[str]") -> None:
    """Run the tests of the classic stack in one of its environments."""
    environment.prepare(name, "test-classic")
    step(
        environment,
        "tests of the {} stack".format(name),
        [environment.python, "-m", "pytest", "-n", "2", "tests/classic", *options],
    )


def lint(extra: "list[str]") -> None:
    """Run the static checks."""
    refuse(extra, "lint")
    CURRENT.prepare("dev")
    run_lint()


def docs(extra: "list[str]") -> None:
    """Build the documentation."""
    refuse(extra, "docs")
    CURRENT.prepare("dev")
    build_docs()
    print("Open {}".format(ROOT / "docs" / "_build" / "html" / "index.html"))


def bench(extra: "list[str]") -> None:
    """Run the benchmarks side by side and print their table."""
    PINNED.prepare("pinned", "test")
    step(PINNED, "benchmarks", [PINNED.python, "-m", "benchmarks", *extra])


def setup(extra: "list[str]") -> None:
    """Make the environment with everything in it, and run nothing."""
    refuse(extra, "setup")
    CURRENT.prepare("dev")


def setup_classic(extra: "list[str]") -> None:
    """Make the two environments of the classic stack, and run nothing."""
    refuse(extra, "setup-classic")
    for environment, name, _ in CLASSIC:
        environment.prepare(name, "test-classic")


def run_lint() -> None:
    """Run the static checks, cheap to expensive."""
    step(CURRENT, "style (ruff check)", [CURRENT.bin / "ruff", "check"])
    step(CURRENT, "format (ruff format)", [CURRENT.bin / "ruff", "format", "--check"])
    step(CURRENT, "imports (import-linter)", [CURRENT.bin / "lint-imports"])
    step(CURRENT, "types (mypy)", [CURRENT.bin / "mypy"])
    # Tests run on newer Pythons only, so nothing else would notice.
    names = ["--backport", "typing_extensions", "--exclude-regex", r"_compat\.py$"]
    step(
        CURRENT,
        "oldest Python (vermin)",
        [CURRENT.bin / "vermin", "--no-tips", "--violations", "-t=3.8-", *names, "pennylane_threaded_ibmq"],
    )


def build_docs() -> None:
    """Build the documentation; a warning is a failure."""
    source = ROOT / "docs"
    options = ["-W", "--keep-going", "-q", "-j", "auto", "-b", "html"]
    target = source / "_build" / "html"
    step(CURRENT, "documentation (sphinx)", [CURRENT.python, "-m", "sphinx", *options, source, target])


def refuse(extra: "list[str]", command: str) -> None:
    """Say that a command takes no further arguments."""
    if extra:
        raise StepError("'{}' takes no arguments after --, got {}".format(command, " ".join(extra)))


# --------------------------------------------------------------------------------------------------- steps


def step(inside: Environment, title: str, command: "Sequence[str | Path]") -> None:
    """Run one command in the project's folder and an environment; announce it, and raise if it fails."""
    print("==> {}".format(title), flush=True)
    environment = dict(os.environ, VIRTUAL_ENV=str(inside.folder), PYTHONUTF8="1")
    environment["PATH"] = os.pathsep.join([str(inside.bin), os.environ.get("PATH", "")])
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


COMMANDS = {
    "demo": demo,
    "test": test,
    "test-pinned": test_pinned,
    "test-classic": test_classic,
    "test-install": test_install,
    "lint": lint,
    "docs": docs,
    "bench": bench,
    "setup": setup,
    "setup-classic": setup_classic,
}

if __name__ == "__main__":
    too_old = check_python()
    if too_old:
        sys.exit(too_old)
    sys.exit(main(sys.argv[1:]))
