"""Whatever a network and a service do: right results or one clear error, in time, and nothing is paid twice.

A proxy between IBM's client and the loopback service spoils what passes.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from ladder import ladder, right

from pennylane_threaded_ibmq.exceptions import ThreadedIBMQError
from pennylane_threaded_ibmq.execution import watcher
from pennylane_threaded_ibmq.loopback import JobStatus
from pennylane_threaded_ibmq.service import arrival
from pennylane_threaded_ibmq.service import service as job_service

ROUTES = {
    "submit": r"POST .*/jobs",
    "list": r"GET .*/jobs\?.*",
    "state": r"GET .*/jobs/[^/?]+(\?.*)?",
    "results": r"GET .*/jobs/[^/]+/results.*",
    "backend": r"GET .*/backends/[^/]+/status.*",
}
"""Requests of a run, by the name that rules use."""


class CutError(Exception):
    """The connection ends here."""


@dataclass
class Exchange:
    """One request and its answer on the way."""

    handler: BaseHTTPRequestHandler
    forward: Callable[..., tuple[int, dict[str, str], bytes]]
    proxy: Chaos

    def reset(self) -> None:
        """End the connection with a reset."""
        linger = struct.pack("ii", 1, 0)
        self.handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.handler.connection.close()
        raise CutError

    def close(self) -> None:
        """End what the service would say, and go on listening for a moment."""
        self.handler.connection.shutdown(socket.SHUT_WR)
        raise CutError

    def answer(self, status: int, headers: dict[str, str], body: bytes, length: int | None = None) -> None:
        """Answer; ``length`` is announced in the place of the true one."""
        self.handler.send_response(status)
        for name, value in headers.items():
            if name.lower() not in {"content-length", "transfer-encoding", "connection", "date", "server"}:
                self.handler.send_header(name, value)
        self.handler.send_header("Content-Length", str(len(body) if length is None else length))
        self.handler.send_header("Connection", "close")
        self.handler.end_headers()
        self.handler.wfile.write(body)


Action = Callable[[Exchange], None]


@dataclass
class Rule:
    """What happens to which requests.

    Attributes:
        route: A name of ``ROUTES``.
        action: What happens.
        times: To how many at most.
    """

    route: str
    action: Action
    times: int = 1
    left: int = field(init=False)

    def __post_init__(self) -> None:
        self.left = self.times


class Chaos:
    """The proxy.

    Args:
        port: Port of the service.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.rule: Rule | None = None
        self.hits = 0
        self.released = threading.Event()
        self.lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                """Say nothing."""

            def handle_any(self) -> None:
                proxy.serve(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815 - the server's names

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Base URL for the client."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/experimental"

    def spoil(self, rule: Rule | None) -> None:
        """Spoil what the rule names from here on; ``None`` for nothing, and what is held goes on."""
        self.released.set()
        with self.lock:
            self.rule, self.hits = rule, 0
        self.released = threading.Event()

    def stop(self) -> None:
        """End it."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        """Take one request through."""
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        exchange = Exchange(
            handler,
            lambda path=None: self.ask(handler.command, path or handler.path, handler.headers, body),
            self,
        )
        try:
            action = self._action(f"{handler.command} {handler.path}")
            (action or good)(exchange)
        except (CutError, OSError):
            return

    def ask(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Ask the service."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            kept = {
                k: v for k, v in headers.items() if k.lower() not in {"host", "connection", "accept-encoding"}
            }
            connection.request(method, path, body or None, {**kept, "Host": f"127.0.0.1:{self.port}"})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def _action(self, line: str) -> Action | None:
        with self.lock:
            rule = self.rule
            if rule is None or rule.left == 0 or not re.fullmatch(ROUTES[rule.route], line):
                return None
            rule.left -= 1
            self.hits += 1
            return rule.action


# ------------------------------------------------------------------------------------------------------------ actions


def good(exchange: Exchange) -> None:
    """Pass it on."""
    exchange.answer(*exchange.forward())


def late(secs: float, *, acted: bool) -> Action:
    """Answer late; the service acts before or after the wait."""

    def action(exchange: Exchange) -> None:
        answer = exchange.forward() if acted else None
        exchange.proxy.released.wait(secs)
        exchange.answer(*(answer or exchange.forward()))

    return action


def reset(*, acted: bool) -> Action:
    """Cut the connection before or after the service acts."""

    def action(exchange: Exchange) -> None:
        if acted:
            exchange.forward()
        exchange.reset()

    return action


def half_closed(exchange: Exchange) -> None:
    """The service acts, and its side of the connection ends without a word."""
    exchange.forward()
    exchange.close()


def cut(exchange: Exchange) -> None:
    """Half of the announced body, then the end."""
    status, headers, body = exchange.forward()
    exchange.answer(status, headers, body[: len(body) // 2], len(body))
    exchange.close()


def short(exchange: Exchange) -> None:
    """Half of the body, announced as the whole."""
    status, headers, body = exchange.forward()
    exchange.answer(status, headers, body[: len(body) // 2])


def says(status: int, body: str, *, acted: bool = True, **headers: str) -> Action:
    """Another answer than the service's."""

    def action(exchange: Exchange) -> None:
        if acted:
            exchange.forward()
        kind = "text/html" if body.startswith("<") else "application/json"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        exchange.answer(status, {"Content-Type": kind, **named}, body.encode())

    return action


def changed(change: Callable[[Any], Any]) -> Action:
    """The service's answer, changed."""

    def action(exchange: Exchange) -> None:
        status, headers, body = exchange.forward()
        exchange.answer(status, headers, json.dumps(change(json.loads(body))).encode())

    return action


def renamed(answer: Any) -> Any:
    """All names of another schema."""
    if isinstance(answer, dict):
        return {f"x_{name}": renamed(value) for name, value in answer.items()}
    return [renamed(one) for one in answer] if isinstance(answer, list) else answer


def without(name: str) -> Callable[[Any], Any]:
    """A field less."""
    return lambda answer: (
        {k: v for k, v in answer.items() if k != name} if isinstance(answer, dict) else answer
    )


def with_state(state: str) -> Callable[[Any], Any]:
    """Another state of a job."""

    def change(answer: Any) -> Any:
        return {**answer, "status": state, "state": {"status": state}}

    return change


def of_another_job(exchange: Exchange) -> None:
    """The answer that belongs to another job of the same service."""
    path = exchange.handler.path
    mine = re.search(r"/jobs/([^/?]+)", path)
    _, _, listed = exchange.proxy.ask("GET", "/experimental/jobs?limit=50", exchange.handler.headers, b"")
    others = [job["id"] for job in json.loads(listed)["jobs"] if mine and job["id"] != mine[1]]
    if not others or mine is None:
        return good(exchange)
    return exchange.answer(*exchange.forward(path.replace(mine[1], others[-1])))


# -------------------------------------------------------------------------------------------------------------- faults

LONGEST_SECS = 120.0
"""What a batch may take, with the limits of waiting below, on a busy machine."""

PATIENCE_SECS = 40.0
"""What the user allows for it."""

ALWAYS = 10**6
PAGE = "<html><body>Sign in to the network</body></html>"

FAULTS = {
    "slow before": (late(1.0, acted=False), 2),
    "slow after": (late(1.0, acted=True), 2),
    "too slow": (late(4.0, acted=False), 1),
    "too slow an answer": (late(4.0, acted=True), 1),
    "reset before": (reset(acted=False), 1),
    "reset after": (reset(acted=True), 1),
    "half closed": (half_closed, 1),
    "cut body": (cut, 1),
    "short body": (short, 1),
    "page instead": (says(200, PAGE), 1),
    "empty object": (says(200, "{}"), 1),
    "unauthorised": (says(401, '{"errors": [{"code": 401, "message": "expired"}]}', acted=False), 1),
}
"""Each of these on each route; how often it happens."""

SPECIAL = {
    ("submit", "gateway"): (says(502, PAGE), 1),
    ("submit", "gateway in a hurry"): (says(504, PAGE), 1),
    ("submit", "error of a server that acted"): (says(500, PAGE), 3),
    ("submit", "maintenance"): (says(503, PAGE, Retry_After="1"), 2),
    ("submit", "gateway page, not acted"): (says(504, PAGE, acted=False), 6),
    ("submit", "redirect"): (says(302, "", Location="http://127.0.0.1:9/"), 1),
    ("submit", "no id"): (changed(without("id")), 1),
    ("submit", "id of nobody"): (changed(lambda answer: {**answer, "id": "d000000000000000000g"}), 1),
    ("list", "always silent"): (late(3600.0, acted=False), ALWAYS),
    ("list", "empty"): (changed(lambda answer: {**answer, "jobs": [], "count": 0}), ALWAYS),
    ("list", "another schema"): (changed(renamed), 2),
    ("list", "null"): (says(200, "null"), 2),
    ("state", "always silent"): (late(3600.0, acted=False), ALWAYS),
    ("state", "vanished"): (says(404, '{"errors": [{"code": 1291, "message": "Job not found"}]}'), 2),
    ("state", "back in state"): (changed(with_state("Queued")), 4),
    ("state", "unheard of"): (changed(with_state("Pondering")), 2),
    ("state", "another schema"): (changed(renamed), 2),
    ("state", "another job"): (of_another_job, 2),
    ("results", "always silent"): (late(3600.0, acted=False), ALWAYS),
    ("results", "another job"): (of_another_job, 1),
    ("results", "always another job"): (of_another_job, ALWAYS),
    ("results", "another schema"): (changed(renamed), ALWAYS),
    ("results", "redirect"): (says(307, "", Location="http://127.0.0.1:9/"), 2),
    ("backend", "always silent"): (late(3600.0, acted=False), 2),
    ("backend", "always a page"): (says(200, PAGE), 3),
    ("backend", "redirect to itself"): (
        says(302, "", Location="/experimental/backends/ibm_manila/status"),
        2,
    ),
}

CASES = [
    *(
        (route, name, *fault)
        for name, fault in FAULTS.items()
        for route in ("submit", "list", "state", "results", "backend")
    ),
    *((route, name, *fault) for (route, name), fault in SPECIAL.items()),
]


@pytest.fixture
def impatient(monkeypatch):
    """Waiting for an answer ends after two seconds."""
    for module, name in (
        (job_service, "ANSWER_SECS"),
        (job_service, "SEND_SECS"),
        (job_service, "CANCEL_SECS"),
    ):
        monkeypatch.setattr(module, name, 2.0)
    monkeypatch.setattr(arrival, "ARRIVAL_SECS", 8.0)  # a request that takes four seconds arrives
    monkeypatch.setattr(watcher, "LONGEST_INTERVAL_SECS", 0.5)
    monkeypatch.setattr(job_service, "FETCHES", 3)


def in_chaos(loopback, device, cases):
    """Each case on three jobs: a run with the fault, and one without it if that ended in an error."""
    service = loopback(direct=True, job_secs=0.1)
    proxy = Chaos(service.port)
    good = errors = 0
    try:
        for route, name, action, times in cases:
            before = len(service.jobs)
            # a service that stays silent is waited for as long as the user wants
            dev = device(ibmqx_url=proxy.url, shard_size=2, max_retries=0, timeout_secs=PATIENCE_SECS)
            rule = Rule(route, action, times)
            proxy.spoil(rule)
            began = time.monotonic()
            error = None
            try:
                right(dev.batch_execute(ladder(6)))
                good += 1
            except ThreadedIBMQError as caught:
                error = caught
                errors += 1
            took = time.monotonic() - began
            hits = proxy.hits
            proxy.spoil(None)
            dev.close()
            if error is not None:
                with device(ibmqx_url=proxy.url, shard_size=2) as again:
                    right(again.batch_execute(ladder(6)))
            mine = service.jobs[before:]
            paid = [job for job in mine if job.status is JobStatus.COMPLETED]
            print(
                f"{route}, {name}: {hits} hits, {took:.1f} s, {len(paid)} jobs, {error or 'right'}"[:200],
                flush=True,
            )
            assert took < LONGEST_SECS, (route, name)
            # what arrived whole and wrong is sent again by the next run, as its error says
            more = error is not None and (route, name) in WRONG
            assert len(paid) == 3 or (more and len(paid) <= 6), (
                route,
                name,
                [job.status for job in mine],
                error,
            )
            assert {job.status for job in mine} <= {JobStatus.COMPLETED, JobStatus.CANCELLED}
    finally:
        proxy.stop()
    print(
        f"\n{len(cases)} faults: {good} batches right at once, {errors} with one error and right when run again"
    )


WRONG = {("state", "another job"), ("results", "always another job")}


def test_some_chaos(loopback, device, impatient):
    in_chaos(loopback, device, CASES[::9])


@pytest.mark.sweep
@pytest.mark.timeout(7200)
def test_all_chaos(loopback, device, impatient):
    in_chaos(loopback, device, CASES)
