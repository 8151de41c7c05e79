"""The journal on the command line: ``batches``, ``show``, ``cancel``, ``prune``."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .._quantity import quantity
from .options import Command, account_options, duration, journal_option, json_option
from .output import iso, moment, note, say_facts, say_json, say_table

if TYPE_CHECKING:
    from ..store.journal import Journal
    from ..store.records import BatchRecord, ShardRecord


def open_journal(path: Path | None) -> Journal | None:
    """The journal; ``None`` if there is no file, which looking must not make.

    Args:
        path: A file; ``None`` for the usual one.

    Raises:
        ClickException: A file was named that does not exist.
    """
    from ..resources import RESOURCES
    from ..settings import load_settings
    from ..store.journal import Journals

    file = path or load_settings({}).journal_file
    if file is None or not file.exists():
        if path is not None:
            raise click.ClickException(f"there is no journal {path}.")
        return None
    return RESOURCES.get(Journals).at(file)


def find_batch(path: Path | None, batch_id: str) -> tuple[Journal, BatchRecord]:
    """The batch whose id begins with some letters.

    Raises:
        ClickException: There is none, or more than one.
    """
    journal = open_journal(path)
    ids = () if journal is None else journal.ids(batch_id, most=5)
    if journal is None or not ids:
        raise click.ClickException(
            f"batch {batch_id!r} is not in the journal; threaded-ibmq batches lists those that are."
        )
    if len(ids) > 1 and batch_id not in ids:
        raise click.ClickException(f"{batch_id!r} may be {', '.join(ids)}; give more letters.")
    return journal, journal.batch(batch_id if batch_id in ids else ids[0])


def standing(batch: BatchRecord) -> str:
    """The standing of a batch, in a word or two."""
    if batch.delivered:
        return "delivered"
    states = [shard_standing(shard) for shard in batch.shards]
    if len(set(states)) == 1 and batch.shards[0].adopted:
        return states[0]
    return ", ".join(f"{number} {state}" for state, number in Counter(states).items())


def shard_standing(shard: ShardRecord) -> str:
    """The standing of a shard: what became of its results, or how far its job has got."""
    if shard.delivered:
        return "delivered"
    if shard.adopted:
        return f"taken over by {shard.adopter or 'a later batch'}"
    return str(shard.state)


def shard_wait(batch: BatchRecord, shard: ShardRecord) -> str:
    """The wait of a job that waits or runs: since when, and its place in the queue; empty for others."""
    from ..store.records import ShardState

    if shard.state is not ShardState.ACCEPTED or shard.delivered or shard.adopted:
        return ""
    steps = [s for s in batch.steps if (s.shard, s.attempt) == (shard.number, shard.attempt)]
    since = f" since {moment(steps[-1].at)}" if steps else ""
    if steps and steps[-1].phase is ShardState.RUNNING:
        return f"runs{since}"
    place = "" if shard.queue_position is None else f", place {shard.queue_position}"
    start = "" if shard.starts_at is None else f", expected to start {moment(shard.starts_at)}"
    return f"queued{since}{place}{start}"


def total_charge(batch: BatchRecord) -> float | None:
    """QPU seconds that are known to have been charged."""
    charges = [shard.usage_secs for shard in batch.shards if shard.usage_secs is not None]
    return sum(charges) if charges else None


def batch_json(batch: BatchRecord) -> dict[str, Any]:
    """A batch for programs."""
    return {
        **asdict(batch),
        "created": iso(batch.created),
        "state": standing(batch),
        "open": batch.open,
        "taken_over_by": batch.taken_over_by,
        "usage_secs": total_charge(batch),
        # a number of 63 bits is not read exactly everywhere, and nobody needs it
        "shards": [
            {name: value for name, value in asdict(shard).items() if name not in {"seed", "batch"}}
            for shard in batch.shards
        ],
        "steps": [{**asdict(step), "at": iso(step.at), "phase": step.phase.shown} for step in batch.steps],
    }


@click.command("batches", cls=Command, short_help="List what was sent to IBM Quantum from here.")
@click.option(
    "-n", "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Most to list."
)
@click.option(
    "--open", "only_open", is_flag=True, help="Only those whose results no program has got, nor taken over."
)
@click.option(
    "--tag",
    "tags",
    multiple=True,
    metavar="TAG",
    help="Only those with this tag; repeated, with all of them.",
)
@journal_option
@json_option
def batches_command(
    *, limit: int, only_open: bool, tags: tuple[str, ...], journal_path: Path | None, as_json: bool
) -> None:
    r"""List batches that were sent to IBM Quantum from this machine, newest first.

    \b
    Examples:
      threaded-ibmq batches
      threaded-ibmq batches --open --json
      threaded-ibmq batches --tag night-run
    """
    journal = open_journal(journal_path)
    batches = () if journal is None else journal.batches(limit=limit, only_open=only_open, tags=tags)
    if as_json:
        say_json([batch_json(batch) for batch in batches])
        return
    say_table(
        ("BATCH", "CREATED", "BACKEND", "TAPES", "JOBS", "STATE", "QPU S", "TAGS"),
        [_row(batch) for batch in batches],
        empty=f"The journal has no {'open ' if only_open else ''}batch{' with these tags' if tags else ''}.",
    )


def _row(batch: BatchRecord) -> tuple[Any, ...]:
    """A batch in a list of them."""
    return (
        batch.id,
        moment(batch.created),
        batch.backend,
        batch.tapes,
        len(batch.job_ids),
        standing(batch),
        total_charge(batch),
        ", ".join(batch.tags),
    )


@click.command("show", cls=Command)
@click.argument("batch_id", metavar="ID")
@click.option("--offline", is_flag=True, help="Do not ask IBM for charges that the journal does not know.")
@account_options
@journal_option
@json_option
def show_command(
    *, batch_id: str, offline: bool, options: dict[str, Any], journal_path: Path | None, as_json: bool
) -> None:
    r"""Show one batch: its jobs, tries, charges and errors. The first letters of its ID are enough.

    IBM computes what a job is charged after it has ended. Charges that the journal does not know are asked for, where there is
    an account, and written into it.

    \b
    Examples:
      threaded-ibmq show 3f2a
      threaded-ibmq show 3f2a --json
    """
    journal, batch = find_batch(journal_path, batch_id)
    if not offline:
        batch = _with_charges(journal, batch, options)
    if as_json:
        say_json(batch_json(batch))
        return
    say_facts(
        {
            "batch": batch.id,
            "created": moment(batch.created),
            "backend": batch.backend,
            "instance": batch.instance,
            "tapes": batch.tapes,
            "tags": ", ".join(batch.tags) or None,
            "options": ", ".join(f"{k}={v!r}" for k, v in batch.options.items() if v not in ({}, None)),
            "state": standing(batch),
            "first job": next(filter(None, (shard_wait(batch, shard) for shard in batch.shards)), None),
            "QPU seconds": total_charge(batch),
        }
    )
    click.echo()
    say_table(
        ("SHARD", "TAPES", "STATE", "JOB", "TRY", "DELIVERED", "QPU S", "ERROR"),
        [
            (
                s.number,
                positions(s.tapes),
                s.state,
                s.job_id,
                s.attempt,
                "yes" if s.delivered else f"by {s.adopter or 'a later batch'}" if s.adopted else "no",
                s.usage_secs,
                s.error,
            )
            for s in batch.shards
        ],
    )
    if batch.open and batch.resumable:
        note(f"\nCollect its results: threaded-ibmq resume {batch.id} -o results.json")
    elif batch.open:
        note("\nIts tapes are not in the journal: run the program again, which takes over what is there.")
    elif batch.taken_over_by:
        note(f"\nWhat became of it: threaded-ibmq show {batch.taken_over_by[0]}")


def _with_charges(journal: Journal, batch: BatchRecord, options: dict[str, Any]) -> BatchRecord:
    """A batch with the charges that IBM tells now; a look at the journal never fails because IBM does not answer."""
    if not any(shard.job_id and shard.usage_secs is None for shard in batch.shards):
        return batch
    from ..exceptions import ThreadedIBMQError
    from ..execution.charges import ask_charges
    from .account import credentials

    try:
        account = credentials(batch.instance, options)
        if account is None:
            return batch
        from ..stacks.current.overview import Overview

        overview = Overview(account)
        return ask_charges(journal, batch, lambda shard: overview.usage_of(shard.job_id))
    except (ThreadedIBMQError, ModuleNotFoundError) as error:
        note(f"What IBM charged could not be asked: {error}")
        return batch


@click.command("cancel", cls=Command)
@click.argument("batch_id", metavar="ID")
@account_options
@journal_option
@json_option
def cancel_command(
    *, batch_id: str, options: dict[str, Any], journal_path: Path | None, as_json: bool
) -> None:
    r"""Cancel the jobs of a batch that wait or run. What is still queued is not charged.

    A program that waits for them gets an error.

    \b
    Examples:
      threaded-ibmq cancel 3f2a
    """
    from ..stacks.current.overview import Overview
    from ..store.records import ShardState
    from .account import credentials

    journal, batch = find_batch(journal_path, batch_id)
    account = credentials(batch.instance, options)
    if account is None:
        raise click.ClickException("there is no account; threaded-ibmq doctor tells how to add one.")
    pending = [s for s in batch.shards if s.state in {ShardState.SENDING, ShardState.ACCEPTED}]
    overview = Overview(account) if pending else None
    outcomes = []
    for shard in pending:
        assert overview is not None
        ids = (shard.job_id,) if shard.job_id else overview.find(shard.tag)
        cancelled = [job_id for job_id in ids if overview.cancel(job_id)]
        if cancelled:
            journal.move(batch.id, shard.number, ShardState.CANCELLED, tag=shard.tag, job_id=cancelled[0])
        outcomes += [{"job": job_id, "cancelled": job_id in cancelled} for job_id in ids]
    if as_json:
        say_json(outcomes)
        return
    say_table(
        ("JOB", "WHAT HAPPENED"),
        [(t["job"], "cancelled" if t["cancelled"] else "was finished already") for t in outcomes],
        empty="No job of this batch waits or runs.",
    )


@click.command("prune", cls=Command, short_help="Forget old batches that are finished.")
@click.option(
    "--older-than",
    type=duration,
    default="30d",
    show_default=True,
    help="Age from which a batch is forgotten, such as 30d or 12h.",
)
@journal_option
@json_option
def prune_command(*, older_than: float, journal_path: Path | None, as_json: bool) -> None:
    r"""Forget old batches that have nothing under way, and make the file smaller. What was sent and not collected is kept.

    \b
    Examples:
      threaded-ibmq prune
      threaded-ibmq prune --older-than 7d
    """
    journal = open_journal(journal_path)
    number = 0 if journal is None else journal.prune(time.time() - older_than)
    if as_json:
        say_json({"forgotten": number})
    else:
        click.echo(f"{quantity(number, 'batch', 'batches')} forgotten.")


def positions(numbers: tuple[int, ...]) -> str:
    """Positions with runs as ranges: ``0-3, 7``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
