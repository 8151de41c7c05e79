"""The executor as a pydantic model: the page's fields, names, shots, secrets, pickles and JSON."""

import copy
import io
import json
import pickle
import traceback
import warnings
from concurrent.futures import Future

import cloudpickle
import numpy as np
import pennylane as qml
import pytest
from pydantic import SecretStr

from pennylane_threaded_ibmq import BaseQExecutor, IBMQExecutor, QCluster, Simulator
from pennylane_threaded_ibmq.exceptions import ConfigurationError, ConfigurationWarning

TOKEN = "0123-very-secret-4567"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("persist_data", False),
        ("qnode_device_import_path", ["pennylane.devices.default_qubit", "DefaultQubit"]),
        ("qnode_device_shots", 100),
        ("qnode_device_wires", 3),
        ("pennylane_active_return", True),
        ("device", "default.qubit"),
        ("runs_on", "lightning.qubit"),
        ("num_threads", 3),
        ("max_jobs", 5),
        ("shots", 12),
        ("backend", "ibm_torino"),
        ("hub", "h"),
        ("group", "g"),
        ("project", "p"),
    ],
)
def test_every_field_of_the_page_is_taken_and_survives_json(name, value):
    executor = IBMQExecutor(**{name: value})
    dumped = json.loads(executor.model_dump_json())
    assert dumped[name] == value
    assert IBMQExecutor.model_validate_json(executor.model_dump_json()) == executor


def test_defaults():
    executor = IBMQExecutor()
    assert executor.backend == "ibmq_qasm_simulator"
    assert (executor.hub, executor.group, executor.project) == ("ibm-q", "open", "main")
    assert (executor.max_jobs, executor.shots, executor.num_threads) == (20, 0, 10)
    assert executor.persist_data is True
    assert executor.qnode_device_wires is None


def test_set_name_gives_the_class_and_leaves_the_input_alone():
    data = {"name": "mine", "backend": "b"}
    assert IBMQExecutor.model_validate(data).name == "IBMQExecutor"
    assert data == {"name": "mine", "backend": "b"}

    class Mine(IBMQExecutor):
        pass

    assert Mine().name == "Mine"


def test_extra_fields_are_kept_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        executor = IBMQExecutor(colour="blue", instance="crn:v1")
    assert executor.colour == "blue"
    assert json.loads(executor.model_dump_json())["colour"] == "blue"


@pytest.mark.parametrize(
    ("given", "meant"),
    [("max_job", "max_jobs"), ("Shots", "shots"), ("backnd", "backend"), ("token", "ibmqx_token"),
     ("timeout", "timeout_secs"), ("persistdata", "persist_data")],
)  # fmt: skip
def test_a_field_that_looks_mistyped_warns_with_the_right_name(given, meant):
    with pytest.warns(ConfigurationWarning, match=rf"{given!r}.*Did you mean {meant!r}"):
        IBMQExecutor(**{given: 3})


@pytest.mark.parametrize("shots", [0, None, 7, np.int64(7)])
def test_shots_take_the_values_of_the_page(shots):
    assert IBMQExecutor(shots=shots).shots == shots


def test_a_shot_vector_passes():
    assert IBMQExecutor(shots=[5, (10, 2)]).shots_override == qml.measurements.Shots((5, 10, 10))


@pytest.mark.parametrize("shots", [-1, 1.5, True, "many", [], [0], [5, -1]])
def test_other_shots_are_refused(shots):
    with pytest.raises(ConfigurationError, match="shots") as caught:
        IBMQExecutor(shots=shots)
    assert caught.value.argument == "shots"
    assert caught.value.value == shots


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_jobs", 0), ("max_jobs", -3), ("max_jobs", "many"), ("max_jobs", 2.5), ("max_jobs", None), ("backend", ""),
     ("backend", 5), ("hub", ["x"]), ("num_threads", 0), ("qnode_device_import_path", ["one"]), ("device", "")],
)  # fmt: skip
def test_wrong_values_are_refused_by_name(name, value):
    with pytest.raises(ConfigurationError, match=name) as caught:
        IBMQExecutor(**{name: value})
    assert (caught.value.argument, caught.value.value) == (name, value)
    assert "Nothing was sent" in str(caught.value)


def test_assignment_is_checked():
    executor = IBMQExecutor()
    executor.max_jobs = 4
    assert executor.max_jobs == 4
    with pytest.raises(ValueError, match="max_jobs"):
        executor.max_jobs = 0


def everything_shown(executor):
    """Whatever the program can be made to print of an executor."""
    buffer = io.BytesIO()
    pickle.Pickler(buffer).dump(executor)
    return "\n".join(
        [
            repr(executor), str(executor), executor.model_dump_json(), repr(executor.model_dump()),
            repr(dict(executor)), repr(vars(executor)), f"{executor}", json.dumps(executor.model_dump(mode="json")),
            buffer.getvalue().decode("latin1"), cloudpickle.dumps(executor).decode("latin1"),
        ]
    )  # fmt: skip


def test_the_token_is_shown_nowhere():
    executor = IBMQExecutor(ibmqx_token=TOKEN)
    assert executor.ibmqx_token.get_secret_value() == TOKEN
    assert TOKEN not in everything_shown(executor)
    assert TOKEN not in everything_shown(QCluster(executors=[executor, QCluster(executors=[executor])]))


def test_a_token_under_a_wrong_name_is_hidden_too():
    with pytest.warns(ConfigurationWarning, match="ibmqx_token"):
        executor = IBMQExecutor(token=TOKEN)
    assert TOKEN not in everything_shown(executor)


@pytest.mark.parametrize("name", ["tokn", "ibmqx_tokn", "pasword", "my_secret", "toke"])
def test_what_looks_like_a_secret_is_warned_of_and_hidden(name):
    with pytest.warns(ConfigurationWarning, match=name):
        executor = IBMQExecutor(**{name: TOKEN})
    assert TOKEN not in everything_shown(executor)
    setattr(executor, name, "another-" + TOKEN)
    assert TOKEN not in everything_shown(executor)


def test_options_of_the_device_are_no_secrets():
    executor = IBMQExecutor(primitive_options={"resilience_level": 1}, seed_simulator=3, instance="crn:v1")
    assert (executor.seed_simulator, executor.instance) == (3, "crn:v1")


@pytest.mark.parametrize("wrong", [{"ibmqx_token": [TOKEN]}, {"ibmqx_token": TOKEN, "max_jobs": 0}])
def test_the_token_is_not_in_errors(wrong):
    with pytest.raises(ConfigurationError) as caught:
        IBMQExecutor(**wrong)
    text = "".join(traceback.format_exception(caught.value))
    assert TOKEN not in text.replace(repr(wrong), "")
    assert TOKEN not in repr(caught.value.value)


def test_the_token_is_not_in_errors_of_validation():
    with pytest.raises(ValueError, match="max_jobs") as caught:
        IBMQExecutor.model_validate({"ibmqx_token": TOKEN, "max_jobs": 0})
    assert TOKEN not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps])
def test_a_pickle_finds_its_token_in_the_environment_again(dumps, monkeypatch):
    data = dumps(IBMQExecutor(ibmqx_token=TOKEN, backend="ibm_torino", max_jobs=3, colour="blue"))
    assert pickle.loads(data).ibmqx_token.get_secret_value() == ""
    monkeypatch.setenv("IBMQX_TOKEN", "another")
    restored = pickle.loads(data)
    assert restored.ibmqx_token.get_secret_value() == "another"
    assert (restored.backend, restored.max_jobs, restored.colour) == ("ibm_torino", 3, "blue")


def test_a_pickled_executor_runs():
    executor = IBMQExecutor(runs_on="default.qubit")
    tape = qml.tape.QuantumScript([qml.X(0)], [qml.expval(qml.Z(0))])
    assert executor.batch_get_results(executor.batch_submit([tape])) == [-1.0]
    restored = pickle.loads(pickle.dumps(executor))
    assert restored == executor
    assert restored.batch_get_results(restored.batch_submit([tape])) == [-1.0]


def test_copies_keep_the_token():
    executor = IBMQExecutor(ibmqx_token=TOKEN)
    for made in (copy.copy(executor), copy.deepcopy(executor), executor.model_copy(update={"max_jobs": 2})):
        assert made.ibmqx_token.get_secret_value() == TOKEN


@pytest.mark.parametrize("name", ["ibmqx_token", "tokn"])
def test_a_token_that_a_copy_is_given_is_hidden(name):
    update = {name: TOKEN}
    made = IBMQExecutor().model_copy(update=update)
    assert getattr(made, name).get_secret_value() == TOKEN
    assert TOKEN not in everything_shown(made)
    assert update == {name: TOKEN}


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda e: e.model_copy(update={"max_jobs": 2})])
def test_a_copy_has_a_device_and_a_load_of_its_own(copied):
    executor = IBMQExecutor(persist_data=False)
    tape = qml.tape.QuantumScript([qml.X(0)], [qml.probs(wires=0)], shots=10)
    executor.batch_get_results(executor.batch_submit([tape]))
    made = copied(executor)
    executor.count([Future()])
    assert made.load == 0 < executor.load
    futures = executor.batch_submit([tape])
    made.close()
    np.testing.assert_array_equal(executor.batch_get_results(futures), [[0, 1]])


def test_a_cluster_that_was_copied_begins_its_turns_anew():
    members = [IBMQExecutor(persist_data=False), IBMQExecutor(persist_data=False)]
    cluster = QCluster(executors=members)
    assert cluster.choose(None, {}) is members[0]
    assert copy.copy(cluster).choose(None, {}) is members[0]
    assert cluster.choose(None, {}) is members[1]


def test_an_option_that_is_changed_in_place_is_another_device():
    executor = IBMQExecutor(persist_data=False, transpile_options={})
    tape = qml.tape.QuantumScript([qml.X(0)], [qml.probs(wires=0)], shots=10)
    executor.batch_get_results(executor.batch_submit([tape]))
    executor.transpile_options["no_such_option"] = 1
    with pytest.raises(ConfigurationError, match="no_such_option"):
        executor.batch_submit([tape])


def test_a_secret_string_is_taken_as_it_is():
    assert IBMQExecutor(ibmqx_token=SecretStr(TOKEN)).ibmqx_token.get_secret_value() == TOKEN


def with_all_fields(executor):
    fields = json.loads(executor.model_dump_json())
    return IBMQExecutor(**{**fields, "device": "default.qubit", "num_threads": 10, "ibmqx_token": ""})


@pytest.mark.parametrize(
    "copied",
    [
        lambda e: IBMQExecutor(**dict(e)),
        lambda e: IBMQExecutor(**e.model_dump()),
        lambda e: IBMQExecutor.model_validate_json(e.model_dump_json()),
        lambda e: e.model_copy(update={"device": e.device}),
        copy.deepcopy,
        lambda e: pickle.loads(pickle.dumps(e)),
        lambda e: setattr(e, "device", e.device) or e,
        lambda e: setattr(e, "device", "qiskit.ibmq") or e,
        lambda e: QCluster.model_validate_json(QCluster(executors=[e]).model_dump_json()).executors[0],
        with_all_fields,
    ],
)
def test_a_device_that_is_written_down_moves_no_circuit(copied, loopback):
    service = loopback()
    executor = copied(IBMQExecutor(backend="ibm_manila", device="default.qubit", persist_data=False))
    assert executor.runs_on == "threaded.ibmq"
    tape = qml.tape.QuantumScript([], [qml.probs(wires=0)], shots=10)
    executor.batch_get_results(executor.batch_submit([tape]))
    assert [job.backend for job in service.jobs] == ["ibm_manila"]


def test_an_executor_without_batch_submit_says_so():
    with pytest.raises(NotImplementedError, match="batch_submit"):
        BaseQExecutor().batch_submit([])


def test_a_device_that_would_have_to_be_used_is_refused_with_what_uses_it():
    executor = IBMQExecutor()
    for make in (
        lambda: IBMQExecutor(device="lightning.qubit"),
        lambda: IBMQExecutor.model_validate({"device": "lightning.qubit"}),
        lambda: setattr(executor, "device", "lightning.qubit"),
    ):
        with pytest.raises(
            ValueError, match=r"runs_on='lightning\.qubit', or Simulator\(device='lightning\.qubit'\)"
        ):
            make()


@pytest.mark.parametrize(
    "make", [lambda name: IBMQExecutor(runs_on=name), lambda name: Simulator(device=name)]
)
def test_an_unknown_device_is_refused_with_the_nearest(make):
    with pytest.raises(ConfigurationError, match=r"Did you mean 'default\.qubit'[^?]*\? \("):
        make("defualt.qubit")


def test_two_places_at_once_are_refused(monkeypatch):
    with pytest.raises(
        ConfigurationError, match=r"runs_on='default\.qubit'.*backend='ibm_torino' is not there"
    ):
        IBMQExecutor(runs_on="default.qubit", backend="ibm_torino")
    executor = IBMQExecutor(backend="ibm_torino")
    with pytest.raises(ValueError, match="is not there"):
        executor.runs_on = "default.qubit"
    tape = qml.tape.QuantumScript([], [qml.expval(qml.Z(0))])
    with pytest.raises(ConfigurationError, match="is not there"):
        executor.model_copy(update={"runs_on": "default.qubit"}).batch_submit([tape])
    # what is configured for IBM Quantum is no second place
    monkeypatch.setenv("THREADED_IBMQ_BACKEND", "ibm_torino")
    local = IBMQExecutor(runs_on="default.qubit")
    assert IBMQExecutor(**dict(local)).backend_name == "default.qubit"
    assert local.batch_get_results(local.batch_submit([tape])) == [1]


def test_batch_submit_takes_tapes_only():
    assert IBMQExecutor().batch_submit([]) == []
    with pytest.raises(TypeError, match="takes tapes"):
        IBMQExecutor().batch_submit(["circuit"])


def test_batch_submit_without_a_qnode_takes_shots_from_where_they_are():
    tape = qml.tape.QuantumScript([], [qml.sample(wires="a")])
    executor = IBMQExecutor(qnode_device_shots=7, persist_data=False)
    tapes = [tape, tape.copy(shots=3)]
    assert [len(r) for r in executor.batch_get_results(executor.batch_submit(tapes))] == [7, 3]
    executor.shots = 5
    assert [len(r) for r in executor.batch_get_results(executor.batch_submit(tapes))] == [5, 5]
