"""Tables for notebooks: HTML that takes its colours from the page, and in which no name can be more than text."""

from __future__ import annotations

import html
import time
from collections.abc import Iterable, Sequence
from typing import Tuple  # a base class, which Python 3.8 wants so

from ..store.records import BatchRecord
from .timeline import Span, Timeline

MOST_ROWS = 20
"""Rows that a notebook shows."""


class BatchList(Tuple[BatchRecord, ...]):
    """Batches of the journal; a notebook shows them as a table."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return html_table(
            ("batch", "backend", "planned", "tapes", "shards", "jobs", "state", "tags"),
            (
                (
                    batch.id,
                    batch.backend,
                    time.strftime("%Y-%m-%d %H:%M", time.localtime(batch.created)),
                    batch.tapes,
                    len(batch.shards),
                    len(batch.job_ids),
                    _state(batch),
                    ", ".join(batch.tags),
                )
                for batch in self
            ),
            nothing="no batches",
        )


def _state(batch: BatchRecord) -> str:
    if batch.taken_over_by:
        return f"taken over by {', '.join(batch.taken_over_by)}"
    return "open" if batch.open else "delivered"


def html_table(
    head: Sequence[str], rows: Iterable[Sequence[object]], *, nothing: str = "", most: int = MOST_ROWS
) -> str:
    """A table.

    Args:
        head: Titles of the columns.
        rows: Cells, written as text.
        nothing: What to say instead of a table without rows.
        most: Rows that are shown; of further ones it is said how many there are.
    """
    lines = list(rows)
    if not lines:
        return f"<em>{_text(nothing)}</em>" if nothing else ""
    body = [f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in lines[:most]]
    if len(lines) > most:
        body.append(f"<tr><td colspan='{len(head)}'>and {len(lines) - most} more</td></tr>")
    titles = "".join(f"<th>{_text(title)}</th>" for title in head)
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def html_shards(timeline: Timeline) -> str:
    """The shards of a batch that have left this machine, as a table for a notebook."""
    last: dict[int, Span] = {span.shard: span for span in timeline.spans}
    return html_table(
        ("shard", "try", "state", "last phase", "job"),
        (
            (
                shard,
                span.attempt,
                span.outcome or span.phase.shown,
                f"{span.start:.1f} to {span.end:.1f} s",
                span.job_id,
            )
            for shard, span in sorted(last.items())
        ),
    )


def html_facts(title: str, facts: Sequence[tuple[str, object]]) -> str:
    """A title and a table of names and values."""
    rows = "".join(
        f"<tr><th style='text-align:left'>{_text(name)}</th><td style='text-align:left'>{_text(value)}</td></tr>"
        for name, value in facts
    )
    return f"<div><strong>{_text(title)}</strong><table><tbody>{rows}</tbody></table></div>"


def _text(value: object) -> str:
    return html.escape(str(value))
