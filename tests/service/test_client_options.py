"""What a user can tell IBM's client through a device, and what the handle gives of IBM's own."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pennylane as qml
import pytest
from click.testing import CliRunner
from waiting import wait_until

from pennylane_threaded_ibmq.cli import main
from pennylane_threaded_ibmq.exceptions import ConfigurationError, CredentialsError, SubmissionError
from pennylane_threaded_ibmq.loopback import Fault, Instance
from pennylane_threaded_ibmq.settings import load_settings
from pennylane_threaded_ibmq.stacks.current.options import split_primitive_options

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


def test_a_dry_run_without_a_mock_is_refused_at_once(loopback, device, new_client):
    """The client says so before it sends anything, so nobody looks whether something arrived."""
    if not new_client:
        pytest.skip("dry runs need a newer client")
    service = loopback()
    with pytest.raises(SubmissionError, match="backend 'mock_manila' was not found"):
        device(dry_run=True).batch_execute([tape()])
    assert service.counters.jobs == 0
    assert "GET /jobs" not in service.counters.by_route


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


# ------------------------------------------------------------------- by what jobs are recognised: nothing is paid twice


def learned_noise(new_client, rate=0.01):
    """Options for error cancellation with a learned model, made anew as each program makes them."""
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import PauliList

    if new_client:
        from qiskit_ibm_runtime.results import LayerError, NoiseLearnerResult, PauliLindbladError
    else:
        from qiskit_ibm_runtime.utils.noise_learner_result import (
            LayerError,
            NoiseLearnerResult,
            PauliLindbladError,
        )
    circuit = QuantumCircuit(2)
    circuit.cx(0, 1)
    layer = LayerError(circuit, [0, 1], PauliLindbladError(PauliList(["XX"]), np.array([rate])))
    learner = {
        "max_layers_to_learn": 4,
        "shots_per_randomization": 128,
        "num_randomizations": 32,
        "layer_pair_depths": [0, 1, 2],
        "twirling_strategy": "active-accum",
    }
    result = NoiseLearnerResult([layer], {"backend": SMALL, "input_options": learner})
    return {"resilience": {"layer_noise_model": result}}


def leave(dev, tapes):
    """Send a batch and go before its results arrive."""
    handle = dev.submit(tapes)
    while not handle.job_ids:
        handle.progress  # noqa: B018 - the service is asked meanwhile
    handle.detach()
    dev.close()
    return handle


def test_a_rerun_with_the_same_noise_model_made_anew_takes_the_job_that_is_there(
    loopback, device, new_client
):
    service = loopback()
    service.hold()
    options = {"primitive_api": "service", "primitive": "estimator"}
    left = leave(device(primitive_options=learned_noise(new_client), **options), [tape()])
    service.release()
    again = device(primitive_options=learned_noise(new_client), **options).submit([tape()])
    again.result()
    assert again.job_ids == left.job_ids
    assert service.counters.jobs == 1
    device(primitive_options=learned_noise(new_client, 0.3), **options).batch_execute([tape()])
    assert service.counters.jobs == 2, "with another model it is another job"


def test_a_batch_sent_with_an_object_is_resumed_with_the_same_one_only(loopback, device, new_client):
    service = loopback()
    options = {"primitive_api": "service", "primitive": "estimator"}
    dev = device(primitive_options=learned_noise(new_client), **options)
    handle = dev.submit([tape()])
    expected = handle.result()
    with pytest.raises(ConfigurationError, match="other primitive_options than this device has") as caught:
        device(primitive_options=learned_noise(new_client, 0.3), **options).resume(handle.batch_id)
    assert caught.value.argument == "primitive_options"
    journal = str(dev._journal().path)
    told = CliRunner().invoke(main, ["resume", handle.batch_id, "--send", "--journal", journal])
    assert told.exit_code == 1
    assert "objects as primitive_options" in told.output
    assert service.counters.jobs == 1
    resumed = device(primitive_options=learned_noise(new_client), **options).resume(handle.batch_id)
    assert resumed.result() == expected
    assert service.counters.jobs == 1


@pytest.mark.parametrize("first", [{"resilience_level": 1, "default_shots": 100}, {"resilience_level": 1.0}])
def test_the_order_of_options_does_not_count(loopback, device, first):
    service = loopback()
    service.hold()
    left = leave(device(primitive_options=first), [tape()])
    service.release()
    same = {name: first[name] for name in reversed(list(first))}
    again = device(primitive_options={**same, "resilience_level": 1}).submit([tape()])
    again.result()
    assert again.job_ids == left.job_ids
    assert service.counters.jobs == 1


def test_an_option_that_nothing_tells_apart_is_refused_where_jobs_are_to_be_recognised(loopback, device):
    service = loopback()
    options = {"experimental": {"mine": object()}}
    with pytest.raises(
        ConfigurationError, match=r"primitive_options: experimental\.mine is a object.*journal=False.*Nothing"
    ) as caught:
        device(primitive_options=options)
    assert caught.value.argument == "primitive_options"
    assert service.counters.jobs == 0


def test_a_rerun_with_a_users_own_measurement_takes_the_job_that_is_there(loopback, device):
    class Ones(qml.measurements.SampleMeasurement):
        """Share of ones on all wires."""

        def process_samples(self, samples, wire_order, shot_range=None, bin_size=None):
            return samples.mean()

        def process_counts(self, counts, wire_order):
            raise NotImplementedError

    def own():
        return qml.tape.QuantumScript([qml.X(0)], [Ones(wires=[0, 1])], shots=100)

    service = loopback()
    service.hold()
    left = leave(device(), [own()])
    service.release()
    again = device().submit([own()])
    assert again.result()[0] == pytest.approx(0.5)
    assert again.job_ids == left.job_ids


def test_options_of_aer_are_refused_where_a_service_simulates(loopback):
    loopback(direct=True)
    with pytest.raises(ConfigurationError, match="simulator_options: backend 'ibm_manila' is a service's"):
        qml.device("threaded.ibmq", wires=1, backend="ibm_manila", simulator_options={"precision": "single"})


# ----------------------------------------------------------------------------------------------------- command line


@pytest.mark.parametrize(
    "command", [["backends", "--json"], ["doctor", "--json"]], ids=["backends", "doctor"]
)
def test_commands_that_log_in_take_the_account_as_a_device_does(start, tmp_path, command):
    """The account that is named comes before the environment, whose key would not be taken."""
    service = start()
    file = tmp_path / "accounts.json"
    account = {
        "channel": "ibm_quantum_platform",
        "token": service.config.tokens[0],
        "instance": service.config.instances[0].crn,
    }
    file.write_text(json.dumps({"work": account}))
    more = ["--option", "account_name=work", "--option", f"account_file={file}"]
    with service.applied(token="a-wrong-key"):
        told = CliRunner().invoke(main, [*command, *more])
        assert SMALL in told.stdout, told.output
        assert service.counters.logins > 0
        refused = CliRunner().invoke(main, command)
    assert "does not accept these credentials" in refused.output


def test_an_option_that_is_none_of_the_account_is_refused():
    told = CliRunner().invoke(main, ["backends", "--option", "ibmqx_token=abc"])
    assert told.exit_code == 2
    assert "account_name" in told.output
    assert "ibmqx_token" not in told.output.split("with a name of")[1]


@pytest.mark.parametrize("dry", [True, False])
def test_a_dry_run_is_never_taken_up_for_real_nor_the_other_way_round(loopback, device, new_client, dry):
    if not new_client:
        pytest.skip("dry runs need a newer client")
    service = loopback(backends=(SMALL, "mock_manila"))
    service.hold()
    handle = device(dry_run=dry).submit([tape()])
    wait_until(lambda: handle.job_ids)
    with pytest.raises(
        ConfigurationError, match=rf"was sent with dry_run={dry}, .* Nothing was sent"
    ) as caught:
        device(dry_run=not dry).resume(handle.batch_id)
    assert caught.value.argument == "dry_run"
    assert service.counters.jobs == 1
    taken = device(dry_run=dry).resume(handle.batch_id)
    service.release()
    assert np.shape(taken.result(60)) == (1,)
    assert service.counters.jobs == 1


@pytest.mark.parametrize("status", [401, 403, 404, 429])
def test_a_dry_run_is_not_sent_again_because_its_mock_is_not_found_then(loopback, device, new_client, status):
    """The client asks for the backend that a new job names, and takes any answer to that for an empty list."""
    if not new_client:
        pytest.skip("dry runs need a newer client")
    service = loopback(backends=(SMALL, "mock_manila"))
    dev = device(dry_run=True)
    # before the job is sent the client asks for it once
    service.inject(Fault(effect="status", status=status, on="GET /backends", skip=1))
    assert np.shape(dev.batch_execute([tape()])) == (1,)
    assert service.counters.by_route["POST /jobs"] == 1
    (shard,) = dev.batches()[0].shards
    assert shard.job_id == service.jobs[0].id


@pytest.mark.parametrize("status", [401, 429])
def test_a_dry_run_whose_mock_cannot_be_looked_up_now_is_sent_later(loopback, device, new_client, status):
    if not new_client:
        pytest.skip("dry runs need a newer client")
    service = loopback(backends=(SMALL, "mock_manila"))
    dev = device(dry_run=True)
    service.inject(Fault(effect="status", status=status, on="GET /backends"))
    assert np.shape(dev.batch_execute([tape()])) == (1,)
    assert service.counters.jobs == 1


def test_a_dry_run_whose_answer_is_lost_is_found(loopback, device, new_client):
    """Jobs of mocks are listed only where they are asked for."""
    if not new_client:
        pytest.skip("dry runs need a newer client")
    service = loopback(backends=(SMALL, "mock_manila"))
    dev = device(dry_run=True)
    service.inject(Fault(effect="reset", when="after", on="POST /jobs$"))
    assert np.shape(dev.batch_execute([tape()])) == (1,)
    assert service.counters.jobs == 1
