"""A batch that nobody waits for any more, and results that were handed over: nothing more is sent, and nothing given twice."""

from __future__ import annotations

from concurrent.futures import Future

import pennylane as qml
import pytest
from ladder import ladder, right
from waiting import wait_until

from pennylane_threaded_ibmq.execution import batch
from pennylane_threaded_ibmq.loopback import Fault, JobStatus
from pennylane_threaded_ibmq.store.records import ShardState


@pytest.fixture(autouse=True)
def no_wait(monkeypatch):
    """Whoever releases a batch leaves at once, also while a submission is not answered."""
    monkeypatch.setattr(batch, "RELEASE_SECS", 0.0)


def test_a_job_that_fails_after_its_batch_was_released_is_not_sent_again(loopback, device):
    service = loopback()
    service.inject(Fault(effect="job", on="POST /jobs$", reason="Internal error.", reason_code=9999))
    service.hold()
    dev = device()
    handle = dev.submit(ladder(3))
    service.wait_for_jobs(1, JobStatus.QUEUED)
    wait_until(lambda: dev.batches()[0].shards[0].state is ShardState.ACCEPTED)
    handle.detach()
    service.release()
    wait_until(handle.done)
    assert service.counters.jobs == 1
    right(dev.batch_execute(ladder(3)))
    assert service.counters.jobs == 2


def test_what_is_released_as_its_slot_comes_is_not_sent(loopback, device):
    """Nobody knows then that it is being sent, and whoever runs the same tapes next would send it too."""
    service = loopback()
    dev = device()
    pacer, handles = dev._open().runner._pacer, Future()
    enter = pacer.enter

    def released(given_up):
        entered = enter(given_up)
        handles.result(120).detach()
        return entered

    pacer.enter = released
    handle = dev.submit(ladder(3))
    handles.set_result(handle)
    wait_until(handle.done)
    assert service.counters.jobs == 0
    pacer.enter = enter
    right(dev.batch_execute(ladder(3)))
    assert service.counters.jobs == 1


def test_a_slow_submission_is_taken_over_once_it_is_answered(loopback, device):
    """It was left to others when its job had ended; until then the same tapes, run again, were paid for again."""
    service = loopback()
    service.hold()
    service.inject(Fault(effect="stall", on="POST /jobs$", when="after"))
    dev = device()
    handle = dev.submit(ladder(3))
    service.wait_for_jobs(1, JobStatus.QUEUED)
    handle.detach()
    service.clear_faults()
    wait_until(lambda: handle.progress.queued)
    again = dev.submit(ladder(3))
    service.release()
    right(again.result(120))
    assert service.counters.jobs == 1


def test_a_batch_that_is_interrupted_as_it_starts_is_cancelled(loopback, device, monkeypatch):
    """Nobody has a handle of it then, and its lanes would go on."""
    service = loopback()
    service.hold()
    dev = device(shard_size=1)
    lanes, futures = dev._open().lanes, []
    submit = lanes.submit

    def interrupted(task):
        if len(futures) == 2:
            wait_until(lambda: service.counters.jobs == 2)
            raise KeyboardInterrupt
        futures.append(submit(task))
        return futures[-1]

    monkeypatch.setattr(lanes, "submit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        dev.submit(ladder(3))
    wait_until(lambda: all(future.done() for future in futures))
    assert [job.status for job in service.jobs] == [JobStatus.CANCELLED] * 2


def test_what_a_closed_device_has_under_way_is_taken_over_in_the_same_program(loopback, device):
    """Nobody can get its results through that device, and the program lives: it was sent again, and paid for again."""
    service = loopback()
    service.hold()
    dev = device()
    handle = dev.submit(ladder(3))
    service.wait_for_jobs(1, JobStatus.QUEUED)
    wait_until(lambda: handle.job_ids)
    dev.close()
    again = device().submit(ladder(3))
    service.release()
    right(again.result(120))
    assert service.counters.jobs == 1


def test_results_that_were_there_when_the_device_was_closed_are_the_programs(loopback, device):
    service = loopback()
    dev = device()
    handle = dev.submit(ladder(3))
    wait_until(handle.done)
    dev.close()
    right(device().batch_execute(ladder(3)))
    right(handle.result())
    assert service.counters.jobs == 2


def test_results_of_futures_that_are_asked_for_late_are_delivered(loopback, device):
    loopback()
    dev = device()
    handle = dev.submit(ladder(3))
    wait_until(handle.done)
    assert not dev.batches()[0].delivered
    right([future.result(120) for future in handle.futures])
    assert dev.batches()[0].delivered


def test_the_result_of_a_future_is_delivered_before_the_program_has_it(loopback, device):
    """It may end at that moment, and its next run must not take the same samples for new ones."""
    service = loopback()
    service.hold()
    dev = device()
    handle = dev.submit(ladder(3))
    seen = []
    handle.futures[0].add_done_callback(lambda _: seen.append(dev.batches()[0].delivered))
    service.release()
    right(handle.result(120))
    assert seen == [True]


def test_a_result_of_several_jobs_is_delivered_with_all_of_them(loopback, device):
    """Those that came before the last were given to the next run again."""
    service = loopback()
    tape = qml.tape.QuantumScript(
        [qml.RY(0.3, 0)], [qml.expval(qml.PauliZ(0)), qml.counts(wires=[0])], shots=500
    )
    dev = device(primitive="auto")
    handle = dev.submit([tape])
    handle.futures[0].result(120)
    assert service.counters.jobs == 2
    # the future is fulfilled a moment before that is written down
    wait_until(lambda: dev.batches()[0].delivered)
