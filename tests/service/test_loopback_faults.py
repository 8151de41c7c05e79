"""Faults: what goes wrong, where, how often, and what the real client makes of it."""

from __future__ import annotations

import re
import socket
import threading
from collections import Counter

import pytest
import requests
from pydantic import ValidationError
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit_ibm_runtime import EstimatorV2, QiskitRuntimeService, SamplerV2
from qiskit_ibm_runtime.accounts import InvalidAccountError
from qiskit_ibm_runtime.api.exceptions import RequestsApiError
from qiskit_ibm_runtime.exceptions import (
    IBMRuntimeError,
    RuntimeInvalidStateError,
    RuntimeJobFailureError,
    RuntimeJobMaxTimeoutError,
    RuntimeJobTimeoutError,
)

from pennylane_threaded_ibmq.loopback import Fault, JobStatus, fault_mix
from pennylane_threaded_ibmq.loopback.faults import FaultPlan

RESULTS = "GET /jobs/{id}/results"


def tagged(device, tag="mine"):
    return SamplerV2(device, options={"environment": {"job_tags": [tag]}})


def every_route(session):
    """One request for each route, by label: each can be sent again and again while jobs are held."""
    service = session.service
    job = session.submit().json()["id"]
    batch = session.ask("POST", "/sessions", {"mode": "batch", "backend": "ibm_manila"}).json()["id"]

    def cloud(method, url, **more):
        return lambda: session.request(method, url, timeout=60, **more)

    def runtime(method, path, body=None):
        return lambda: session.ask(method, path, body)

    assert service.jobs[0].id == job
    return {
        "POST /identity/token": session.login,
        "POST /v3/resources/search": cloud(
            "POST", "http://api.global-search-tagging.127.0.0.1/v3/resources/search", json={}
        ),
        "GET /catalog/{id}": cloud(
            "GET", "http://globalcatalog.127.0.0.1/api/v1/00000000-0000-4000-9000-000000000000"
        ),
        "GET /versions": runtime("GET", "/versions"),
        "GET /backends": runtime("GET", "/backends"),
        "GET /backends/{name}/configuration": runtime("GET", "/backends/ibm_manila/configuration"),
        "GET /backends/{name}/properties": runtime("GET", "/backends/ibm_manila/properties"),
        "GET /backends/{name}/status": runtime("GET", "/backends/ibm_manila/status"),
        "GET /instances/usage": runtime("GET", "/instances/usage"),
        "POST /jobs": session.submit,
        "GET /jobs": runtime("GET", "/jobs"),
        "GET /jobs/{id}": runtime("GET", f"/jobs/{job}"),
        "GET /jobs/{id}/results": runtime("GET", f"/jobs/{job}/results"),
        "GET /jobs/{id}/metrics": runtime("GET", f"/jobs/{job}/metrics"),
        "GET /jobs/{id}/logs": runtime("GET", f"/jobs/{job}/logs"),
        "PUT /jobs/{id}/tags": runtime("PUT", f"/jobs/{job}/tags", {"tags": ["t"]}),
        "POST /sessions": runtime("POST", "/sessions", {"mode": "batch", "backend": "ibm_manila"}),
        "GET /sessions/{id}": runtime("GET", f"/sessions/{batch}"),
        "PATCH /sessions/{id}": runtime("PATCH", f"/sessions/{batch}", {"accepting_jobs": False}),
        "DELETE /sessions/{id}/close": runtime("DELETE", f"/sessions/{batch}/close"),
        # The last two change the job, so each is asked for last.
        "POST /jobs/{id}/cancel": runtime("POST", f"/jobs/{job}/cancel"),
        "DELETE /jobs/{id}": runtime("DELETE", f"/jobs/{job}"),
    }


@pytest.mark.parametrize("retry_after", [None, 1])
@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
def test_status_on_every_route(rest, status, retry_after):
    """Each route can fail once with each status, with IBM's error body; the next request is answered as ever."""
    session = rest()
    session.service.hold()
    for label, request in every_route(session).items():
        session.service.inject(Fault(effect="status", status=status, retry_after=retry_after, on=label))
        answer = request()
        assert answer.status_code == status, label
        assert answer.headers.get("Retry-After") == (None if retry_after is None else "1")
        assert answer.json()["errors"][0]["message"] == "Injected fault."
        assert request().status_code < 300, label
    assert session.service.counters.faults == {"status": 22}


def test_reset_on_every_route(rest):
    """Each route can drop the connection; nothing happened then, and the next request is answered."""
    session = rest()
    session.service.hold()
    for label, request in every_route(session).items():
        session.service.inject(Fault(effect="reset", on=label))
        with pytest.raises(requests.ConnectionError):
            request()
        assert request().status_code < 300, label


@pytest.mark.parametrize(("when", "jobs"), [("before", 0), ("after", 1)])
@pytest.mark.parametrize("effect", ["status", "reset"])
def test_before_or_after_acceptance(rest, bell, effect, when, jobs):
    """A submission that is refused or dropped has created a job only where the fault says so; that job runs."""
    session = rest()
    session.service.inject(Fault(effect=effect, on="POST /jobs", when=when))
    if effect == "status":
        assert session.submit(bell).status_code == 500
    else:
        with pytest.raises(requests.ConnectionError):
            session.submit(bell)
    assert len(session.service.wait_for_jobs(jobs, "Completed")) == jobs == len(session.service.jobs)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_client_submits_twice(backend, bell, status):
    """On 5xx the client repeats its POST by itself: two jobs with the same tags, of which it knows the second."""
    service, device = backend()
    service.inject(Fault(effect="status", status=status, on="POST /jobs", when="after"))
    job = tagged(device).run([bell])
    twins = service.wait_for_jobs(2)
    assert [twin.tags for twin in twins] == [("mine",), ("mine",)]
    assert twins[1].id == job.job_id()
    assert {found.job_id() for found in QiskitRuntimeService().jobs(job_tags=["mine"])} == {
        twin.id for twin in twins
    }
    assert service.counters.billed_jobs == 2


def test_client_and_dropped_submission(loopback, bell):
    """A POST that is dropped after acceptance: directly the client gives up, through the proxy it submits again."""
    service = loopback(direct=True)
    device = QiskitRuntimeService().backend("loopback_simulator")
    service.inject(Fault(effect="reset", on="POST /jobs", when="after"))
    with pytest.raises(IBMRuntimeError, match=r"Connection (aborted|reset)"):
        tagged(device).run([bell])
    assert len(service.jobs) == 1
    proxied = loopback()
    device = QiskitRuntimeService().backend("loopback_simulator")
    proxied.inject(Fault(effect="reset", on="POST /jobs", when="after"))
    tagged(device).run([bell])
    assert [job.tags for job in proxied.jobs] == [("mine",)] * 2


def test_client_and_429(backend, bell):
    """On 429 a POST fails at once; a GET waits for as long as the service says, and fails if it says nothing."""
    service, device = backend()
    service.inject(Fault(effect="status", status=429, retry_after=1, on="POST /jobs"))
    with pytest.raises(IBMRuntimeError, match="Injected") as caught:
        SamplerV2(device).run([bell])
    assert caught.value.__context__.status_code == 429
    service.inject(Fault(effect="status", status=429, retry_after=1, on="GET /backends/{name}/status"))
    assert device.status().operational
    service.inject(Fault(effect="status", status=429, on="GET /backends/{name}/status"))
    with pytest.raises(RequestsApiError, match="Injected"):
        device.status()


def test_client_and_failing_login(start):
    """A login that fails is not tried again by the client."""
    service = start()
    service.inject(Fault(effect="status", status=400, on="POST /identity/token"))
    with service.applied(), pytest.raises(InvalidAccountError):
        QiskitRuntimeService(token="loopback-token")
    with service.applied():
        QiskitRuntimeService(token="loopback-token")


def result_with(service, job, fault):
    """The result of a finished job, spoilt by a fault."""
    service.inject(fault)
    return QiskitRuntimeService().job(job.job_id()).result(timeout=120)


@pytest.fixture
def finished(backend):
    """A service and a job of two PUBs that is done, one of them with three rows."""
    service, device = backend()
    circuit = QuantumCircuit(1)
    circuit.ry(Parameter("t"), 0)
    circuit.measure_all()
    job = SamplerV2(device).run([(circuit, [[0.0], [1.0], [3.0]]), (circuit, [0.0])], shots=20)
    service.wait_for_jobs(1)
    return service, job


def test_truncated_results(finished):
    """A result text that is cut, in a well-formed answer, comes out of the client as text."""
    text = result_with(*finished, Fault(effect="truncate", on=RESULTS, keep=0.9))
    assert isinstance(text, str)
    assert text.startswith('{"__type__": "PrimitiveResult"')
    assert result_with(*finished, Fault(effect="truncate", on=RESULTS, keep=0)) in (None, "")


def test_short_results(finished):
    """An answer that ends before its announced length is a broken connection."""
    with pytest.raises(RequestsApiError, match="Connection broken"):
        result_with(*finished, Fault(effect="short", on=RESULTS))


@pytest.mark.parametrize("status", [None, 200])
def test_empty_results(finished, status):
    """An empty answer, with 204 or with 200, comes out of the client as None."""
    assert result_with(*finished, Fault(effect="empty", on=RESULTS, status=status)) is None


@pytest.mark.parametrize(("delta", "left"), [(-2, 0), (-1, 1), (1, 3)])
def test_other_number_of_pubs(finished, delta, left):
    """Results may have fewer or more PUBs than were asked for."""
    assert len(result_with(*finished, Fault(effect="pubs", on=RESULTS, delta=delta))) == left


@pytest.mark.parametrize(("delta", "shapes"), [(-1, [(2,), (0,)]), (2, [(5,), (3,)])])
def test_other_number_of_rows(finished, delta, shapes):
    """Results may have fewer or more rows than were asked for."""
    result = result_with(*finished, Fault(effect="rows", on=RESULTS, delta=delta))
    assert [pub.data.shape for pub in result] == shapes
    assert [pub.data.meas.shape for pub in result] == shapes


def test_other_number_of_expectation_values(backend):
    """The same for an estimator, where the arrays of values and errors change together."""
    service, device = backend()
    job = EstimatorV2(device).run([(QuantumCircuit(1), ["Z", "X"])])
    service.wait_for_jobs(1)
    data = result_with(service, job, Fault(effect="rows", on=RESULTS, delta=-1))[0].data
    assert data.evs.shape == data.stds.shape == (1,)


def test_unknown_fields(backend, bell):
    """Fields that no client knows disturb it nowhere, except deep in a configuration."""
    service, _ = backend()
    service.inject(Fault(effect="extra", times=None, on="(?!GET /backends/{name}/configuration).*"))
    device = QiskitRuntimeService().backend("loopback_simulator")
    job = tagged(device).run([bell], shots=9)
    assert job.result(timeout=120)[0].data.meas.num_shots == 9
    assert job.metrics()["loopback_extra"]
    assert len(QiskitRuntimeService().jobs(job_tags=["mine"])) == 1


def test_wrong_count(rest):
    """A job list may claim more jobs than there are."""
    session = rest()
    session.service.inject(Fault(effect="count", on="GET /jobs", delta=1))
    assert session.ask("GET", "/jobs").json()["count"] == 1
    assert session.ask("GET", "/jobs").json()["count"] == 0


def test_spoiling_leaves_errors_alone(rest):
    """A fault that spoils an answer does nothing to an error or an answer without a body."""
    session = rest()
    session.service.hold()
    job = session.submit().json()["id"]
    for effect in ("truncate", "pubs", "rows"):
        session.service.inject(Fault(effect=effect, on=RESULTS))
        assert session.ask("GET", f"/jobs/{job}/results").status_code == 204
    session.service.inject(Fault(effect="count", on="GET /jobs"))
    assert session.ask("GET", "/jobs?limit=x").status_code == 400


def test_stalled_answer_is_let_go(backend, bell):
    """An answer that never comes blocks its client until faults are cleared, and then arrives."""
    service, device = backend()
    service.inject(Fault(effect="stall", on=RESULTS))
    job = SamplerV2(device).run([bell], shots=5)
    found = []
    waiting = threading.Thread(target=lambda: found.append(job.result(timeout=120)))
    waiting.start()
    service.wait_for_requests(RESULTS)
    assert device.status().operational  # others are served meanwhile
    assert waiting.is_alive()
    assert not found
    service.clear_faults()
    waiting.join(120)
    assert found[0][0].data.meas.num_shots == 5


@pytest.mark.parametrize(("when", "early"), [("before", 0), ("after", 1)])
def test_client_leaves_a_stalled_submission(rest, when, early):
    """Who gives up waiting for a stalled answer has submitted all the same: now if the service acted, else later."""
    session = rest()
    service = session.service
    service.inject(Fault(effect="stall", on="POST /jobs", when=when))
    with pytest.raises(requests.Timeout):
        session.post(f"{service.url}/jobs", data=session_body(), timeout=1.0, proxies={"http": ""})
    service.wait_for_requests("POST /jobs")
    service.wait_for_jobs(early)
    assert len(service.jobs) == early
    session.close()
    service.clear_faults()
    service.wait_for_jobs(1)
    assert len(service.jobs) == service.counters.by_route["POST /jobs"] == 1


@pytest.mark.parametrize("slow", ["fault", "service"])
def test_slow_submission_of_a_client_that_is_gone(rest, slow):
    """A submission that takes its time is carried out at its end, with nobody there to read the answer."""
    session = rest(request_secs=0.3 if slow == "service" else 0.0)
    service = session.service
    if slow == "fault":
        service.inject(Fault(effect="stall", on="POST /jobs", secs=0.3))
    body = session_body().encode()
    head = f"POST /experimental/jobs HTTP/1.1\r\nHost: 127.0.0.1:{service.port}\r\nContent-Length: {len(body)}\r\n"
    head += "".join(f"{name}: {session.headers[name]}\r\n" for name in ("Authorization", "Service-CRN"))
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.sendall(f"{head}\r\n".encode() + body)
        service.wait_for_requests("POST /jobs")
    service.wait_for_jobs(1)


def session_body():
    return '{"program_id": "sampler", "backend": "loopback_simulator", "params": {"pubs": [[null]], "version": 2}}'


def test_stall_of_some_seconds(rest):
    """A stall may end by itself."""
    session = rest()
    session.service.inject(Fault(effect="stall", on="GET /backends", secs=0.3))
    answer = session.ask("GET", "/backends")
    assert answer.status_code == 200
    assert answer.elapsed.total_seconds() >= 0.3


def test_failed_job(backend, bell):
    """A job can fail with IBM's reason; it is charged for only where the fault says so."""
    service, device = backend()
    service.inject(
        Fault(
            effect="job",
            on="POST /jobs",
            reason="Calibration lost.",
            reason_code=1517,
            reason_solution="Wait.",
        ),
        Fault(effect="job", on="POST /jobs", reason="Crashed late.", usage_secs=3),
    )
    first, second = (SamplerV2(device).run([bell]) for _ in range(2))
    with pytest.raises(RuntimeJobFailureError, match=r"Error code 1517; Calibration lost\."):
        first.result(timeout=120)
    with pytest.raises(RuntimeJobFailureError, match="Crashed late"):
        second.result(timeout=120)
    assert (first.status(), first.usage(), second.usage()) == ("ERROR", 0, 3)
    assert [job.reason_solution for job in service.jobs] == ["Wait.", None]
    assert (service.counters.billed_jobs, service.counters.usage_secs) == (1, 3)


def test_failed_job_without_a_reason(backend, bell):
    """IBM may give no reason at all."""
    service, device = backend()
    service.inject(Fault(effect="job", on="POST /jobs"))
    job = SamplerV2(device).run([bell])
    with pytest.raises(RuntimeJobFailureError):
        job.result(timeout=120)
    assert service.jobs[0].reason is None


def test_third_job_fails(backend, bell):
    """Which of several jobs fails can be chosen."""
    service, device = backend()
    service.inject(Fault(effect="job", on="POST /jobs", skip=2, reason="third"))
    for _ in range(4):
        SamplerV2(device).run([bell])
    states = [job.status for job in service.wait_for_jobs(4)]
    assert states == ["Completed", "Completed", "Failed", "Completed"]


def test_job_that_ran_too_long(backend, bell):
    """The client does not know IBM's state 'Cancelled - Ran too long': it waits for ever, or for its time-out."""
    service, device = backend()
    service.inject(Fault(effect="job", on="POST /jobs", job_status="Cancelled - Ran too long", usage_secs=8))
    job = SamplerV2(device).run([bell])
    (record,) = service.wait_for_jobs(1)
    assert record.status is JobStatus.RAN_TOO_LONG
    assert record.usage_secs == 8
    with pytest.raises(RuntimeJobTimeoutError):
        job.result(timeout=0.3)
    assert job.status() == "CANCELLED - RAN TOO LONG"


def test_job_that_ibm_cancelled(backend, bell):
    """A cancelled job with code 1305 is one that ran too long to the client; without a reason it is just cancelled."""
    service, device = backend()
    service.inject(
        Fault(effect="job", on="POST /jobs", job_status="Cancelled", reason="Ran too long", reason_code=1305),
        Fault(effect="job", on="POST /jobs", job_status="Cancelled"),
    )
    first, second = (SamplerV2(device).run([bell]) for _ in range(2))
    with pytest.raises(RuntimeJobMaxTimeoutError):
        first.result(timeout=120)
    with pytest.raises(RuntimeInvalidStateError, match="cancelled"):
        second.result(timeout=120)


# ------------------------------------------------------------------------------------- which requests, how often


def hits(faults, labels):
    """The effects that requests meet, in order."""
    plan = FaultPlan()
    for fault in faults:
        plan.inject(fault)
    return [fault and fault.effect for fault in map(plan.decide, labels)]


def test_routes_are_matched_whole():
    """A fault on POST /jobs does not hit the cancelling of a job; a pattern may hit many routes."""
    labels = ["POST /jobs/{id}/cancel", "GET /jobs", "POST /jobs", "POST /jobs"]
    assert hits([Fault(effect="reset", on="POST /jobs")], labels) == [None, None, "reset", None]
    assert hits([Fault(effect="reset", on="POST /jobs.*", times=None)], labels) == [
        "reset",
        None,
        "reset",
        "reset",
    ]
    assert hits([Fault(effect="reset", times=None)], labels) == ["reset"] * 4
    assert hits([Fault(effect="reset", on="GET /jobs/{id}")], ["GET /jobs/{id}", "GET /jobs/{id}/logs"]) == [
        "reset",
        None,
    ]


def test_skip_and_times():
    """Skipped requests pass, then so many are hit, then the next fault has its turn."""
    first = Fault(effect="reset", skip=1, times=2)
    assert hits([first], ["GET /jobs"] * 5) == [None, "reset", "reset", None, None]
    second = Fault(effect="stall", times=2)
    assert hits([first, second], ["GET /jobs"] * 5) == ["stall", "reset", "reset", "stall", None]


def test_probability_is_seeded():
    """With a seed the same requests are hit each time, with another seed others; about as many as were wished."""
    labels = ["GET /jobs"] * 2000
    found = [
        hits([Fault(effect="reset", times=None, probability=0.2, seed=seed)], labels) for seed in (1, 1, 2)
    ]
    assert found[0] == found[1] != found[2]
    assert 340 < found[0].count("reset") < 460


def test_probability_of_a_route_does_not_depend_on_others():
    """Whether the third submission is hit does not depend on how often states were asked for in between."""
    fault = Fault(effect="reset", times=None, probability=0.3, seed=5)
    alone = hits([fault], ["POST /jobs"] * 50)
    mixed = hits([fault], ["GET /jobs/{id}", "POST /jobs", "GET /jobs/{id}"] * 50)
    assert mixed[1::3] == alone


@pytest.mark.parametrize(
    "fields",
    [
        {"on": "("},
        {"times": 0},
        {"skip": -1},
        {"probability": 0},
        {"probability": 1.1},
        {"effect": "none"},
        {"effect": "truncate", "when": "after"},
        {"effect": "pubs", "delta": 0},
        {"keep": 1},
        {"status": 99},
        {"retry_after": -1},
        {"job_status": "Completed"},
        {"usage_secs": -1},
        {"unknown": 1},
    ],
)
def test_malformed_fault(fields):
    """A fault that makes no sense is refused when it is made."""
    with pytest.raises(ValidationError):
        Fault(**{"effect": "status", **fields})


@pytest.mark.parametrize("label", ["POST /jobs", RESULTS])
def test_mix_hits_its_share(label):
    """A mix hits the share that was asked for, and all its kinds equally often."""
    plan = FaultPlan()
    for fault in fault_mix(0.2, 3):
        plan.inject(fault)
    found = Counter(plan.decide(label) for _ in range(30_000))
    missed = found.pop(None)
    assert missed / 30_000 == pytest.approx(0.8, abs=0.01)
    assert len(found) == (14 if label == RESULTS else 11)
    assert min(found.values()) > 0.8 * max(found.values())


def test_mix_keeps_to_its_routes():
    """A mix can spare the login."""
    faults = fault_mix(1.0, on="(?!POST /identity/token).*")
    assert hits(faults, ["POST /identity/token", "POST /identity/token"]) == [None, None]
    assert all(hits(faults, ["POST /jobs", RESULTS, "GET /jobs/{id}"]))
    for share in (0, 1.1):
        with pytest.raises(ValueError, match="share"):
            fault_mix(share)


def test_mix_is_repeatable(rest, bell):
    """The same requests meet the same faults in another service with the same seed; the counters tell how many."""

    def storm():
        session = rest()
        session.service.inject(*fault_mix(0.3, 11, stall_secs=0.01))
        seen = []
        for _ in range(60):
            try:
                answer = session.submit(bell)
                seen.append((answer.status_code, answer.headers.get("Retry-After")))
            except requests.ConnectionError as error:
                seen.append((type(error).__name__, None))
        counters = session.service.counters
        return seen, counters.jobs, counters.faults

    first, second = storm(), storm()
    assert first == second
    seen, jobs, faults = first
    failed = sum(status != 200 for status, _ in seen)
    assert 0 < failed == sum(faults.values()) - faults.get("stall", 0)
    assert 60 - failed < jobs < 60  # some failed after they had been accepted


def test_labels_in_the_counters_are_those_of_faults(rest):
    """Every label in the counters is a pattern that matches itself."""
    session = rest()
    session.service.hold()
    for request in every_route(session).values():
        request()
    labels = session.service.counters.by_route
    assert len(labels) == 22
    assert all(re.fullmatch(label, label) for label in labels)
