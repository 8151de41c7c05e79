"""The way of a batch as docs/architecture.md draws it, and as a batch goes it."""

import re
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pennylane_threaded_ibmq"
ROW = re.compile(
    r"^\| \d+ \| [^|]+ \| `(?P<function>[\w.]+)` \| `(?P<file>[\w/<>]+\.py)` \| (?P<where>[^|]*)\|$",
    re.MULTILINE,
)


def drawn(where):
    """The stops of a way that is "on this machine" or "at a service": file and name of each function."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = [row for row in ROW.finditer(text) if row["where"].strip() in {"", where}]
    return [(row["file"].replace("<stack>", "current"), row["function"].rpartition(".")[2]) for row in rows]


def counted(where):
    """How many stops and files the text says that there are."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    stops, files = re.search(rf"(\d+) in (\d+)(?: files)? {where}", text).groups()
    return int(stops), int(files)


@contextmanager
def followed():
    """Functions of the package in the order in which they are first called, and those that have returned, in all new threads."""
    called, returned = {}, {}

    def see(frame, event, _):
        file = frame.f_code.co_filename
        if event in {"call", "return"} and file.startswith(str(PACKAGE)):
            name = Path(file).relative_to(PACKAGE).as_posix(), frame.f_code.co_name
            (called if event == "call" else returned).setdefault(name, len(called))

    threading.setprofile(see)
    sys.setprofile(see)
    try:
        yield called, returned
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def check(where, called, returned):
    """Hold what a batch did against what is drawn."""
    stops = drawn(where)
    assert counted(where) == (len(stops), len({file for file, _ in stops}))
    assert [stop for stop in stops if stop not in called] == []
    # the last is called by whoever waits, and passed when it returns
    passed = [*(called[stop] for stop in stops[:-1]), returned[stops[-1]]]
    assert passed == sorted(passed)
