"""The pages as HTML. Jinja escapes whatever is put into one, so that no name of a circuit or backend can be more than text."""

from __future__ import annotations

from typing import Any

import click

from ..._compat import cached_property
from ..._printable import printable
from .views import Views

STATIC = ("style.css", "live.js")
"""Files that pages refer to, beside the first page."""


class Pages:
    """Renders pages.

    Args:
        views: What they show.
        root: Address of the first page's folder, with a slash at its end; empty for pages in a folder, which find each
            other by relative addresses.
        live: Seconds between two looks of a page at the server; ``None`` for pages that stay as they are.
    """

    def __init__(self, views: Views, *, root: str = "", live: float | None = None) -> None:
        self._views = views
        self._root = root
        self._live = live

    def index(self) -> str:
        """The first page: budgets and batches."""
        return self._render("index.html", batches=self._views.batches(), budgets=self._views.budgets())

    def batch(self, batch_id: str) -> str | None:
        """The page of a batch; ``None`` if there is none of this id."""
        batch = self._views.batch(batch_id)
        return None if batch is None else self._render("batch.html", above="../", batch=batch)

    def circuits(self) -> str:
        """The page of circuits that executors ran."""
        return self._render("circuits.html", circuits=self._views.circuits())

    def file(self, name: str) -> str:
        """One of the files that pages refer to."""
        return str(self._environment.get_template(name).render())

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
        return Environment(
            loader=PackageLoader(__package__),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            # control characters are shown, not obeyed by whoever copies them into a terminal
            finalize=lambda value: printable(value) if type(value) is str else value,
        )
