"""A service that is out for twenty minutes, in each phase of a batch: it finishes, nothing is paid twice, the user is told once.

Time runs fast for the device, and the outages are real: connections that are refused, reset or silent, 503 and 401.
"""

from __future__ import annotations

import logging
import re
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager

import pytest
from ladder import ladder, right
from outages import FAULTS, OUTAGE_SECS, FastDevice, Line, kept_port
from waiting import wait_until

from pennylane_threaded_ibmq.exceptions import JobCancelledError, ServiceError, WaitTimeoutError
from pennylane_threaded_ibmq.loopback import JobStatus, LoopbackConfig, LoopbackService
from pennylane_threaded_ibmq.service import arrival

KINDS = [*FAULTS, "refused"]


@pytest.fixture(autouse=True)
def quick_arrival(monkeypatch):
    """As long as it really is: time runs fast enough. The machine does not, so a request may take a second longer."""
    monkeypatch.setattr(arrival, "ARRIVAL_SECS", 600.0)
    monkeypatch.setattr(arrival, "ANSWERED_SECS", 30.0)


@pytest.fixture
def fast(tmp_path):
    """Make devices with a clock that runs fast."""
    made = []

    def make(**options):
        options = {"wires": 2, "backend": "ibm_manila", "journal": tmp_path / "journal.sqlite", **options}
        made.append(FastDevice(**options))
        return made[-1]

    yield make
    for dev in made:
        dev.close()


class Trouble:
    """A service and the line to it, which go out together."""

    def __init__(self, service, port, is_told):
        self.service = service
        self._is_told = is_told
        self.line = Line(service.port, port)

    def begin(self, kind):
        if kind == "refused":
            self.line.cut()
        else:
            self.service.inject(FAULTS[kind])

    def end(self, kind):
        if kind == "refused":
            self.line.mend()
        else:
            self.service.clear_faults()

    @contextmanager
    def out(self, kind, dev):
        """Out while the block runs and for twenty minutes of the device's, once it has told the user."""
        clock = dev._clock
        self.begin(kind)
        try:
            yield
            wait_until(self._is_told)
            over = clock.now() + OUTAGE_SECS
            threading.Event().wait(max(0.0, clock.pause(over - clock.now())))
        finally:
            self.end(kind)


@pytest.fixture
def trouble(loopback, caplog):
    """Start a service whose line can be cut."""

    def is_told():
        return any("has not answered since" in record.getMessage() for record in caplog.records)

    with ExitStack() as stack:

        def start(**fields):
            port = stack.enter_context(kept_port())
            made = Trouble(loopback(direct=True, **fields), port, is_told)
            stack.callback(made.line.cut)
            return made

        yield start


@pytest.fixture
def told(caplog):
    """What the user has seen of an outage: one word at its beginning and one at its end, and nothing else."""
    caplog.set_level(logging.INFO, "pennylane_threaded_ibmq")

    def check(*more):
        # urllib3 shows nothing unless a program asks for it
        ours = [r for r in caplog.records if r.levelno >= logging.WARNING and r.name.startswith("pennylane")]
        seen = [r.getMessage() for r in ours if not any(one in r.getMessage() for one in more)]
        assert len(seen) == 2, seen
        assert "has not answered since" in seen[0]
        assert "timeout_secs is not set" in seen[0]
        assert "Ctrl-C" in seen[0]
        assert "answers again" in seen[1]

    return check


def paid(service):
    return [job.status for job in service.jobs if job.status is JobStatus.COMPLETED]


@pytest.fixture
def later():
    """Do something in a thread of its own."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit


@pytest.mark.parametrize("kind", KINDS)
def test_while_jobs_are_sent(trouble, fast, told, later, kind):
    out = trouble()
    dev = fast(shard_size=2, ibmqx_url=out.line.url)
    with out.out(kind, dev):
        results = later(dev.batch_execute, ladder(6))
    right(results.result(120))
    assert len(paid(out.service)) == 3
    told()


@pytest.mark.parametrize("kind", ["silent", "refused"])
def test_while_jobs_are_waited_for(trouble, fast, told, kind):
    out = trouble()
    dev = fast(shard_size=2, ibmqx_url=out.line.url)
    out.service.hold()
    handle = dev.submit(ladder(6))
    out.service.wait_for_jobs(3, JobStatus.QUEUED)
    with out.out(kind, dev):
        out.service.release()
        out.service.wait_for_jobs(3, JobStatus.COMPLETED)
    right(handle.result(120))
    assert len(out.service.jobs) == 3
    told()


@pytest.mark.parametrize("kind", ["reset", "503"])
def test_while_results_are_fetched(trouble, fast, told, kind):
    """One job: with several, lists of those that still run would answer meanwhile."""
    out = trouble()
    dev = fast(shard_size=6, ibmqx_url=out.line.url)
    out.service.hold()
    handle = dev.submit(ladder(6))
    out.service.wait_for_jobs(1, JobStatus.QUEUED)
    results = "GET /jobs/{id}/results"
    out.service.inject(FAULTS[kind].model_copy(update={"on": re.escape(results)}))
    out.service.release()
    out.service.wait_for_requests(results, 1)
    with out.out(kind, dev):
        assert not handle.done()
    right(handle.result(120))
    assert len(out.service.jobs) == 1
    told()


@pytest.mark.parametrize("kind", ["refused", "503"])
def test_while_a_batch_is_taken_up(trouble, fast, told, later, kind):
    """Its program died while it sent one part, and waited for others."""
    out = trouble()
    first = fast(shard_size=2, ibmqx_url=out.line.url)
    out.service.hold()
    handle = first.submit(ladder(6))
    out.service.wait_for_jobs(3, JobStatus.QUEUED)
    first.close()
    with closing(sqlite3.connect(first._journal().path, isolation_level=None)) as db:
        db.execute("UPDATE batches SET owner='gone'")
        db.execute("UPDATE shards SET state='sending', job_id='' WHERE number=1")
    dev = fast(ibmqx_url=out.line.url)
    with out.out(kind, dev):
        taken_up = later(lambda: dev.resume(handle.batch_id).result())
        out.service.release()
    right(taken_up.result(120))
    assert len(out.service.jobs) == 3
    told()


@pytest.mark.parametrize("kind", ["silent", "refused"])
def test_while_jobs_are_cancelled(trouble, fast, told, later, kind):
    """They are cancelled when it is over, and none runs."""
    out = trouble()
    dev = fast(shard_size=2, ibmqx_url=out.line.url)
    out.service.hold()
    handle = dev.submit(ladder(6))
    out.service.wait_for_jobs(3, JobStatus.QUEUED)
    with out.out(kind, dev):
        cancelled = later(handle.cancel)
    cancelled.result(120)
    assert len(out.service.wait_for_jobs(3, JobStatus.CANCELLED)) == 3
    assert isinstance(handle.exception(120), JobCancelledError)
    told("not cancelled yet")


def test_while_a_device_logs_in(fast, told, later, new_client):
    """The service is not there at all."""
    if not new_client:
        pytest.skip("this client logs in through a certificate of the service, which is another one later")
    with kept_port() as port, LoopbackService(LoopbackConfig(backends=("ibm_manila",), port=port)) as gone:
        config = gone.config
        here = gone.applied(
            token="loopback-token", instance=config.instances[0].crn, direct=True, proxy=False
        )
        with here:
            gone.stop()
            made = later(fast)
            threading.Event().wait(OUTAGE_SECS / 120.0)
            with LoopbackService(config) as service:
                right(made.result(120).batch_execute(ladder(3)))
                assert len(service.jobs) == 1
    told()


@pytest.mark.parametrize(
    ("kind", "route"),
    [
        ("503", "POST /identity/token"),
        ("silent", "GET /backends"),
        ("503", "GET /backends"),
        ("503", r"GET /backends/\{name\}/configuration"),
        ("reset", r"GET /backends/\{name\}/properties"),
    ],
)
def test_while_a_backend_is_looked_up(loopback, fast, told, later, kind, route):
    service = loopback(direct=True, tokens=(f"key-of-{kind}-{abs(hash(route))}",))
    service.inject(FAULTS[kind].model_copy(update={"on": route}))
    made = later(fast)
    threading.Event().wait(OUTAGE_SECS / 120.0)
    service.clear_faults()
    right(made.result(120).batch_execute(ladder(3)))
    assert len(service.jobs) == 1
    told()


def test_a_login_is_renewed(trouble, fast):
    """The service accepts no access token that is out; IBM's client goes by their clock alone."""
    out = trouble()
    dev = fast(shard_size=2, ibmqx_url=out.line.url)
    out.service.expire_logins()
    out.service.hold()
    handle = dev.submit(ladder(6))
    out.service.wait_for_jobs(3, JobStatus.QUEUED)
    out.service.expire_logins()
    out.service.release()
    right(handle.result(120))
    assert len(out.service.jobs) == 3


def test_the_users_limit_ends_the_waiting(trouble, fast):
    """What was sent is there later."""
    out = trouble()
    dev = fast(ibmqx_url=out.line.url, timeout_secs=3.0)
    out.service.hold()
    handle = dev.submit(ladder(2))
    out.service.wait_for_jobs(1, JobStatus.QUEUED)
    out.begin("503")
    with pytest.raises(WaitTimeoutError):
        handle.result()
    handle.detach()
    out.end("503")
    out.service.release()
    right(fast(ibmqx_url=out.line.url).batch_execute(ladder(2)))
    assert len(paid(out.service)) == 1


def test_the_users_limit_ends_a_login(trouble, fast):
    out = trouble()
    out.begin("503")
    with pytest.raises(ServiceError, match="did not answer"):
        fast(ibmqx_url=out.line.url, timeout_secs=60.0)
