"""Executors on IBM Quantum Platform: the real client against the loopback service."""

import signal
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pennylane as qml
import pytest
from waiting import wait_until

from pennylane_threaded_ibmq import IBMQExecutor, qelectron
from pennylane_threaded_ibmq.device.gather import handles_of
from pennylane_threaded_ibmq.exceptions import CredentialsError, JobError
from pennylane_threaded_ibmq.executors import executor as executor_module
from pennylane_threaded_ibmq.loopback import SIMULATOR, JobStatus

dev = qml.device("default.qubit", wires=2)


@qml.qnode(dev, shots=200, diff_method="parameter-shift")
def flip(x):
    qml.RX(x, 0)
    return qml.probs(wires=0)


def test_the_page_on_two_backends(loopback):
    loopback()
    simulator, system = IBMQExecutor(backend=SIMULATOR), IBMQExecutor(backend="ibm_manila")

    @qelectron(executors=[simulator, system])
    @qml.qnode(qml.device("default.qubit", wires=2, shots=1024), interface="jax")
    def circuit(x):
        qml.IQPEmbedding(features=x, wires=[0, 1])
        qml.Hadamard(wires=1)
        return qml.probs(wires=range(2))

    values = [circuit([0.5, 0.1]), circuit([0.5, 0.1])]
    futures = [circuit.run_later([0.5, 0.1]) for _ in range(3)]
    values += [f.result(120) for f in futures]
    assert {type(v).__module__.split(".")[0] for v in values} == {"jaxlib"}
    for value in values:
        np.testing.assert_allclose(value, [0.5, 0, 0.5, 0], atol=0.12)
    assert all(len(f.job_ids) == 1 for f in futures)


def test_one_login_and_shared_jobs_for_a_hundred_calls(loopback):
    service = loopback()
    executor = IBMQExecutor(backend=SIMULATOR, max_jobs=4)
    circuit = qelectron(flip, executors=executor)
    circuit(0.0)
    before = service.counters
    service.hold()
    futures = [circuit.run_later(np.pi * (i % 2)) for i in range(100)]
    service.release()
    for i, future in enumerate(futures):
        assert future.result(120)[i % 2] == 1
    after = service.counters
    assert after.logins == before.logins
    # four while jobs were held, and one of all that waited for a slot
    assert after.jobs - before.jobs <= 5
    assert {j for f in futures for j in f.job_ids} == {job.id for job in service.jobs[before.jobs :]}


def test_the_database_has_the_job_ids(loopback, home):
    import json
    import sqlite3

    from pennylane_threaded_ibmq.executors import database_path

    loopback()
    executor = IBMQExecutor(backend=SIMULATOR)
    future = qelectron(flip, executors=executor).run_later(0.0)
    future.result(120)
    assert executor.flush_records(120)
    (found,) = sqlite3.connect(database_path()).execute("SELECT job_ids FROM calls").fetchone()
    assert tuple(json.loads(found)) == future.job_ids
    assert len(future.job_ids) == 1


def test_a_wrong_token_is_an_error_that_does_not_show_it(loopback):
    loopback()
    executor = IBMQExecutor(backend="ibm_manila", ibmqx_token="no-such-token")
    with pytest.raises(CredentialsError) as caught:
        qelectron(flip, executors=executor)(0.0)
    assert "no-such-token" not in str(caught.value)


def test_a_login_that_was_refused_is_not_tried_for_each_of_many_calls(loopback, monkeypatch):
    monkeypatch.setattr(executor_module, "REFUSED_SECS", 3600.0)
    service = loopback()
    executor = IBMQExecutor(backend="ibm_manila", ibmqx_token="no-such-token")
    circuit = qelectron(flip, executors=executor)
    assert isinstance(circuit.run_later(0.0).exception(60), CredentialsError)
    asked = service.counters.requests
    errors = [circuit.run_later(0.0).exception(60) for _ in range(5)]
    assert [type(error) for error in errors] == [CredentialsError] * 5
    assert service.counters.requests == asked
    executor.ibmqx_token = service.config.tokens[0]
    assert circuit.run_later(0.0).result(120)[0] == pytest.approx(1, abs=0.1)


def test_a_refused_login_is_tried_again_after_a_while_however_often_calls_come(loopback, monkeypatch):
    service = loopback()
    seconds = [100.0]
    monkeypatch.setattr(executor_module, "time", SimpleNamespace(monotonic=lambda: seconds[0]))
    circuit = qelectron(flip, executors=IBMQExecutor(backend="ibm_manila", ibmqx_token="no-such-token"))
    asked = []
    for passed in (0.0, 0.6, 0.6):
        seconds[0] += passed * executor_module.REFUSED_SECS
        assert isinstance(circuit.run_later(0.0).exception(60), CredentialsError)
        asked.append(service.counters.requests)
    assert asked[0] == asked[1] < asked[2]


def test_executors_run_side_by_side(loopback):
    service = loopback(slots=2)
    executors = [IBMQExecutor(backend=SIMULATOR), IBMQExecutor(backend="ibm_manila")]
    circuit = qelectron(flip, executors=executors)
    circuit(0.0), circuit(0.0)
    tapes = [flip.construct((0.1,), {}) for _ in range(2)]
    service.hold()
    running = threading.Thread(target=circuit.device.execute, args=(tapes,))
    running.start()
    queued = service.wait_for_jobs(2, JobStatus.QUEUED, timeout_secs=200)
    assert {job.backend for job in queued} == {SIMULATOR, "ibm_manila"}
    service.release()
    running.join(120)
    assert not running.is_alive()


def once_accepted(circuit, act):
    """A future of a call; whoever waits for it does something first, when its job has been accepted."""
    future = circuit.run_later(0.0)

    def flush():
        wait_until(lambda: future.job_ids)
        act()

    future.handle.flush = flush
    return future


class Interrupted(IBMQExecutor):
    """Something happens while the results of a call are waited for."""

    act: Any = None

    def batch_get_results(self, futures_list):
        (handle,) = handles_of(futures_list)
        handle.flush()
        wait_until(lambda: handle.job_ids)
        self.act()
        return super().batch_get_results(futures_list)


def press_ctrl_c():
    raise KeyboardInterrupt


def terminate():
    assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    signal.raise_signal(signal.SIGTERM)
    pytest.fail("the signal ends the wait before this line")


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize(
    ("on_interrupt", "act", "error", "end"),
    [
        ("cancel", press_ctrl_c, KeyboardInterrupt, JobStatus.CANCELLED),
        ("cancel", terminate, SystemExit, JobStatus.CANCELLED),
        ("detach", press_ctrl_c, KeyboardInterrupt, JobStatus.COMPLETED),
    ],
)
def test_an_interrupt_does_to_jobs_what_the_executor_says(loopback, on_interrupt, act, error, end, later):
    service = loopback(job_secs=60.0 if end is JobStatus.CANCELLED else 0.5)
    circuit = qelectron(flip, executors=Interrupted(backend="ibm_manila", on_interrupt=on_interrupt, act=act))
    handler = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with pytest.raises(error):
            once_accepted(circuit, act).result() if later else circuit(0.0)
    finally:
        signal.signal(signal.SIGTERM, handler)
    wait_until(lambda: [job.status for job in service.jobs] == [end])


def test_a_cancelled_call_cancels_its_job(loopback):
    loopback(job_secs=30)
    circuit = qelectron(flip, executors=IBMQExecutor(backend=SIMULATOR))
    future = circuit.run_later(0.0)
    wait_until(lambda: future.job_ids)
    assert future.cancel()
    with pytest.raises(JobError):
        future.handle.futures[0].handle._batch.futures[0].result(120)
