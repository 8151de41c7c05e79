"""A batch on a remote simulator is spread over lanes as far as its speed makes that worth it, and packed on a system."""

from __future__ import annotations

import pytest
from ladder import ladder, right

from pennylane_threaded_ibmq.circuits.shards import spread_size
from pennylane_threaded_ibmq.loopback import SIMULATOR, JobStatus

TAPES = 60


def jobs_of(service, dev, tapes):
    """How many jobs a batch takes."""
    service.reset_counters()
    right(dev.batch_execute(tapes))
    return service.counters.jobs


def test_a_slow_simulator_is_shared_by_many_jobs_from_the_first_batch_on(loopback, device):
    service = loopback(circuit_secs=0.3, slots=20)
    dev = device(backend=SIMULATOR)
    assert jobs_of(service, dev, ladder(TAPES)) == 12  # a guess
    assert jobs_of(service, dev, ladder(TAPES)) > 12  # a measurement
    service.reset_counters()
    right(dev.batch_execute(ladder(TAPES, shots=1100)))
    # jobs tell their times, and not all of them
    assert service.counters.by_route.get("GET /jobs/{id}/metrics", 0) < service.counters.jobs


def expected_jobs(tapes, speed):
    """How many jobs tapes become at a speed, which is as low as the machine is busy."""
    size = spread_size(tapes, tapes, 20, speed)
    return 1 if size == "auto" else -(-tapes // size)


def test_a_quick_simulator_gets_one_job_once_that_is_known(loopback, device):
    service = loopback(slots=20)
    dev = device(backend=SIMULATOR)
    assert jobs_of(service, dev, ladder(10)) == 1  # tells the speed
    speed = dev._open().pacer.speed.circuit_secs
    assert speed == pytest.approx(service.jobs[0].run_secs / 10, abs=0.01)
    assert jobs_of(service, dev, ladder(TAPES)) == expected_jobs(TAPES, speed)


def test_what_jobs_take_by_themselves_is_no_reason_to_spread(loopback, device):
    service = loopback(job_secs=2.0, slots=20)
    dev = device(backend=SIMULATOR)
    assert jobs_of(service, dev, ladder(10)) == 1
    jobs_of(service, dev, ladder(20))
    # jobs of two sizes, and both took two seconds and whatever the machine took
    speed = dev._open().pacer.speed.circuit_secs
    whatever = max(job.run_secs for job in service.jobs) - 2.0
    assert speed <= whatever / (10 - min(job.rows for job in service.jobs)) + 0.01
    assert jobs_of(service, dev, ladder(10)) == expected_jobs(10, speed)


def test_a_system_gets_as_few_jobs_as_serve(loopback, device):
    service = loopback(circuit_secs=0.02, slots=20)
    dev = device()
    assert jobs_of(service, dev, ladder(TAPES)) == 1
    assert jobs_of(service, dev, ladder(TAPES)) == 1


def test_a_size_of_the_users_is_kept(loopback, device):
    service = loopback(circuit_secs=0.1, slots=20)
    assert jobs_of(service, device(backend=SIMULATOR, shard_size=TAPES), ladder(TAPES)) == 1
    assert jobs_of(service, device(backend=SIMULATOR, shard_size=20), ladder(TAPES)) == 3
    assert jobs_of(service, device(backend=SIMULATOR, max_jobs=2), ladder(TAPES)) == 2


def test_a_batch_is_not_spread_beyond_the_slots_of_the_account(loopback, device):
    service = loopback(circuit_secs=0.05, max_pending=3)
    dev = device(backend=SIMULATOR)
    assert jobs_of(service, dev, ladder(TAPES)) == 12
    assert jobs_of(service, dev, ladder(TAPES)) <= 3


def test_what_was_sent_is_taken_over_though_the_speed_is_another_by_now(loopback, device):
    """The same tapes would be cut in another way now; their jobs are there, in the old one."""
    service = loopback(circuit_secs=0.3, slots=20)
    dev = device(backend=SIMULATOR)
    handle = dev.submit(ladder(TAPES))
    service.wait_for_jobs(12, JobStatus.COMPLETED, timeout_secs=200)
    handle.detach()
    right(dev.batch_execute(ladder(20, shots=1100)))
    assert jobs_of(service, dev, ladder(TAPES)) == 0
    # of other tapes as many are cut by what is known now
    assert jobs_of(service, dev, ladder(TAPES, shots=1100)) > 12


def test_an_estimate_counts_the_jobs_that_are_sent(loopback, device):
    service = loopback(circuit_secs=0.1, slots=20)
    dev = device(backend=SIMULATOR)
    assert dev.estimate(ladder(TAPES)).jobs == 12
    assert service.counters.jobs == 0
