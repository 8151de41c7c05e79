"""``threaded-ibmq resume``: collect the results of a batch, whichever program sent it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .._quantity import quantity
from .journal import find_batch
from .options import Command, device_options, duration, journal_option, json_option, output_option
from .output import note, say_json, writing

if TYPE_CHECKING:
    from ..store.records import BatchRecord

ADVICE = " --send sends what is missing, and it is paid for."
RESERVED = frozenset({"backend", "instance", "journal", "wires", "shots", "ibmqx_token"})


def _advice(name: str) -> str:
    """The advice on an option that cannot be given."""
    if name in RESERVED:
        return "the batch says it"
    return "" if name else "write NAME=VALUE"


@click.command("resume", cls=Command, short_help="Collect the results of a batch, or send the rest.")
@click.argument("batch_id", metavar="ID")
@output_option("File for the results, JSON.  [default: standard output]")
@click.option("--timeout", type=duration, help="Longest wait, such as 10m.  [default: for ever]")
@click.option("--send", is_flag=True, help="Also send, and pay for, what has no job or whose job failed.")
@device_options(
    "An option for the device; those that shape its jobs, such as primitive, are in the journal.", _advice
)
@journal_option
@json_option
def resume_command(
    *,
    batch_id: str,
    output: Path | None,
    timeout: float | None,
    send: bool,
    options: dict[str, Any],
    journal_path: Path | None,
    as_json: bool,
) -> None:
    r"""Collect the results of a batch: fetch those that are there, wait for the others.

    Nothing is sent, and so nothing is paid, without --send. The results are a list, one entry a tape; a tape without a
    result has null, and the exit code is 1. Ctrl-C ends the waiting, and the jobs run on.

    \b
    Examples:
      threaded-ibmq resume 3f2a -o results.json
      threaded-ibmq resume 3f2a --timeout 10m
      threaded-ibmq resume 3f2a --send --option max_usage_secs=60
    """
    from ..exceptions import ShardFailedError, SubmissionError, WaitTimeoutError

    _, batch = find_batch(journal_path, batch_id)
    failed: ShardFailedError | None = None
    # whoever only collects does not give up what was sent; threaded-ibmq cancel does
    options = {"on_interrupt": "detach", **options}
    with _device(batch, journal_path, options) as device:
        try:
            handle = device.resume(batch.id, send=send)
            results = handle.result(timeout)
        except KeyboardInterrupt:
            if options["on_interrupt"] == "detach":
                note(f"\nThe jobs run on. Come back: threaded-ibmq resume {batch.id}")
            raise
        except ShardFailedError as error:
            failed, results = error, error.results
        except SubmissionError as error:
            raise click.ClickException(f"{error}{'' if send else ADVICE}") from None
        except WaitTimeoutError as error:
            handle.detach()
            jobs = ", ".join(error.job_ids) or "what was sent"
            raise click.ClickException(
                f"no result of the whole batch within {timeout:g} s; {jobs} runs on. Come back: threaded-ibmq resume "
                f"{error.batch_id or batch.id}"
            ) from None
    values = [plain(result) for result in results]
    if output is not None:
        with writing(output):
            output.write_text(json.dumps(values) + "\n", encoding="utf-8")
    if as_json:
        missing = [] if failed is None else [int(position) for position in failed.tapes]
        say_json({"batch": batch.id, "results": values, "missing": missing, "output": output})
    elif output is None:
        say_json(values)
    else:
        note(
            f"{sum(r is not None for r in results)} of {quantity(len(results), 'result is', 'results are')} in {output}."
        )
    if failed is not None:
        raise click.ClickException(f"{failed}{'' if send else ADVICE}")


def _device(batch: BatchRecord, journal_path: Path | None, options: dict[str, Any]) -> Any:
    """A device like the one that sent the batch."""
    from ..device import ThreadedIBMQDevice
    from ..resources import RESOURCES
    from ..settings import load_settings
    from ..store.journal import Journals
    from ..store.records import is_digest

    objects = [name for name, value in batch.options.items() if is_digest(value)]
    if objects:
        raise click.ClickException(
            f"batch {batch.id} was sent with objects as {', '.join(objects)}, or a secret in it, which no command line can give. Make the same "
            f"device in a program, and call its resume({batch.id!r})."
        )
    settings = load_settings({"journal": journal_path or True})
    assert settings.journal_file is not None
    tapes = RESOURCES.get(Journals).at(settings.journal_file).tapes(batch.id)
    wires = list(dict.fromkeys(wire for tape in tapes for wire in tape.wires))
    return ThreadedIBMQDevice(
        wires or 1,
        backend=batch.backend,
        instance=batch.instance or None,
        journal=settings.journal_file,
        **{**batch.options, **options},
    )


def plain(result: Any) -> Any:
    """A result as JSON has it: arrays as lists, complex numbers as ``[real, imaginary]``."""
    if isinstance(result, dict):
        return {str(key): plain(value) for key, value in result.items()}
    if isinstance(result, (list, tuple)):
        return [plain(part) for part in result]
    if hasattr(result, "tolist"):
        return plain(result.tolist())
    if isinstance(result, complex):
        return [result.real, result.imag]
    return result
