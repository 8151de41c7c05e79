"""The pages as HTML, live or as files: the journal, its batches and budgets, and what executors ran.

Jinja escapes whatever is put into one, so that no name of a circuit or backend can be more than text.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..._compat import cached_property
from ..._printable import printable
from ..._private import make_private_file
from ...progress.pictures import picture_uri
from ...progress.timeline import timeline_of
from ...settings import home_folder
from ...store.history import FILE, circuits
from ...store.ledger import Ledger
from ...store.records import ShardState
from ..journal import open_journal, shard_standing, shard_wait, standing, total_charge
from ..output import moment, span

if TYPE_CHECKING:
    from ...store.records import BatchRecord, ShardRecord

STATIC = ("style.css", "live.js")
"""Files that pages refer to, beside the first page."""

JOB_PAGE = "https://quantum.cloud.ibm.com/workloads/{}"
"""Address at which IBM shows a job; the classic service's pages are gone."""


class Pages:
    """Renders pages; every one reads anew what it shows.

    Args:
        journal_path: File of the journal; ``None`` for the usual one.
        limit: Most batches, and most circuits, to show.
        root: Address of the first page's folder, with a slash at its end; empty for pages in a folder, which find each
            other by relative addresses.
        live: Seconds between two looks of a page at the server; ``None`` for pages that stay as they are.
    """

    def __init__(
        self, journal_path: Path | None, limit: int, *, root: str = "", live: float | None = None
    ) -> None:
        self._path = journal_path
        self._limit = limit
        self._root = root
        self._live = live

    def index(self) -> str:
        """The first page: budgets and the latest batches, newest first."""
        journal = open_journal(self._path)
        budgets = () if journal is None else Ledger(journal.path).budgets()
        return self._render("index.html", batches=self._batches(), budgets=budgets)

    def batch(self, batch_id: str) -> str | None:
        """The page of a batch, with its timeline; ``None`` if there is none of this id."""
        journal = open_journal(self._path)
        if journal is None or batch_id not in journal.ids(batch_id, most=2):
            return None
        return self._render("batch.html", above="../", batch=journal.batch(batch_id))

    def circuits(self) -> str:
        """The page of circuits that executors ran last."""
        return self._render("circuits.html", circuits=circuits(home_folder() / FILE, self._limit))

    def file(self, name: str) -> str:
        """One of the files that pages refer to."""
        return str(self._environment.get_template(name).render())

    def write(self, folder: Path) -> tuple[Path, ...]:
        """Write all pages into a folder, for its owner alone.

        Args:
            folder: Where they go; made if it is not there.

        Returns:
            The files, the first page first.
        """
        texts = {
            "index.html": self.index(),
            "circuits.html": self.circuits(),
            "style.css": self.file("style.css"),
        }
        for batch in self._batches():
            # a name of a file; ids are letters and numbers, unless somebody has written others into the journal
            page = self.batch(batch.id) if batch.id.isalnum() else None
            if page is not None:  # it may have been pruned meanwhile
                texts[f"batch/{batch.id}.html"] = page
        return tuple(_write(folder / name, text) for name, text in texts.items())

    def _batches(self) -> tuple[BatchRecord, ...]:
        journal = open_journal(self._path)
        return () if journal is None else journal.batches(limit=self._limit)

    def _render(self, template: str, *, above: str = "", **values: Any) -> str:
        served = bool(self._root)
        return str(
            self._environment.get_template(template).render(
                root=self._root if served else above,
                index="" if served else "index.html",
                suffix="" if served else ".html",
                live=self._live,
                **values,
            )
        )

    @cached_property
    def _environment(self) -> Any:
        try:
            from jinja2 import Environment, PackageLoader, StrictUndefined
        except ImportError:
            raise click.ClickException(
                "pages need jinja2: pip install 'pennylane-threaded-ibmq[pages]'."
            ) from None
        environment = Environment(
            loader=PackageLoader(__package__),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            # control characters are shown, not obeyed by whoever copies them into a terminal
            finalize=lambda value: printable(value) if type(value) is str else value,
        )
        environment.filters.update(
            charge=lambda seconds: "" if seconds is None else f"{seconds:.3g} s",
            link=_link,
            moment=moment,
            picture=picture_uri,
            results=_results,
            shard_standing=shard_standing,
            span=span,
            standing=standing,
            timeline=timeline_of,
            total_charge=total_charge,
            wait=shard_wait,
        )
        return environment


def _results(batch: BatchRecord) -> int:
    """The number of shards that have a result, here or in the batch that took them over."""
    return sum(s.delivered or s.adopted or s.state is ShardState.DONE for s in batch.shards)


def _link(batch: BatchRecord, shard: ShardRecord) -> str:
    """The address at which IBM shows the job of a shard; empty for none. Only what IBM's ids are made of becomes part of an address."""
    on_platform = batch.instance.startswith("crn:")
    return JOB_PAGE.format(shard.job_id) if on_platform and shard.job_id.isalnum() else ""


def _write(path: Path, text: str) -> Path:
    make_private_file(path)
    path.write_text(text, encoding="utf-8")
    return path
