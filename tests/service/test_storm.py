"""Whatever goes wrong on the way, the results are those of a calm run: faults, limits, any order, any shards."""

from __future__ import annotations

import json
import logging
import os
import warnings
from contextlib import contextmanager

import numpy as np
import pennylane as qml
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ladder import ladder

from pennylane_threaded_ibmq.execution import watcher
from pennylane_threaded_ibmq.loopback import SIMULATOR, Fault, JobStatus, fault_mix
from pennylane_threaded_ibmq.service.states import State

SWEEP = os.environ.get("TESTS_SWEEP")
ALL_BUT_LOGINS = "(?!POST /identity/token$).*"
"""After a login that failed, IBM's client stalls for a minute, so a storm of those would measure its patience."""


def right(results, atol=0.3):
    np.testing.assert_allclose(
        np.array(results, dtype=float), np.cos(np.linspace(0, np.pi, len(results))), atol=atol
    )


# ----------------------------------------------------------------------------------------------- a fifth of all requests


def storm(loopback, device, batches, seed):
    """Batches while a fifth of all requests fail: each shard becomes one job, whatever the client is answered."""
    service = loopback(seed=5, job_secs=0.1, slots=2)
    tapes = ladder(8)
    expected = device().batch_execute(tapes)
    service.reset_counters()
    service.inject(*fault_mix(0.2, seed=seed, on=ALL_BUT_LOGINS))
    for _ in range(batches):
        before = len(service.jobs)
        dev = device(shard_size=2)
        np.testing.assert_array_equal(dev.batch_execute(tapes), expected)
        mine = service.jobs[before:]
        assert [job.status for job in mine] == [JobStatus.COMPLETED] * 4
        dev.close()
    counters = service.counters
    print(
        f"\n{batches} batches: {counters.requests} requests, {sum(counters.faults.values())} faults {counters.faults}, "
        f"{counters.jobs} jobs for {4 * batches} shards, {counters.billed_jobs} billed"
    )
    assert sum(counters.faults.values()) > 0.1 * counters.requests
    assert (counters.jobs, counters.billed_jobs) == (4 * batches, 4 * batches)


def test_batches_in_a_storm(loopback, device):
    storm(loopback, device, batches=5, seed=1)


@pytest.mark.sweep
@pytest.mark.timeout(7200)
def test_many_batches_in_a_storm(loopback, device):
    storm(loopback, device, batches=int(SWEEP or 50), seed=2)


# ------------------------------------------------------------------------------------------------------------ limits


def two_programs(start, program, tmp_path, shard_size):
    service = start(max_pending=3, jobs_per_minute=5, minute_secs=0.5, job_secs=0.05)
    children = [
        program(service, result=name, shard_size=shard_size, max_jobs=20) for name in ("first", "second")
    ]
    for child in children:
        _, errors = child.communicate(timeout=240)
        assert (child.returncode, errors) == (0, "")
    for name in ("first", "second"):
        values = json.loads((tmp_path / name).read_text())
        np.testing.assert_allclose(values, np.cos(np.linspace(0, np.pi, 24)), atol=0.3)
    assert service.counters.jobs == 2 * 24 // shard_size
    assert service.counters.max_pending <= 3
    print("\n", service.counters.by_route["POST /jobs"], "submissions for", service.counters.jobs, "jobs")


def test_two_programs_share_the_limits_of_an_account(start, program, tmp_path):
    two_programs(start, program, tmp_path, shard_size=4)


@pytest.mark.sweep
def test_two_programs_share_the_limits_of_an_account_for_long(start, program, tmp_path):
    two_programs(start, program, tmp_path, shard_size=1)


def test_a_batch_of_ibms_that_is_over_does_not_fail_what_is_left(loopback, device):
    """IBM ends a Batch after some time, ten minutes on the open plan: what was not sent by then runs singly."""
    service = loopback(max_pending=1)
    dev = device(shard_size=1)
    service.hold()
    handle = dev.submit(ladder(4))
    service.wait_for_jobs(1, JobStatus.QUEUED)
    (shared,) = service.sessions
    dev._open().jobs._service._get_api_client().close_session(shared.id)
    service.release()
    right(handle.result(60))
    assert [job.session_id for job in service.jobs] == [shared.id, None, None, None]


# ---------------------------------------------------------------------------------------- any order, failure and size


@contextmanager
def finishing_in(order, jobs):
    """Let finished jobs be seen as such in any order: the n-th after ``order[n]`` more looks."""
    state = jobs.state
    looks: dict[str, int] = {}

    def seen(job):
        found = state(job)
        if found.final:
            looks.setdefault(job.job_id, order[len(looks) % len(order)])
            looks[job.job_id] -= 1
        return State.PENDING if looks.get(job.job_id, -1) >= 0 else found

    jobs.state = seen
    try:
        yield
    finally:
        del jobs.state


def mixed():
    tapes = ladder(4)
    tapes += [
        qml.tape.QuantumScript([qml.RX(x, 0)], [qml.probs(wires=[0]), qml.expval(qml.Z(0))], shots=100)
        for x in (0.3, 1.2, 2.0)
    ]
    return [*tapes, qml.tape.QuantumScript([qml.RY([0.1, 0.9], 0)], [qml.var(qml.Z(0))], shots=200)]


def flat(results):
    return np.concatenate([np.ravel(leaf) for leaf in _leaves(results)])


def _leaves(results):
    if isinstance(results, (tuple, list)):
        for part in results:
            yield from _leaves(part)
    else:
        yield results


def any_order(loopback, device, monkeypatch, examples):
    monkeypatch.setattr(watcher, "FIRST_INTERVAL_SECS", 0.02)
    monkeypatch.setattr(watcher, "LONGEST_INTERVAL_SECS", 0.1)
    service = loopback(seed=3)
    tapes = mixed()
    devices = {}

    def on(backend, size, primitive):
        key = backend, size, primitive
        if key not in devices:
            devices[key] = device(
                backend=backend, shard_size=size, primitive=primitive, max_retries=12, max_jobs=8
            )
        return devices[key]

    expected = {
        (backend, primitive): flat(on(backend, "auto", primitive).batch_execute(tapes))
        for backend in ("ibm_manila", SIMULATOR)
        for primitive in ("estimator", "sampler")
    }

    @settings(
        max_examples=examples,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(
        backend=st.sampled_from(["ibm_manila", SIMULATOR]),
        primitive=st.sampled_from(["estimator", "sampler"]),
        size=st.integers(1, 9),
        order=st.permutations(range(9)),
        failing=st.sets(st.integers(0, 11), max_size=6),
    )
    def run(backend, primitive, size, order, failing):
        dev = on(backend, size, primitive)
        service.clear_faults()
        service.inject(
            *(
                Fault(effect="job", on="POST /jobs$", skip=n, reason="Internal error.", reason_code=9999)
                for n in sorted(failing)
            )
        )
        with finishing_in(order, dev._open().jobs):
            found = dev.batch_execute(tapes)
        np.testing.assert_array_equal(flat(found), expected[backend, primitive])

    run()


def test_any_order_any_failure_any_shards(loopback, device, monkeypatch):
    any_order(loopback, device, monkeypatch, examples=10)


@pytest.mark.sweep
@pytest.mark.timeout(7200)
def test_any_order_any_failure_any_shards_at_length(loopback, device, monkeypatch):
    any_order(loopback, device, monkeypatch, examples=int(SWEEP or 300))


def test_limits_of_an_account_are_no_business_of_the_users(loopback, device, caplog):
    service = loopback(max_pending=3, jobs_per_minute=5, minute_secs=0.5, job_secs=0.02)
    dev = device(shard_size=1, max_jobs=20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        right(dev.batch_execute(ladder(10)))
    assert service.counters.jobs == 10
    assert service.counters.max_pending <= 3
    told = [r for r in caplog.records if r.levelno > logging.INFO]
    assert not [r for r in told if r.name.startswith("pennylane_threaded_ibmq")]
