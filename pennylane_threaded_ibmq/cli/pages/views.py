"""Contents of the pages, read from the journal, the budgets and the database of circuits: plain values, no markup."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...progress.pictures import picture_uri
from ...progress.timeline import timeline_of
from ...settings import home_folder
from ...store.history import FILE, CircuitRecord, circuits
from ...store.journal import Journal
from ...store.ledger import InstanceBudget, Ledger
from ..journal import charged, open_journal, shard_standing, shard_wait, standing
from ..output import moment, span

if TYPE_CHECKING:
    from ...store.records import BatchRecord, ShardRecord

JOB_PAGE = "https://quantum.cloud.ibm.com/workloads/{}"
"""Address at which IBM shows a job; the classic service's pages are gone."""


@dataclass(frozen=True)
class JobRow:
    """One shard of a batch.

    Attributes:
        number: Its place in the batch.
        tapes: How many tapes it carries.
        state: How it stands, in a word or two.
        wait: Since when its job waits or runs, and its place in the queue; empty for others.
        job_id: Its job, if there is one.
        link: Where IBM shows the job; empty for none.
        attempt: Which try it is, from 1.
        usage: QPU seconds that were charged, as text.
        error: Why it failed.
    """

    number: int
    tapes: int
    state: str
    wait: str
    job_id: str
    link: str
    attempt: int
    usage: str
    error: str


@dataclass(frozen=True)
class BatchView:
    """A batch.

    Attributes:
        id: Its id.
        backend: Where it runs.
        instance: Who pays.
        created: When it was planned.
        tapes: How many tapes it has.
        state: How it stands, in a few words.
        open: Whether there are results that nobody has got.
        usage: QPU seconds that were charged, as text.
        jobs: Its shards.
        secs: How long it took, or has taken so far, as text.
        tags: Tags that the user gave it.
        light: Its timeline as an address of data; empty in a list of batches.
        dark: The same for a dark page.
    """

    id: str
    backend: str
    instance: str
    created: str
    tapes: int
    state: str
    open: bool
    usage: str
    jobs: tuple[JobRow, ...]
    secs: str = ""
    tags: tuple[str, ...] = ()
    light: str = ""
    dark: str = ""


class Views:
    """Reads what the pages show; every look reads anew.

    Args:
        journal_path: File of the journal; ``None`` for the usual one.
        limit: Most batches, and most circuits, to show.
    """

    def __init__(self, journal_path: Path | None, limit: int) -> None:
        self._path = journal_path
        self._limit = limit

    def batches(self) -> tuple[BatchView, ...]:
        """The latest batches, newest first."""
        journal = self._journal()
        return () if journal is None else tuple(map(_view, journal.batches(limit=self._limit)))

    def batch(self, batch_id: str) -> BatchView | None:
        """A batch with its timeline; ``None`` if there is none of this id."""
        journal = self._journal()
        if journal is None or batch_id not in journal.ids(batch_id, most=2):
            return None
        return _view(journal.batch(batch_id), picture=True)

    def budgets(self) -> tuple[InstanceBudget, ...]:
        """Budgets of instances."""
        journal = self._journal()
        return () if journal is None else Ledger(journal.path).budgets()

    def circuits(self) -> tuple[CircuitRecord, ...]:
        """Circuits that executors ran last."""
        return circuits(home_folder() / FILE, self._limit)

    def _journal(self) -> Journal | None:
        return open_journal(self._path)


def _view(batch: BatchRecord, *, picture: bool = False) -> BatchView:
    line = timeline_of(batch)
    draw: Callable[[bool], str] = (lambda dark: picture_uri(line, dark=dark)) if picture else (lambda _: "")
    on_platform = batch.instance.startswith("crn:")
    return BatchView(
        batch.id,
        batch.backend,
        batch.instance,
        moment(batch.created),
        batch.tapes,
        standing(batch),
        batch.open,
        _secs(charged(batch)),
        tuple(_row(batch, shard, on_platform=on_platform) for shard in batch.shards),
        span(line.secs) if batch.steps else "",
        batch.tags,
        draw(False),
        draw(True),
    )


def _row(batch: BatchRecord, shard: ShardRecord, *, on_platform: bool) -> JobRow:
    # only what IBM's ids are made of becomes part of an address
    link = JOB_PAGE.format(shard.job_id) if on_platform and shard.job_id.isalnum() else ""
    return JobRow(
        shard.number,
        len(shard.tapes),
        shard_standing(shard),
        shard_wait(batch, shard),
        shard.job_id,
        link,
        shard.attempt,
        _secs(shard.usage_secs),
        shard.error,
    )


def _secs(value: float | None) -> str:
    return "" if value is None else f"{value:.3g} s"
