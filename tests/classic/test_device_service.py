"""The device on the classic stack with the real client, over HTTP: jobs, requests, logins, secrets, trouble."""

from __future__ import annotations

import os
import pickle
import threading
import traceback
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pennylane as qml
import pytest
import requests
from pennylane import numpy as pnp
from waiting import count_requests

from pennylane_threaded_ibmq.exceptions import (
    BackendError,
    ConfigurationError,
    CredentialsError,
    JobCancelledError,
    JobFailedError,
    ResultError,
    ServiceError,
    SubmissionError,
    WaitTimeoutError,
)
from pennylane_threaded_ibmq.loopback import CLASSIC_SIMULATOR, Fault, JobStatus, Project
from pennylane_threaded_ibmq.service.errors import is_outage
from pennylane_threaded_ibmq.service.job import SentJob
from pennylane_threaded_ibmq.service.sessions import fetch_stored

TOKEN = "loopback-token"
LOGIN = "POST /users/loginWithToken"


def ladder(count, shots=400):
    return [
        qml.tape.QuantumScript([qml.RY(angle, 0), qml.CNOT([0, 1])], [qml.expval(qml.PauliZ(1))], shots=shots)
        for angle in np.linspace(0, np.pi, count)
    ]


def right(results, atol=0.3):
    wanted = np.cos(np.linspace(0, np.pi, len(results)))
    np.testing.assert_allclose(np.array(results, dtype=float), wanted, atol=atol)


# ------------------------------------------------------------------------------------------------------- what it costs


def test_twenty_tapes_are_one_job_and_few_requests(start, device):
    service = start(slots=20)
    dev = device(service)
    service.reset_counters()
    right(dev.batch_execute(ladder(20)))
    assert service.counters.jobs == 1
    assert count_requests(service) <= 7
    assert service.counters.by_route.get(LOGIN, 0) == 0


def test_a_gradient_is_two_jobs_and_the_next_transpiles_nothing(start, device):
    service = start()
    dev = device(service)

    @qml.qnode(dev)
    def circuit(x):
        qml.BasicEntanglerLayers(x, wires=[0, 1])
        return qml.expval(qml.PauliZ(1))

    x = pnp.array([[0.3, 0.5], [0.2, 0.9]], requires_grad=True)
    qml.grad(circuit)(x)
    assert service.counters.jobs == 2  # the value and the gradient
    once = dev.transpiles
    assert once == 1
    qml.grad(circuit)(x + 0.1)
    assert dev.transpiles == once
    assert service.counters.jobs == 4


def test_jobs_carry_the_users_tags_and_another_tag_is_the_same_job(start, device):
    service = start()
    service.hold()
    dev = device(service, job_tags=["night-run"])
    with dev.job_tags("block"):
        handle = dev.submit(ladder(2))
    while not handle.job_ids:
        handle.progress  # noqa: B018 - the service is asked meanwhile
    handle.detach()
    (job,) = service.jobs
    assert [tag for tag in job.tags if not tag.startswith("threaded-ibmq-")] == ["night-run", "block"]
    (batch,) = dev.batches(tags=["block"])
    assert batch.tags == ("night-run", "block")
    dev.close()
    service.release()
    again = device(service, job_tags=["another"]).submit(ladder(2))
    right(again.result())
    assert again.job_ids == handle.job_ids
    assert service.counters.jobs == 1
    with pytest.raises(ConfigurationError, match="'job_tags' is given by job_tags="):
        device(service, run_options={"job_tags": ["x"]}).submit(ladder(1))


def test_one_login_serves_all_devices_and_lanes(start, device):
    service = start()
    devices = [device(service, max_jobs=4, shard_size=1) for _ in range(3)]
    threads = [threading.Thread(target=dev.batch_execute, args=(ladder(6),)) for dev in devices]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert service.counters.jobs == 18
    assert service.counters.by_route[LOGIN] == 1


def test_shards_run_in_lanes_and_come_back_in_order(start, device):
    service = start(slots=20)
    dev = device(service, shard_size=1, max_jobs=3)
    right(dev.batch_execute(ladder(9)))
    assert service.counters.jobs == 9
    assert service.counters.max_pending <= 3


def test_a_batch_is_cut_where_the_backend_ends(start, device):
    service = start()
    most = 10
    dev = device(service, backend="ibmq_lima")
    configuration = dev._open().jobs.backend.configuration()
    limit = configuration.max_experiments
    assert limit >= most
    results = dev.batch_execute(ladder(limit + 5, shots=100))
    right(results, atol=0.7)  # seven standard errors, of hundreds of values
    assert service.counters.jobs == 2


def test_tapes_of_different_shots_are_different_jobs(start, device):
    service = start()
    right(device(service).batch_execute([*ladder(3, shots=300), *ladder(3, shots=500)])[:3])
    assert service.counters.jobs == 2


def test_every_kind_of_result(start, device):
    service = start()

    @qml.qnode(device(service, shots=2000))
    def circuit():
        qml.PauliX(wires=1)
        qml.RX(0.4, wires=0)
        return (
            qml.expval(qml.PauliZ(0)),
            qml.probs(wires=[1, 0]),
            qml.counts(wires=[1]),
            qml.sample(wires=[1]),
            qml.var(qml.PauliX(0)),
        )

    value, probabilities, counts, samples, variance = circuit()
    np.testing.assert_allclose(value, np.cos(0.4), atol=0.1)
    np.testing.assert_allclose(probabilities[:2], [0, 0], atol=1e-12)
    assert counts == {"1": 2000}
    assert samples.shape == (2000,)
    assert samples.all()
    np.testing.assert_allclose(variance, 1, atol=0.05)
    assert service.counters.jobs == 1


def test_shadows_share_a_job_though_their_bases_run_differently_often(start, device):
    service = start()
    dev = device(service, shots=300)

    @qml.qnode(dev)
    def circuit():
        qml.Hadamard(wires=0)
        qml.CNOT(wires=[0, 1])
        return qml.classical_shadow(wires=[0, 1])

    bits, recipes = circuit()
    assert np.shape(bits) == np.shape(recipes) == (300, 2)
    same = (np.asarray(recipes)[:, 0] == np.asarray(recipes)[:, 1]) & (np.asarray(recipes)[:, 0] == 0)
    assert same.sum() > 10
    assert (np.asarray(bits)[same, 0] == np.asarray(bits)[same, 1]).all()
    assert service.counters.jobs == 1


def test_a_real_device_takes_what_is_transpiled_for_it(start, device):
    service = start()
    right(device(service, backend="ibmq_lima").batch_execute(ladder(4)))
    assert service.counters.jobs == 1


def test_a_noise_model_reaches_the_simulator(start, device):
    from qiskit_aer.noise import NoiseModel, ReadoutError

    noise = NoiseModel()
    noise.add_all_qubit_readout_error(ReadoutError([[0.5, 0.5], [0.5, 0.5]]))
    service = start()
    values = device(service, noise_model=noise).batch_execute(ladder(2, shots=4000))
    np.testing.assert_allclose(values, [0, 0], atol=0.1)


def test_the_tracker_knows_jobs_and_their_times(start, device):
    service = start(job_secs=0.2)
    dev = device(service)
    with qml.Tracker(dev) as tracker:
        dev.batch_execute(ladder(3))
    assert tracker.totals["executions"] == 3
    assert tracker.history["batch_len"] == [3]
    assert tracker.totals["jobs"] == 1
    assert tracker.history["job_ids"] == [service.jobs[0].id]
    (times,) = tracker.history["job_time"]
    assert times["queued"] >= 0
    assert times["running"] >= 0.199


def test_long_results_and_results_without_memory(start, device):
    service = start(inline_bytes=100)
    right(device(service).batch_execute(ladder(5)))


def test_threads_on_one_device_get_their_own_results(start, device):
    service = start()
    dev = device(service)
    wrong = []

    def user(number):
        tapes = ladder(2 + number)
        for _ in range(3):
            try:
                right(dev.batch_execute(tapes))
            except Exception as error:  # noqa: BLE001 - the test reports it
                wrong.append(error)

    threads = [threading.Thread(target=user, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert service.counters.jobs == 12


# ------------------------------------------------------------------------------------------------------------- secrets


def test_nothing_of_the_token_is_written(start, device, wiped_environment, tmp_path, caplog):
    caplog.set_level("DEBUG", logger="pennylane_threaded_ibmq")
    service = start()
    dev = device(service)
    dev.batch_execute(ladder(2))
    folders = [wiped_environment, tmp_path]
    files = [Path(folder) / name for top in folders for folder, _, names in os.walk(top) for name in names]
    assert not [file for file in files if TOKEN.encode() in file.read_bytes()]
    assert not [file for file in files if "qiskit" in str(file)]
    assert TOKEN not in repr(dev) + caplog.text
    assert TOKEN.encode() not in pickle.dumps(dev._settings)
    assert all(TOKEN not in str(job) for job in service.jobs)


def test_two_tokens_in_one_process_are_two_logins(start, device):
    service = start(tokens=(TOKEN, "other-token"))
    for token in (TOKEN, "other-token"):
        right(device(service, ibmqx_token=token).batch_execute(ladder(2)))
    assert service.counters.by_route[LOGIN] == 2


def test_the_environment_gives_token_and_address(loopback, device):
    service = loopback()
    dev = qml.device("threaded.ibmq", wires=2, journal=False)
    right(dev.batch_execute(ladder(3)))
    assert service.counters.jobs == 1


def test_a_provider_may_be_given(start, login, device):
    service = start()
    dev = device(service, provider=login(service), ibmqx_token=None)
    right(dev.batch_execute(ladder(3)))
    assert service.counters.by_route[LOGIN] == 1


# ----------------------------------------------------------------------------------------------------------- bad input

TEAMS = (
    Project(hub="ibm-q", group="open", project="main"),
    Project(hub="uni", group="lab", project="first", backends=("ibmq_lima",)),
)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"backend": "ibmq_limo"}, BackendError, "Did you mean 'ibmq_lima'"),
        ({"backend": "ibmq_essex"}, BackendError, "IBM retired ibmq_essex.*ibmq_lima"),
        (
            {"hub": "nui"},
            ConfigurationError,
            "no such hub. Did you mean 'uni'.*uni/lab/first, ibm-q/open/main",
        ),
        ({"hub": "uni", "group": "lob"}, ConfigurationError, "no such group.*'lab'"),
        ({"hub": "uni", "group": "lab", "project": "second"}, ConfigurationError, "no such project"),
        (
            {"hub": "uni", "group": "lab", "project": "first"},
            BackendError,
            "uni/lab/first has no such backend",
        ),
        ({"ibmqx_token": "wrong-token"}, CredentialsError, "does not accept these credentials"),
        ({"wires": 6, "backend": "ibmq_lima"}, BackendError, "has 5 qubits"),
        ({"run_options": {"rep_dalay": 1}}, ConfigurationError, "Did you mean 'rep_delay'"),
        ({"run_options": {"shots": 1}}, ConfigurationError, "given by shots="),
        ({"backend": "ibmq_lima", "noise_model": object()}, ConfigurationError, "noise of its own"),
        ({"provider": object()}, ConfigurationError, "an IBMProvider"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_sent(start, device, options, error, text):
    service = start(projects=TEAMS)
    with pytest.raises(error, match=text) as caught:
        device(service, **options)
    assert "wrong-token" not in str(caught.value)
    assert service.counters.jobs == 0


def test_a_project_is_chosen_by_name(start, device):
    service = start(projects=TEAMS)
    dev = device(service, hub="uni", group="lab", project="first", backend="ibmq_lima")
    right(dev.batch_execute(ladder(2)))
    assert dev._open().instance == "uni/lab/first"


def test_an_account_without_the_default_project_uses_its_first(start, device):
    service = start(projects=(Project(hub="uni", group="lab", project="first"),))
    dev = device(service)
    assert dev._open().instance == "uni/lab/first"


def test_too_many_shots_are_refused(start, device):
    service = start()
    dev = device(service)
    with pytest.raises(ConfigurationError, match="at most"):
        dev.batch_execute(ladder(1, shots=10_000_000))
    assert service.counters.jobs == 0


@pytest.mark.parametrize("status", [404, 410])
def test_a_service_that_is_gone_says_how_to_move(start, device, status):
    service = start(gone=status)
    with pytest.raises(ServiceError, match=r"switched its classic API off in July 2025.*current stack"):
        device(service)


def test_an_address_without_a_token_is_never_a_local_simulation(start, device):
    """Whoever names a service means its ``ibmq_qasm_simulator``."""
    service = start()
    with pytest.raises(CredentialsError, match=r"there is none for http.*leave ibmqx_url out") as caught:
        device(service, ibmqx_token=None)
    assert caught.value.argument == "ibmqx_token"
    assert not service.jobs


def test_an_account_saved_for_the_address_is_used_and_no_other(start, device):
    from qiskit_ibm_provider import IBMProvider

    service, other = start(), start(tokens=("other-token",))
    IBMProvider.save_account(token="other-token", url=other.classic_url)
    with pytest.raises(CredentialsError, match=f"there is none for {service.classic_url}"):
        device(service, ibmqx_token=None)
    IBMProvider.save_account(token=TOKEN, url=service.classic_url, name="ours")
    right(device(service, ibmqx_token=None).batch_execute(ladder(2)))
    assert (len(service.jobs), len(other.jobs), other.counters.logins) == (1, 0, 0)


def test_no_account_says_what_to_do(device, start):
    service = start()
    with pytest.raises(CredentialsError, match=r"ibmqx_token=.*or stay local"):
        device(service, ibmqx_token=None, backend="ibmq_lima")


# ------------------------------------------------------------------------------------------------------------- trouble


def test_an_expired_login_renews(start, device):
    service = start()
    dev = device(service)
    dev.batch_execute(ladder(2))
    service.expire_logins()
    right(dev.batch_execute(ladder(4)))
    assert service.counters.by_route[LOGIN] == 2


def test_a_login_that_expires_while_jobs_run_loses_nothing(start, device):
    service = start()
    service.hold()
    dev = device(service)
    handle = dev.submit(ladder(4))
    service.wait_for_jobs(1, JobStatus.QUEUED)
    service.expire_logins()
    service.release()
    right(handle.result(60))
    assert service.counters.jobs == 1


def test_a_failed_job_gives_the_reason(start, device):
    service = start()
    service.inject(
        Fault(
            effect="job", on="POST /jobs", job_status="Failed", reason="the fridge is warm", reason_code=8001
        )
    )
    with pytest.raises(JobFailedError, match=r"8001.*the fridge is warm") as caught:
        device(service).batch_execute(ladder(2))
    assert caught.value.job_ids == (service.jobs[0].id,)


def test_a_job_limit_is_waited_for(start, device):
    service = start(max_pending=2, job_secs=0.1)
    right(device(service, shard_size=1, max_jobs=6).batch_execute(ladder(6)))
    assert service.counters.jobs == 6
    assert service.counters.max_pending <= 2


def test_a_submission_whose_answer_is_lost_is_paid_once(start, device):
    service = start()
    dev = device(service)
    service.inject(Fault(effect="reset", on="POST /jobs", when="after"))
    right(dev.batch_execute(ladder(3)))
    assert service.counters.jobs == 1


def test_a_job_that_comes_twice_loses_its_twin(start, device):
    service = start()
    dev = device(service)
    service.hold()
    service.inject(Fault(effect="status", status=502, on="POST /jobs", when="after"))
    handle = dev.submit(ladder(3))
    service.wait_for_jobs(1, JobStatus.CANCELLED, timeout_secs=200)
    service.release()
    right(handle.result(60))
    assert sorted(job.status for job in service.jobs) == sorted([JobStatus.CANCELLED, JobStatus.COMPLETED])


@pytest.mark.parametrize(
    "effect",
    [{"effect": "truncate", "keep": 0.5}, {"effect": "pubs", "delta": -1}, {"effect": "rows", "delta": -1}],
)
def test_a_damaged_result_is_fetched_again(start, device, effect):
    service = start()
    dev = device(service)
    service.inject(Fault(on="GET /jobs/{id}/results", times=1, **effect))
    right(dev.batch_execute(ladder(3)))
    assert service.counters.jobs == 1


@pytest.mark.parametrize(
    "effect",
    [
        {"effect": "status", "status": 403},
        {"effect": "status", "status": 503},
        {"effect": "reset"},
        {"effect": "short"},
        {"effect": "empty"},
        {"effect": "pubs"},
    ],
)
def test_a_result_that_is_kept_elsewhere_is_fetched_again(start, device, effect):
    """Its address may have expired: another one is asked for."""
    service = start(inline_bytes=100)
    service.inject(Fault(on="GET /storage/{id}", times=1, **effect))
    right(device(service).batch_execute(ladder(3)))
    assert service.counters.by_route["GET /jobs/{id}/results"] == 2
    assert service.counters.jobs == 1


def test_a_result_that_is_kept_elsewhere_and_refused_is_said_without_its_address(
    start, device, caplog, monkeypatch
):
    monkeypatch.setattr("pennylane_threaded_ibmq.service.service.FETCHES", 2)
    service = start(inline_bytes=100)
    service.inject(Fault(effect="status", status=403, on="GET /storage/{id}", times=None))
    with pytest.raises(ResultError, match=r"another address, which gave HTTP 403\.") as caught:
        device(service).batch_execute(ladder(1))
    shown = "".join(traceback.format_exception(caught.type, caught.value, caught.tb)) + caplog.text
    assert "/storage/" not in shown


def test_what_is_kept_elsewhere_is_fetched_through_the_client_s_proxy_and_without_its_token():
    asked = []

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers.get("X-Access-Token")))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Proxy) as proxy, requests.Session() as session:
        threading.Thread(target=proxy.handle_request, daemon=True).start()
        session.proxies = {"http": f"http://127.0.0.1:{proxy.server_port}"}
        session.headers["X-Access-Token"] = TOKEN
        assert fetch_stored(SimpleNamespace(_session=session), "http://storage.invalid/one?signed=1") == "{}"
    assert asked == [("http://storage.invalid/one?signed=1", None)]


@pytest.mark.parametrize("address", ["", "None", "nowhere/one", "http://", "file:///etc/hosts"])
def test_an_address_that_is_none_is_no_outage(address):
    with pytest.raises(ServiceError, match="at another address, which gave") as caught:
        fetch_stored(None, address)
    assert not is_outage(caught.value)


def test_times_are_read_whether_or_not_they_name_their_zone(start, device, monkeypatch):
    jobs = device(start())._open().jobs
    stamps = {"created": "2024-05-01T10:00:00", "running": "2024-05-01T12:00:01+02:00"}
    answer = {"timestamps": {**stamps, "finished": "2024-05-01T10:00:03.5Z"}}
    monkeypatch.setattr(jobs, "_metrics", lambda _: answer)
    assert jobs.times(SentJob("one", "sampler", 1, "tag", "one")) == {"queued": 1.0, "running": 2.5}
    answer["timestamps"]["finished"] = None
    assert jobs.times(SentJob("one", "sampler", 1, "tag", "one")) == {}


def test_trouble_with_looks_is_no_trouble(start, device):
    service = start(job_secs=0.3)
    dev = device(service)
    service.inject(Fault(effect="status", status=429, retry_after=0, on="GET /jobs.*", times=2))
    right(dev.batch_execute(ladder(3)))
    assert service.counters.jobs == 1


def test_waiting_ends_and_can_be_taken_up_again(start, device):
    service = start()
    service.hold()
    dev = device(service, timeout_secs=5.0)  # it is sent by then
    with pytest.raises(WaitTimeoutError, match="run on") as caught:
        dev.batch_execute(ladder(3))
    service.release()
    right(dev.resume(caught.value.batch_id).result(60))
    assert service.counters.jobs == 1


def test_running_the_same_again_takes_the_job_over(start, device):
    service = start()
    service.hold()
    first = device(service)
    handle = first.submit(ladder(3))
    service.wait_for_jobs(1, JobStatus.QUEUED)
    handle.detach()
    service.release()
    right(device(service).batch_execute(ladder(3)))
    assert service.counters.jobs == 1


def test_results_of_one_noise_model_are_not_taken_for_those_of_another(start, device):
    """Two models of the same gates look alike when they are printed."""
    from qiskit_aer.noise import NoiseModel, depolarizing_error

    def noise(strength):
        model = NoiseModel()
        model.add_all_qubit_quantum_error(depolarizing_error(strength, 2), ["cx"])
        return model

    assert repr(noise(0.1)) == repr(noise(0.9))
    service = start()
    service.hold()
    handle = device(service, noise_model=noise(0.1)).submit(ladder(1))
    while not handle.job_ids:
        handle.progress  # noqa: B018 - the service is asked meanwhile
    handle.detach()
    service.release()
    other = device(service, noise_model=noise(0.9)).submit(ladder(1))
    other.result()
    assert set(other.job_ids).isdisjoint(handle.job_ids)
    same = device(service, noise_model=noise(0.1)).submit(ladder(1))
    same.result()
    assert same.job_ids == handle.job_ids


def test_cancel_cancels_what_is_queued(start, device):
    service = start()
    service.hold()
    handle = device(service).submit(ladder(3))
    service.wait_for_jobs(1, JobStatus.QUEUED)
    handle.cancel()
    with pytest.raises(JobCancelledError):
        handle.result(60)
    assert service.jobs[0].status is JobStatus.CANCELLED


def test_a_refused_submission_gives_the_reason(start, device):
    service = start()
    dev = device(service)
    service.inject(
        Fault(
            effect="status", status=403, message="this project may not run jobs", on="POST /jobs", times=None
        )
    )
    with pytest.raises(SubmissionError, match="this project may not run jobs"):
        dev.batch_execute(ladder(2))
    assert service.counters.jobs == 0


def test_the_journal_and_the_estimate(start, device):
    service = start()
    dev = device(service)
    dev.batch_execute(ladder(3))
    (record,) = dev.batches()
    assert record.backend == CLASSIC_SIMULATOR
    assert record.instance == "ibm-q/open/main"
    estimate = dev.estimate(ladder(3))
    assert estimate.jobs == 1
    assert estimate.circuits == 3


def test_rows_without_parameters_are_circuits_of_their_own(start, device):
    """All circuits of a job run equally often here, so shots of several rows cannot be taken together."""
    service = start()
    ops = [qml.Hadamard(0), qml.PauliX(1)]
    twins = [qml.tape.QuantumScript(ops, [qml.sample(wires=[0, 1])], shots=300) for _ in range(4)]
    results = device(service).batch_execute([*ladder(3, shots=300), *twins])
    right(results[:3])
    assert all(r.shape == (300, 2) and (r[:, 1] == 1).all() and 90 < r[:, 0].sum() < 210 for r in results[3:])
    assert len({r.tobytes() for r in results[3:]}) == 4
    assert len(service.jobs) == 1
