"""A backend that IBM retires: results of its jobs are collected all the same."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from ladder import ladder, right

from pennylane_threaded_ibmq.cli import main
from pennylane_threaded_ibmq.exceptions import BackendError
from pennylane_threaded_ibmq.loopback import JobStatus


def test_jobs_in_flight_are_collected(loopback, device):
    service = loopback(backends=("ibm_manila", "ibm_lima"))
    service.hold()
    dev = device(shard_size=2)
    handle = dev.submit(ladder(6))
    service.wait_for_jobs(3, JobStatus.QUEUED)
    service.set_backend("ibm_manila", "retired")
    service.release()
    right(handle.result(60))
    assert service.counters.jobs == 3


def leave(loopback, device, resources, tapes, **options):
    """A batch of a program that is gone, on a backend that is retired meanwhile."""
    service = loopback(backends=("ibm_manila", "ibm_lima"))
    first = device(**options)
    handle = first.submit(tapes)
    service.wait_for_jobs(len(handle._batch.runs), JobStatus.COMPLETED)
    handle.detach()
    first.close()
    resources.close()  # as in another program
    service.set_backend("ibm_manila", "retired")
    return service, handle.batch_id


@pytest.mark.parametrize("primitive", ["estimator", "sampler"])
def test_a_later_program_collects_what_was_sent(loopback, device, resources, primitive):
    service, batch_id = leave(loopback, device, resources, ladder(6), shard_size=2, primitive=primitive)
    with pytest.warns(UserWarning, match="no such backend any more"):
        dev = device()
    right(dev.resume(batch_id).result(60))
    assert service.counters.jobs == 3
    with pytest.raises(BackendError, match="only what was sent to it before"):
        dev.submit(ladder(1))
    assert service.counters.jobs == 3


def test_the_command_line_does(loopback, device, resources, tmp_path):
    service, batch_id = leave(loopback, device, resources, ladder(6))
    ran = CliRunner().invoke(
        main, ["resume", batch_id, "--journal", str(tmp_path / "journal.sqlite"), "--json"]
    )
    assert ran.exit_code == 0, ran.output
    right(json.loads(ran.stdout)["results"])
    assert service.counters.jobs == 1


def test_a_backend_that_nothing_was_sent_to_is_refused(loopback, device, resources):
    leave(loopback, device, resources, ladder(1))
    with pytest.raises(BackendError, match="no such backend"):
        device(backend="ibm_nairobi")
