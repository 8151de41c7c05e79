"""Jobs of a batch, while lanes send some of its shards again."""

from __future__ import annotations

from types import SimpleNamespace

from pennylane_threaded_ibmq.execution.batch_service import BatchJobs
from pennylane_threaded_ibmq.service.job import SentJob


class Resent:
    """A shard whose job a lane takes away as soon as somebody has looked at it."""

    def __init__(self, job, positions):
        self._jobs = [job]
        self.spec = SimpleNamespace(shard=SimpleNamespace(positions=positions))

    @property
    def job(self):
        return self._jobs.pop() if self._jobs else None


def shards():
    return [
        Resent(SentJob(name, "sampler", 1, f"tag-{name}", name.upper()), (i,)) for i, name in enumerate("abc")
    ]


def test_a_job_that_is_taken_away_while_one_looks_is_told_once():
    assert BatchJobs(shards(), None).ids == ("a", "b", "c")
    assert BatchJobs(shards(), None).ids_of(range(1, 3)) == ("b", "c")
    assert BatchJobs(shards(), None).handles == ("A", "B", "C")
    runs = shards()
    assert runs[0].job.job_id == "a"
    assert BatchJobs(runs, None).ids == ("b", "c")
    assert BatchJobs(shards(), None).usage_secs() is None
