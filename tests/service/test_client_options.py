"""What a user can tell IBM's client through a device, and what the handle gives of IBM's own."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pennylane as qml
import pytest

from pennylane_threaded_ibmq.exceptions import ConfigurationError, CredentialsError
from pennylane_threaded_ibmq.ibm.options import split_primitive_options
from pennylane_threaded_ibmq.loopback import Instance
from pennylane_threaded_ibmq.settings import load_settings

SMALL = "ibm_manila"
TORINO = "ibm_torino"


def crn(number):
    return f"crn:v1:bluemix:public:quantum-computing:us-east:a/00000000000000000000000000000001:{number}::"


def tape(shots=200):
    return qml.tape.QuantumScript([qml.RX(0.7, 0)], [qml.expval(qml.Z(0))], shots=shots)


@pytest.fixture
def two_instances(start):
    """A service with a tagged premium and an open instance, and no instance chosen."""
    service = start(
        instances=(
            Instance(crn=crn("00000000-0000-4000-8000-000000000001"), name="open", plan="open"),
            Instance(
                crn=crn("00000000-0000-4000-8000-000000000002"), name="premium", plan="premium", tags=["mine"]
            ),
        )
    )
    with service.applied(token=service.config.tokens[0]):
        yield service


@pytest.mark.parametrize(
    ("options", "instance"),
    [
        ({"tags": ["mine"]}, "000000000002::"),
        ({"plans_preference": ["premium"]}, "000000000002::"),
        ({"plans_preference": ["open"]}, "000000000001::"),
        ({"region": "us-east", "plans_preference": ["premium"]}, "000000000002::"),
    ],
)
def test_the_instance_is_chosen_among_those_that_the_user_wants(two_instances, device, options, instance):
    dev = device(**options)
    assert dev._open().instance.endswith(instance)
    dev.batch_execute([tape()])
    (job,) = two_instances.jobs
    assert job.instance.endswith(instance)


def test_an_account_saved_under_a_name_in_a_file_is_used(start, device, tmp_path):
    from qiskit_ibm_runtime import QiskitRuntimeService

    service = start()
    file = tmp_path / "accounts.json"
    with service.applied(token=service.config.tokens[0]):
        QiskitRuntimeService.save_account(
            channel="ibm_quantum_platform",
            token=service.config.tokens[0],
            instance=service.config.instances[0].crn,
            filename=str(file),
            name="work",
            overwrite=True,
        )
    with service.applied(token=""):
        dev = device(account_name="work", account_file=file)
        dev.batch_execute([tape()])
        with pytest.raises(CredentialsError, match="'home'") as caught:
            device(account_name="home", account_file=file)
    assert caught.value.argument == "account_name"
    assert len(service.jobs) == 1


def test_passwords_of_proxies_are_in_no_repr(tmp_path):
    settings = load_settings({"proxies": {"urls": {"https": "http://me:secret@proxy:3128"}}})
    assert settings.client_arguments["proxies"]["urls"]["https"].endswith("3128")
    assert "secret" not in repr(settings) + str(settings)


@pytest.mark.parametrize("name", ["ibm_fractional", "least_busy"])
def test_fractional_gates_are_used_where_they_are_wanted(loopback, device, new_client, name):
    loopback(backends={"ibm_fractional": "fake_fractional"})
    plain = device(backend="ibm_fractional")
    if name == "least_busy" and not new_client:
        with pytest.raises(ConfigurationError, match=r"least_busy.*0\.48.*pip install -U") as caught:
            device(backend=name, use_fractional_gates=True)
        assert caught.value.argument == "use_fractional_gates"
        return
    fractional = device(backend=name, use_fractional_gates=True)
    found = [set(dev._open().jobs.backend.target.operation_names) for dev in (plain, fractional)]
    assert "rx" not in found[0]
    assert "rx" in found[1]
    assert fractional.batch_execute([tape(2000)])[0] == pytest.approx(np.cos(0.7), abs=0.15)


def test_a_backend_without_fractional_gates_is_refused(loopback, device):
    service = loopback()
    with pytest.raises(ConfigurationError, match="has no fractional gates") as caught:
        device(use_fractional_gates=True)
    assert caught.value.argument == "use_fractional_gates"
    assert service.counters.jobs == 0


def test_a_dry_run_goes_to_the_mock_and_is_another_job(loopback, device, new_client):
    if not new_client:
        loopback()
        with pytest.raises(ConfigurationError, match=r"dry_run=True: needs .*pip install -U"):
            device(dry_run=True)
        return
    service = loopback(backends=(SMALL, "mock_manila"))
    found = device(dry_run=True).batch_execute([tape()])
    assert np.shape(found) == (1,)
    assert [job.backend for job in service.jobs] == ["mock_manila"]
    device().batch_execute([tape()])
    assert [job.backend for job in service.jobs] == ["mock_manila", SMALL]


def test_the_handle_gives_ibms_own_jobs(loopback, device):
    service = loopback()
    handle = device(shard_size=1).submit([tape(), tape(300)])
    handle.result()
    assert [job.job_id() for job in handle.jobs] == list(handle.job_ids)
    assert set(handle.job_ids) == {job.id for job in service.jobs}
    assert [len(job.result()) for job in handle.jobs] == [1, 1]


def test_nothing_of_ibms_comes_from_this_machine():
    assert qml.device("threaded.ibmq", wires=1).submit([tape()]).jobs == ()


# ---------------------------------------------------------------------------------------------------------- options


def test_an_options_object_stands_for_a_dictionary(new_client):
    if new_client:
        from qiskit_ibm_runtime.options_models import EstimatorOptions, SamplerOptions
    else:
        from qiskit_ibm_runtime import EstimatorOptions, SamplerOptions
    estimator, sampler = EstimatorOptions(), SamplerOptions()
    estimator.resilience_level = 2
    estimator.twirling.enable_measure = True
    sampler.default_shots = 77
    estimates = {"resilience_level": 2, "twirling": {"enable_measure": True}}
    assert load_settings({"primitive_options": estimator}).primitive_options == {"estimator": estimates}
    both = load_settings({"primitive_options": {"estimator": estimator, "sampler": sampler}})
    assert both.primitive_options == {"estimator": estimates, "sampler": {"default_shots": 77}}
    assert json.dumps(both.primitive_options)


@pytest.mark.parametrize(
    "options",
    [
        {"environment": {"max_execution_time": 100, "job_tags": None}},
        {"environment": {"log_level": "INFO", "job_tags": ["mine"]}},
        {"twirling": {"enable_gates": None, "enable_measure": True, "group": "pauli"}},
        {
            "resilience": {
                "zne_mitigation": True,
                "zne": {"noise_factors": "auto"},
                "measure_mitigation": None,
            }
        },
    ],
    ids=str,
)
def test_either_dialect_is_taken_and_warns_of_nothing(loopback, device, options):
    loopback()
    before = json.dumps(options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="qiskit-ibm-runtime .* speaks a version")
        _, only = split_primitive_options(options)
        assert only is None
        dev = device(primitive_options=options)
        assert dev.batch_execute([tape(2000)])[0] == pytest.approx(np.cos(0.7), abs=0.2)
    assert json.dumps(options) == before


def test_a_circuit_that_the_backend_cannot_run_is_refused_before_anything_is_sent(loopback, device):
    """Client-side primitives do not look; the service would charge for finding out."""
    from qiskit_ibm_runtime.fake_provider import FakeTorino

    service = loopback()
    dev = device(compile_backend=FakeTorino())
    with pytest.raises(
        ConfigurationError, match=r"compile_backend: .*ibm_manila.*Nothing was sent"
    ) as caught:
        dev.batch_execute([tape()])
    assert caught.value.argument == "compile_backend"
    assert service.counters.jobs == 0
