"""``threaded-ibmq doctor``: is everything ready, and what is to be done if not."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import click

from .._compat import entry_points
from .._version import __version__
from .options import Command, account_options, json_option
from .output import say, say_json, span

if TYPE_CHECKING:
    from .first_run import FirstRun

DISTRIBUTION = "pennylane-threaded-ibmq"
MARKS = {"ok": "ok  ", "note": "note", "bad": "BAD "}


@dataclass(frozen=True)
class Check:
    """The outcome of one look.

    Attributes:
        name: What was looked at.
        state: ``ok``; ``note`` for what may be meant so; ``bad`` for what does not work.
        found: What was seen.
        advice: What to do; empty if nothing.
    """

    name: str
    state: Literal["ok", "note", "bad"]
    found: str
    advice: str = ""


@click.command("doctor", cls=Command, short_help="Check installation, journal and account.")
@click.option(
    "--deep", is_flag=True, help="Also run the smallest circuit: here, and at IBM after asking you."
)
@click.option("--backend", help="A system to look for, and to use for --deep.  [default: the least busy]")
@click.option("--instance", help="CRN or name of the instance.  [default: that of the environment]")
@click.option("-y", "--yes", is_flag=True, help="Send the job of --deep without asking.")
@account_options
@json_option
def doctor_command(
    *,
    deep: bool,
    backend: str | None,
    instance: str | None,
    yes: bool,
    options: dict[str, Any],
    as_json: bool,
) -> None:
    r"""Check the installation, the journal and the account, and say what to fix. Exit code 1 if something is bad.

    Without an account that is no mistake: circuits run on this machine. --deep runs a Bell pair on this machine and
    then, after stating what it costs and asking, as one job on IBM Quantum.

    \b
    Examples:
      threaded-ibmq doctor
      threaded-ibmq doctor --backend ibm_torino
      threaded-ibmq doctor --deep
    """
    checks: list[Check] = []
    for check in look(backend, instance, options):
        checks.append(check)
        if not as_json:
            _say(check)
    runs: list[FirstRun] = []
    if deep and not any(check.state == "bad" for check in checks):
        from .first_run import run_here, run_there

        runs.append(run_here())
        if any(check.name == "account" and check.state == "ok" for check in checks):
            runs += run_there(backend, instance, options, ask=None if yes else _ask)
        for run in runs:
            state: Literal["ok", "bad"] = "ok" if run.good else "bad"
            check = Check(f"run on {run.backend}", state, run.told, run.advice)
            checks.append(check)
            if not as_json:
                _say(check)
    good = not any(check.state == "bad" for check in checks)
    if as_json:
        say_json({"ok": good, "checks": [asdict(c) for c in checks], "runs": [asdict(r) for r in runs]})
    elif good:
        say("\nEverything is ready.")
    else:
        say(f"\n{sum(c.state == 'bad' for c in checks)} to fix.")
    sys.exit(0 if good else 1)


def _say(check: Check) -> None:
    say(f"{MARKS[check.state]}  {check.name}: {check.found}")
    if check.advice:
        say(f"      {check.advice}")


def _ask(text: str) -> bool:
    say(text, err=True)
    return click.confirm("Send it?", err=True)


def look(backend: str | None, instance: str | None, options: Mapping[str, Any]) -> Iterator[Check]:
    """Look at everything, a system of the account's included; a broken installation or setting ends it, as nothing else could be looked at."""
    yield Check("python", "ok", f"{platform.python_version()}, {sys.executable}")
    broken = False
    for check in _stack():
        broken = broken or check.state == "bad"
        yield check
    if broken:
        return
    from ..exceptions import ConfigurationError
    from .checkup import look_at_account, look_at_default, look_at_journal

    try:
        yield look_at_default()
    except ConfigurationError as error:
        yield Check("settings", "bad", str(error), "threaded-ibmq config shows all, with their places.")
        return
    yield look_at_journal()
    yield from look_at_account(backend, instance, options)


def _stack() -> Iterator[Check]:
    """The packages, without importing them."""
    from ..stack import how_to_install, installed, judge

    yield Check(DISTRIBUTION, "ok", __version__)
    versions = installed()
    verdict = judge(versions)
    for name in verdict.needs:
        problem = verdict.problems.get(name)
        if problem is None:
            yield Check(name, "ok", versions[name])
        else:
            yield Check(name, "bad", problem)
    if verdict.problems:
        advice = (
            f"What is installed does not go together. Use a fresh environment and one of:\n{how_to_install()}"
        )
        yield Check(
            "stack",
            "bad",
            "neither" if verdict.stack is None else f"{verdict.stack.value}, incomplete",
            advice,
        )
    elif verdict.stack is not None:
        yield Check("stack", "ok", verdict.stack.value)
    if not any(point.name == "threaded.ibmq" for point in entry_points("pennylane.plugins")):
        yield Check(
            "plugin",
            "bad",
            "PennyLane does not know the device 'threaded.ibmq'",
            f"pip install --upgrade {DISTRIBUTION}",
        )


def time_left(seconds: float | None) -> str:
    """The time that is left on an instance, in words."""
    return "no limit" if seconds is None else f"{span(seconds)} left"
