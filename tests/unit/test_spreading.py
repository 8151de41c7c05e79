"""How a batch is spread over jobs of a remote simulator: the sizes, and what finished jobs tell of the speed."""

from __future__ import annotations

import pytest

from pennylane_threaded_ibmq.circuits.shards import spread_size
from pennylane_threaded_ibmq.service.clock import Clock
from pennylane_threaded_ibmq.service.pace import AGAIN_SECS, Speed


@pytest.mark.parametrize(
    ("tapes", "jobs", "circuit_secs", "size"),
    [
        (60, 20, 0.1, 4),  # 15 jobs: 0.45 s for them, and 0.4 s for four circuits
        (60, 20, 0.002, "auto"),  # 0.12 s in one job
        (60, 20, 2.0, 3),  # as many jobs as there may be
        (60, 5, 2.0, 12),
        (60, 1, 2.0, "auto"),
        (10, 20, 0.1, 2),  # 0.3 s in place of 1
        (2, 20, 0.1, "auto"),  # a tenth of a second is not worth a job
        (1, 20, 9.0, "auto"),
        (0, 20, 9.0, "auto"),
        (60, 20, None, 5),
        (20, 20, None, "auto"),  # for less than 1.5 s nothing is guessed
        (28, 20, None, 4),
        (1000, 200, 0.1, 17),
    ],
)
def test_tapes_in_a_job(tapes, jobs, circuit_secs, size):
    assert spread_size(tapes, tapes, jobs, circuit_secs) == size


def test_a_tape_of_many_circuits_counts_as_many():
    assert spread_size(10, 1000, 20, 0.01) == spread_size(10, 10, 20, 1.0) == 1


class Hands(Clock):
    """A clock that is set by hand."""

    time = 0.0

    def now(self):
        return self.time


def tell(speed, *jobs):
    for circuits, secs in jobs:
        assert speed.begin(circuits)
        speed.end(circuits, secs)


def test_nothing_is_known_before_a_job_has_told():
    speed = Speed()
    assert speed.circuit_secs is None
    tell(speed, (5, None))
    assert speed.circuit_secs is None
    tell(speed, (1, 1.0))  # perhaps all overhead
    assert speed.circuit_secs is None
    speed = Speed()
    tell(speed, (5, 1.0))
    assert speed.circuit_secs == pytest.approx(0.2)


def test_jobs_of_two_sizes_tell_circuits_and_overhead_apart():
    speed = Speed()
    tell(speed, (60, 8.0), (10, 3.0))
    assert speed.circuit_secs == pytest.approx(0.1)
    speed = Speed()
    tell(speed, (60, 2.0), (10, 2.1))  # all overhead
    assert speed.circuit_secs == 0.0
    speed = Speed()
    tell(speed, (60, 8.0), (10, 0.1))  # no job takes less than nothing
    assert speed.circuit_secs == pytest.approx(8.1 / 70)


def test_one_job_is_asked_at_a_time_and_few_when_enough_is_known():
    clock = Hands()
    speed = Speed(clock)
    assert speed.begin(5)
    assert not speed.begin(5)
    speed.end(5, 0.5)
    tell(speed, (5, 0.5), (5, 0.5), (5, 0.5))
    assert not speed.begin(5)
    tell(speed, (50, 5.0))  # another size
    assert not speed.begin(7)
    clock.time += AGAIN_SECS
    tell(speed, (7, 0.7))
    assert not speed.begin(8)


def test_what_is_old_is_forgotten():
    clock = Hands()
    speed = Speed(clock)
    for secs in (1.0, 1.0, 1.0, 1.0, 0.1, 0.1, 0.1, 0.1):
        clock.time += AGAIN_SECS
        tell(speed, (10, secs))
    assert speed.circuit_secs == pytest.approx(0.01)
