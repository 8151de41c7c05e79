"""What is said of accounts, backends and answers that do not serve: each names what is wrong and what to do."""

from __future__ import annotations

import ast
import json
import threading
import warnings

import pennylane as qml
import pytest
from qiskit_ibm_runtime import QiskitRuntimeService

from pennylane_threaded_ibmq.exceptions import (
    BackendError,
    ConfigurationError,
    CredentialsError,
    JobFailedError,
    ResultError,
    ServiceError,
    SubmissionError,
)
from pennylane_threaded_ibmq.loopback import Fault, Instance, JobStatus

SMALL = "ibm_manila"
TOKEN = "loopback-token"


def tape(shots=100):
    return qml.tape.QuantumScript([qml.RX(0.7, 0)], [qml.expval(qml.Z(0))], shots=shots)


def write_accounts(path, **accounts):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(accounts), encoding="utf-8")


OLD = {"channel": "ibm_quantum", "url": "https://auth.quantum-computing.ibm.com/api", "token": "an-old-key"}
NEW = {"channel": "ibm_quantum_platform", "url": "https://cloud.ibm.com", "token": TOKEN}


# --------------------------------------------------------------------------------------------------------- accounts


@pytest.mark.parametrize("options", [{}, {"account_name": "old"}], ids=["default", "named"])
def test_an_account_of_the_removed_channel_is_named(start, device, tmp_path, options):
    service = start()
    file = tmp_path / "accounts.json"
    write_accounts(file, old=OLD)
    with (
        service.applied(token=""),
        pytest.raises(
            CredentialsError, match=r"saved as 'old'.*'ibm_quantum'.*July 2025.*save_account"
        ) as caught,
    ):
        device(account_file=file, **options)
    assert "an-old-key" not in str(caught.value)
    assert service.counters.requests == 0


def test_an_account_of_the_removed_channel_beside_a_good_one_is_no_matter(start, device, tmp_path):
    service = start()
    file = tmp_path / "accounts.json"
    write_accounts(file, old=OLD, new={**NEW, "instance": service.config.instances[0].crn})
    with service.applied(token=""):
        device(account_file=file).batch_execute([tape()])
    assert len(service.jobs) == 1


@pytest.mark.parametrize("options", [{}, {"tags": ["mine"]}], ids=["none", "filtered"])
def test_an_account_without_instances_is_told_from_a_wrong_key(start, device, options):
    service = start(instances=(Instance(backends=() if not options else None),))
    text = (
        r"The API key is good.*no instance.*cloud\.ibm\.com/instances"
        if not options
        else r"fits tags=\['mine'\]"
    )
    with service.applied(token=TOKEN), pytest.raises(CredentialsError, match=text) as caught:
        device(**options)
    assert caught.value.argument == "instance"
    assert "Nothing was sent" in str(caught.value)


def test_the_address_is_kept_with_a_saved_account(start, device, tmp_path):
    """The client takes an address only with a token, and would go to the one that was saved."""
    service = start()
    file = tmp_path / "accounts.json"
    crn = service.config.instances[0].crn
    write_accounts(file, work={**NEW, "url": "https://not.this.one.example", "instance": crn})
    with service.applied(token=""):
        device(account_name="work", account_file=file, ibmqx_url="https://cloud.ibm.com").batch_execute(
            [tape()]
        )
    assert len(service.jobs) == 1
    assert service.counters.refused == 0


def test_an_address_saved_with_an_account_is_kept(start, device, tmp_path):
    service = start()
    file = tmp_path / "accounts.json"
    with service.applied(token=TOKEN, direct=True):
        QiskitRuntimeService.save_account(
            token=TOKEN,
            url=service.url,
            instance=service.config.instances[0].crn,
            filename=str(file),
            name="mine",
        )
    with service.applied(token=""):
        dev = device(account_name="mine", account_file=file)
        assert dev._open().jobs.backend.service.active_account()["url"] == service.url


def test_a_key_and_a_saved_account_are_one_too_many(start, device, tmp_path):
    service = start()
    file = tmp_path / "accounts.json"
    write_accounts(file, work=NEW)
    with service.applied(), pytest.raises(ConfigurationError, match="ibmqx_token and account_name") as caught:
        device(ibmqx_token="another-key", account_name="work", account_file=file)
    assert "another-key" not in str(caught.value)
    assert service.counters.requests == 0


@pytest.mark.parametrize(
    "key", ["loopback-token\n", " loopback-token", "loopback token"], ids=["newline", "blank", "two"]
)
def test_a_key_with_a_blank_is_named_before_anybody_is_asked(start, device, key):
    service = start()
    with service.applied(), pytest.raises(ConfigurationError, match="blank or a line break") as caught:
        device(ibmqx_token=key)
    assert caught.value.argument == "ibmqx_token"
    assert caught.value.value is None
    assert service.counters.requests == 0


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://auth.quantum-computing.ibm.com/api", "classic service.*July 2025"),
        ("https://api.quantum-computing.ibm.com/runtime", "classic service.*July 2025"),
        ("https://auth.quantum.ibm.com/api", "classic service.*July 2025"),
        ("https://quantum.cloud.ibm.com/api/v1", "address of the API"),
        ("https://eu-de.quantum.cloud.ibm.com/api/v1/", "address of the API"),
        ("https://quantum.cloud.ibm.com", "address of the API"),
        ("https://cloud.ibm.com/api", "address of the API"),
        ("cloud.ibm.com", "no address"),
    ],
)
def test_an_address_of_the_api_is_refused(device, url, text):
    with pytest.raises(ConfigurationError, match=f"ibmqx_url='{url}'.*{text}.*Leave it out") as caught:
        device(ibmqx_token=TOKEN, ibmqx_url=url)
    assert caught.value.argument == "ibmqx_url"


# --------------------------------------------------------------------------------------------------------- backends


def test_a_list_of_backends_that_is_refused_is_no_empty_one(start, device):
    service = start()
    service.inject(
        Fault(
            effect="status", on="GET /backends", status=403, code=1200, message="Not authorized.", times=None
        )
    )
    text = r"list of backends: Not authorized \(HTTP 403, IBM's code 1200\).*instance=.*https://cloud\.ibm\.com/iam"
    crn = service.config.instances[0].crn
    with service.applied(token=TOKEN, instance=crn), pytest.raises(ServiceError, match=text) as caught:
        device()
    assert caught.value.status_code == 403


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ibmq_lima", r"retired ibmq_lima, with its 5 qubits, on 2023-09-26.*backend='fake_lima'"),
        ("ibmq_5_yorktown", r"on 2021-08-09.*backend='fake_yorktown'"),
        ("ibm_nazca", r"127 qubits, on 2024-12-04.*backend='fake_sherbrooke' simulates a system of its size"),
        ("ibm_seattle", r"433 qubits.*backend='ibmq_qasm_simulator'"),
        ("simulator_mps", r"2024-05-15.*backend='aer_simulator_matrix_product_state'"),
    ],
)
def test_a_retired_system_is_named_with_its_day_and_what_runs_here(loopback, device, name, text):
    with pytest.raises(BackendError, match=text) as caught:
        device(backend=name)  # without an account: nobody is asked
    assert caught.value.argument == "backend"
    loopback()
    with pytest.raises(BackendError, match=text):
        device(backend=name)


def test_each_retired_system_has_something_that_runs_here():
    from pennylane_threaded_ibmq.service.retired import _RETIRED, local_alternative, retirement
    from pennylane_threaded_ibmq.simulators.local import open_local

    without = set()
    for name, (qubits, day) in _RETIRED.items():
        assert day in retirement(name)
        snapshot = local_alternative(name).split("'")[1]
        if snapshot == "ibmq_qasm_simulator":
            without.add(name)
        elif name in ("ibmq_lima", "ibmq_16_melbourne", "ibmq_dublin"):
            assert open_local(snapshot).num_qubits >= qubits - 1
    assert without == {"ibm_seattle"}
    assert retirement("ibm_torino") == ""


def test_a_paused_backend_is_named_and_its_jobs_wait(loopback, device):
    service = loopback()
    service.set_backend(SMALL, "paused")
    with pytest.warns(
        UserWarning, match=rf"backend='{SMALL}' does not run jobs.*'paused'.*waits until.*least_busy"
    ):
        dev = device()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.filterwarnings("ignore", message="The backend .* currently has")
        handle = dev.submit([tape()])
        service.wait_for_jobs(1, JobStatus.QUEUED)
    service.set_backend(SMALL, "online")
    assert handle.result()[0] == pytest.approx(0.76, abs=0.4)


# ---------------------------------------------------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("status", "code", "message", "advice"),
    [
        (400, 1208, "Request validation failed", "pip install -U qiskit-ibm-runtime"),
        (403, 1200, "You are not authorized to perform this action", "access policy of the key"),
        (409, 1000, "Usage exceeds the instance limit", "threaded-ibmq doctor"),
        (413, 1000, "Payload too large", "shard_size="),
    ],
)
def test_an_answer_is_told_in_words_and_not_as_json(loopback, device, status, code, message, advice):
    service = loopback()
    service.inject(Fault(effect="status", on="POST /jobs", status=status, code=code, message=f"{message}."))
    with pytest.raises(SubmissionError) as caught:
        device().batch_execute([tape()])
    text = str(caught.value)
    assert f"{message} (HTTP {status}, IBM's code {code})." in text
    assert advice in text
    assert "{" not in text
    assert "http://" not in text
    assert caught.value.status_code == status
    assert service.counters.jobs == 0


def test_a_job_that_failed_without_a_reason_says_where_to_look(loopback, device):
    service = loopback()
    service.inject(Fault(effect="job", on="POST /jobs"))
    with pytest.raises(JobFailedError, match=r"IBM gives no reason.*job\('.*'\)\.logs\(\).*shard_size="):
        device().batch_execute([tape()])


@pytest.mark.parametrize("effect", ["truncate", "short"])
@pytest.mark.parametrize("api", ["auto", "service"])
def test_a_private_result_that_was_cut_is_lost_and_not_promised(loopback, device, monkeypatch, effect, api):
    monkeypatch.setattr("pennylane_threaded_ibmq.service.service.FETCHES", 2)
    service = loopback()
    options = {"primitive_api": api, "primitive_options": {"environment": {"private": True}}}
    service.inject(Fault(effect=effect, on=r"GET /jobs/\{id\}/results"))
    with pytest.raises(
        ResultError, match=r"does not keep: it is lost.*paid for again.*environment\.private"
    ) as caught:
        device(**options).batch_execute([tape()])
    assert "It is kept at IBM" not in str(caught.value)
    (lost,) = caught.value.job_ids
    again = device(**options).submit([tape()])
    assert again.result()[0] == pytest.approx(0.76, abs=0.4)
    assert again.job_ids != (lost,), "the rerun does not wait for a result that nobody can fetch"


def test_a_private_result_that_arrived_and_could_not_be_read_at_once_is_not_lost(
    loopback, device, monkeypatch
):
    """Python 3.11 fails at times to read an array's header while another thread reads one."""
    read, failures = ast.literal_eval, []

    def fails_once(text):
        if not failures and threading.current_thread().name.startswith("threaded-ibmq-lane"):
            failures.append(text)
            raise SystemError("AST constructor recursion depth mismatch (before=68, after=65)")
        return read(text)

    service = loopback()
    dev = device(primitive_api="service", primitive_options={"environment": {"private": True}})
    monkeypatch.setattr(ast, "literal_eval", fails_once)
    assert dev.batch_execute([tape()])[0] == pytest.approx(0.76, abs=0.4)
    assert len(failures) == service.jobs[0].results_read == 1


def test_a_result_that_was_cut_and_is_not_private_is_kept(loopback, device, monkeypatch):
    monkeypatch.setattr("pennylane_threaded_ibmq.service.service.FETCHES", 1)
    service = loopback()
    service.inject(Fault(effect="truncate", on=r"GET /jobs/\{id\}/results"))
    with pytest.raises(ResultError, match="It is kept at IBM"):
        device().batch_execute([tape()])
    device().batch_execute([tape()])
    assert service.counters.jobs == 1
