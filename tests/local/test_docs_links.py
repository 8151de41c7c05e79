"""Links and names of the documentation: what is pointed at is there, and what can be raised is explained."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pennylane_threaded_ibmq import exceptions

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md")])
FENCE = re.compile(r"^ *(`{3,}|~{3,}|:{3,}).*?^ *\1 *$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)]*)\)")
HEADING = re.compile(r"^#{1,3} (.+?)\s*$", re.MULTILINE)


def prose(page):
    """A page without its blocks of code."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def links(page):
    return LINK.findall(prose(page))


def anchors(page):
    """What headings are called in links, by GitHub and by MyST."""
    titles = (re.sub(r"[`*]|\]\([^)]*\)|\[", "", title) for title in HEADING.findall(prose(page)))
    return {re.sub(r"[^\w\- ]", "", title.lower().replace(" ", "-")) for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_inside_the_project_lead_somewhere(page):
    for link in links(page):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_file(), f"{page.name}: {link}: there is no such file"
        assert target.is_relative_to(ROOT), f"{page.name}: {link} leaves the project"
        if anchor:
            assert anchor in anchors(target), (
                f"{page.name}: {link}: no such heading, but {sorted(anchors(target))}"
            )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_elsewhere_are_well_formed(page):
    for link in links(page):
        if "://" in link:
            parts = urlsplit(link)
            assert parts.scheme == "https", link
            assert re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", parts.netloc), link
            assert not re.search(r"\s", link), link


def test_every_page_is_in_the_table_of_contents():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    listed = {
        line for block in re.findall(r"```\{toctree\}(.*?)```", index, re.DOTALL) for line in block.split()
    }
    pages = {str(p.relative_to(ROOT / "docs").with_suffix("")) for p in (ROOT / "docs").glob("**/*.md")}
    assert pages - listed == {"index"}


def test_no_two_pages_have_one_title():
    titles = [HEADING.search(prose(p))[1] for p in sorted((ROOT / "docs").glob("**/*.md"))]
    assert sorted(titles) == sorted(set(titles))


def test_the_readme_leads_to_every_page_that_helps_to_do_something():
    led_to = {link for link in links(ROOT / "README.md") if link.startswith("docs/")}
    for folder in ("tutorials", "howto"):
        for page in (ROOT / "docs" / folder).glob("*.md"):
            if page.name != "loopback.md":  # for developers, behind the page on rehearsing
                assert f"docs/{folder}/{page.name}" in led_to


def test_troubleshooting_knows_every_class_that_can_be_raised():
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    missing = [name for name in exceptions.__all__ if f"`{name}`" not in page]
    assert missing == ["ThreadedIBMQError"]
    for name in re.findall(r"^\| `(\w+(?:Error|Warning))`", page, re.MULTILINE):
        assert name in exceptions.__all__


EXPLAINED = re.compile(r"^### (.+?)\s*$", re.MULTILINE)
NOT_OURS = {
    "contain wires not found on the device",
    "not accepted with finite shots",
    "ensurepip is not available",
    "cannot import name 'concrete_or_error' from 'jax.core",
    "The environment seems broken",
    "Small calls are slow where JAX is installed",
}
"""Messages of others, and what no message says."""


def test_the_words_of_the_explained_messages_are_those_that_are_raised():
    """Each heading of the page is a part of a message, with three dots for what differs."""
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    sources = [*(ROOT / "pennylane_threaded_ibmq").glob("**/*.py"), ROOT / "tasks.py"]
    # texts that are broken over lines of source are joined, and values are dropped
    code = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    code = re.sub(r'"\s*\n\s*f?"', "", code)
    code = re.sub(r"\{[^{}]*\}", "", code)
    unknown = []
    for title in EXPLAINED.findall(page):
        for alternative in title.split(", "):
            words = [part.strip(" :='`\"") for part in re.split(r"\.\.\.|'\.\.\.'|=", alternative)]
            unknown += [p for p in words if p and p not in code and p not in NOT_OURS]
    assert unknown == []
