"""The pages as files in a folder, to keep or to hand on."""

from __future__ import annotations

from pathlib import Path

from ..._private import make_private_file
from .render import Pages
from .views import Views


def write_site(views: Views, folder: Path) -> tuple[Path, ...]:
    """Write all pages into a folder, for its owner alone.

    Args:
        views: What they show.
        folder: Where they go; made if it is not there.

    Returns:
        The files, the first page first.
    """
    pages = Pages(views)
    texts = {
        "index.html": pages.index(),
        "circuits.html": pages.circuits(),
        "style.css": pages.file("style.css"),
    }
    for batch in views.batches():
        # a name of a file; ids are letters and numbers, unless somebody has written others into the journal
        page = pages.batch(batch.id) if batch.id.isalnum() else None
        if page is not None:  # it may have been pruned meanwhile
            texts[f"batch/{batch.id}.html"] = page
    return tuple(_write(folder / name, text) for name, text in texts.items())


def _write(path: Path, text: str) -> Path:
    make_private_file(path)
    path.write_text(text, encoding="utf-8")
    return path
