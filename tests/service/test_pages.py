"""The journal in a browser: a real journal, a real server, and a real browser where there is one."""

import contextlib
import json
import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from html.parser import HTMLParser
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import numpy as np
import pennylane as qml
import pytest
from browser import BROWSER, Browser
from click.testing import CliRunner

from pennylane_threaded_ibmq import IBMQExecutor, qelectron
from pennylane_threaded_ibmq.cli.app import main
from pennylane_threaded_ibmq.cli.journal import shard_wait
from pennylane_threaded_ibmq.cli.pages.render import Pages
from pennylane_threaded_ibmq.exceptions import JournalError
from pennylane_threaded_ibmq.execution import queue
from pennylane_threaded_ibmq.store.history import circuits
from pennylane_threaded_ibmq.store.ledger import Ledger

EVIL = "<script>alert(1)</script>'\"\x1b]0;title\x07"


DIRECT = build_opener(ProxyHandler({}))
"""The loopback service is reached through a proxy, and the pages are not."""


class Reader(HTMLParser):
    """Tags, links and text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name == "href"]

    def handle_data(self, data):
        self.text += data


def ladder(count):
    return [
        qml.tape.QuantumScript([qml.RY(x, 0), qml.CNOT([0, 1])], [qml.expval(qml.Z(1))], shots=100)
        for x in np.linspace(0, np.pi, count)
    ]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("THREADED_IBMQ_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def batch(loopback, home):
    """A batch of two jobs, with a budget, in the usual journal; its device runs more."""
    loopback(direct=True)
    with qml.device(
        "threaded.ibmq", wires=2, backend="ibm_manila", shard_size=2, job_tags=["night-run"]
    ) as dev:
        dev.batch_execute(ladder(4))
        (found,) = dev.batches()
        Ledger(home / "journal.sqlite").set(found.instance, 120.0, 28.0)
        yield dev, found


@pytest.fixture
def serve(home):
    """Starts the command; the address that it prints."""
    started = []

    def start():
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "pennylane_threaded_ibmq.cli", "serve"],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "THREADED_IBMQ_HOME": str(home)},
            )
        )
        return started[-1], started[-1].stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.communicate()


def get(address, **headers):
    with DIRECT.open(Request(address, headers=headers), timeout=60) as answer:
        return answer.read().decode(), answer.headers


def status(address, **headers):
    try:
        with DIRECT.open(Request(address, headers=headers), timeout=60) as answer:
            return answer.status
    except HTTPError as error:
        return error.code


def test_batches_jobs_and_budgets_are_shown_live(batch, serve):
    dev, first = batch
    process, address = serve()
    page = Reader(get(address)[0])
    assert "ibm_manila" in page.text
    assert "delivered" in page.text
    assert "of 120 QPU seconds in 28 days" in page.text
    link = next(link for link in page.links if first.id in link)
    jobs = Reader(get(address.rsplit("/", 2)[0] + link)[0])
    assert [job for job in first.job_ids if job not in jobs.text] == []
    assert {f"https://quantum.cloud.ibm.com/workloads/{job}" for job in first.job_ids} <= set(jobs.links)
    assert "img" in jobs.tags, "the timeline"
    # what happens meanwhile is there at the next look
    before = get(address)[1]["ETag"]
    assert status(address, **{"If-None-Match": before}) == 304
    dev.batch_execute(ladder(3))
    newest = dev.batches()[0].id
    text, headers = get(address, **{"If-None-Match": before})
    assert newest in text
    assert headers["ETag"] != before
    process.send_signal(signal.SIGINT)
    assert process.wait(200) == 0


def test_what_waits_in_the_queue_says_since_when_and_where(loopback, home, monkeypatch):
    monkeypatch.setattr(queue, "FIRST_SECS", 0.0)
    service = loopback(direct=True, queue_secs=0.5)
    service.hold()
    seen = threading.Event()

    def look(progress):
        if progress.queue_position is not None:
            seen.set()

    with qml.device("threaded.ibmq", wires=2, backend="ibm_manila", progress=look) as dev:
        handle = dev.submit(ladder(2))
        assert seen.wait(120)
        while dev.batches()[0].shards[0].queue_position is None:
            handle.progress  # noqa: B018 - it is written down in the same moment
        (found,) = dev.batches()
        (shard,) = found.shards
        assert (shard.queue_position, shard.starts_at is not None) == (1, True)
        said = shard_wait(found, shard)
        assert re.fullmatch(r"queued since [-\d: ]{19}, place 1, expected to start [-\d: ]{19}", said)
        pages = Pages(None, 10)
        assert said in pages.index()
        assert said in pages.batch(found.id)
        assert said in CliRunner().invoke(main, ["show", found.id, "--offline"]).stdout
        for page in (pages.index(), pages.batch(found.id)):
            assert '<progress max="1" value="0"' in page
        dev._journal().running(found.id, 0)
        assert re.fullmatch(r"runs since [-\d: ]{19}", shard_wait(dev.batches()[0], shard))
        service.release()
        handle.result()
        assert "since" not in pages.batch(found.id)
        assert "<progress" not in pages.batch(found.id), "all is delivered"


def test_nobody_sees_a_page_without_the_key(batch, serve):
    _, address = serve()
    host, key = address.rsplit("/", 2)[0], address.rsplit("/", 2)[1]
    assert host.startswith("http://127.0.0.1:")
    assert len(key) > 20
    for path in ("/", "/x/", f"/{key[:-1]}/", "/x/circuits", "/x/style.css", f"/x/batch/{batch[1].id}"):
        assert status(host + path) == 404
    for path in (f"/{key}/batch/no-such", f"/{key}/other.js", f"/{key}/..%2f..%2fsetup.cfg"):
        assert status(host + path) == 404
    assert status(address, Host="evil.example") == 400
    headers = get(address)[1]
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "default-src 'none'" in headers["Content-Security-Policy"]


def change(home, found):
    """Names as somebody would write them who wants to be run."""
    with contextlib.closing(sqlite3.connect(home / "journal.sqlite")) as db, db:
        db.execute(
            "UPDATE batches SET backend=?, instance=?, tags=?", (EVIL, "crn:" + EVIL, json.dumps([EVIL]))
        )
        db.execute("UPDATE shards SET error=?, job_id=?", (EVIL, EVIL))
        db.execute("UPDATE budgets SET instance=?", (EVIL,))


def test_no_name_can_be_more_than_text(batch, home):
    _, found = batch
    pages = Pages(None, 10)
    plain = [Reader(text).tags for text in (pages.index(), pages.batch(found.id))]
    change(home, found)
    pages = Pages(None, 10)
    for before, text in zip(plain, (pages.index(), pages.batch(found.id)), strict=True):
        read = Reader(text)
        assert [tag for tag in read.tags if tag != "a"] == [tag for tag in before if tag != "a"]
        assert "\x1b" not in text
        assert not [link for link in read.links if "alert" in link and "quantum.cloud" in link]
        assert "<script>alert(1)" in read.text, "it is shown as it is"


def test_pages_are_written_into_a_folder_for_their_owner_alone(batch, tmp_path):
    _, found = batch
    folder = tmp_path / "site"
    files = Pages(None, 10).write(folder)
    assert files[0] == folder / "index.html"
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    # every link leads to a page that is there, or to IBM
    for file in files:
        if file.suffix == ".html":
            for link in Reader(file.read_text(encoding="utf-8")).links:
                assert link.startswith("https://") or (file.parent / link).is_file(), (file, link)
    assert (folder / "batch" / f"{found.id}.html").is_file()
    main(["report", "-o", str(folder)], standalone_mode=False)  # again, over what is there


def test_what_executors_ran_is_shown(home):
    executor = IBMQExecutor(backend="fake_lima")

    @qelectron(executors=executor)
    @qml.set_shots(100)
    @qml.qnode(qml.device("default.qubit", wires=1))
    def circuit(x):
        qml.RX(x, 0)
        return qml.expval(qml.Z(0))

    circuit(0.25)
    executor.flush_records()
    (record,) = circuits(home / "qelectron.sqlite3", 10)
    assert (record.circuit, record.parameters) == ("RX on 0; expval(Z(0))", "0.25")
    assert (record.backend, record.shots, record.error) == ("fake_lima", "100", "")
    page = Reader(Pages(None, 10).circuits())
    assert "RX on 0; expval(Z(0))" in page.text
    (home / "broken.sqlite3").write_bytes(b"no database" * 100)
    with pytest.raises(JournalError, match=r"broken\.sqlite3"):
        circuits(home / "broken.sqlite3", 10)


def test_nothing_to_show_is_said_and_makes_no_file(home):
    pages = Pages(None, 10)
    assert "Nothing was sent" in pages.index()
    assert "No executor has written" in pages.circuits()
    assert pages.batch("x") is None
    assert not list(home.iterdir())


@pytest.fixture
def browser(tmp_path):
    if BROWSER is None:
        pytest.skip("needs Chromium or Chrome")
    with Browser(tmp_path / "profile") as one:
        yield one


def complaints(browser):
    """What the browser refused, or met as an error or a dialog."""
    kinds = ("Log.entryAdded", "Runtime.exceptionThrown", "Page.javascriptDialogOpening")
    return [event for event in browser.events if event.get("method") in kinds]


def test_a_browser_shows_what_happens_while_a_program_runs(batch, serve, browser, tmp_path):
    dev, first = batch
    _, address = serve()
    browser.open(address)
    browser.wait_for_text(first.id)
    browser.wait_for_text("of 120 QPU seconds")
    browser.value("window.kept = true")
    dev.batch_execute(ladder(3))
    browser.wait_for_text(dev.batches()[0].id)
    assert browser.value("window.kept"), "the page changed, and was not loaded anew"
    assert complaints(browser) == []


def test_a_browser_runs_nothing_that_a_name_brings(batch, serve, browser, home):
    _, found = batch
    change(home, found)
    _, address = serve()
    for page in ("", f"batch/{found.id}", "circuits"):
        browser.open(address + page)
        browser.wait_for_text("alert(1)" if page != "circuits" else "No executor")
        assert (
            browser.value("document.querySelectorAll('main script, main iframe, [onerror], [onload]').length")
            == 0
        )
        assert complaints(browser) == []


def test_pages_fit_a_narrow_window_and_a_dark_one(batch, serve, browser, tmp_path):
    _, found = batch
    _, address = serve()
    for page in ("", f"batch/{found.id}", "circuits"):
        browser.open(address + page)
        colours = set()
        for dark in (False, True):
            # pictures, for whoever wants to look
            browser.look(width=360, dark=dark, picture=tmp_path / f"{page[:5]}-narrow-{dark:d}.png")
            assert browser.value("document.documentElement.scrollWidth") <= 360
            colours.add(browser.value("getComputedStyle(document.body).backgroundColor"))
        assert len(colours) == 2
        browser.look(width=1000, picture=tmp_path / f"{page[:5]}-wide.png")
    assert len(list(tmp_path.glob("*.png"))) == 9
