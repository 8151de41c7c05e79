"""Jobs: their requests, states, lists, limits and ends."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.providers import QiskitBackendNotFoundError
from qiskit_ibm_runtime import QiskitRuntimeService, RuntimeDecoder, SamplerV2
from qiskit_ibm_runtime.api.exceptions import RequestsApiError
from qiskit_ibm_runtime.exceptions import (
    IBMRuntimeError,
    RuntimeInvalidStateError,
    RuntimeJobFailureError,
    RuntimeJobMaxTimeoutError,
    RuntimeJobNotFound,
)

from pennylane_threaded_ibmq.loopback import SIMULATOR, JobStatus

SMALL = "ibm_manila"


def tagged(device, *tags, **environment):
    """A sampler whose jobs carry tags."""
    return SamplerV2(device, options={"environment": {"job_tags": list(tags), **environment}})


def test_requests_of_one_job(loopback, bell, new_client):
    """From construction to result: every request, exactly; the second job costs five."""
    service = loopback()
    device = QiskitRuntimeService().backend(SMALL)
    circuit = transpile(bell, device, optimization_level=0)
    service.hold()
    job = SamplerV2(device).run([(circuit, None, 100)])
    service.release()
    service.wait_for_jobs(1)
    job.result(timeout=120)
    account = {"POST /identity/token": 2, "POST /v3/resources/search": 1, "GET /catalog/{id}": 1}
    device_requests = {
        "GET /backends": 1 + new_client,
        "GET /backends/{name}/configuration": 1,
        "GET /backends/{name}/properties": 1,
    }
    job_requests = {
        "GET /instances/usage": 1,
        "GET /backends/{name}/status": 1,
        "POST /jobs": 1,
        "GET /jobs/{id}": 1,
        "GET /jobs/{id}/results": 1,
    }
    counters = service.counters
    assert counters.by_route == account | device_requests | job_requests
    assert counters.requests == 12 + new_client
    assert (counters.logins, counters.jobs, counters.pubs, counters.rows, counters.shots) == (2, 1, 1, 1, 100)
    assert (counters.pending, counters.running, counters.max_pending, counters.max_running) == (0, 0, 1, 1)
    assert counters.bytes_received > 500  # the circuit
    assert counters.bytes_sent > 20_000  # configuration and properties
    service.reset_counters()
    service.hold("running")
    job = SamplerV2(device).run([(circuit, None, 100)])
    service.wait_for_jobs(1, "Running")
    service.release(stage="running")
    service.wait_for_jobs(2)
    job.result(timeout=120)
    assert service.counters.by_route == job_requests


def test_states(backend, bell):
    """A job is queued, running and done, at the service and in the client alike."""
    service, device = backend()
    service.hold("queued")
    service.hold("running")
    job = SamplerV2(device).run([bell])
    assert job.status() == "QUEUED"
    assert job.metrics()["position_in_queue"] == 1
    assert service.release(stage="queued") == 1
    service.wait_for_jobs(1, JobStatus.RUNNING)
    assert job.status() == "RUNNING"
    service.release(stage="running")
    (record,) = service.wait_for_jobs(1)
    assert job.status() == "DONE"
    assert record.created <= record.started <= record.finished
    assert "Completed" in job.logs()
    timestamps = job.metrics()["timestamps"]
    assert timestamps["created"] <= timestamps["running"] <= timestamps["finished"]


def test_usage_is_charged(backend, bell):
    """A job costs 2 s and 250 microseconds a shot; the instance's usage is the sum."""
    service, device = backend()
    job = SamplerV2(device).run([(bell, None, 1000), (bell, None, 3000)])
    job.result(timeout=120)
    assert job.usage() == pytest.approx(2 + 4000 * 250e-6)
    assert QiskitRuntimeService().usage()["usage_consumed_seconds"] == pytest.approx(3.0)
    assert service.jobs[0].shots == 4000


def test_lists(backend, bell):
    """Jobs are found by tag, state, backend, program, time, limit and offset, in both orders."""
    service, device = backend()
    client = QiskitRuntimeService()
    first = tagged(device, "a", "first").run([bell])
    first.result(timeout=120)
    service.hold()
    start = datetime.now().astimezone()
    second = tagged(device, "a").run([bell])
    third = tagged(device, "b").run([bell])

    def ids(**query):
        return [job.job_id() for job in client.jobs(**query)]

    one, two, three = first.job_id(), second.job_id(), third.job_id()
    assert ids() == [three, two, one]
    assert ids(descending=False) == [one, two, three]
    assert ids(job_tags=["a"]) == [two, one]
    assert ids(job_tags=["a", "first"]) == [one]
    assert ids(pending=True) == [three, two]
    assert ids(pending=False) == [one]
    assert ids(backend_name=device.name) == [three, two, one]
    assert ids(backend_name=SMALL) == []
    assert ids(program_id="sampler") == [three, two, one]
    assert ids(program_id="estimator") == []
    assert ids(created_after=start) == [three, two]
    assert ids(created_before=start) == [one]
    assert ids(created_after=start + timedelta(hours=1)) == []
    assert ids(limit=1) == [three]
    assert ids(limit=1, skip=1) == [two]
    assert ids(limit=None) == [three, two, one]


def test_long_list_is_paged(backend, bell):
    """Without a limit the client pages by 20 until it has as many jobs as the service counts."""
    service, device = backend()
    service.hold()
    for _ in range(21):
        SamplerV2(device).run([bell])
    service.reset_counters()
    assert len(QiskitRuntimeService().jobs(limit=None)) == 21
    assert service.counters.by_route["GET /jobs"] == 2


def test_job_is_found_later(backend, bell):
    """A job id is enough to fetch results in another client; an unknown one is not found."""
    _, device = backend()
    job_id = SamplerV2(device).run([(bell, None, 10)]).job_id()
    client = QiskitRuntimeService()
    job = client.job(job_id)
    assert job.result(timeout=120)[0].data.meas.num_shots == 10
    assert job.inputs["pubs"][0][0].num_qubits == 2
    assert job.creation_date is not None
    with pytest.raises(RuntimeJobNotFound):
        client.job("d0000000000000000000")


def test_cancel(backend, bell):
    """A queued and a running job can be cancelled, a finished one cannot; a cancelled one has no result."""
    service, device = backend(slots=1)
    service.hold("running")
    running, queued = SamplerV2(device).run([bell]), SamplerV2(device).run([bell])
    service.wait_for_jobs(1, "Running")
    queued.cancel()
    running.cancel()
    service.release(stage="running")
    assert [job.status for job in service.jobs] == [JobStatus.CANCELLED] * 2
    assert (service.counters.pending, service.counters.running) == (0, 0)
    with pytest.raises(RuntimeInvalidStateError, match="cancelled"):
        running.result(timeout=120)
    with pytest.raises(RuntimeInvalidStateError, match="cannot be cancelled"):
        QiskitRuntimeService().job(queued.job_id()).cancel()
    done = SamplerV2(device).run([bell])
    done.result(timeout=120)
    with pytest.raises(RuntimeInvalidStateError):
        done.cancel()


def test_delete(backend, bell):
    """A finished job can be deleted and is gone then; one in flight cannot."""
    service, device = backend()
    client = QiskitRuntimeService()
    service.hold()
    job = SamplerV2(device).run([bell])
    with pytest.raises(IBMRuntimeError, match="Failed to delete"):
        client.delete_job(job.job_id())
    service.release()
    job.result(timeout=120)
    client.delete_job(job.job_id())
    assert service.jobs == ()
    with pytest.raises(RuntimeJobNotFound):
        client.job(job.job_id())


def test_tags_can_be_changed(backend, bell):
    """New tags replace the old ones, and the job is found by them."""
    service, device = backend()
    job = tagged(device, "old").run([bell])
    assert job.update_tags(["new"]) == ["new"]
    assert service.jobs[0].tags == ("new",)
    assert len(QiskitRuntimeService().jobs(job_tags=["new"])) == 1


def test_private_job(backend, bell):
    """Results of a private job can be read once; its inputs never."""
    service, device = backend()
    job = tagged(device, private=True).run([bell])
    assert job.private
    assert job.result(timeout=120) is not None
    assert job.inputs == {}
    with pytest.raises(RequestsApiError) as caught:
        job.result(timeout=120)
    assert caught.value.status_code == 404
    assert service.jobs[0].private


def test_slots(backend, bell):
    """At most as many jobs of a backend run at a time as it has slots, in the order of submission."""
    service, device = backend(slots=2)
    service.hold("running")
    jobs = [SamplerV2(device).run([bell]) for _ in range(4)]
    service.wait_for_jobs(2, "Running")
    assert [job.status for job in service.jobs] == ["Running", "Running", "Queued", "Queued"]
    service.release(1, stage="running")
    service.wait_for_jobs(1)
    service.wait_for_jobs(2, "Running")
    service.release(stage="running")
    service.wait_for_jobs(4)
    assert service.counters.max_running == 2
    assert service.counters.max_pending == 4
    assert {job.status() for job in jobs} == {"DONE"}
    assert [job.started for job in service.jobs] == sorted(job.started for job in service.jobs)


def test_release_by_number(backend, bell):
    """Held jobs can be let go one by one, oldest first."""
    service, device = backend()
    service.hold()
    jobs = [SamplerV2(device).run([bell]) for _ in range(3)]
    assert service.release(2) == 2
    done = service.wait_for_jobs(2)
    assert [job.id for job in done] == [job.job_id() for job in jobs[:2]]
    assert service.jobs[2].status is JobStatus.QUEUED
    assert service.release() == 1
    service.wait_for_jobs(3)


def test_pace(backend, bell):
    """A job spends at least the configured times in each state, side by side with others."""
    service, device = backend(queue_secs=0.1, job_secs=0.3)
    service.hold()
    for _ in range(3):
        SamplerV2(device).run([bell])
    service.release()
    jobs = service.wait_for_jobs(3)
    for job in jobs:
        assert (job.started - job.created).total_seconds() >= 0.099
        assert (job.finished - job.started).total_seconds() >= 0.299
    assert service.counters.max_running == 3


def test_latency(loopback, new_client):
    """Every request takes at least the configured time."""
    service = loopback(request_secs=0.05)
    start = datetime.now().astimezone()
    QiskitRuntimeService()
    assert datetime.now().astimezone() - start >= timedelta(seconds=0.15)
    assert service.counters.requests == (5 if new_client else 3)


def test_pending_limit(backend, bell):
    """One job too many is refused with IBM's words, and accepted once another has finished."""
    service, device = backend(max_pending=2)
    service.hold()
    for _ in range(2):
        SamplerV2(device).run([bell])
    with pytest.raises(IBMRuntimeError, match="You have reached the limit of 2 pending jobs") as caught:
        SamplerV2(device).run([bell])
    assert caught.value.__context__.status_code == 400
    service.release(1)
    service.wait_for_jobs(1)
    SamplerV2(device).run([bell])
    assert service.counters.jobs == 3


def test_jobs_per_minute(backend, bell):
    """The job beyond the rate is answered with 429; the client raises at once."""
    service, device = backend(jobs_per_minute=2)
    for _ in range(2):
        SamplerV2(device).run([bell])
    with pytest.raises(IBMRuntimeError, match="limit is 2 per minute") as caught:
        SamplerV2(device).run([bell])
    assert caught.value.__context__.status_code == 429
    assert service.counters.by_route["POST /jobs"] == 3


def test_usage_limit(backend, bell):
    """Once the instance's time is used up, the client warns and the service refuses."""
    _, device = backend(usage_limit_secs=2)
    sampler = SamplerV2(device)
    sampler.run([bell]).result(timeout=120)
    with (
        pytest.warns(UserWarning, match="met its usage limit"),
        pytest.raises(IBMRuntimeError, match="Usage exceeds") as caught,
    ):
        sampler.run([bell])
    assert caught.value.__context__.status_code == 409


def test_max_execution_time(backend, bell):
    """A job that runs longer than it may is cancelled with code 1305."""
    service, device = backend(job_secs=30)
    job = SamplerV2(device, options={"max_execution_time": 1}).run([bell])
    service.wait_for_jobs(1)
    with pytest.raises(RuntimeJobMaxTimeoutError, match="1305"):
        job.result(timeout=120)


def submit(device, body):
    """Send a job as no client would."""
    session = device.service._active_api_client._session
    params = {"pubs": [[None]], "options": {}, "version": 2}
    return session.post(
        "/jobs", json={"program_id": "sampler", "backend": device.name, "params": params, **body}
    )


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"backend": "ibm_nowhere"}, 404, "1007"),
        ({"backend": 3}, 400, "1208"),
        ({"params": []}, 400, "1208"),
        ({"params": {"pubs": []}}, 400, "1208"),
        ({"program_id": "no-program"}, 404, "1291"),
        ({"tags": "text"}, 400, "1208"),
        ({"cost": -1}, 400, "1208"),
        ({"session_id": "nowhere"}, 404, "1291"),
    ],
)
def test_malformed_submission(backend, body, status, code):
    """A body that makes no job is refused with IBM's error body, and no job exists."""
    service, device = backend()
    with pytest.raises(RequestsApiError, match=code) as caught:
        submit(device, body)
    assert caught.value.status_code == status
    assert service.jobs == ()


@pytest.mark.parametrize("query", ["pending=maybe", "limit=-1", "offset=x", "created_after=yesterday"])
def test_malformed_query(backend, query):
    """A query that makes no sense is refused."""
    _, device = backend()
    with pytest.raises(RequestsApiError, match="1208"):
        device.service._active_api_client._session.get(f"/jobs?{query}")


@pytest.mark.parametrize(
    "pub", [[None], ["no circuit"], [{"__type__": "QuantumCircuit", "__value__": "x"}], []]
)
def test_content_that_is_no_circuit(backend, pub):
    """What cannot be decoded is found when the job runs, which then fails as IBM's does."""
    service, device = backend()
    submit(device, {"params": {"pubs": [pub], "options": {}}})
    (job,) = service.wait_for_jobs(1)
    assert (job.status, job.reason_code) == (JobStatus.FAILED, 1002)


def failure(device, circuit, **run):
    """Submit past the client's own check, and return why the job failed."""
    body = {
        "program_id": "sampler",
        "backend_name": device.name,
        "params": {"pubs": [(circuit, None, run.get("shots"))]},
    }
    reply = device.service._active_api_client.program_run(image=None, log_level=None, session_id=None, **body)
    job = device.service.job(reply["id"])
    with pytest.raises(RuntimeJobFailureError) as caught:
        job.result(timeout=120)
    return str(caught.value)


def test_circuits_must_fit_the_backend(backend, bell):
    """Gates, couplings, width and shots are checked when the job runs; the reason names what does not fit."""
    _, device = backend(SMALL)
    assert "Error code 1106; The instruction h on qubits (0,)" in failure(device, bell)
    distant = QuantumCircuit(5, 1)
    distant.cx(0, 4)
    assert "Error code 1107; The instruction cx on qubits (0, 4)" in failure(device, distant)
    assert "Error code 1109" in failure(device, QuantumCircuit(6))
    assert "Error code 1103" in failure(device, QuantumCircuit(1, 1), shots=10**9)
    hidden = QuantumCircuit(1, 1)
    with hidden.if_test((hidden.clbits[0], 1)):
        hidden.h(0)
    assert "The instruction" in failure(device, hidden)


def test_store_is_bounded(backend, bell):
    """The oldest finished jobs are dropped; those in flight never are."""
    service, device = backend(keep_jobs=2)
    service.hold("running")
    held = SamplerV2(device).run([bell])
    service.wait_for_jobs(1, "Running")
    service.release(stage="running")
    service.wait_for_jobs(1)
    later = []
    for _ in range(3):
        later.append(SamplerV2(device).run([bell]))
        later[-1].result(timeout=120)
    assert [job.id for job in service.jobs] == [job.job_id() for job in later[1:]]
    assert held.job_id() not in {job.id for job in service.jobs}
    assert service.counters.jobs == 4


def test_calibration(backend, bell, new_client):
    """A job carries the calibration that its backend was asked for."""
    if not new_client:
        pytest.skip("the client sends none along with the primitives of this test")
    from qiskit_ibm_runtime.executor_sampler import SamplerV2 as ClientSampler

    service, _ = backend()
    device = QiskitRuntimeService().backend(SIMULATOR, calibration_id="low")
    for sampler in (SamplerV2, ClientSampler):
        sampler(device).run([bell], shots=10)
    assert [job.calibration_id for job in service.jobs] == ["low", "low"]


def test_more_shots_than_the_backend_names(backend, bell):
    """A backend runs more shots than its configuration names, as IBM's do."""
    service, device = backend(SMALL)
    compiled = transpile(bell, device, optimization_level=0)
    shots = 100_001  # the configuration says 100,000
    assert SamplerV2(device).run([compiled], shots=shots).result(timeout=120)[0].data.meas.num_shots == shots
    assert service.jobs[0].shots == shots


MOCK = "mock_manila"


def test_mock_backend(rest):
    """A mock is listed on demand alone, checks what it is given, answers with random numbers and charges nothing."""
    session = rest(backends=(SMALL, MOCK))
    zeros = QuantumCircuit(1, 8)
    zeros.measure([0] * 8, range(8))
    job = session.submit(zeros, backend=MOCK).json()["id"]
    wrong = QuantumCircuit(1)
    wrong.h(0)
    session.submit(wrong, backend=MOCK)
    done, failed = session.service.wait_for_jobs(2)
    assert (done.status, done.shots, done.usage_secs, failed.reason_code) == ("Completed", 100, 0, 1106)
    result = json.loads(session.ask("GET", f"/jobs/{job}/results").text, cls=RuntimeDecoder)
    assert len(set(result[0].data.c.array.ravel())) > 20
    assert session.ask("GET", "/jobs").json()["count"] == 0
    assert session.ask("GET", "/jobs?include_mocks=True").json()["count"] == 2
    assert [device["name"] for device in session.ask("GET", "/backends").json()["devices"]] == [SMALL]
    both = session.ask("GET", "/backends?include_mocks=True").json()["devices"]
    assert [device.get("class") for device in both] == [None, "mock"]


def test_dry_run(backend, bell, new_client):
    """A dry run of the client goes to the mock of its backend."""
    if not new_client:
        pytest.skip("the client knows no dry runs")
    from qiskit_ibm_runtime.executor_estimator import EstimatorV2
    from qiskit_ibm_runtime.executor_sampler import SamplerV2 as ClientSampler

    service, device = backend(SMALL, backends=(SMALL, MOCK))
    compiled = transpile(bell, device, optimization_level=0)
    plain = compiled.remove_final_measurements(inplace=False)
    sampled = ClientSampler(device).run([compiled], shots=400, dry_run=True).result(timeout=120)
    estimated = EstimatorV2(device).run([(plain, "IIIZZ")], dry_run=True).result(timeout=120)
    assert set(sampled[0].data.meas.get_counts()) == {"00", "01", "10", "11"}
    assert abs(float(estimated[0].data.evs)) < 0.9
    assert [job.backend for job in service.jobs] == [MOCK, MOCK]
    assert service.counters.usage_secs == 0


def test_backend_that_is_paused(backend, bell):
    """The jobs of a paused backend are accepted and stay queued until it goes on; others run meanwhile."""
    service, device = backend(SMALL)
    compiled = transpile(bell, device, optimization_level=0)
    sampler = SamplerV2(device)
    service.set_backend(SMALL, "paused")
    with pytest.warns(UserWarning, match="paused"):
        job = sampler.run([compiled], shots=10)
    assert (device.status().status_msg, device.status().operational) == ("paused", True)
    SamplerV2(QiskitRuntimeService().backend(SIMULATOR)).run([bell], shots=10).result(timeout=120)
    assert job.status() == "QUEUED"
    assert QiskitRuntimeService().least_busy().name == SIMULATOR
    service.set_backend(SMALL, "online")
    assert job.result(timeout=120)[0].data.meas.num_shots == 10


def test_backend_that_is_retired(backend, bell):
    """A retired backend is not found and takes no jobs any more; those that it ran are found by any client."""
    service, device = backend(SMALL)
    compiled = transpile(bell, device, optimization_level=0)
    job = SamplerV2(device).run([compiled], shots=10)
    service.wait_for_jobs(1)
    service.set_backend(SMALL, "retired")
    client = QiskitRuntimeService()
    assert [found.name for found in client.backends()] == [SIMULATOR]
    with pytest.raises(QiskitBackendNotFoundError):
        client.backend(SMALL)
    with pytest.raises(RequestsApiError, match="Backend not found: ibm_manila"):
        SamplerV2(device).run([compiled])
    assert job.result(timeout=120)[0].data.meas.num_shots == 10
    assert client.job(job.job_id()).result(timeout=120)[0].data.meas.num_shots == 10
    with pytest.raises(ValueError, match=r"no backend 'ibm_lima'; there are ibm_manila, loopback_simulator"):
        service.set_backend("ibm_lima", "paused")
