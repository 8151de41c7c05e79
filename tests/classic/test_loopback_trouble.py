"""The classic side of the loopback service: jobs followed and found again, limits, refusals and faults."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import datetime, timedelta

import pytest
import requests
from qiskit import QuantumCircuit, transpile
from qiskit_ibm_provider import IBMProvider
from qiskit_ibm_provider.api.exceptions import AuthenticationLicenseError, RequestsApiError
from qiskit_ibm_provider.exceptions import IBMBackendApiError
from qiskit_ibm_provider.job.exceptions import (
    IBMJobApiError,
    IBMJobInvalidStateError,
    IBMJobNotFoundError,
    IBMJobTimeoutError,
)

from pennylane_threaded_ibmq.loopback import (
    CLASSIC_SIMULATOR,
    Fault,
    LoopbackConfig,
    LoopbackProcess,
    LoopbackService,
    Project,
    fault_mix,
)

SMALL = "ibmq_lima"


@pytest.fixture
def rest(start):
    """Plain requests to the runtime, logged in: ``ask, service = rest(); ask("GET", "/jobs")``."""

    def starter(**fields):
        service = start(**fields)
        session = requests.Session()
        session.trust_env = False
        base = service.classic_url
        token = session.post(
            f"{base}/users/loginWithToken", json={"apiToken": "loopback-token"}, timeout=60
        ).json()
        session.headers["X-Access-Token"] = token["id"]
        runtime = session.get(f"{base}/users/me", timeout=60).json()["urls"]["services"]["runtime"]

        def ask(method, path, **options):
            return session.request(method, runtime + path, timeout=60, **options)

        return ask, service

    return starter


def submission(**fields):
    """A body that is well formed; its circuit is none, so that the job fails when it runs."""
    params = {"circuits": [None], "shots": 10}
    parts = {"hub": "ibm-q", "group": "open", "project": "main"}
    return json.dumps(
        {"program_id": "circuit-runner", "backend": CLASSIC_SIMULATOR, "params": params, **parts, **fields}
    )


# ------------------------------------------------------------------------------------------ a job's life


def test_states_follow_the_knobs(backend, bell, bounded):
    """Held jobs are queued or running for the client too, with their places in the queue."""
    service, simulator = backend(slots=1)
    service.hold()
    jobs = [simulator.run(bell, shots=10) for _ in range(2)]
    assert [job.status().name for job in jobs] == ["QUEUED", "QUEUED"]
    assert [job.queue_position(refresh=True) for job in jobs] == [1, 2]
    assert simulator.status().pending_jobs == 2
    service.hold("running")
    service.release()
    service.wait_for_jobs(1, "Running")
    assert [job.status().name for job in jobs] == ["RUNNING", "QUEUED"]
    service.release(stage="running")
    service.wait_for_jobs(2)
    assert [job.status().name for job in jobs] == ["DONE", "DONE"]
    steps = jobs[1].time_per_step()
    assert list(steps) == ["created", "running", "finished"]
    assert steps["created"] <= steps["running"] <= steps["finished"]


def test_times_are_as_long_as_configured(backend, bell, bounded):
    service, simulator = backend(queue_secs=0.3, job_secs=0.5)
    job = simulator.run(bell, shots=10)
    service.wait_for_jobs(1)
    steps = job.time_per_step()
    assert (steps["running"] - steps["created"]).total_seconds() >= 0.299
    assert (steps["finished"] - steps["running"]).total_seconds() >= 0.499


def test_waiting_has_an_end(backend, bell):
    service, simulator = backend()
    service.hold()
    job = simulator.run(bell, shots=10)
    with pytest.raises(IBMJobTimeoutError):
        job.result(timeout=1)


def test_cancel(backend, bell):
    """A queued job can be cancelled and costs nothing; a finished one cannot, and the client says so."""
    service, simulator = backend()
    service.hold()
    queued = simulator.run(bell)
    queued.cancel()
    assert queued.status().name == "CANCELLED"
    with pytest.raises(IBMJobInvalidStateError):
        queued.result()
    service.release()
    done = simulator.run(bell)
    service.wait_for_jobs(2)
    with pytest.raises(IBMJobInvalidStateError, match=r"409|3209"):
        done.cancel()
    assert [job.usage_secs for job in service.jobs] == [0.0, 3.0]


def test_tags_find_jobs(start, login, bell):
    service = start()
    provider = login(service)
    simulator = provider.get_backend(CLASSIC_SIMULATOR)
    tagged = simulator.run(bell, job_tags=["mine", "first"])
    simulator.run(bell, job_tags=["other"])
    service.wait_for_jobs(2)
    (found,) = provider.jobs(job_tags=["mine"])
    assert found.job_id() == tagged.job_id()
    assert found.tags() == ["mine", "first"]
    found.update_tags(["renamed"])
    assert service.jobs[0].tags == ("renamed",)
    assert provider.jobs(job_tags=["mine"]) == []


def test_lists_are_cut_into_pages(start, login, bell):
    """More jobs than a page holds are fetched page by page, newest first; filters choose among them."""
    service = start()
    provider = login(service)
    simulator = provider.get_backend(CLASSIC_SIMULATOR)
    ids = [simulator.run(bell, shots=1).job_id() for _ in range(55)]
    service.wait_for_jobs(55)
    service.hold()
    waiting = simulator.run(bell, shots=1)
    service.reset_counters()
    assert [job.job_id() for job in provider.jobs(limit=53, status="completed")] == ids[:1:-1]
    assert service.counters.by_route["GET /jobs"] == 2
    assert [job.job_id() for job in provider.jobs(limit=2, descending=False)] == ids[:2]
    assert [job.job_id() for job in provider.jobs(status="pending")] == [waiting.job_id()]
    assert provider.jobs(backend_name=SMALL) == []
    assert len(provider.jobs(limit=3, start_datetime=datetime.now() - timedelta(hours=1))) == 3  # noqa: DTZ005
    assert provider.jobs(end_datetime=datetime.now() - timedelta(hours=1)) == []  # noqa: DTZ005


def test_lists_of_a_project(start, login, bell):
    """A job belongs to the project that its backend object is for."""
    service = start(projects=(Project(), Project(hub="lab", group="a", project="b")))
    provider = login(service)
    for instance in ("ibm-q/open/main", "lab/a/b", "lab/a/b"):
        provider.get_backend(CLASSIC_SIMULATOR, instance=instance).run(bell, shots=1)
    assert [job.instance for job in service.jobs] == ["ibm-q/open/main", "lab/a/b", "lab/a/b"]
    assert len(provider.jobs(instance="lab/a/b")) == 2
    assert len(provider.jobs()) == 3


def test_a_job_is_found_by_its_id(start, login, bell, bounded):
    """Another login finds the job with its circuits, its options and its result."""
    service = start()
    job = login(service).get_backend(CLASSIC_SIMULATOR).run(bell, shots=70, memory=True)
    service.wait_for_jobs(1)
    found = login(service).retrieve_job(job.job_id())
    assert len(bounded(found.result).get_memory()) == 70
    assert found.circuits()[0] == bell
    assert found.backend_options()["shots"] == 70
    with pytest.raises(IBMJobNotFoundError):
        login(service).retrieve_job("unknown")


def test_logs_and_deletion(rest):
    ask, service = rest()
    job_id = ask("POST", "/jobs", data=submission()).json()["id"]
    service.wait_for_jobs(1)
    assert "running" in ask("GET", f"/jobs/{job_id}/logs").text
    assert ask("DELETE", f"/jobs/{job_id}").status_code == 204
    assert ask("GET", f"/jobs/{job_id}").json()["error"]["code"] == 3250
    assert service.jobs == ()


def test_views_without_inputs(rest):
    """The inputs are part of a job's view unless they are left out."""
    ask, _ = rest()
    job_id = ask("POST", "/jobs", data=submission()).json()["id"]
    assert ask("GET", f"/jobs/{job_id}").json()["params"]["shots"] == 10
    assert "params" not in ask("GET", f"/jobs/{job_id}?exclude_params=true").json()


def test_sessions(backend, bell):
    """Jobs of a session on a device carry its id; a closed one takes none."""
    service, device = backend(SMALL)
    if not hasattr(device, "open_session"):
        pytest.skip("this client has no sessions")
    circuit = transpile(bell, device)
    session = device.open_session(max_time=600)
    for _ in range(2):
        device.run(circuit, shots=1)
    service.wait_for_jobs(2)
    (record,) = service.sessions
    assert {job.session_id for job in service.jobs} == {record.id} == {session.session_id}
    assert (record.instance, record.max_ttl, record.backend) == ("ibm-q/open/main", 600, SMALL)
    device.close_session()
    assert service.sessions[0].state == "closed"
    device._session = type(session)(session_id=record.id)
    with pytest.raises(IBMBackendApiError, match="is closed"):
        device.run(circuit, shots=1)


# ------------------------------------------------------------------------------------ limits and refusals


def test_limit_of_jobs(backend, bell):
    """Beyond the limit the client raises with 3458 in its text; a place is free again when a job ends."""
    service, simulator = backend(max_pending=2)
    service.hold()
    for _ in range(2):
        simulator.run(bell, shots=1)
    with pytest.raises(
        IBMBackendApiError, match=r"400 Client Error.*Reached maximum number \(2\) of concurrent jobs"
    ) as caught:
        simulator.run(bell, shots=1)
    assert "3458" in str(caught.value)
    service.release()
    service.wait_for_jobs(2)
    simulator.run(bell, shots=1)
    assert (service.counters.jobs, service.counters.max_pending) == (3, 2)


def test_limit_of_a_minute(backend, bell):
    """A 429 on a submission is not repeated by the client, Retry-After or not."""
    service, simulator = backend(jobs_per_minute=1, minute_secs=90)
    simulator.run(bell, shots=1)
    with pytest.raises(IBMBackendApiError, match="429"):
        simulator.run(bell, shots=1)
    assert service.counters.by_route["POST /jobs"] == 2


def test_both_faces_count_together(rest):
    """One table of jobs, one set of counters; neither face shows the other's jobs."""
    ask, service = rest(backends=("loopback_simulator",))
    ask("POST", "/jobs", data=submission())
    service.wait_for_jobs(1)
    assert service.counters.by_route["POST /jobs"] == 1
    crn = service.config.instances[0].crn
    headers = {"Authorization": "apikey loopback-token", "Service-CRN": crn}
    session = requests.Session()
    session.trust_env = False
    answer = session.get(service.url + "/jobs", headers=headers, timeout=60)
    if answer.status_code == 200:  # where this Qiskit has the Platform's primitives
        assert answer.json()["jobs"] == []
    else:
        assert answer.status_code == 404


def test_wrong_token(start, login):
    service = start()
    with pytest.raises(RequestsApiError, match=r"401 Client Error.*Login failed\., Error code: 3446"):
        login(service, token="wrong")
    assert service.counters.logins == 0


def test_licence(start, login):
    with pytest.raises(AuthenticationLicenseError, match="licence"):
        login(start(unlicensed_tokens=("new-user",)), token="new-user")


def test_any_token(start, login):
    service = start(any_token=True)
    assert login(service, token="whatever").get_backend(CLASSIC_SIMULATOR).num_qubits == 32


def test_expired_login(backend, bell):
    """The client does not log in again: every later call fails with 401 and code 1201."""
    service, simulator = backend()
    job = simulator.run(bell, shots=1)
    service.expire_logins()
    with pytest.raises(IBMJobApiError, match=r"401 Client Error.*1201"):
        job.status()
    with pytest.raises(RequestsApiError, match="1201"):
        simulator.run(bell, shots=1)
    assert service.counters.logins == 1


def test_short_logins(backend):
    """A login ends by itself."""
    _, simulator = backend(token_lifetime_secs=6)
    client = simulator.provider._runtime_client

    def ask_until_refused():
        while True:
            client.backend_status(CLASSIC_SIMULATOR)

    with pytest.raises(RequestsApiError, match="401"):
        ask_until_refused()


@pytest.mark.parametrize(
    ("fields", "status", "text"),
    [
        ({"backend": "ibm_nowhere"}, 404, "Backend not found: ibm_nowhere"),
        ({"program_id": "sampler"}, 404, "Program not found: sampler"),
        ({"project": "other"}, 403, "ibm-q/open/other"),
        ({"params": {"circuits": []}}, 400, "circuits must not be empty"),
        ({"session_id": "gone"}, 404, "Session not found: gone"),
        ({"tags": "text"}, 400, "tags must be a list"),
    ],
)
def test_refused_submissions(rest, fields, status, text):
    ask, service = rest()
    answer = ask("POST", "/jobs", data=submission(**fields))
    assert (answer.status_code, text in answer.text) == (status, True)
    assert service.jobs == ()


def test_no_content_type_is_needed(rest):
    ask, _ = rest()
    answer = ask("POST", "/jobs", data=submission().encode())
    assert "Content-Type" not in answer.request.headers
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("shots", "circuits", "reason"),
    [(100_001, 1, "1103; The job asks for 100001 shots"), (1, 301, "1102; The job has 301 circuits")],
)
def test_jobs_beyond_the_backend_fail(rest, shots, circuits, reason):
    """What the client lets through fails with a reason."""
    from qiskit_ibm_provider.utils import RuntimeEncoder

    circuit = QuantumCircuit(1)
    circuit.measure_all()
    ask, service = rest()
    body = json.loads(submission())
    body["params"] = {"circuits": [circuit] * circuits, "shots": shots}
    ask("POST", "/jobs", data=json.dumps(body, cls=RuntimeEncoder))
    (job,) = service.wait_for_jobs(1)
    assert f"{job.reason_code}; {job.reason}".startswith(reason)
    assert job.usage_secs == 0


# ------------------------------------------------------------------------------------------------ faults


def test_a_failing_job(backend, bell):
    service, simulator = backend()
    service.inject(Fault(effect="job", on="POST /jobs", reason="The fridge is warm.", reason_code=8001))
    job = simulator.run(bell)
    service.wait_for_jobs(1)
    assert job.status().name == "ERROR"
    assert "The fridge is warm." in job.error_message()


def test_a_submission_answered_502_comes_twice(backend, bell):
    """The client repeats it, and there are two jobs."""
    service, simulator = backend()
    service.inject(Fault(effect="status", status=502, on="POST /jobs", when="after"))
    job = simulator.run(bell)
    assert len(service.jobs) == 2
    assert service.jobs[1].id == job.job_id()


def test_a_reset_submission_leaves_a_job(backend, bell):
    """A POST whose connection breaks is not repeated: the job is there, and only the service knows it."""
    service, simulator = backend()
    service.inject(Fault(effect="reset", on="POST /jobs", when="after"))
    with pytest.raises(IBMBackendApiError):
        simulator.run(bell)
    assert len(service.jobs) == 1


def test_retry_after_decides_about_polls(backend, bell, bounded):
    """A GET is repeated after a 429 with Retry-After, 0 included, and fails without it."""
    service, simulator = backend()
    job = simulator.run(bell, shots=1)
    service.inject(Fault(effect="status", status=429, retry_after=0, on="GET /jobs/{id}"))
    bounded(job.status)
    service.wait_for_jobs(1)
    job = simulator.run(bell, shots=1)
    service.inject(Fault(effect="status", status=429, on="GET /jobs/{id}"))
    with pytest.raises(IBMJobApiError, match="429"):
        job.status()


def test_results_of_the_wrong_size(backend, bell, bounded):
    service, simulator = backend()
    service.inject(
        Fault(effect="pubs", on="GET /jobs/{id}/results"),
        Fault(effect="rows", on="GET /jobs/{id}/results"),
    )
    found = []
    for _ in range(2):
        job = simulator.run([bell, bell], shots=10, memory=True)
        service.wait_for_jobs(len(service.jobs))
        found.append(bounded(job.result))
    assert [len(result.results) for result in found] == [1, 2]
    assert [len(result.results[0].data.memory) for result in found] == [10, 9]


def test_a_storm_is_survived(backend, bell, bounded):
    """Under faults on the results the client's own retries either succeed or raise; nothing hangs."""
    service, simulator = backend()
    job = simulator.run(bell, shots=10)
    service.wait_for_jobs(1)
    assert bounded(job.status).name == "DONE"
    service.inject(*fault_mix(0.3, seed=5, on="GET /facade/v1/jobs/{id}/type"))
    for _ in range(12):
        with suppress(RequestsApiError):
            bounded(simulator.provider._runtime_client.job_type, job.job_id())
    assert service.counters.faults
    service.clear_faults()
    assert bounded(job.result).get_counts()


# ------------------------------------------------------------------------------------ gone, and elsewhere


@pytest.mark.parametrize("status", [404, 410])
def test_a_service_that_is_gone(status, start, login):
    """Every request gets the status and a page for people; nothing counts as a login."""
    service = start(gone=status)
    with pytest.raises(RequestsApiError, match=f"{status} Client Error.*retired"):
        login(service)
    assert service.counters.by_route == {"GET (gone)": 1}
    assert service.counters.logins == 0


def test_a_service_that_has_stopped(login):
    with LoopbackService(LoopbackConfig(classic_backends=(CLASSIC_SIMULATOR,))) as service:
        url = service.classic_url
    with pytest.raises(RequestsApiError, match="refused"):
        IBMProvider(token="loopback-token", url=url)


def test_in_a_process_of_its_own(login, bell, bounded):
    config = LoopbackConfig(classic_backends=(CLASSIC_SIMULATOR,), job_secs=0.1)
    with LoopbackProcess(config) as service:
        job = login(service).get_backend(CLASSIC_SIMULATOR).run(bell, shots=10)
        service.wait_for_jobs(1)
        assert sum(bounded(job.result).get_counts().values()) == 10
        assert service.counters.jobs == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"classic_backends": ("ibmq_limaa",)}, "no snapshot 'fake_limaa'"),
        ({"classic_backends": ()}, "classic_backends must be distinct names"),
        ({"projects": (Project(), Project())}, "two projects have the same name"),
        ({"projects": (Project(backends=("ibmq_lime",)),)}, "did you mean 'ibmq_lima'"),
        ({"gone": 500}, "gone"),
    ],
)
def test_impossible_configurations(fields, message):
    with pytest.raises(ValueError, match=message):
        LoopbackService(LoopbackConfig(**fields)).start()
