"""``threaded-ibmq rehearse``: the same program against IBM Quantum on this machine, and what it would have met."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .._variables import ESTIMATE_VARIABLE, HOME_VARIABLE
from .options import Command, duration, json_option, output_option, share
from .output import note, say_json, writing
from .report import Rehearsal, make_report, say_report

if TYPE_CHECKING:
    from ..loopback import LoopbackConfig

NEEDED = ("starlette", "uvicorn", "trustme")
_CRN = re.compile(r"crn:v1:[a-z]+:public:quantum-computing:[a-z0-9-]+:a/[0-9a-zA-Z]+:[0-9a-zA-Z-]+::")


@click.command(
    "rehearse",
    short_help="Run a program against IBM Quantum on this machine.",
    cls=Command,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.option(
    "--backend",
    "backends",
    multiple=True,
    default=("ibm_torino",),
    show_default=True,
    help="A system to pretend; give it again for more.",
)
@click.option(
    "--max-pending", type=click.IntRange(min=1), help="Most jobs that wait or run; 3 on the open plan."
)
@click.option(
    "--jobs-per-minute", type=click.IntRange(min=1), help="Most jobs accepted in a minute; IBM documents 5."
)
@click.option(
    "--queue", type=duration, default="0s", help="Time that each job waits, such as 30s.  [default: 0s]"
)
@click.option(
    "--running", type=duration, default="0s", help="Time that each job runs, at least.  [default: 0s]"
)
@click.option("--limit", type=duration, help="QPU time left, such as 10m.  [default: no limit]")
@click.option("--noise", is_flag=True, help="Simulate with the systems' errors.")
@click.option(
    "--faults", type=share, default="0%", help="Share of requests that go wrong, such as 5%.  [default: 0%]"
)
@click.option("--seed", type=click.IntRange(min=0), help="Makes results and faults repeatable.")
@click.option(
    "--instance",
    envvar="QISKIT_IBM_INSTANCE",
    help="CRN or name of the instance, for a program that names it.  [default: QISKIT_IBM_INSTANCE]",
)
@output_option("Also write the report to a file, JSON.")
@json_option
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
def rehearse_command(
    *,
    backends: tuple[str, ...],
    max_pending: int | None,
    jobs_per_minute: int | None,
    queue: float,
    running: float,
    limit: float | None,
    noise: bool,
    faults: float,
    seed: int | None,
    instance: str | None,
    output: Path | None,
    as_json: bool,
    command: tuple[str, ...],
) -> None:
    r"""Run a program against IBM Quantum on this machine, and report what it would have taken.

    The program is run as it is; its requests go to a service on 127.0.0.1, where its jobs are simulated. No request
    reaches IBM, whatever token the program brings, and it keeps a journal of its own. The report follows on standard
    error; the exit code is the program's. Needs the extra `loopback`.

    \b
    Examples:
      threaded-ibmq rehearse -- python train.py
      threaded-ibmq rehearse --backend ibm_torino --max-pending 3 --queue 30s -- python train.py
      threaded-ibmq rehearse --noise --faults 5% --seed 1 -- python train.py --steps 10
      threaded-ibmq rehearse --limit 10m -o report.json -- python train.py
    """
    _require_extra()
    # before the imports and the start, which take seconds
    note(
        f"Rehearsal on this machine: {' '.join(command)}\nruns against a pretended {', '.join(backends)} on 127.0.0.1. Nothing is "
        "sent to IBM; the report comes when it has ended."
    )
    fields = {
        "backends": backends,
        "max_pending": max_pending,
        "jobs_per_minute": jobs_per_minute,
        "queue_secs": queue,
        "job_secs": running,
        "usage_limit_secs": limit,
        "noise": noise,
        "seed": seed,
    }
    rehearsal = rehearse(_config(fields, instance), faults, seed or 0, command, quiet_stdout=as_json)
    report = make_report(rehearsal)
    if output is not None:
        with writing(output):
            output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if as_json:
        say_json(report)
    else:
        say_report(report)
    sys.exit(rehearsal.exit_code)


def _require_extra() -> None:
    from importlib.util import find_spec

    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise click.ClickException(
            f"a rehearsal needs {', '.join(missing)}. Install the extra: "
            'pip install "pennylane-threaded-ibmq[loopback]"'
        )


def _config(fields: dict[str, Any], instance: str | None) -> LoopbackConfig:
    from pydantic import ValidationError

    from ..loopback import Instance, LoopbackConfig

    own = {} if not instance else {"crn" if _CRN.fullmatch(instance) else "name": instance}
    try:
        return LoopbackConfig(any_token=True, instances=(Instance(**own),), **fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise click.UsageError(f"{where}: {first['msg']}" if where else str(first["msg"])) from None


def rehearse(
    config: LoopbackConfig, faults: float, seed: int, command: tuple[str, ...], *, quiet_stdout: bool
) -> Rehearsal:
    """Run a program against a service of its own.

    Args:
        config: What the service pretends to be.
        faults: Share of requests that go wrong.
        seed: Of the faults.
        command: The program; its ``python`` is the one that runs this.
        quiet_stdout: Send what the program prints to standard error.

    Raises:
        ClickException: The service or the program could not be started.
    """
    import tempfile

    from ..loopback import LoopbackProcess, fault_mix

    service = LoopbackProcess(config)
    try:
        service.start()
    except RuntimeError as error:
        raise click.ClickException(f"the rehearsal could not start: {error}.") from None
    with tempfile.TemporaryDirectory(prefix="threaded-ibmq-rehearsal-") as home:
        try:
            if faults:
                service.inject(*fault_mix(faults, seed))
            environment = _environment(
                service.environment(token=config.tokens[0], instance=config.instances[0].crn)
            )
            started = time.monotonic()
            exit_code = _run(command, {**environment, HOME_VARIABLE: home}, quiet_stdout=quiet_stdout)
            secs = time.monotonic() - started
            return Rehearsal(command, exit_code, secs, config, service.counters, service.jobs)
        finally:
            service.stop()


def _environment(variables: dict[str, str]) -> dict[str, str]:
    """This process's environment without its accounts, and with the service's."""
    from ..loopback.environment import account_variables

    accounts = {*account_variables(os.environ), ESTIMATE_VARIABLE}
    own = {name: value for name, value in os.environ.items() if name not in accounts}
    # as in an activated environment: python is the one that has the packages
    path = os.pathsep.join([str(Path(sys.executable).parent), own.get("PATH", os.defpath)])
    return {**own, **variables, "PATH": path}


def _run(command: tuple[str, ...], environment: dict[str, str], *, quiet_stdout: bool) -> int:
    """Run a program to its end; its exit code, as a shell has it."""
    import shutil
    import subprocess

    # Windows would look for it where this process was started from
    program = shutil.which(command[0], path=environment["PATH"]) or command[0]
    with _patient():
        try:
            status = subprocess.run(  # noqa: S603 - the user's own program
                [program, *command[1:]],
                env=environment,
                stdout=sys.stderr if quiet_stdout else None,
                check=False,
            ).returncode
        except OSError as error:
            raise click.ClickException(f"{command[0]} could not be started: {error.strerror}.") from None
    return 128 - status if status < 0 else status


@contextmanager
def _patient() -> Iterator[None]:
    """Ctrl-C is the program's affair: it ends by it, and then comes the report."""
    # a handler and not SIG_IGN, which the program would inherit
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
