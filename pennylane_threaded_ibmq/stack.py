"""The stack that is installed, of two: one question, answered in one place.

The current stack is the newest PennyLane and Qiskit, with qiskit-ibm-runtime; pennylane-qiskit may be there or not. The classic stack is the PennyLane that
had ``qiskit.ibmq``, with qiskit-ibm-provider. Nothing is imported to find out: the versions of what is installed decide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

__all__ = ["PACKAGES", "Stack", "Verdict", "decide", "how_to_install", "installed", "judge", "stack"]


class Stack(Enum):
    """The packages that the device is built on."""

    CURRENT = "current"
    """PennyLane >= 0.45, Qiskit >= 2.2, qiskit-ibm-runtime >= 0.45."""
    CLASSIC = "classic"
    """PennyLane 0.31.1 to 0.37, Qiskit before 2, qiskit-ibm-provider."""


_NEEDS: Mapping[Stack, Mapping[str, str]] = {
    Stack.CURRENT: {
        "pennylane": ">=0.45",
        "qiskit": ">=2.2",
        "qiskit-aer": ">=0.17",
        "qiskit-ibm-runtime": ">=0.45",
    },
    Stack.CLASSIC: {
        "pennylane": ">=0.31.1,<0.38",
        "pennylane-qiskit": ">=0.30.1,<0.38",
        "qiskit": ">=0.43,<2",
        "qiskit-aer": ">=0.12",
        "qiskit-ibm-provider": ">=0.6.1",
        "autoray": "<0.8",  # PennyLane imports what 0.8 dropped
        "setuptools": "<82",  # qiskit-ibm-provider imports pkg_resources, which 82 dropped
    },
}

PACKAGES = tuple(dict.fromkeys(name for needs in _NEEDS.values() for name in needs))
"""Every distribution that the decision looks at."""

_COMMANDS = (
    ("current stack, Python 3.11 or newer", "pip install -U pennylane-threaded-ibmq"),
    ("classic stack, Python 3.9 to 3.12", "pip install 'pennylane-threaded-ibmq[classic]'"),
    ("classic stack with Covalent, Python 3.8 to 3.11", "pip install 'pennylane-threaded-ibmq[covalent]'"),
)


@dataclass(frozen=True)
class Verdict:
    """The verdict on the installed versions.

    Attributes:
        stack: The stack, or the one that PennyLane's version belongs to; ``None`` if it belongs to neither.
        needs: What that stack needs of each package, as pip writes it; PennyLane's alone if there is none.
        problems: What is wrong with each package that does not fit; empty if the stack is complete.
    """

    stack: Stack | None
    needs: Mapping[str, str]
    problems: Mapping[str, str]


@lru_cache(maxsize=None)
def stack() -> Stack:
    """The stack of this environment; looked up once.

    Raises:
        StackError: What is installed is neither stack.
    """
    return decide(installed())


def decide(versions: Mapping[str, str]) -> Stack:
    """The stack that some versions make.

    Args:
        versions: Version of each installed distribution of ``PACKAGES``.

    Raises:
        StackError: They make neither stack.
    """
    verdict = judge(versions)
    if verdict.stack is not None and not verdict.problems:
        return verdict.stack
    from .exceptions import StackError

    present = (
        ", ".join(f"{name} {versions[name]}" for name in PACKAGES if name in versions) or "nothing of it"
    )
    wrong = "; ".join(f"{name} {problem}" for name, problem in verdict.problems.items())
    aim = "neither stack" if verdict.stack is None else f"the {verdict.stack.value} stack, incomplete"
    raise StackError(
        f"The installed packages do not go together: this is {aim}. Wrong: {wrong}. Installed: {present}. "
        f"Nothing was sent. Use a fresh environment and one of:\n{how_to_install()}",
        installed=versions,
        problems=verdict.problems,
    )


def judge(versions: Mapping[str, str]) -> Verdict:
    """Judge some versions; PennyLane's decides which stack it could be.

    Args:
        versions: Version of each installed distribution of ``PACKAGES``.
    """
    for candidate, needs in _NEEDS.items():
        if _problem(versions.get("pennylane"), needs["pennylane"]) is None:
            problems = {name: _problem(versions.get(name), need) for name, need in needs.items()}
            return Verdict(
                candidate, needs, {name: text for name, text in problems.items() if text is not None}
            )
    need = " or ".join(f"{needs['pennylane']} ({s.value})" for s, needs in _NEEDS.items())
    version = versions.get("pennylane")
    text = "is not installed" if version is None else f"is {version}, and {need} is needed"
    return Verdict(None, {"pennylane": need}, {"pennylane": text})


def installed() -> dict[str, str]:
    """Version of each installed distribution of ``PACKAGES``; none is imported."""
    from importlib import metadata

    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def how_to_install() -> str:
    """The commands, one a line, each with what it is for."""
    return "\n".join(f"  {command}    ({use})" for use, command in _COMMANDS)


def _problem(version: str | None, need: str) -> str | None:
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    if version is None:
        return "is not installed"
    # What comes before a release, or is built from its source, counts as that release.
    base = Version(Version(version).base_version)
    return None if SpecifierSet(need).contains(base) else f"is {version}, and {need} is needed"
