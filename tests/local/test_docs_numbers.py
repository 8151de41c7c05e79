"""The bounds that the documentation gives are those of the code."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
ROW = re.compile(
    r"^\| (?P<what>[^|]+) \| (?P<number>[0-9.]+) \| `(?P<module>[a-z_.]+)\.(?P<name>[A-Z_]+)` \|$",
    re.MULTILINE,
)
ROWS = [row.groupdict() for row in ROW.finditer(PAGE.read_text(encoding="utf-8"))]


def test_there_are_numbers():
    assert len(ROWS) >= 20


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_a_number_is_that_of_the_code(row):
    module = import_module(f"pennylane_threaded_ibmq.{row['module']}")
    assert getattr(module, row["name"]) == float(row["number"]), row["what"]
