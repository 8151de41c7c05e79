"""``threaded-ibmq estimate``: run a program up to where it would send something."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from .._variables import ESTIMATE_VARIABLE
from .options import Command, json_option
from .output import say_facts, say_json, span


@click.command(
    "estimate",
    short_help="Say what a program would cost, sending nothing.",
    cls=Command,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@json_option
@click.argument("script", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def estimate_command(*, script: Path, arguments: tuple[str, ...], as_json: bool) -> None:
    r"""Run a program, stop it before it sends its first batch to IBM Quantum, and tell what that batch would take.

    Nothing is sent but the questions for the backend and for what is left on the instance. Batches on simulators of
    this machine run as always. A program that sends many batches pays for each: threaded-ibmq rehearse runs all of
    them.

    \b
    Examples:
      threaded-ibmq estimate train.py
      threaded-ibmq estimate train.py --steps 100
      threaded-ibmq estimate --json train.py
    """
    import subprocess
    import tempfile

    with tempfile.TemporaryDirectory(prefix="threaded-ibmq-") as folder:
        file = Path(folder) / "estimates.jsonl"
        status = subprocess.run(  # noqa: S603 - the user's own program
            [sys.executable, str(script), *arguments],
            env={**os.environ, ESTIMATE_VARIABLE: str(file)},
            # what the program prints must not mix with JSON
            stdout=sys.stderr if as_json else None,
            check=False,
        ).returncode
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    estimates: list[dict[str, Any]] = [json.loads(line) for line in lines]
    if not estimates and status != 0:
        raise click.ClickException(f"{script} failed with exit status {status} before it sent anything.")
    if as_json:
        say_json({"script": str(script), "first_batch": estimates[0] if estimates else None})
    elif estimates:
        say_facts(_facts(estimates[0]))
        click.echo(
            "\nThis was the first batch; nothing was sent. threaded-ibmq rehearse runs the whole program."
        )
    else:
        click.echo("The program ended and sent nothing to IBM Quantum.")


def _facts(estimate: dict[str, Any]) -> dict[str, Any]:
    left_secs = estimate["left_secs"]
    return {
        "backend": estimate["backend"],
        "tapes": estimate["tapes"],
        "jobs": estimate["jobs"],
        "circuits": estimate["circuits"],
        "shots": estimate["shots"],
        "QPU time": span(estimate["qpu_secs"]),
        "left on the instance": None if left_secs is None else span(left_secs),
        "formula": estimate["formula"],
    }
