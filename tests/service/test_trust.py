"""Answers that cannot be trusted: what is wrong is never handed on, and no job pays for it."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from ladder import ladder

from pennylane_threaded_ibmq.exceptions import ResultError, ServiceError
from pennylane_threaded_ibmq.execution import queue
from pennylane_threaded_ibmq.execution.batch_journal import BatchJournal
from pennylane_threaded_ibmq.execution.primitives import job_pubs
from pennylane_threaded_ibmq.loopback import Fault, JobStatus
from pennylane_threaded_ibmq.service import arrival
from pennylane_threaded_ibmq.service.job import ListedJob
from pennylane_threaded_ibmq.service.result_checks import check_outcomes, check_values, is_mitigated
from pennylane_threaded_ibmq.service.sessions import connections
from pennylane_threaded_ibmq.service.states import Ending
from pennylane_threaded_ibmq.stacks.current.jobs import LanePrimitives

JOB = SimpleNamespace(job_id="job-1")


def right(results, count=None):
    angles = np.linspace(0, np.pi, count or len(results))[: len(results)]
    np.testing.assert_allclose(np.array(results, dtype=float), np.cos(angles), atol=0.3)


def on_results(dev, change):
    """Let ``change`` spoil the results of a job as they arrive."""
    jobs = dev._open().jobs
    results = jobs._results

    def spoiled(job, pubs):
        found, problem = results(job, pubs)
        return change(job, found), problem

    jobs._results = spoiled


# ------------------------------------------------------------------------------------------------------------ numbers


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 17.0, 1.1])
def test_an_impossible_expectation_value_is_refused(loopback, device, value):
    service = loopback()
    dev = device(resilience_level=0)
    on_results(dev, lambda _, found: [replace(r, values=np.full_like(r.values, value)) for r in found])
    with pytest.raises(ResultError, match="expectation value"):
        dev.batch_execute(ladder(3))
    assert service.counters.jobs == 1
    # it arrived whole and would be found again, so the next run sends these tapes anew
    right(device(resilience_level=0).batch_execute(ladder(3)))
    assert service.counters.jobs == 2


@pytest.mark.parametrize(
    ("value", "error", "weight", "mitigated", "good"),
    [
        (1.0, 0.0, 1, False, True),
        (1.01, 0.5, 1, False, False),
        (1.2, 0.0, 1, True, True),
        (17.0, 0.1, 1, True, False),
        (17.0, 2.0, 1, True, True),
        (17.0, 0.0, 12, True, True),
        (17.0, np.nan, 1, True, False),
        (17.0, None, 1, True, False),
        (np.inf, np.inf, 1, True, False),
        (np.nan, 0.0, 1, True, False),
    ],
)
def test_which_values_pass(value, error, weight, mitigated, good):
    def check():
        errors = None if error is None else np.array([[error]])
        check_values(np.array([[value]]), errors, [weight], JOB, mitigated=mitigated)

    if good:
        check()
    else:
        with pytest.raises(ResultError, match="job-1"):
            check()


@pytest.mark.parametrize(
    ("options", "mitigated"),
    [
        ({}, True),
        ({"resilience_level": 0}, False),
        ({"resilience_level": 2}, True),
        ({"resilience_level": 0, "resilience": {"zne_mitigation": True}}, True),
        ({"resilience_level": 0, "resilience": {"measure_mitigation": False}}, False),
    ],
)
def test_which_options_correct_values(options, mitigated):
    assert is_mitigated(options) is mitigated


@pytest.mark.parametrize(
    ("packed", "bits", "good"),
    [
        (np.zeros((2, 5, 1), np.uint8), 3, True),
        (np.full((2, 5, 1), 7, np.uint8), 3, True),
        (np.full((2, 5, 1), 8, np.uint8), 3, False),
        (np.full((2, 5, 1), 255, np.uint8), 8, True),
        (np.zeros((2, 5, 2), np.uint8), 3, False),
        (np.zeros((2, 5, 1), np.float64), 3, False),
        (np.full((2, 5, 2), 255, np.uint8), 16, True),
    ],
)
def test_which_outcomes_pass(packed, bits, good):
    if good:
        check_outcomes(packed, bits, JOB)
    else:
        with pytest.raises(ResultError, match="job-1"):
            check_outcomes(packed, bits, JOB)


# -------------------------------------------------------------------------------------------------------- whose result


@pytest.mark.parametrize("primitive", ["estimator", "sampler"])
def test_the_result_of_another_job_is_refused(loopback, device, primitive):
    """Two jobs of one template differ in nothing but their angles; each gets the other's result."""
    service = loopback()
    dev = device(shard_size=2, primitive=primitive, max_jobs=1)
    first = []

    def exchanged(_, found):
        first.append(found)
        return first[0]

    on_results(dev, exchanged)
    with pytest.raises(ResultError, match=r"another job, whose tag is threaded-ibmq-"):
        dev.submit(ladder(4)).futures[3].result(60)
    assert service.counters.jobs == 2


def answering(dev, give):
    """Let ``give`` say which id the service names for a submission; the job itself is made."""
    jobs = dev._open().jobs
    send = jobs._send

    def misnamed(*arguments):
        job_id, handle = send(*arguments)
        handle._job_id = give(job_id)
        return handle._job_id, handle

    jobs._send = misnamed


@pytest.mark.parametrize("max_jobs", [1, 4])
def test_one_id_for_two_submissions(loopback, device, max_jobs):
    """Each part gets the result of the job that carries its tag, whatever its answer said."""
    service = loopback(job_secs=0.5)
    dev = device(shard_size=2, max_jobs=max_jobs)
    names = []

    def always_the_first(job_id):
        names.append(job_id)
        return names[0]

    answering(dev, always_the_first)
    right(dev.batch_execute(ladder(8)))
    assert [job.status for job in service.jobs] == [JobStatus.COMPLETED] * 4


def test_a_job_that_is_followed_for_another_submission_first(loopback, device):
    """The submission that the id belongs to comes late, and gets its job all the same."""
    service = loopback(job_secs=0.5)
    dev = device(shard_size=2, max_jobs=2)
    watcher = dev._open().runner.watcher
    follow, followed, names = watcher.follow, threading.Event(), []

    def followed_now(*arguments):
        future = follow(*arguments)
        followed.set()
        return future

    def the_first(job_id):
        names.append(job_id)
        if len(names) == 1:
            assert followed.wait(60)
        return names[0]

    watcher.follow = followed_now
    answering(dev, the_first)
    right(dev.batch_execute(ladder(4)))
    assert [job.status for job in service.jobs] == [JobStatus.COMPLETED] * 2


@pytest.mark.parametrize("slow", [True, False])
def test_an_id_that_no_job_has(loopback, device, slow):
    """The real job is no twin of one that does not exist: it is not cancelled, and its result is taken."""
    service = loopback(job_secs=2.0 if slow else 0.0)
    dev = device()
    answering(dev, lambda _: "d000000000000000000g")
    jobs = dev._open().jobs
    search, states = jobs._list, []

    def watched(tag, most, *, pending):
        if not pending:
            states.append(str(dev.batches()[0].shards[0].state))
        return search(tag, most, pending=pending)

    jobs._list = watched
    right(dev.batch_execute(ladder(3)))
    assert [job.status for job in service.jobs] == [JobStatus.COMPLETED]
    # whoever comes after a crash just then looks for the job, and sends none in its place
    assert states
    assert "failed" not in states


@pytest.mark.parametrize("value", [{"id": "d1"}, ["d1"], 7])
def test_an_id_of_another_kind(loopback, device, value):
    service = loopback()
    dev = device()
    jobs = dev._open().jobs
    send = jobs._send
    jobs._send = lambda *arguments: (value, send(*arguments)[1])
    right(dev.batch_execute(ladder(3)))
    assert [job.status for job in service.jobs] == [JobStatus.COMPLETED]


def test_a_list_that_overlooks_what_was_asked_for(loopback, device):
    """Jobs without our tag are nobody's twins and are adopted by nobody, though a service lists them."""
    service = loopback()
    service.hold()
    other = device()
    foreign = other.submit(ladder(2))
    (stranger,) = service.wait_for_jobs(1, JobStatus.QUEUED)
    dev = device(shard_size=1)
    jobs = dev._open().jobs
    every = jobs._list

    def heedless(tag, most, *, pending):
        everything = jobs._service.jobs(limit=20, **({"pending": True} if pending else {}))
        assert every(tag, most, pending=pending) is not None
        return [ListedJob(j.job_id(), frozenset(j.tags), j) for j in everything]

    jobs._list = heedless
    handle = dev.submit(ladder(3))
    service.wait_for_jobs(4, JobStatus.QUEUED)
    service.release()
    right(handle.result(60))
    right(foreign.result(60))
    assert {job.status for job in service.jobs} == {JobStatus.COMPLETED}
    assert stranger.id not in handle.job_ids


def test_a_service_that_names_no_job_of_ours_gives_one_clear_error(loopback, device):
    service = loopback()
    dev = device()
    answering(dev, lambda _: "d000000000000000000g")
    jobs = dev._open().jobs
    jobs._list = lambda *_, **__: []
    with pytest.raises(ServiceError, match="named job d000000000000000000g"):
        dev.batch_execute(ladder(3))
    assert service.counters.jobs == 1


@pytest.fixture
def waiting(loopback, device, monkeypatch):
    """A service that starts no job, and a device that asks at once for the place of one."""
    monkeypatch.setattr(queue, "FIRST_SECS", 0.0)
    service = loopback()
    service.hold()
    return service, device(progress=lambda _: None)


@pytest.mark.parametrize(
    "answer",
    [
        {"position_in_queue": 10**30},
        {"position_in_queue": -1, "estimated_start_time": "0001-01-01T00:00:00Z"},
        {"estimated_start_time": "9999-12-31T23:59:59Z"},
    ],
)
def test_a_place_that_cannot_be_ends_no_wait(waiting, answer):
    """The number was too large for the journal, which ended the one thread that looks at jobs."""
    service, dev = waiting
    asked = threading.Event()

    def odd(_):
        asked.set()
        return answer

    dev._open().jobs._metrics = odd
    handle = dev.submit(ladder(3))
    assert asked.wait(120)
    service.wait_for_requests("GET /jobs/{id}", 3)
    assert dev.batches()[0].shards[0].queue_position is None
    service.release()
    right(handle.result(120))


def test_a_listener_that_fails_ends_no_wait(waiting, monkeypatch, caplog):
    service, dev = waiting
    asked = threading.Event()

    def failing(*_):
        asked.set()
        raise RuntimeError("no room left")

    monkeypatch.setattr(BatchJournal, "note_seen", failing)
    handle = dev.submit(ladder(3))
    assert asked.wait(120)
    service.release()
    right(handle.result(120))
    assert "no room left" in caplog.text


@pytest.mark.parametrize("secs", [-1.0, np.inf, np.nan, 10**400])
def test_a_charge_that_cannot_be_is_not_known(loopback, device, secs):
    """It would stand in the journal, which could not be read any more, and raise what a budget allows."""
    loopback()
    dev = device()
    handle = dev.submit(ladder(3))
    right(handle.result(120))
    (job,) = handle.jobs
    job.metrics = lambda: {"usage": {"status": "complete", "qpu_charge_time_seconds": secs}}
    assert handle.usage_secs is None
    assert handle.metrics()[0].charge_secs is None
    assert dev.batches()[0].shards[0].usage_secs is None


def test_a_reason_that_is_cut_within_a_character(loopback, device):
    """Services that count as JavaScript does cut so, and the file of the journal takes no half of a character."""
    service = loopback()
    service.inject(Fault(effect="job", on="POST /jobs$", reason="Internal error.", reason_code=9999))
    dev = device()
    dev._open().jobs._ending = lambda *_: Ending("it broke \ud83d", 9999)
    right(dev.batch_execute(ladder(3)))
    assert service.counters.jobs == 2


def test_a_batch_of_ibms_that_comes_in_another_form(loopback, device, monkeypatch):
    """Jobs run singly then, as they do where none can be opened."""
    service = loopback()
    dev = device(shard_size=1)
    for client in connections(dev._open().jobs._service):
        monkeypatch.setattr(client, "create_session", lambda *_, **__: [])
    right(dev.batch_execute(ladder(3)))
    assert service.counters.jobs == 3


def test_a_batch_of_ibms_that_cannot_be_closed_loses_no_job(loopback, device, monkeypatch):
    service = loopback()
    dev = device(shard_size=1)

    def failing(_):
        raise KeyError("no such thing")

    for client in connections(dev._open().jobs._service):
        monkeypatch.setattr(client, "close_session", failing)
    right(dev.batch_execute(ladder(3)))
    assert service.counters.jobs == 3


def test_a_job_that_is_said_to_run_on_a_backend_that_nobody_knows(loopback, device, monkeypatch):
    """The client looks that backend up and fails, when the job is there: it is found, and no other is sent."""
    service = loopback()
    dev = device()

    def elsewhere(run, **options):
        return {**run(**options), "backend": "ibm_none"}

    for client in connections(dev._open().jobs._service):
        monkeypatch.setattr(client, "program_run", partial(elsewhere, client.program_run))
    right(dev.batch_execute(ladder(3)))
    assert [job.status for job in service.jobs] == [JobStatus.COMPLETED]


def test_a_twin_that_arrives_late_is_cancelled(loopback, device, monkeypatch):
    """A repeated submission may take its time: the list is looked at once more when none can arrive any more."""
    monkeypatch.setattr(arrival, "ARRIVAL_SECS", 3600.0)
    service = loopback()
    service.hold()
    dev = device()
    handle = dev.submit(ladder(3))
    service.wait_for_jobs(1, JobStatus.QUEUED)
    service.wait_for_requests("GET /jobs/{id}", 2)  # the list was looked at before
    place, (run,) = dev._open(), handle._batch.runs
    tags = (place.journal.tag, run.tag)
    lane = LanePrimitives(place.jobs.backend)
    twin = place.jobs.submit("estimator", job_pubs(run.requests, place.jobs), lane, None, tags)
    monkeypatch.setattr(arrival, "ARRIVAL_SECS", 0.0)
    (cancelled,) = service.wait_for_jobs(1, JobStatus.CANCELLED)
    assert cancelled.id == twin.job_id
    service.release()
    right(handle.result(60))


def test_what_a_service_says_is_logged_without_what_a_terminal_obeys(loopback, device, caplog):
    caplog.set_level("INFO")
    loopback()
    dev = device()
    jobs = dev._open().jobs
    results, said = jobs._results, iter(["it says \x1b]0;mine\x07"])

    def spoiled(job, pubs):
        return ([], problem) if (problem := next(said, "")) else results(job, pubs)

    jobs._results = spoiled
    right(dev.batch_execute(ladder(3)))
    jobs.outage.failed(dev, OSError("no route \x1b[2J"))
    jobs.outage.answered(dev)
    assert "it says \\x1b]0;mine" in caplog.text
    assert "no route \\x1b[2J" in caplog.text
    assert "\x1b" not in caplog.text
