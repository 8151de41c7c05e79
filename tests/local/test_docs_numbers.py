"""Bounds, options, fields and their defaults are those of the code, wherever the documentation has a table of them."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from pennylane_threaded_ibmq import IBMQExecutor, QCluster, QiskitExecutor, Simulator
from pennylane_threaded_ibmq.loopback import LoopbackConfig
from pennylane_threaded_ibmq.settings import Settings

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "reliability.md"
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


OPTION = re.compile(r"^\| (?P<names>`[^|]+) \| [^|]+ \| (?P<defaults>[^|]+) \|", re.MULTILINE)


def test_the_table_of_options_has_all_of_them_with_their_defaults():
    defaults = {}
    for row in OPTION.finditer((DOCS / "reference" / "options.md").read_text(encoding="utf-8")):
        names = re.findall(r"`(\w+)`", row["names"])
        texts = [text.strip(' `"') for text in row["defaults"].split(",")]
        defaults.update(zip(names, texts if len(texts) > 1 else texts * len(names), strict=True))
    assert (defaults.pop("wires"), defaults.pop("shots")) == ("none", "1024")
    code = {
        name: field.get_default(call_default_factory=True) for name, field in Settings.model_fields.items()
    }
    assert defaults == {name: "none" if value is None else str(value) for name, value in code.items()}


@pytest.mark.parametrize(
    ("model", "page"),
    [
        *((model, "reference/executor.md") for model in (IBMQExecutor, QCluster, QiskitExecutor, Simulator)),
        (LoopbackConfig, "howto/loopback.md"),
    ],
)
def test_every_field_is_explained(model, page):
    text = (DOCS / page).read_text(encoding="utf-8")
    assert [name for name in model.model_fields if f"`{name}`" not in text] == []
