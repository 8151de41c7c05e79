"""Who pays: each job is sent to the instance of its device, whatever else shares its login."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pennylane as qml
import pytest
from click.testing import CliRunner
from qiskit_ibm_runtime import Batch, QiskitRuntimeService

from pennylane_threaded_ibmq.cli import main
from pennylane_threaded_ibmq.exceptions import ConfigurationError
from pennylane_threaded_ibmq.loopback import Instance

SMALL = "ibm_manila"
OTHER = "ibm_lima"
CRNS = tuple(
    f"crn:v1:bluemix:public:quantum-computing:us-east:a/00000000000000000000000000000001:"
    f"00000000-0000-4000-8000-00000000000{n}::"
    for n in (1, 2)
)
OPEN, PREMIUM = CRNS


def tape(angle=0.7, shots=500):
    return qml.tape.QuantumScript([qml.RX(angle, 0)], [qml.expval(qml.Z(0))], shots=shots)


@pytest.fixture
def account(start):
    """Start a service whose account has two instances with the same backends, and no instance chosen."""

    def starter(**fields):
        instances = (
            Instance(crn=OPEN, name="open", plan="open"),
            Instance(crn=PREMIUM, name="premium", plan="premium", pricing_type="paid"),
        )
        service = start(**{"instances": instances, "backends": (SMALL, OTHER), **fields})
        contexts.append(service.applied(token=service.config.tokens[0]))
        contexts[-1].__enter__()
        return service

    contexts = []
    yield starter
    for context in reversed(contexts):
        context.__exit__(None, None, None)


def backends_of(service):
    """A backend object of each instance, from one service object; the instance that was used last stays active."""
    return [service.backend(SMALL, instance=crn) for crn in CRNS]


@pytest.mark.parametrize("api", ["auto", "service"])
def test_eight_threads_send_forty_jobs_each_to_the_instance_of_its_device(account, device, api):
    service = account(usage_delay_secs=0)
    first, second = backends_of(QiskitRuntimeService())
    devices = [device(backend=b, primitive_api=api) for b in (first, second)]
    assert [dev._open().instance for dev in devices] == list(CRNS)
    angles = np.linspace(0.1, 3.0, 40)
    together = threading.Barrier(8)
    ids = {}

    def send(thread):
        together.wait(60)
        for number in range(thread, 40, 8):
            # an angle for each job, so that none is taken for another
            handle = devices[number % 2].submit([tape(angles[number], shots=4000)])
            (value,) = handle.result(120)
            assert value == pytest.approx(np.cos(angles[number]), abs=0.12)
            assert handle.instance == CRNS[number % 2]
            assert handle.usage_secs > 0
            ids[number] = handle.job_ids[0]

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(send, range(8)))
    assert len(service.jobs) == 40
    paid_by = {job.id: job.instance for job in service.jobs}
    assert {n: paid_by[ids[n]] for n in range(40)} == {n: CRNS[n % 2] for n in range(40)}


@pytest.mark.parametrize("moved", [True, False])
def test_a_backend_object_keeps_its_instance_when_its_service_goes_on(account, device, tmp_path, moved):
    service = account()
    client = QiskitRuntimeService()
    first = client.backend(SMALL, instance=OPEN)
    dev = device(backend=first)
    if moved:
        client.backend(OTHER, instance=PREMIUM)
        assert client.active_instance() == PREMIUM
    handle = dev.submit([tape(), tape(0.3)])
    handle.result(60)
    with Batch(client.backend(SMALL, instance=PREMIUM)):
        # what is asked of the client beside it does not matter either
        assert dev.estimate([tape()]).jobs == 1
        resumed = dev.resume(handle.batch_id, send=False)
        assert len(resumed.result(60)) == 2
    assert {job.instance for job in service.jobs} == {OPEN}
    assert {handle.instance, resumed.instance} == {OPEN}
    assert dev.batches()[0].instance == OPEN
    # the user's own objects are as they were
    assert client.active_instance() == PREMIUM
    assert first.service is client


def test_a_job_is_cancelled_in_the_instance_of_its_device(account, device):
    service = account(queue_secs=600)
    client = QiskitRuntimeService()
    first, _ = (device(backend=b) for b in backends_of(client))
    handle = first.submit([tape()])
    service.wait_for_jobs(1, status="Queued")
    client.backend(OTHER, instance=PREMIUM)
    handle.cancel()
    service.wait_for_jobs(1, status="Cancelled")
    assert [job.instance for job in service.jobs] == [OPEN]


def test_what_is_left_is_asked_of_the_instance_of_the_device(account, device):
    account(usage_limit_secs=600)
    first, second = (device(backend=b) for b in backends_of(QiskitRuntimeService()))
    second.batch_execute([tape()])
    left = [dev.estimate([tape()]).left_secs for dev in (first, second)]
    assert left[0] == 600
    assert left[1] < 600


@pytest.mark.parametrize("instance", ["auto", None])
def test_the_journal_says_which_instance_paid_where_the_client_chose_it(
    account, device, new_client, tmp_path, instance
):
    service = account()
    if instance and not new_client:
        with pytest.raises(ConfigurationError, match=r"instance='auto'.*0\.48.*pip install -U") as caught:
            device(instance=instance)
        assert caught.value.argument == "instance"
        assert service.counters.requests == 0
        return
    handle = device(instance=instance).submit([tape()])
    handle.result(60)
    (job,) = service.jobs
    assert handle.instance == job.instance == OPEN
    journal = ["--journal", str(tmp_path / "journal.sqlite")]
    runner = CliRunner()
    (told,) = json.loads(runner.invoke(main, ["batches", "--json", *journal]).stdout)
    assert told["instance"] == OPEN
    assert OPEN in runner.invoke(main, ["show", handle.batch_id, *journal]).stdout


def test_the_doctor_looks_at_the_instance_that_a_device_would_use(account, device):
    account(usage_limit_secs=600)
    device(instance=PREMIUM).batch_execute([tape()])
    report = json.loads(CliRunner().invoke(main, ["doctor", "--json"]).stdout)
    told = {check["name"]: check["found"] for check in report["checks"]}
    assert device()._open().instance == OPEN
    assert OPEN in told["instance"]
    assert told["plan"] == "open, 10.0 min left"


def test_the_least_busy_backend_is_paid_by_the_instance_that_it_was_found_in(account, device):
    service = account(
        instances=(
            Instance(crn=OPEN, name="open", plan="open", backends=(SMALL,)),
            Instance(crn=PREMIUM, name="premium", plan="premium", pricing_type="paid", backends=(OTHER,)),
        )
    )
    dev = device(backend="least_busy")
    handle = dev.submit([tape()])
    handle.result(60)
    (job,) = service.jobs
    assert (job.backend, job.instance) == (dev.backend_name, handle.instance)
    assert {SMALL: OPEN, OTHER: PREMIUM}[job.backend] == job.instance


# -------------------------------------------------------------------------------------------------------- sessions


@pytest.mark.parametrize("by_name", [True, False])
@pytest.mark.parametrize(
    ("backend", "instance", "text"),
    [(OTHER, OPEN, "is one of backend 'ibm_lima'"), (SMALL, PREMIUM, f"is one of instance '{PREMIUM}'")],
)
def test_a_session_of_another_backend_or_instance_is_refused(
    account, device, by_name, backend, instance, text
):
    service = account()
    client = QiskitRuntimeService()
    mine = client.backend(SMALL, instance=OPEN)
    with Batch(client.backend(backend, instance=instance)) as batch:
        options = {"backend": SMALL, "instance": OPEN} if by_name else {"backend": mine}
        with pytest.raises(ConfigurationError, match="Nothing was sent") as caught:
            device(session=batch, **options)
    assert text in str(caught.value)
    assert caught.value.argument == "session"
    assert caught.value.value is batch
    assert service.counters.jobs == 0


def test_a_session_of_a_system_is_refused_where_a_simulator_would_run_instead(account, device):
    service = account()
    with Batch(QiskitRuntimeService().backend(SMALL, instance=OPEN)) as batch:
        for backend in ("fake_manila", "aer_simulator"):
            with pytest.raises(ConfigurationError, match=r"session.*'ibm_manila'"):
                device(backend=backend, session=batch)
    assert service.counters.jobs == 0


@pytest.mark.parametrize("number", [0, 1])
def test_jobs_of_a_session_are_paid_by_its_instance_whatever_else_its_service_does(account, device, number):
    service = account()
    client = QiskitRuntimeService()
    backend = client.backend(SMALL, instance=CRNS[number])
    with Batch(backend) as batch:
        client.backend(SMALL, instance=CRNS[1 - number])
        dev = device(backend=SMALL, instance=CRNS[number], session=batch, shard_size=1)
        dev.batch_execute([tape(), tape(0.3)])
        (session,) = service.sessions
        assert session.accepting_jobs
    assert [(job.instance, job.session_id) for job in service.jobs] == [(CRNS[number], session.id)] * 2
