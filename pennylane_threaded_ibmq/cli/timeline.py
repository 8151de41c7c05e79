"""``threaded-ibmq timeline``: a batch of the journal over time, as a picture, a table or JSON."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .._quantity import quantity
from .journal import find_batch
from .options import Command, journal_option, json_option, output_option
from .output import iso, note, say_json, say_table, span, writing

if TYPE_CHECKING:
    from ..progress.timeline import Timeline
    from ..store.records import BatchRecord


@click.command("timeline", cls=Command, short_help="Draw a batch over time.")
@click.argument("batch_id", metavar="ID")
@output_option("File for the picture: .png, .svg, .pdf or .html.  [default: a table on standard output]")
@click.option("--dark", is_flag=True, help="For a dark background. A page follows its reader by itself.")
@journal_option
@json_option
def timeline_command(
    *, batch_id: str, output: Path | None, dark: bool, journal_path: Path | None, as_json: bool
) -> None:
    r"""Draw a batch over time: what was sent when, and how long it queued and ran.

    Nothing is asked of IBM: the journal has the times. The first letters of the ID are enough. A picture needs the extra
    pennylane-threaded-ibmq[pictures].

    \b
    Examples:
      threaded-ibmq timeline 3f2a -o timeline.png
      threaded-ibmq timeline 3f2a -o timeline.svg --dark
      threaded-ibmq timeline 3f2a --json
    """
    from ..progress.timeline import timeline_of

    _, batch = find_batch(journal_path, batch_id)
    if output is not None:
        _draw(batch, output, dark=dark)
    timeline = timeline_of(batch)
    if as_json:
        say_json(timeline_json(batch, timeline, output))
    elif output is None:
        say_table(
            ("SHARD", "TRY", "LANE", "PHASE", "FROM S", "TO S", "JOB", "END"),
            [one.cells for one in timeline.spans],
            empty="Nothing of this batch was sent.",
        )
    else:
        note(f"{quantity(timeline.shards, 'shard')} over {span(timeline.secs)} in {output}.")


def timeline_json(batch: BatchRecord, timeline: Timeline, output: Path | None) -> dict[str, Any]:
    """A timeline for programs: each event with its time, and the stretches that lie between them in seconds."""
    return {
        "batch": batch.id,
        "backend": batch.backend,
        "created": iso(batch.created),
        "secs": timeline.secs,
        "finished": timeline.finished,
        "retries": timeline.retries,
        "lanes": timeline.lanes,
        "events": [{**asdict(step), "at": iso(step.at), "phase": step.phase.shown} for step in batch.steps],
        "spans": [{**asdict(s), "phase": s.phase.shown} for s in timeline.spans],
        "output": output,
    }


def _draw(batch: BatchRecord, output: Path, *, dark: bool) -> None:
    from ..progress.pictures import SUFFIXES, save_timeline

    if output.suffix.lower() not in SUFFIXES:
        ends = f"ends with {output.suffix!r}" if output.suffix else "has no ending"
        raise click.BadParameter(f"{output} {ends}; write {', '.join(SUFFIXES)}.", param_hint="--output")
    with writing(output):
        save_timeline(batch, output, dark=dark)
