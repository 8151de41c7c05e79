"""The versions of the API: which are published, which are refused, and how each words usage."""

from __future__ import annotations

import logging

import pytest
from qiskit.providers import QiskitBackendNotFoundError
from qiskit_ibm_runtime import QiskitRuntimeService, SamplerV2

from pennylane_threaded_ibmq.loopback import SIMULATOR

SUNSET = "2026-02-01"
"""The oldest version that is left after 2027-01-01."""


def speaking(session, version):
    """A session whose requests name a version of the API."""
    session.headers["IBM-API-Version"] = version
    return session


def test_published_versions(rest):
    """The list needs no login and names the newest as live, all others with their sunset dates."""
    session = rest(oldest_version="2024-01-01")
    del session.headers["Authorization"], session.headers["Service-CRN"]
    versions = session.ask("GET", "/versions").json()["versions"]
    assert versions[-1] == {"version": "2026-04-15", "status": "live"}
    assert {"version": "2025-05-01", "sunset_date": "2027-01-01", "status": "deprecated"} in versions
    assert [version["version"] for version in versions] == sorted(version["version"] for version in versions)
    assert all(version["status"] == "deprecated" and version["sunset_date"] for version in versions[:-1])


def test_old_versions_are_refused(rest):
    """Versions before the configured one are refused and no longer published; what is no date always is."""
    session = rest(oldest_version=SUNSET)
    for version, status in (("2025-05-01", 400), ("2026-01-31", 400), (SUNSET, 200), ("2026-04-15", 200)):
        assert speaking(session, version).ask("GET", "/backends").status_code == status
    for version in ("today", "2026-4-31", ""):
        assert speaking(session, version).ask("GET", "/jobs").status_code == 400
    message = speaking(session, "2025-05-01").ask("GET", "/jobs").json()["errors"][0]["message"]
    assert "version 2025-05-01 of the API is no longer supported; the oldest is 2026-02-01" in message
    assert session.ask("GET", "/versions").json()["versions"][0]["version"] == SUNSET


def test_client_of_an_old_version(loopback, bell, new_client, caplog):
    """A client of 2026 does not notice; an older one finds no backend, and says why in its log alone."""
    service = loopback(oldest_version=SUNSET)
    with caplog.at_level(logging.WARNING, "qiskit_ibm_runtime"):
        if new_client:
            job = SamplerV2(QiskitRuntimeService().backend(SIMULATOR)).run([bell])
            assert job.result(timeout=120)[0].data.meas.num_bits == 2
        else:
            with pytest.raises(QiskitBackendNotFoundError, match="No backend matches"):
                QiskitRuntimeService().backend(SIMULATOR)
            assert "Invalid instance" in caplog.text
    assert len(service.jobs) == new_client


@pytest.mark.parametrize(
    ("version", "fields", "beside"),
    [
        ("2025-05-01", {"quantum_seconds", "seconds"}, {"bss"}),
        ("2026-02-15", {"quantum_seconds", "seconds"}, {"bss"}),
        ("2026-03-15", {"qpu_charge_time_seconds", "status", "circuits_execution_time_ns"}, set()),
        ("2026-04-15", {"qpu_charge_time_seconds", "status"}, {"circuits_execution_time_ns"}),
    ],
)
def test_usage_in_each_version(rest, bell, version, fields, beside):
    """Metrics and lists word the usage of a job as the version does that asks."""
    session = speaking(rest(oldest_version="2024-01-01"), version)
    job = session.submit(bell).json()["id"]
    session.service.wait_for_jobs(1)
    metrics = session.ask("GET", f"/jobs/{job}/metrics").json()
    (listed,) = session.ask("GET", "/jobs").json()["jobs"]
    assert metrics.keys() == {"timestamps", "usage"} | beside
    assert metrics["usage"].keys() == fields
    assert metrics["usage"] == listed["usage"] == session.ask("GET", f"/jobs/{job}").json()["usage"]
    assert metrics["usage"].get("qpu_charge_time_seconds", metrics["usage"].get("quantum_seconds")) == 2.025


def test_usage_that_is_pending(backend, bell, new_client):
    """Usage that is not known yet is 0 to a new client, and pending in the metrics, until it is complete."""
    service, device = backend()
    service.hold("usage")
    job = SamplerV2(device).run([bell], shots=100)
    job.result(timeout=120)
    assert not service.jobs[0].usage_complete
    if new_client:
        assert (job.usage(), job.metrics()["usage"]["status"]) == (0, "pending")
    assert service.release(stage="usage") == 1
    assert service.jobs[0].usage_complete
    assert job.usage() == service.counters.usage_secs == 2.025


def test_usage_that_takes_its_time(rest, bell):
    """Usage may be pending for some seconds after the end of a job, also of one that is deleted meanwhile."""
    session = rest(usage_delay_secs=0.05)
    kept, deleted = (session.submit(bell).json()["id"] for _ in range(2))
    session.service.wait_for_jobs(2)
    assert session.ask("DELETE", f"/jobs/{deleted}").status_code == 204
    while session.ask("GET", f"/jobs/{kept}/metrics").json()["usage"]["status"] == "pending":
        pass
    assert [job.id for job in session.service.jobs if job.usage_complete] == [kept]


def test_executor_without_a_client_that_decodes_it(rest, new_client):
    """With an older client installed the service cannot run the program, and says what it would take."""
    answer = rest().ask("POST", "/jobs", {"program_id": "executor", "backend": SIMULATOR, "params": {}})
    if new_client:
        assert answer.status_code == 400
        return
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["message"]) == (404, "Program not found: executor")
    assert "only where qiskit-ibm-runtime 0.47 or newer is installed" in error["solution"]


@pytest.mark.parametrize("fields", [{"oldest_version": "soon"}, {"usage_delay_secs": -1}])
def test_configuration_of_versions(start, fields):
    """A configuration that makes no sense is refused."""
    with pytest.raises(ValueError, match=next(iter(fields))):
        start(**fields)
