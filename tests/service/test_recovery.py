"""Nothing lost, nothing paid twice: the journal, rerun as resume, trouble at the service, limits."""

from __future__ import annotations

import sqlite3
import stat
import threading
import time
import warnings
from contextlib import closing

import numpy as np
import pennylane as qml
import pytest
import requests
from qiskit_ibm_runtime import QiskitRuntimeService
from urllib3.exceptions import NewConnectionError
from waiting import wait_until

from pennylane_threaded_ibmq.exceptions import (
    ConfigurationError,
    JobFailedError,
    JournalError,
    ResultError,
    ShardFailedError,
    SubmissionError,
    UsageLimitError,
    WaitTimeoutError,
)
from pennylane_threaded_ibmq.execution.recovery import Decision, Found, decide
from pennylane_threaded_ibmq.loopback import Fault, JobStatus
from pennylane_threaded_ibmq.service import arrival
from pennylane_threaded_ibmq.service import service as job_service
from pennylane_threaded_ibmq.service.states import State
from pennylane_threaded_ibmq.store.journal import Journal
from pennylane_threaded_ibmq.store.records import NewShard, ShardState

SMALL = "ibm_manila"


def ladder(count, shots=1200):
    return [
        qml.tape.QuantumScript([qml.RY(angle, 0), qml.CNOT([0, 1])], [qml.expval(qml.Z(1))], shots=shots)
        for angle in np.linspace(0, np.pi, count)
    ]


def right(results, atol=0.3):
    np.testing.assert_allclose(
        np.array(results, dtype=float), np.cos(np.linspace(0, np.pi, len(results))), atol=atol
    )


def die(dev):
    """Leave a device as a program that was killed leaves it: nobody waits, and the lock is open."""
    dev.close()
    journal = dev._journal()
    with closing(sqlite3.connect(journal.path, isolation_level=None)) as db:
        db.execute("UPDATE batches SET owner='gone'")


# ------------------------------------------------------------------------------------------------------- the journal


def test_each_step_is_written_down_before_the_next(loopback, device):
    service = loopback()
    dev = device(shard_size=2)
    service.hold()
    handle = dev.submit(ladder(4))
    service.wait_for_jobs(2, JobStatus.QUEUED)
    wait_until(lambda: {s.state for s in dev.batches()[0].shards} == {ShardState.ACCEPTED})
    (record,) = dev.batches()
    assert set(record.job_ids) == {job.id for job in service.jobs}
    assert record.id == handle.batch_id
    assert [s.tapes for s in record.shards] == [(0, 1), (2, 3)]
    for shard in record.shards:
        (job,) = [j for j in service.jobs if j.id == shard.job_id]
        assert shard.tag in job.tags
    service.release()
    right(handle.result(120))
    (record,) = dev.batches()
    assert {s.state for s in record.shards} == {ShardState.DONE}
    assert record.delivered
    assert handle.usage_secs == pytest.approx(sum(job.usage_secs for job in service.jobs))
    assert sum(s.usage_secs for s in dev.batches()[0].shards) == pytest.approx(handle.usage_secs)


def test_the_file_is_the_owners_alone_and_holds_no_token(loopback, device, tmp_path):
    loopback()
    dev = device(ibmqx_token="loopback-token")
    dev.batch_execute(ladder(2))
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert b"loopback-token" not in path.read_bytes()


def test_a_newer_format_is_not_touched(tmp_path):
    path = tmp_path / "journal.sqlite"
    Journal(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=99")
    with pytest.raises(JournalError, match="format 99"):
        Journal(path)


def test_a_place_that_cannot_be_used(loopback, tmp_path, monkeypatch):
    loopback()
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("THREADED_IBMQ_HOME", str(tmp_path / "file"))
    with (
        pytest.warns(UserWarning, match="not written down"),
        qml.device("threaded.ibmq", wires=2, backend=SMALL) as dev,
    ):
        right(dev.batch_execute(ladder(2)))
    with pytest.raises(JournalError, match="cannot be used"):
        qml.device("threaded.ibmq", wires=2, backend=SMALL, journal=str(tmp_path / "file" / "j.sqlite"))


def test_without_a_journal_nothing_is_written(loopback, tmp_path, monkeypatch):
    loopback()
    monkeypatch.setenv("THREADED_IBMQ_HOME", str(tmp_path))
    with qml.device("threaded.ibmq", wires=2, backend=SMALL, journal=False) as dev:
        right(dev.batch_execute(ladder(2)))
        with pytest.raises(JournalError, match="keeps no journal"):
            dev.batches()
    assert not list(tmp_path.iterdir())


def test_the_living_are_told_from_the_dead(tmp_path):
    first, second = Journal(tmp_path / "j"), Journal(tmp_path / "j")
    assert first.presence.is_alive(second.presence.owner)
    assert not first.presence.is_alive("nobody")
    second.close()
    assert not first.presence.is_alive(second.presence.owner)
    first.close()


def test_a_claim_is_given_once(tmp_path):
    """Many processes that run the same program at once: each shard goes to one of them."""
    dead = Journal(tmp_path / "j")
    shards = [NewShard("same", n, (n,), f"tag-{n}") for n in range(20)]
    batch, claims = dead.begin("b", "i", ladder(1), shards)
    assert claims == [None] * 20
    for n in range(20):
        dead.move(batch, n, ShardState.ACCEPTED, job_id=f"job-{n}")
    dead.close()
    journals = [Journal(tmp_path / "j") for _ in range(4)]
    claimed = []

    def claim(journal):
        for n in range(10):
            claimed.extend(journal.begin("b", "i", ladder(1), [NewShard("same", n, (0,), "new")])[1])

    threads = [threading.Thread(target=claim, args=(journal,)) for journal in journals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = [c.job_id for c in claimed if c is not None]
    assert sorted(ids) == sorted(f"job-{n}" for n in range(20))
    for journal in journals:
        journal.close()


# ------------------------------------------------------------------------------------------------- rerun is resume


@pytest.mark.parametrize("finished", [True, False])
def test_running_again_takes_over_what_was_not_delivered(loopback, device, finished):
    service = loopback()
    service.hold()
    first = device(shard_size=2)
    first.submit(ladder(6))
    service.wait_for_jobs(3, JobStatus.QUEUED)
    die(first)
    if finished:
        service.release()
        service.wait_for_jobs(3, JobStatus.COMPLETED)
    second = device(shard_size=2)
    handle = second.submit(ladder(6))
    service.release()
    right(handle.result(120))
    assert service.counters.jobs == 3
    assert sorted(handle.job_ids) == sorted(job.id for job in service.jobs)
    right(second.batch_execute(ladder(6)))  # delivered: these are new samples
    assert service.counters.jobs == 6


def test_other_content_is_not_taken_over(loopback, device):
    service = loopback()
    service.hold()
    first = device()
    first.submit(ladder(3))
    service.wait_for_jobs(1, JobStatus.QUEUED)
    die(first)
    service.release()
    for dev, tapes in (
        (device(), ladder(3, shots=501)),
        (device(primitive="sampler"), ladder(3)),
        (device(resilience_level=0), ladder(3)),
    ):
        before = service.counters.jobs
        dev.batch_execute(tapes)
        assert service.counters.jobs == before + 1


def test_what_a_living_program_waits_for_is_not_taken_over(loopback, device):
    service = loopback()
    service.hold()
    dev = device()
    first, second = dev.submit(ladder(3)), dev.submit(ladder(3))
    service.wait_for_jobs(2, JobStatus.QUEUED)
    service.release()
    right(first.result(120))
    right(second.result(120))
    assert first.job_ids != second.job_ids


def test_a_shadow_is_taken_over_with_the_bases_it_was_measured_in(loopback, device):
    service = loopback()
    script = qml.tape.QuantumScript(
        [qml.Hadamard(0), qml.CNOT([0, 1])], [qml.shadow_expval(qml.X(0) @ qml.X(1))], shots=4000
    )
    service.hold()
    first = device()
    first.submit([script])
    service.wait_for_jobs(1, JobStatus.QUEUED)
    die(first)
    service.release()
    assert device().batch_execute([script])[0] == pytest.approx(1.0, abs=0.25)
    assert service.counters.jobs == 1


def test_a_timeout_says_how_to_come_back(loopback, device):
    service = loopback()
    service.hold()
    dev = device(timeout_secs=5.0)  # it is sent by then
    with pytest.raises(WaitTimeoutError, match=r"dev\.resume") as caught:
        dev.batch_execute(ladder(3))
    service.release()
    right(device().batch_execute(ladder(3)))  # the same tapes find the job
    assert service.counters.jobs == 1
    right(device().resume(caught.value.batch_id).result(120))  # and so does its name, at any time
    assert service.counters.jobs == 1


def test_resume_by_id_runs_only_what_is_missing(loopback, device):
    service = loopback()
    service.inject(Fault(effect="job", on="POST /jobs$", skip=1, reason="No."))
    dev = device(shard_size=2, max_jobs=1)
    with pytest.raises(ShardFailedError) as caught:
        dev.batch_execute(ladder(6))
    assert service.counters.jobs == 3
    right(dev.resume(caught.value.batch_id).result(120))
    assert service.counters.jobs == 4


def test_resume_of_what_is_not_there(loopback, device):
    loopback(backends=(SMALL, "ibm_lima"))
    dev = device()
    with pytest.raises(JournalError, match="'nothing' is not in the journal"):
        dev.resume("nothing")
    handle = dev.submit(ladder(2))
    handle.result(120)
    with pytest.raises(ConfigurationError, match="ibm_manila"):
        device(backend="ibm_lima").resume(handle.batch_id)


# ------------------------------------------------------------------------------------------------ unknown outcome


P, D, F, C = State.PENDING, State.DONE, State.FAILED, State.CANCELLED


@pytest.mark.parametrize(
    ("found", "wanted", "decision"),
    [
        ([], "", Decision(None)),
        ([("a", P)], "", Decision("a")),
        ([("a", D)], "", Decision("a")),
        ([("a", F)], "a", Decision(None)),
        ([("a", C)], "", Decision(None)),
        ([("a", P), ("b", P)], "", Decision("a", ("b",))),
        ([("a", P), ("b", P)], "b", Decision("b", ("a",))),
        ([("a", P), ("b", D)], "a", Decision("b", ("a",))),
        ([("a", D), ("b", D)], "b", Decision("b")),
        ([("a", F), ("b", P), ("c", P)], "", Decision("b", ("c",))),
    ],
)
def test_the_decision_table(found, wanted, decision):
    assert decide([Found(*f) for f in found], wanted) == decision


@pytest.mark.parametrize("effect", ["reset", "status"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_broken_sending_makes_one_job(loopback, device, effect, when):
    service = loopback(direct=True)
    dev = device(ibmqx_url=service.url)
    extra = {"status": 500, "times": 6} if effect == "status" else {}
    service.inject(Fault(effect=effect, when=when, on="POST /jobs$", **extra))
    right(dev.batch_execute(ladder(3)))
    kept = [job for job in service.jobs if job.status is JobStatus.COMPLETED]
    assert sum(job.results_read for job in service.jobs) == 1
    if effect == "reset":
        assert len(kept) == 1
        assert service.counters.jobs == 1


# ---------------------------------------------------------------------------------------------------------- retries


def test_a_failure_that_can_pass_is_tried_again(loopback, device):
    service = loopback()
    fault = {"effect": "job", "on": "POST /jobs$", "reason": "Internal error.", "reason_code": 9999}
    service.inject(Fault(times=2, **fault))
    dev = device()
    right(dev.batch_execute(ladder(3)))
    assert service.counters.jobs == 3
    assert dev.batches()[0].shards[0].attempt == 3
    service.inject(Fault(times=None, **fault))
    with pytest.raises(JobFailedError, match="Internal error"):
        dev.batch_execute(ladder(3))
    assert service.counters.jobs == 6


@pytest.mark.parametrize(
    "fields",
    [
        {"reason": "Bad circuit.", "reason_code": 1517},
        {"job_status": "Cancelled - Ran too long"},
        {"reason": "?"},
    ],
)
def test_a_failure_that_cannot_pass_is_not(loopback, device, fields):
    service = loopback()
    service.inject(Fault(effect="job", on="POST /jobs$", times=None, **fields))
    with pytest.raises(JobFailedError):
        device().batch_execute(ladder(3))
    assert service.counters.jobs == 1


def test_a_refusal_is_not_tried_again(loopback, device):
    service = loopback()
    service.inject(Fault(effect="status", status=400, message="No.", on="POST /jobs$", times=None))
    with pytest.raises(SubmissionError, match=r"No \(HTTP 400"):
        device().batch_execute(ladder(3))
    assert service.counters.by_route["POST /jobs"] == 1


# ----------------------------------------------------------------------------------------------------------- limits


def test_pending_limit_and_jobs_a_minute_never_reach_the_user(loopback, device):
    service = loopback(max_pending=3, jobs_per_minute=5, minute_secs=1.5, job_secs=0.05)
    dev = device(shard_size=1, max_jobs=20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        right(dev.batch_execute(ladder(30)))
    assert service.counters.jobs == 30
    assert service.counters.max_pending <= 3


def test_two_devices_share_the_slots_of_a_backend(loopback, device):
    service = loopback(max_pending=2, job_secs=0.1)
    devices = [device(shard_size=1), device(shard_size=1)]
    handles = [dev.submit(ladder(6)) for dev in devices]
    for handle in handles:
        right(handle.result(60))
    assert service.counters.max_pending <= 2
    assert service.counters.jobs == 12


def test_slots_that_others_hold_are_waited_for(loopback, device):
    service = loopback(max_pending=1)
    service.hold()
    other = device(journal=False)
    held = other.submit(ladder(1))
    service.wait_for_jobs(1, JobStatus.QUEUED)
    from pennylane_threaded_ibmq.service.pace import Pacer

    dev = device()
    dev._open().runner._pacer = Pacer()  # as in another process: it knows nothing of the slot that is taken
    handle = dev.submit(ladder(3))
    service.wait_for_requests("POST /jobs", 2)
    service.release()
    right(handle.result(60))
    held.result(120)


def test_cancelling_ends_the_wait_for_a_slot(loopback, device):
    service = loopback(max_pending=1)
    service.hold()
    dev = device(shard_size=1)
    handle = dev.submit(ladder(3))
    service.wait_for_requests("POST /jobs", 2)
    handle.cancel()
    assert handle.exception(120) is not None
    assert {job.status for job in service.jobs} == {JobStatus.CANCELLED}


def test_a_mixture_of_faults_loses_nothing(loopback, device):
    service = loopback(seed=5)
    # an Estimator of the client side draws what it twirls anew each time
    calm = device(primitive="sampler")
    expected = calm.batch_execute(ladder(12))
    service.inject(
        Fault(effect="status", status=503, on=r"(GET|PUT|PATCH) /jobs", times=None, probability=0.05, seed=1),
        Fault(
            effect="status", status=429, retry_after=0, on=r"GET /jobs", times=None, probability=0.03, seed=2
        ),
        Fault(effect="truncate", on=r"GET /jobs/\{id\}/results", times=None, probability=0.15, seed=3),
        Fault(effect="empty", on=r"GET /jobs/\{id\}/results", times=None, probability=0.05, seed=4),
        Fault(effect="status", status=502, on="POST /jobs$", times=None, probability=0.1, seed=5),
        Fault(
            effect="status", status=504, when="after", on="POST /jobs$", times=None, probability=0.1, seed=6
        ),
    )
    dev = device(shard_size=3, primitive="sampler")
    for _ in range(3):
        np.testing.assert_array_equal(dev.batch_execute(ladder(12)), expected)
    service.clear_faults()
    wait_until(lambda: service.counters.pending == 0)


# ------------------------------------------------------------------------------------------------------ usage guard


def test_an_estimate_has_a_formula_and_sends_nothing(loopback, device):
    service = loopback(usage_limit_secs=600)
    dev = device(shard_size=4)
    found = dev.estimate(ladder(8, shots=1000))
    # twirled by default: 1024 shots for 1000, and once a job as many to learn the errors of the readout
    assert (found.jobs, found.circuits, found.shots) == (2, 8, 8 * 1024 + 2 * 1024)
    assert found.qpu_secs == pytest.approx(sum(found.secs_by_job))
    assert found.qpu_secs > 2 * 2 + found.shots * dev._open().jobs.rep_delay_secs
    assert found.left_secs == 600
    assert "10240 executions" in found.formula
    assert service.counters.jobs == 0
    dev.batch_execute(ladder(8, shots=1000))
    charged = sum(job.usage_secs for job in service.jobs)
    assert charged <= found.qpu_secs <= 2 * charged
    assert dev.estimate(ladder(1)).left_secs == pytest.approx(600 - charged, abs=0.1)


def test_zero_noise_extrapolation_is_estimated(loopback, device):
    loopback()
    assert device(resilience_level=0).estimate(ladder(2, shots=1000)).shots == 2 * 1000
    assert device().estimate(ladder(2, shots=1000)).shots == (2 + 1) * 1024
    assert device(resilience_level=2).estimate(ladder(2, shots=1000)).shots == (3 * 2 + 1) * 1024
    options = {"resilience": {"zne_mitigation": True, "zne": {"noise_factors": (1, 2, 3, 4, 5)}}}
    found = device(primitive_options={"estimator": options}).estimate(ladder(2, shots=1000))
    assert found.shots == (5 * 2 + 1) * 1024


def test_a_batch_beyond_the_allowed_usage_is_refused(loopback, device):
    service = loopback()
    dev = device(max_usage_secs=3)
    with pytest.raises(UsageLimitError, match=r"max_usage_secs=3: .* executions") as caught:
        dev.batch_execute(ladder(20, shots=1000))
    assert caught.value.argument == "max_usage_secs"
    assert service.counters.jobs == 0
    right(dev.batch_execute(ladder(3, shots=700)))


def test_on_this_machine_nothing_is_charged():
    dev = qml.device("threaded.ibmq", wires=2, max_usage_secs=1)
    found = dev.estimate(ladder(5, shots=10_000))
    assert (found.jobs, found.shots, found.qpu_secs, found.left_secs) == (1, 50_000, 0.0, None)
    handle = dev.submit(ladder(5))
    handle.result()
    assert handle.usage_secs is None


# -------------------------------------------------------------------------------- submissions that take their time


def test_a_submission_slower_than_its_program_is_waited_for(start, program, tmp_path, monkeypatch):
    """SIGKILL while three slow submissions are under way: the next run finds no job yet, and pays for none twice."""
    service = start()
    service.inject(Fault(effect="stall", on="POST /jobs$", times=3))
    child = program(service, shard_size=8)
    service.wait_for_requests("POST /jobs", 3, timeout_secs=200)
    child.kill()
    child.communicate()
    assert service.jobs == ()
    service.reset_counters()
    child = program(service, shard_size=8, arrival_secs=3600.0)
    service.wait_for_requests("GET /jobs", 4, timeout_secs=200)  # it looks, and looks again
    service.clear_faults()
    _, errors = child.communicate(timeout=200)
    assert child.returncode == 0, errors
    assert service.counters.jobs == 3
    assert sum(job.usage_secs > 0 for job in service.jobs) == 3


def test_a_submission_behind_a_broken_connection_is_waited_for(loopback, device, monkeypatch):
    """The client is cut off, and the service carries the request out some seconds later."""
    monkeypatch.setattr(job_service, "SEND_SECS", 0.5)
    monkeypatch.setattr(arrival, "ARRIVAL_SECS", 60.0)
    service = loopback()
    service.inject(Fault(effect="stall", secs=3.0, on="POST /jobs$"))
    right(device().batch_execute(ladder(3)))
    assert service.counters.jobs == service.counters.by_route["POST /jobs"] == 1


def test_a_submission_that_never_arrives_is_sent_again(loopback, device):
    """For as long as it may take, and not longer."""
    service = loopback(direct=True)  # behind a proxy the client repeats what was cut off
    dev = device(ibmqx_url=service.url)
    service.inject(Fault(effect="reset", on="POST /jobs$"))
    right(dev.batch_execute(ladder(3)))
    assert service.counters.jobs == 1
    assert service.counters.by_route["POST /jobs"] == 2
    assert service.counters.by_route["GET /jobs"] > 1


def test_a_list_that_counts_more_than_it_holds_is_asked_for_again_with_pauses(loopback, device):
    """The client asks for its next page without a pause for as long as somebody waits, hundreds of times a second."""
    service = loopback()
    dev = device()
    service.inject(
        Fault(effect="reset", when="after", on="POST /jobs$"),
        Fault(effect="count", delta=1, on="GET /jobs", times=3),
    )
    right(dev.batch_execute(ladder(3)))
    assert service.counters.jobs == 1
    service.inject(Fault(effect="count", delta=1, on="GET /jobs", times=None))
    before = service.counters.by_route["GET /jobs"]
    dev = device(timeout_secs=2)
    with pytest.raises(WaitTimeoutError):
        dev.batch_execute(ladder(2))
    assert service.counters.by_route["GET /jobs"] - before < 20


@pytest.mark.parametrize("route", ["GET /instances/usage", r"GET /backends/\{name\}/status"])
def test_what_fails_before_the_submission_costs_no_wait(loopback, device, monkeypatch, route):
    monkeypatch.setattr(arrival, "ARRIVAL_SECS", 3600.0)
    service = loopback(direct=True)
    dev = device(ibmqx_url=service.url)
    service.inject(Fault(effect="reset", on=route))
    right(dev.batch_execute(ladder(3)))
    assert service.counters.jobs == 1


def test_how_long_a_submission_may_still_arrive():
    def caused(cause, **attributes):
        error = SubmissionError("no")
        error.__cause__ = cause
        for name, value in attributes.items():
            setattr(cause, name, value)
        return error

    post = requests.Request("POST", "https://x/jobs").prepare()
    assert arrival.arrival_secs(SubmissionError("no")) == arrival.ARRIVAL_SECS
    assert arrival.arrival_secs(SubmissionError("no", status_code=504)) == arrival.ARRIVAL_SECS
    assert arrival.arrival_secs(SubmissionError("no", status_code=500)) == arrival.ANSWERED_SECS
    assert arrival.arrival_secs(caused(requests.ConnectionError(request=post))) == arrival.ARRIVAL_SECS
    exhausted = caused(requests.exceptions.RetryError("too many 503 error responses", request=post))
    assert arrival.arrival_secs(exhausted) == arrival.ANSWERED_SECS
    answer = requests.Response()
    answer.status_code = 401
    refused = caused(requests.HTTPError(request=post, response=answer))
    assert arrival.arrival_secs(refused) == arrival.ANSWERED_SECS
    get = requests.Request("GET", "https://x/instances/usage").prepare()
    assert arrival.arrival_secs(caused(requests.ConnectionError(request=get))) == 0
    assert arrival.arrival_secs(caused(NewConnectionError(None, "refused"))) == 0
    assert arrival.arrival_secs_since(time.time() - 3600) == 0
    assert arrival.arrival_secs_since(time.time() + 3600) == arrival.ARRIVAL_SECS


def test_an_answer_without_an_id_cancels_no_job(loopback, device):
    """The job that exists is found by its tag; it is no twin of one that has no id."""
    service = loopback(job_secs=1.0)
    dev = device()
    jobs = dev._open().jobs
    send, answers = jobs._send, []

    def nameless(*arguments):
        answers.append(send(*arguments))
        return None, answers[-1][1]

    jobs._send = nameless
    right(dev.batch_execute(ladder(3)))
    assert [job.status for job in service.jobs] == [JobStatus.COMPLETED]
    assert len(answers) == 1


def test_a_job_that_the_service_forgot_is_not_replaced_without_a_word(loopback, device):
    """It was accepted, so it may have been paid for: one clear error first, and then it is the user's choice."""
    service = loopback()
    first = device()
    first.submit(ladder(3))
    (job,) = service.wait_for_jobs(1, JobStatus.COMPLETED)
    die(first)
    QiskitRuntimeService().delete_job(job.id)
    with pytest.raises(ResultError, match=f"{job.id}.*does not know it"):
        device().batch_execute(ladder(3))
    assert service.counters.jobs == 1
    right(device().batch_execute(ladder(3)))
    assert service.counters.jobs == 2
