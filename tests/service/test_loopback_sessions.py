"""Sessions and batches."""

from __future__ import annotations

import pytest
from qiskit import transpile
from qiskit_ibm_runtime import Batch, QiskitRuntimeService, SamplerV2, Session
from qiskit_ibm_runtime.api.exceptions import RequestsApiError
from qiskit_ibm_runtime.exceptions import IBMInputValueError, IBMRuntimeError

from pennylane_threaded_ibmq.loopback import Instance, JobStatus

SMALL = "ibm_manila"
PREMIUM = Instance(name="premium-instance", plan="premium", pricing_type="subscription")


@pytest.fixture
def premium(backend, bell):
    """A device on which sessions are allowed, and a circuit for it."""
    service, device = backend(SMALL, instances=(PREMIUM,))
    return service, device, transpile(bell, device, optimization_level=0)


@pytest.mark.parametrize(("kind", "mode"), [(Batch, "batch"), (Session, "dedicated")])
def test_jobs_join_their_session(premium, kind, mode):
    """Jobs carry the id of their session, which opens, becomes active, and closes with its last job."""
    service, device, circuit = premium
    service.hold("running")
    with kind(device, max_time="1h") as session:
        assert session.status() == "Pending"
        job = SamplerV2(mode=session).run([circuit])
        service.wait_for_jobs(1, "Running")
        assert session.status() == "In progress, accepting new jobs"
    assert session.status() == "In progress, not accepting new jobs"
    service.release(stage="running")
    job.result(timeout=120)
    details = session.details()
    assert (details["state"], details["accepting_jobs"], details["mode"]) == ("closed", False, mode)
    assert (details["backend_name"], details["max_time"]) == (SMALL, 3600)
    assert details["last_job_started"] <= details["last_job_completed"]
    assert session.usage() == pytest.approx(job.usage())
    (record,) = service.sessions
    assert record.id == session.session_id == service.jobs[0].session_id == job.session_id
    assert [found.job_id() for found in QiskitRuntimeService().jobs(session_id=record.id)] == [job.job_id()]


def test_requests_of_a_batch(premium, new_client):
    """A batch of two jobs costs one login, one POST and one PATCH more than the jobs; new clients are logged in."""
    service, device, circuit = premium
    service.reset_counters()
    with Batch(device) as batch:
        jobs = [SamplerV2(mode=batch).run([circuit]) for _ in range(2)]
    service.wait_for_jobs(2)
    for job in jobs:
        job.result(timeout=120)
    routes = service.counters.by_route
    assert routes["POST /sessions"] == routes["PATCH /sessions/{id}"] == 1
    # The second client of an older service, the one for sessions, logs in by itself and submits from then on.
    assert routes.get("POST /identity/token", 0) == (0 if new_client else 1)
    assert routes["POST /jobs"] == routes["GET /jobs/{id}/results"] == 2
    assert sum(routes.values()) == (12 if new_client else 13)


def test_closed_session_takes_no_job(premium):
    """After its close a session refuses jobs; so does the service, if the client did not know."""
    service, device, circuit = premium
    with Batch(device) as batch:
        pass
    with pytest.raises(IBMRuntimeError, match="closed"):
        SamplerV2(mode=batch).run([circuit])
    batch._active = True
    with pytest.raises(IBMRuntimeError, match="1217"):
        SamplerV2(mode=batch).run([circuit])
    assert service.jobs == ()


def test_cancelled_session_drops_queued_jobs(premium):
    """Cancelling a session lets the running job end and drops those that wait."""
    service, device, circuit = premium
    service.hold("running")
    batch = Batch(device)
    SamplerV2(mode=batch).run([circuit])
    service.wait_for_jobs(1, "Running")
    service.hold("queued")
    SamplerV2(mode=batch).run([circuit])
    batch.cancel()
    service.release(stage="running")
    service.wait_for_jobs(2)
    assert [job.status for job in service.jobs] == [JobStatus.COMPLETED, JobStatus.CANCELLED]
    assert service.sessions[0].state == "closed"


def test_session_from_id(premium):
    """A session is found again by its id; an unknown one is not."""
    _, device, circuit = premium
    batch = Batch(device)
    client = QiskitRuntimeService()
    again = Batch.from_id(batch.session_id, client)
    SamplerV2(mode=again).run([circuit]).result(timeout=120)
    with pytest.raises(IBMInputValueError, match="not found"):
        Batch.from_id("nowhere", client)
    with pytest.raises(IBMInputValueError, match="execution mode"):
        Session.from_id(batch.session_id, client)


def test_open_plan_has_no_dedicated_sessions(backend):
    """On the open plan a session is refused and a batch is not."""
    _, device = backend(SMALL)
    with pytest.raises(RequestsApiError, match="not authorized to run a session"):
        Session(device)
    Batch(device).close()


def test_simulator_has_no_sessions(backend, bell):
    """For a simulator the client opens no batch; its jobs run on their own."""
    service, device = backend()
    with Batch(device) as batch:
        SamplerV2(mode=batch).run([bell]).result(timeout=120)
    assert service.sessions == ()


@pytest.mark.parametrize(
    ("body", "code"),
    [({"mode": "other"}, "1208"), ({"max_ttl": 0}, "1208"), ({"backend": "ibm_nowhere"}, "1007")],
)
def test_malformed_session(premium, body, code):
    """A body that makes no session is refused."""
    service, device, _ = premium
    session = device.service._active_api_client._session
    with pytest.raises(RequestsApiError, match=code):
        session.post("/sessions", json={"mode": "batch", "backend": SMALL, **body})
    assert service.sessions == ()


def test_session_for_another_backend(premium):
    """A job must name the backend of its session."""
    service, device, _ = premium
    batch = Batch(device)
    body = {"program_id": "sampler", "backend": "loopback_simulator", "params": {"pubs": [[0]]}}
    with pytest.raises(RequestsApiError, match="is for ibm_manila"):
        device.service._active_api_client._session.post(
            "/jobs", json={**body, "session_id": batch.session_id}
        )
    assert service.jobs == ()
