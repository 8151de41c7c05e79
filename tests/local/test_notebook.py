"""What a notebook shows of our objects, and their short names elsewhere."""

import re
from html.parser import HTMLParser

import numpy as np
import pennylane as qml
import pytest

from pennylane_threaded_ibmq.progress.tables import MOST_ROWS, BatchList, html_table
from pennylane_threaded_ibmq.store.records import BatchRecord, ShardRecord, ShardState


def tapes(count):
    return [
        qml.tape.QuantumScript([qml.RY(x, 0)], [qml.expval(qml.Z(0))], shots=100)
        for x in np.linspace(0, 1, count)
    ]


def batch(number=0, **changes):
    shard = ShardRecord(
        f"b{number}",
        0,
        (0, 1),
        ShardState.DONE,
        "tag",
        "job",
        1,
        delivered=True,
        seed=1,
        usage_secs=2.0,
        error="",
    )
    known = {"id": f"b{number}", "backend": "ibm_torino", "instance": "crn", "created": 1.7e9, "tapes": 2}
    return BatchRecord(**{**known, "shards": (shard,), **changes})


class Reader(HTMLParser):
    """Text of the cells, and every tag that was opened."""

    def __init__(self, text):
        super().__init__()
        self.cells, self.tags = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_data(self, data):
        if self.cells:
            self.cells[-1] += data


@pytest.fixture
def dev():
    with qml.device("threaded.ibmq", wires=2, shard_size=1, backend="fake_manila") as dev:
        yield dev


def test_a_device_has_a_short_name_with_its_backend(dev):
    assert repr(dev) == "<ThreadedIBMQDevice: 2 wires, backend 'fake_manila'>"


def test_a_device_given_an_object_names_it():
    from qiskit_aer import AerSimulator

    dev = qml.device("threaded.ibmq", wires=1, backend=AerSimulator())
    assert re.fullmatch(r"<ThreadedIBMQDevice: 1 wire, backend 'aer_simulator'>", repr(dev))


def test_a_device_is_a_table_in_a_notebook(dev):
    dev.batch_execute(tapes(2))
    cells = Reader(dev._repr_html_()).cells
    assert dict(zip(cells[::2], cells[1::2], strict=True)) == {
        "backend": "fake_manila",
        "wires": "2",
        "most jobs in flight": "20",
        "tapes in a job": "1",
        "circuits transpiled": "1",
    }


def test_an_estimate_is_a_table_in_a_notebook(dev):
    estimate = dev.estimate(tapes(3))
    cells = Reader(estimate._repr_html_()).cells
    shown = dict(zip(cells[::2], cells[1::2], strict=True))
    assert (shown["jobs"], shown["circuits"], shown["shots"]) == ("3", "3", "300")
    assert shown["because"] == estimate.formula
    assert "left on the instance" not in shown


def test_batches_are_a_table_in_a_notebook_and_a_tuple_elsewhere():
    found = BatchList([batch(1), batch(2)])
    assert found == (batch(1), batch(2))
    cells = Reader(found._repr_html_()).cells
    assert cells[:8] == ["batch", "backend", "planned", "tapes", "shards", "jobs", "state", "tags"]
    assert cells[8:10] == ["b1", "ibm_torino"]
    assert cells[14] == "delivered"
    assert "no batches" in BatchList()._repr_html_()


def test_a_long_table_says_how_much_it_leaves_out():
    page = BatchList([batch(i) for i in range(MOST_ROWS + 7)])._repr_html_()
    assert page.count("<tr>") == MOST_ROWS + 2
    assert "and 7 more" in page


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "a' onmouseover='x", '"><img src=x>'])
def test_no_name_can_be_more_than_text(name):
    tags = Reader(BatchList([batch()])._repr_html_()).tags
    assert Reader(BatchList([batch(backend=name)])._repr_html_()).tags == tags
    assert Reader(html_table((name,), [(name,)])).cells == [name, name]


def test_a_timeline_is_a_picture_whatever_the_backend_of_matplotlib(dev):
    handle = dev.submit(tapes(2))
    handle.result()
    assert handle.timeline()._repr_png_().startswith(b"\x89PNG")


def test_a_handle_is_a_bar_and_a_table(dev):
    handle = dev.submit(tapes(2))
    handle.result()
    read = Reader(handle._repr_html_())
    assert "table" in read.tags
    assert read.cells[:5] == ["shard", "try", "state", "last phase", "job"]
