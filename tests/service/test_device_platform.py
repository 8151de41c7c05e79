"""The device on IBM Quantum Platform: the real client, over real HTTP, against the loopback service."""

from __future__ import annotations

import json
import logging
import pickle
import threading
import traceback
import warnings

import numpy as np
import pennylane as qml
import pytest
from pennylane import numpy as pnp
from qiskit_ibm_runtime import QiskitRuntimeService
from waiting import count_requests, wait_until

from pennylane_threaded_ibmq.device import ThreadedIBMQDevice
from pennylane_threaded_ibmq.exceptions import (
    BackendError,
    ConfigurationError,
    CredentialsError,
    DeviceClosedError,
    JobCancelledError,
    JobFailedError,
    ResultError,
    ShardFailedError,
    SubmissionError,
    UnsupportedCircuitError,
    WaitTimeoutError,
)
from pennylane_threaded_ibmq.loopback import SIMULATOR, Fault, Instance, JobStatus
from pennylane_threaded_ibmq.resources import Resources

SMALL = "ibm_manila"
TOKEN = "loopback-token"


@pytest.fixture
def platform(loopback):
    """Start a service and make a device on it: ``service, dev = platform(wires=3, shard_size=2, slots=2)``."""
    devices = []

    def make(wires=3, *, service=None, backend=SMALL, **options):
        named = {"max_jobs", "shard_size", "timeout_secs", "primitive", "parametrise", "session"}
        named |= {"primitive_options", "transpile_options", "ibmqx_token", "instance", "shots"}
        mine = {k: options.pop(k) for k in list(options) if k in named}
        service = service or loopback(**options)
        dev = qml.device("threaded.ibmq", wires=wires, backend=backend, **mine)
        devices.append(dev)
        return service, dev

    yield make
    for dev in devices:
        dev.close()


def tape(angle, measurement=None, shots=1000, wires=2):
    operations = [qml.RY(angle, 0), *(qml.CNOT([i, i + 1]) for i in range(wires - 1))]
    return qml.tape.QuantumScript(operations, [measurement or qml.expval(qml.Z(wires - 1))], shots=shots)


def ladder(count, **options):
    return [tape(angle, **options) for angle in np.linspace(0, np.pi, count)]


def close_to_cosine(results, count, atol=0.2):
    np.testing.assert_allclose(
        np.array(results, dtype=float), np.cos(np.linspace(0, np.pi, count)), atol=atol
    )


# ----------------------------------------------------------------------------------------------- jobs and requests


def programs(new_client, *primitives):
    """Programs of jobs: client-side primitives have one in common."""
    return {"executor"} if new_client else set(primitives)


def test_a_gradient_is_one_job_and_few_requests(platform, new_client):
    # a key of its own: logins are shared by the devices of a process
    service, dev = platform(wires=2, tokens=("gradient-key",), ibmqx_token="gradient-key")
    weights = pnp.array(np.linspace(0.1, 1.2, 6).reshape(1, 2, 3), requires_grad=True)

    @qml.set_shots(4000)
    @qml.qnode(dev, diff_method="parameter-shift")
    def cost(w):
        qml.StronglyEntanglingLayers(w, wires=range(2))
        return qml.expval(qml.Z(0) @ qml.Z(1))

    exact = qml.QNode(cost.func, qml.device("default.qubit"))
    gradient = qml.grad(cost)(weights)
    np.testing.assert_allclose(gradient, qml.grad(exact)(weights), atol=0.1)
    assert service.counters.jobs == 2  # the value, and the gradient
    assert count_requests(service) <= 18  # login and backend included
    assert {job.program_id for job in service.jobs} == programs(new_client, "estimator")
    assert dev.transpiles == 1
    with qml.Tracker(dev) as tracker:
        qml.grad(cost)(weights)
    assert tracker.totals["jobs"] == 2
    assert tracker.totals["executions"] == 13  # the value, and two for each of 6 parameters
    assert tracker.totals["usage_secs"] == pytest.approx(sum(job.usage_secs for job in service.jobs[2:]))
    assert tracker.history["job_ids"] == [job.id for job in service.jobs[2:]]


def test_the_next_gradient_transpiles_nothing_and_logs_in_nowhere(platform):
    service, dev = platform()
    dev.batch_execute(ladder(4))
    service.reset_counters()
    transpiles = dev.transpiles
    dev.batch_execute(ladder(7))
    assert dev.transpiles == transpiles
    assert service.counters.logins == 0
    assert count_requests(service) <= 7


def test_all_bases_of_a_tape_are_one_transpile_and_one_job(platform):
    """A ring of gates on a line of qubits, which takes swaps; each basis is a PUB of its own."""
    service, dev = platform(wires=4, primitive="sampler")
    letters = [first + second for first in ("XX", "YY", "ZZ") for second in ("XY", "YZ", "ZX")]
    operations = [qml.RY(0.4 + 0.3 * i, i) for i in range(4)] + [qml.CNOT([i, (i + 1) % 4]) for i in range(4)]
    words = [qml.expval(qml.pauli.string_to_pauli_word(word)) for word in letters]
    script = qml.tape.QuantumScript(operations, words, shots=4000)
    (values,) = dev.batch_execute([script])
    (exact,) = qml.execute([script.copy(shots=None)], qml.device("default.qubit"))
    np.testing.assert_allclose(values, exact, atol=0.15)
    assert dev.transpiles == 1
    (job,) = service.jobs
    assert job.pubs == 9


def test_shots_are_exactly_those_asked_for(platform):
    """Precision is rounded on its way to the Estimator; a plain root gives one shot too many for many numbers."""
    # mitigation twirls measurements on the client side, which rounds shots up
    options = {"resilience_level": 0}
    service, dev = platform(backend=SIMULATOR, primitive="estimator", primitive_options=options)
    for shots in (1, 3, 1000, 1023, 1025, 4097, 99_999):
        dev.batch_execute([tape(0.3, shots=shots)])
        assert service.jobs[-1].shots == shots


@pytest.mark.parametrize("primitive", ["estimator", "sampler"])
def test_values_variances_and_broadcasting(platform, primitive, new_client):
    service, dev = platform(primitive=primitive, backend=SIMULATOR, seed=1)
    hamiltonian = 0.5 * qml.Z(0) + 0.8 * qml.X(0) @ qml.X(1) - 1.5 * qml.Y(1) @ qml.Y(0) + 0.3
    measurements = [qml.expval(hamiltonian), qml.var(hamiltonian), qml.expval(qml.Z(1))]
    operations = [qml.RY([0.1, 0.8, 2.0], 0), qml.CNOT([0, 1]), qml.RX(0.4, 1)]
    script = qml.tape.QuantumScript(operations, measurements, shots=40_000)
    found = dev.batch_execute([script])[0]
    exact = qml.device("default.qubit").execute([script.copy(shots=None)])[0]
    for mine, right in zip(found, exact, strict=True):
        assert np.shape(mine) == (3,)
        np.testing.assert_allclose(mine, right, atol=0.06)
    assert {job.program_id for job in service.jobs} == programs(new_client, primitive)


def test_an_estimators_observables_are_a_flat_list(platform, new_client):
    """IBM's schema knows one observable or a list of some, so that rows and not observables have an axis of their own."""
    if new_client:
        pytest.skip("the client prepares the circuits itself and sends no observables")
    _, dev = platform(primitive="estimator")
    observables = [qml.Z(0), qml.X(1), qml.Z(0) @ qml.Z(1)]
    angles = [0.0, np.pi / 2, np.pi]
    handle = dev.submit(
        [
            qml.tape.QuantumScript([qml.RY(a, 0)], [qml.expval(o) for o in observables], shots=400)
            for a in angles
        ]
    )
    found = np.array(handle.result())
    (job_id,) = handle.job_ids
    from qiskit_ibm_runtime import QiskitRuntimeService

    ((_, sent, values, _),) = QiskitRuntimeService().job(job_id).inputs["pubs"]
    assert [len(observable) for observable in sent] == [1, 1, 1]
    assert all(isinstance(label, str) for observable in sent for label in observable)
    assert values.shape[:-1] == (3, 1)
    assert np.allclose(found, [[np.cos(a), 0.0, np.cos(a)] for a in angles], atol=0.3)


def test_every_other_measurement_goes_through_the_sampler(platform, new_client):
    service, dev = platform(wires=["a", "b"], backend=SIMULATOR)
    operations = [qml.RY(1.0, "a"), qml.CNOT(["a", "b"])]
    measurements = [
        qml.probs(wires=["b", "a"]),
        qml.counts(wires=["a", "b"]),
        qml.sample(wires=["b"]),
        qml.shadow_expval(qml.Z("a") @ qml.Z("b"), seed=3),
        qml.expval(qml.Hermitian([[1, 0.5], [0.5, -1]], "b")),
    ]
    script = qml.tape.QuantumScript(operations, measurements, shots=4000)
    probs, counts, sample, shadow, hermitian = dev.batch_execute([script])[0]
    np.testing.assert_allclose(probs, [np.cos(0.5) ** 2, 0, 0, np.sin(0.5) ** 2], atol=0.05)
    assert set(counts) == {"00", "11"}
    assert sum(counts.values()) == 4000
    assert sample.shape == (4000, 1)
    assert shadow == pytest.approx(1, abs=0.2)
    assert hermitian == pytest.approx(np.cos(1.0), abs=0.1)
    assert {job.program_id for job in service.jobs} == programs(new_client, "sampler")


def test_shot_vectors_and_mixed_shots(platform):
    _, dev = platform(primitive="estimator", backend=SIMULATOR)
    scripts = [
        tape(0.5, shots=(100, 5000)),
        tape(0.5, shots=5000),
        tape(0.5, qml.probs(wires=0), shots=(50, 60)),
    ]
    vector, plain, pair = dev.batch_execute(scripts)
    assert len(vector) == 2
    assert vector[1] == pytest.approx(np.cos(0.5), abs=0.08)
    assert plain == pytest.approx(np.cos(0.5), abs=0.08)
    assert [p.shape for p in pair] == [(2,), (2,)]
    assert pair[0][0] * 50 == pytest.approx(round(pair[0][0] * 50))
    assert pair[1][0] * 60 == pytest.approx(round(pair[1][0] * 60))


def test_rows_without_parameters_are_samples_of_their_own(platform):
    _, dev = platform()
    script = qml.tape.QuantumScript([qml.Hadamard(0)], [qml.sample(wires=0)], shots=200)
    first, second, third = dev.batch_execute([script, script, script])
    assert not np.array_equal(first, second)
    assert not np.array_equal(second, third)


# -------------------------------------------------------------------------------------------------- shards and lanes


def test_shards_keep_order_and_share_a_batch(platform):
    service, dev = platform(shard_size=2, max_jobs=3)
    close_to_cosine(dev.batch_execute(ladder(9)), 9)
    assert len(service.jobs) == 5
    assert len(service.sessions) == 1
    assert {job.session_id for job in service.jobs} == {service.sessions[0].id}
    assert not service.sessions[0].accepting_jobs
    assert dev.transpiles == 1


def test_at_most_max_jobs_are_in_flight(platform):
    service, dev = platform(shard_size=1, max_jobs=3, job_secs=0.1)
    close_to_cosine(dev.batch_execute(ladder(8)), 8)
    assert service.counters.jobs == 8
    assert service.counters.max_pending == 3


def test_one_look_serves_all_jobs(platform):
    service, dev = platform(shard_size=1, max_jobs=8)
    service.hold()
    handle = dev.submit(ladder(8))
    wait_until(lambda: len(handle.job_ids) == 8)
    # a job that was accepted during a look is asked for by itself
    service.wait_for_requests("GET /jobs", service.counters.by_route.get("GET /jobs", 0) + 2)
    service.reset_counters()
    service.wait_for_requests("GET /jobs", 3)
    assert count_requests(service, besides=("GET /jobs",)) == 0
    # one that has ended is asked for by itself, once; the last one that runs always is
    service.release(6)
    wait_until(lambda: sum(future.done() for future in handle.futures) == 6)
    assert service.counters.by_route["GET /jobs/{id}"] == 6
    service.release()
    close_to_cosine(handle.result(120), 8)


def test_user_threads_share_a_device(platform):
    """The client's service object has no lock; a pass manager used by two threads gives wrong circuits."""
    service, dev = platform(wires=3)
    failures = []

    def user(number):
        try:
            for _ in range(3):
                count = 3 + number
                close_to_cosine(dev.batch_execute(ladder(count, wires=2 + number % 2, shots=2000)), count)
        except Exception as error:  # noqa: BLE001 - the test reports it
            failures.append(error)

    threads = [threading.Thread(target=user, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert service.counters.jobs == 12


def two_instances(loopback):
    """An account with two instances, each with a backend of its own: the service, and their names."""
    crns = [
        f"crn:v1:bluemix:public:quantum-computing:us-east:a/0000000000000000000000000000000{n}:"
        f"00000000-0000-4000-8000-00000000000{n}::"
        for n in (1, 2)
    ]
    service = loopback(
        backends=("ibm_manila", "ibm_lima"),
        instances=(
            Instance(crn=crns[0], name="first", backends=("ibm_manila",)),
            Instance(crn=crns[1], name="second", backends=("ibm_lima",)),
        ),
    )
    return service, crns


def test_devices_of_two_instances_do_not_disturb_each_other(loopback):
    service, crns = two_instances(loopback)
    with (
        qml.device("threaded.ibmq", wires=2, backend="ibm_manila", instance=crns[0]) as first,
        qml.device("threaded.ibmq", wires=2, backend="ibm_lima", instance=crns[1]) as second,
    ):
        handles = [dev.submit(ladder(5)) for _ in range(3) for dev in (first, second)]
        for handle in handles:
            close_to_cosine(handle.result(), 5)
    assert {(job.backend, job.instance) for job in service.jobs} == {
        ("ibm_manila", crns[0]),
        ("ibm_lima", crns[1]),
    }


def test_without_instance_the_backend_decides(loopback, monkeypatch):
    service, crns = two_instances(loopback)
    monkeypatch.delenv("QISKIT_IBM_INSTANCE")
    with qml.device("threaded.ibmq", wires=2, backend="ibm_lima", ibmqx_token=TOKEN) as dev:
        close_to_cosine(dev.batch_execute(ladder(3)), 3)
    assert [job.instance for job in service.jobs] == [crns[1]]


def test_devices_of_one_account_log_in_once(platform):
    service, first = platform()
    logins = service.counters.logins
    _, second = platform(service=service)
    first.batch_execute(ladder(2))
    second.batch_execute(ladder(2))
    # one for each of the client's connections, and one more where two threads of it ask at the same time
    assert logins <= 3
    assert service.counters.logins == logins, "the second device adds none"
    assert service.counters.by_route["POST /v3/resources/search"] == 1


# --------------------------------------------------------------------------------------------------------- handles


def test_a_handle_has_futures_and_ids(platform):
    service, dev = platform(shard_size=2)
    service.hold()
    handle = dev.submit(ladder(4))
    service.wait_for_jobs(2, JobStatus.QUEUED)
    assert not handle.done()
    assert not any(future.done() for future in handle.futures)
    service.release()
    close_to_cosine([future.result(120) for future in handle.futures], 4)
    close_to_cosine(handle.result(), 4)
    assert handle.done()
    assert set(handle.job_ids) == {job.id for job in service.jobs}
    assert handle.exception() is None


def test_cancel_reaches_queued_jobs_and_sends_no_more(platform):
    service, dev = platform(shard_size=1, max_jobs=2)
    service.hold()
    handle = dev.submit(ladder(5))
    service.wait_for_jobs(2, JobStatus.QUEUED)
    handle.cancel()
    with pytest.raises(JobCancelledError) as caught:
        handle.result(120)
    assert caught.value.tapes
    assert [job.status for job in service.jobs] == [JobStatus.CANCELLED] * 2
    assert sum(job.usage_secs for job in service.jobs) == 0


def test_timeout_names_the_jobs_that_run_on(platform):
    service, dev = platform(timeout_secs=0.8)
    service.hold()
    handle = dev.submit(ladder(3))
    wait_until(lambda: handle.job_ids)
    with pytest.raises(WaitTimeoutError) as caught:
        handle.result()
    assert caught.value.job_ids == handle.job_ids == tuple(job.id for job in service.jobs)
    service.release()
    close_to_cosine(handle.result(120), 3)


def test_interrupt_cancels_what_is_queued(platform, monkeypatch):
    service, dev = platform()
    service.hold()
    handle = dev.submit(ladder(3))
    service.wait_for_jobs(1, JobStatus.QUEUED)

    def interrupted(self, timeout):
        raise KeyboardInterrupt

    monkeypatch.setattr(type(handle._batch), "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        handle.result()
    service.wait_for_jobs(1, JobStatus.CANCELLED)


def test_closing_ends_threads_and_refuses_work(platform):
    before = set(threading.enumerate())  # what earlier tests have left ends when it does
    service, dev = platform(shard_size=1)
    service.hold()
    handle = dev.submit(ladder(2))
    service.wait_for_jobs(2, JobStatus.QUEUED)
    dev.close()
    with pytest.raises(DeviceClosedError):
        handle.result(120)
    with pytest.raises(DeviceClosedError):
        dev.batch_execute(ladder(1))
    service.release()
    wait_until(
        lambda: not any(t.name.startswith("threaded-ibmq") for t in set(threading.enumerate()) - before)
    )


def test_a_session_of_the_users_is_used_and_left_open(loopback):
    from qiskit_ibm_runtime import Batch, QiskitRuntimeService

    service = loopback()
    backend = QiskitRuntimeService().backend(SMALL)
    with Batch(backend=backend) as batch:
        with qml.device("threaded.ibmq", wires=2, backend=backend, session=batch, shard_size=2) as dev:
            close_to_cosine(dev.batch_execute(ladder(4)), 4)
        (session,) = service.sessions
        assert session.accepting_jobs
        assert [job.session_id for job in service.jobs] == [session.id] * 2


@pytest.mark.parametrize("parametrise", [True, False])
@pytest.mark.parametrize("primitive", ["estimator", "sampler"])
def test_fractional_gates_get_angles_that_hardware_takes(loopback, primitive, parametrise):
    """IBM's fractional RZZ takes 0 to pi/2, and a template's angles can be anything."""
    from qiskit_ibm_runtime import QiskitRuntimeService

    loopback(backends={"ibm_fractional": "fake_fractional"})
    backend = QiskitRuntimeService().backend("ibm_fractional", use_fractional_gates=True)
    assert "rzz" in backend.target.operation_names
    options = {"primitive": primitive, "parametrise": parametrise}
    with qml.device("threaded.ibmq", wires=2, backend=backend, **options) as dev:
        tapes = [
            qml.tape.QuantumScript(
                [qml.Hadamard(0), qml.Hadamard(1), qml.IsingZZ(angle, [0, 1]), qml.RX(0.3, 0)],
                [qml.expval(qml.Y(0) @ qml.Z(1)), qml.expval(qml.X(0))],
                shots=6000,
            )
            for angle in (-1.0, 0.5, 2.5, 4.0)
        ]
        exact = qml.device("default.qubit").execute([t.copy(shots=None) for t in tapes])
        np.testing.assert_allclose(dev.batch_execute(tapes), exact, atol=0.08)


# ------------------------------------------------------------------------------------------------ trouble at the service


@pytest.mark.parametrize(
    ("effect", "options"),
    [("truncate", {}), ("short", {}), ("empty", {}), ("pubs", {"delta": -1}), ("pubs", {"delta": 1})],
)
def test_a_damaged_result_is_fetched_again_or_refused(platform, effect, options, new_client):
    if new_client and options.get("delta") == 1:
        pytest.skip("IBM's decoder takes the circuits that were sent and leaves the rest")
    service, dev = platform()
    service.inject(Fault(effect=effect, on=r"GET /jobs/\{id\}/results", times=1, **options))
    close_to_cosine(dev.batch_execute(ladder(3)), 3)
    service.inject(Fault(effect=effect, on=r"GET /jobs/\{id\}/results", times=None, **options))
    with pytest.raises(ResultError, match="damaged") as caught:
        dev.batch_execute(ladder(3))
    assert caught.value.job_ids == (service.jobs[-1].id,)
    assert caught.value.tapes == (0, 1, 2)
    assert service.counters.jobs == 2  # nothing was paid again


@pytest.mark.parametrize("primitive", ["estimator", "sampler"])
@pytest.mark.parametrize("delta", [-1, 1])
def test_a_result_with_wrong_rows_never_passes(platform, primitive, delta, new_client):
    if new_client and (primitive, delta) == ("estimator", 1):
        pytest.skip("IBM's decoder averages over whatever rows of twirled circuits there are")
    service, dev = platform(primitive=primitive)
    service.inject(Fault(effect="rows", on=r"GET /jobs/\{id\}/results", times=None, delta=delta))
    with pytest.raises(ResultError, match=r"shape|damaged"):
        dev.batch_execute(ladder(3))


@pytest.mark.parametrize(
    ("fields", "error", "text"),
    [
        (
            {"job_status": "Failed", "reason": "Out of helium.", "reason_code": 1517},
            JobFailedError,
            "Out of helium",
        ),
        ({"job_status": "Cancelled - Ran too long"}, JobFailedError, "ran too long"),
        ({"job_status": "Cancelled"}, JobCancelledError, "was cancelled"),
    ],
)
def test_a_job_that_ends_badly_says_why(platform, fields, error, text):
    service, dev = platform(timeout_secs=60)
    service.inject(Fault(effect="job", on="POST /jobs$", **fields))
    with pytest.raises(error, match=text) as caught:
        dev.batch_execute(ladder(3))
    assert caught.value.job_ids == (service.jobs[0].id,)
    assert caught.value.tapes == (0, 1, 2)


def test_a_failed_shard_leaves_the_other_results(platform):
    service, dev = platform(shard_size=2, max_jobs=1)
    service.inject(Fault(effect="job", on="POST /jobs$", skip=1, reason="No."))
    handle = dev.submit(ladder(6))
    with pytest.raises(ShardFailedError, match="1 of 3 jobs") as caught:
        handle.result(60)
    assert caught.value.tapes == (2, 3)
    assert isinstance(caught.value.__cause__, JobFailedError)
    assert [r is None for r in caught.value.results] == [False, False, True, True, False, False]
    assert [f.exception() is None for f in handle.futures] == [True, True, False, False, True, True]


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520])
def test_a_submission_that_was_answered_with_an_error_is_not_repeated_while_its_job_exists(platform, status):
    """The client would repeat it at once: a second job, which may be paid for before anybody sees it."""
    service, dev = platform(slots=3)
    service.inject(Fault(effect="status", status=status, on="POST /jobs$", when="after"))
    close_to_cosine(dev.batch_execute(ladder(3)), 3)
    assert [job.status for job in service.jobs] == [JobStatus.COMPLETED]
    assert service.counters.by_route["POST /jobs"] == 1


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_submission_whose_connection_broke_is_not_repeated_while_its_job_exists(loopback, direct, when):
    """Behind a proxy the client would: it takes that for the proxy's trouble."""
    service = loopback(direct=direct, slots=3)
    url = service.url if direct else None
    with qml.device("threaded.ibmq", wires=3, backend=SMALL, ibmqx_url=url) as dev:
        service.inject(Fault(effect="reset", on="POST /jobs$", when=when))
        close_to_cosine(dev.batch_execute(ladder(3)), 3)
    assert [job.status for job in service.jobs] == [JobStatus.COMPLETED]
    assert service.counters.by_route["POST /jobs"] == (2 if when == "before" else 1)


def test_other_requests_are_repeated_by_the_client_as_ever(platform):
    service, dev = platform()
    client = dev._open().jobs._service
    service.inject(Fault(effect="status", status=502, on="GET /jobs", times=2))
    assert client.jobs() == []
    assert service.counters.by_route["GET /jobs"] == 3


@pytest.mark.parametrize("status", [500, 502, 503])
def test_nothing_is_sent_twice_for_a_backend_object_of_the_users_either(loopback, device, status):
    """The user's client would: jobs go through connections of their own."""
    service = loopback(slots=1)
    client = QiskitRuntimeService()
    dev = device(backend=client.backend("ibm_manila"))
    logins = service.counters.logins
    service.inject(Fault(effect="status", status=status, on="POST /jobs$", when="after"))
    close_to_cosine(dev.batch_execute(ladder(3)), 3)
    assert [job.status for job in service.jobs] == [JobStatus.COMPLETED]
    assert service.counters.by_route["POST /jobs"] == 1
    # another device on it shares their login
    close_to_cosine(device(backend=client.backend("ibm_manila")).batch_execute(ladder(2)), 2)
    assert service.counters.logins == logins


def test_devices_share_a_login_and_a_journal_unless_one_brings_its_own_resources(loopback, device, tmp_path):
    service = loopback()
    first = device()
    logins = service.counters.logins
    assert device()._journal() is first._journal()
    assert service.counters.logins == logins
    with Resources() as others:

        class Apart(ThreadedIBMQDevice):
            _resources = others

        with Apart(wires=2, backend="ibm_manila", journal=tmp_path / "journal.sqlite") as apart:
            assert apart._journal() is not first._journal()
            assert service.counters.logins > logins
            close_to_cosine(apart.batch_execute(ladder(2)), 2)


def test_a_twin_of_a_job_is_cancelled(rest, device, caplog):
    """Whoever creates it, such as a proxy that repeats requests."""
    session = rest()
    service = session.service
    service.hold()
    with (
        caplog.at_level(logging.WARNING),
        service.applied(token=TOKEN, instance=service.config.instances[0].crn),
    ):
        handle = device(backend="ibm_manila").submit(ladder(3))
        service.wait_for_jobs(1, status="Queued")
        (job,) = service.jobs
        told = session.ask("GET", f"/jobs/{job.id}").json()
        body = {"program_id": job.program_id, "backend": job.backend, "params": told["params"]}
        assert session.ask("POST", "/jobs", {**body, "tags": told["tags"]}).ok
        service.wait_for_jobs(1, status="Cancelled")
        service.release()
        close_to_cosine(handle.result(60), 3)
    assert sorted(job.status for job in service.jobs) == [JobStatus.CANCELLED, JobStatus.COMPLETED]
    assert "created twice" in caplog.text


def test_a_service_in_trouble_for_a_moment_is_asked_again(platform):
    service, dev = platform()
    service.inject(
        Fault(effect="status", status=503, on=r"GET /jobs", times=2),
        Fault(effect="reset", on=r"GET /jobs", times=1),
        Fault(effect="status", status=429, retry_after=1, on=r"GET /jobs", times=1),
    )
    close_to_cosine(dev.batch_execute(ladder(3)), 3)


def test_a_refused_job_gives_ibms_reason(platform):
    service, dev = platform(usage_limit_secs=0.5)
    dev.batch_execute(ladder(1))
    with pytest.raises(SubmissionError, match="did not accept") as caught:
        dev.batch_execute(ladder(1))
    assert caught.value.status_code == 409 or "limit" in str(caught.value)
    assert service.counters.jobs == 1


# --------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("options", "error", "texts"),
    [
        (
            {"backend": "ibm_manilla"},
            BackendError,
            ["'ibm_manilla'", "Did you mean 'ibm_manila'", "It has: "],
        ),
        ({"backend": "ibm_lima"}, BackendError, ["'ibm_lima'", "IBM retired ibmq_lima", "fake_lima"]),
        ({"wires": 6}, BackendError, ["6 wires", "'ibm_manila' has 5 qubits"]),
        ({"backend": "least_busy", "wires": 200}, BackendError, ["least_busy", "200 qubits"]),
        ({"ibmqx_token": "not-a-token"}, CredentialsError, ["does not accept", "ibmqx_token"]),
        ({"instance": "nobody"}, CredentialsError, ["instance='nobody'"]),
        (
            {"primitive_options": {"resilience_levle": 1}},
            ConfigurationError,
            ["Did you mean 'resilience_level'"],
        ),
        ({"resilience_level": 9}, ConfigurationError, ["resilience_level=9"]),
        ({"transpile_options": {"basis_gates": ["x"]}}, ConfigurationError, ["compile_backend="]),
        ({"optimisation_level": 1}, ConfigurationError, ["Did you mean 'optimization_level'"]),
        ({"noise_model": object()}, ConfigurationError, ["noise_model", "takes no noise model"]),
        ({"simulator": "aer"}, ConfigurationError, ["simulator='aer'", "is a service's"]),
        ({"simulator": "lightning"}, ConfigurationError, ["simulator='lightning'", "is a service's"]),
    ],
)
def test_bad_arguments_get_one_clear_error_and_no_job(loopback, options, error, texts):
    service = loopback()
    arguments = {"wires": 2, "backend": SMALL, "ibmqx_token": TOKEN, **options}
    with pytest.raises(error) as caught:
        qml.device("threaded.ibmq", **arguments)
    for text in texts:
        assert text in str(caught.value)
    assert service.counters.jobs == 0


def test_without_an_account_a_real_backend_is_refused_without_a_request(start):
    service = start()
    with service.applied(), pytest.raises(CredentialsError, match="fake_manila"):
        qml.device("threaded.ibmq", wires=2, backend=SMALL)
    assert service.counters.requests == 0


def test_least_busy_takes_the_shortest_queue_that_fits(loopback):
    service = loopback(backends=("ibm_manila", "ibm_lima", "ibm_torino"))
    service.hold()
    with (
        qml.device("threaded.ibmq", wires=2, backend="ibm_lima") as busy,
        qml.device("threaded.ibmq", wires=2, backend="ibm_manila") as busier,
    ):
        busy.submit(ladder(1))
        busier.submit(ladder(1))
        service.wait_for_jobs(2, JobStatus.QUEUED)
        with qml.device("threaded.ibmq", wires=6, backend="least_busy") as large:
            handle = large.submit(ladder(1))
            service.wait_for_jobs(3, JobStatus.QUEUED)
            assert [job.backend for job in service.jobs][-1] == "ibm_torino"
            service.release()
            handle.result(120)


def test_the_token_is_nowhere(platform, caplog, capsys):
    secret = "loopback-token"
    with caplog.at_level(logging.DEBUG):
        service, dev = platform(ibmqx_token=secret)
        dev.batch_execute(ladder(2))
        texts = [
            repr(dev),
            str(dev),
            repr(dev._settings),
            dev._settings.model_dump_json(include={"ibmqx_token"}),
        ]
        try:
            qml.device("threaded.ibmq", wires=2, backend="ibm_none", ibmqx_token=secret)
        except BackendError as error:
            texts += ["".join(traceback.format_exception(error)), repr(error), str(pickle.dumps(str(error)))]
    ours = "\n".join(r.getMessage() for r in caplog.records if r.name.startswith("pennylane_threaded_ibmq"))
    assert secret not in ours + capsys.readouterr().err + "".join(texts)
    assert all(secret not in json.dumps(job.model_dump(mode="json")) for job in service.jobs)


def test_no_warning_reaches_the_user(loopback):
    loopback()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # our own, of a client that IBM will refuse, and nothing else
        warnings.filterwarnings("ignore", message="qiskit-ibm-runtime .* speaks a version")
        with qml.device("threaded.ibmq", wires=2, backend=SMALL) as dev:
            close_to_cosine(dev.batch_execute(ladder(2)), 2)


def test_a_client_that_ibm_will_refuse_is_named_with_the_date_and_the_command(loopback, new_client):
    loopback()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(2):
            with qml.device("threaded.ibmq", wires=2, backend=SMALL) as dev:
                assert dev._open().name == SMALL
    ours = [str(w.message) for w in caught if "2027-01-01" in str(w.message)]
    assert len(ours) == (0 if new_client else 1)
    assert all("pip install -U qiskit-ibm-runtime" in text for text in ours)


# -------------------------------------------------------------------------------------------------------- gradients


def test_value_and_gradient_are_one_job(platform):
    service, dev = platform(wires=2)

    @qml.set_shots(4000)
    @qml.qnode(dev, grad_on_execution=True)
    def cost(angles):
        qml.RX(angles[0], 0)
        qml.CRY(angles[1], [0, 1])
        return qml.expval(qml.Z(0) + 0.5 * qml.X(1))

    angles = pnp.array([0.4, 0.9], requires_grad=True)
    exact = qml.grad(qml.QNode(cost.func, qml.device("default.qubit"), diff_method="backprop"))(angles)
    for step in (1, 2):
        np.testing.assert_allclose(qml.grad(cost)(angles), exact, atol=0.1)
        assert len(service.jobs) == step


def test_a_step_of_an_optimizer_is_one_job(platform):
    service, dev = platform(wires=1)
    cost = qml.set_shots(
        qml.QNode(lambda x: (qml.RY(x, 0), qml.expval(qml.Z(0)))[1], dev, grad_on_execution=True), 200
    )
    optimizer, x = qml.GradientDescentOptimizer(0.3), pnp.array(0.8, requires_grad=True)
    for _ in range(3):
        x, _ = optimizer.step_and_cost(cost, x)
    assert len(service.jobs) == 3


def test_both_evaluations_of_spsa_are_one_job(platform):
    """PennyLane's gradient hands them over in one batch, its optimizer of that name one by one."""
    service, dev = platform(wires=1)

    def circuit(x):
        qml.RY(x, 0)
        return qml.expval(qml.Z(0))

    x = pnp.array(0.8, requires_grad=True)
    qml.grad(qml.set_shots(qml.QNode(circuit, dev, diff_method="spsa"), 200))(x)
    # the value, then the two evaluations
    assert len(service.jobs) == 2
    cost = qml.set_shots(qml.QNode(circuit, dev), 1000)
    qml.SPSAOptimizer(maxiter=10).step(cost, x)
    assert len(service.jobs) == 4
    slope = qml.gradients.spsa_grad(cost, h=0.3, sampler_rng=1)
    moved = qml.GradientDescentOptimizer(0.1).step(cost, x, grad_fn=slope)
    assert len(service.jobs) == 5
    np.testing.assert_allclose(moved, 0.8 + 0.1 * np.sin(0.8), atol=0.06)


# ------------------------------------------------------------------------------------------------------ limits of a job


def shots_tape(shots, angle=0.7):
    return qml.tape.QuantumScript([qml.RX(angle, 0)], [qml.expval(qml.Z(0))], shots=shots)


def test_more_shots_than_the_backend_speaks_of_are_warned_of_once_and_run(platform):
    """IBM no longer enforces ``max_shots``."""
    service, dev = platform(primitive="sampler")
    most = dev._open().jobs.backend.configuration().max_shots
    text = f"shots={most + 1}.*at most {most}, which IBM no longer enforces"
    with pytest.warns(UserWarning, match=text):
        (value,) = dev.batch_execute([shots_tape(most + 1)])
    assert value == pytest.approx(np.cos(0.7), abs=0.05)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", text)
        dev.batch_execute([shots_tape(most + 1)])
    assert service.counters.shots == 2 * (most + 1)


@pytest.mark.filterwarnings("ignore:shots=")
def test_more_executions_than_a_job_takes_are_refused_or_cut(platform):
    service, dev = platform(primitive="sampler")
    most = 10_000_000
    with pytest.raises(
        UnsupportedCircuitError, match=r"Tape 1 has 10,000,001 executions.*at most 10,000,000"
    ):
        dev.batch_execute([shots_tape(100), shots_tape(most + 1)])
    assert service.counters.jobs == 0
    assert dev.estimate([shots_tape(most // 2, angle) for angle in (0.1, 0.2, 0.3)]).jobs == 2
