"""The examples of the documentation that are meant for the classic stack run as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
BLOCK = re.compile(r"^```python no-run classic\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = [page for page in sorted(DOCS.glob("**/*.md")) if BLOCK.search(page.read_text(encoding="utf-8"))]


def test_there_are_examples():
    assert DOCS / "howto" / "classic.md" in PAGES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_run(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("THREADED_IBMQ_HOME", str(tmp_path))
    names = {"__name__": "__main__"}
    for code in BLOCK.findall(page.read_text(encoding="utf-8")):
        exec(compile(code, str(page), "exec"), names)
    printed = capsys.readouterr().out
    for promised in re.findall(r"\bjobs\"\)  # (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE):
        assert promised in printed
