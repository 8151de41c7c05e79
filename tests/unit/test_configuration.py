"""One configuration for device, executors and the command: argument, environment, files, default."""

import json
import os
import warnings

import pennylane as qml
import pytest
from click.testing import CliRunner

from pennylane_threaded_ibmq import IBMQExecutor, ThreadedIBMQDevice
from pennylane_threaded_ibmq.cli.app import main
from pennylane_threaded_ibmq.config import covalent_file, is_secret, own_file, pennylane_file
from pennylane_threaded_ibmq.exceptions import (
    ConfigurationError,
    ConfigurationFileError,
    ConfigurationWarning,
)
from pennylane_threaded_ibmq.settings import Settings, load_settings

SECRET = "0123-very-secret-4567"


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    for name in list(os.environ):
        if name.startswith(("QISKIT_IBM_", "IBMQX_", "COVALENT_", "XDG_", "THREADED_IBMQ_", "PENNYLANE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("THREADED_IBMQ_HOME", str(tmp_path / "ours"))
    monkeypatch.setenv("PENNYLANE_CONF", str(tmp_path / "pennylane"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def write(home):
    places = {
        "ours": own_file(),
        "pennylane": home / "pennylane" / "config.toml",
        "covalent": covalent_file(),
    }

    def writer(place, table, **values):
        path = places[place]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"[{table}]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in values.items()))
        return path

    return writer


def shown():
    """What the command shows, as ``{name: (value, source)}``."""
    done = CliRunner().invoke(main, ["config", "--json"])
    assert done.exit_code == 0, done.output
    assert SECRET not in done.output
    return {name: (row["value"], row["source"]) for name, row in json.loads(done.output).items()}


def everywhere(name):
    """The value that device, executor and command have; they agree."""
    of_device = getattr(load_settings({}), name)
    assert getattr(IBMQExecutor(), name) == of_device
    assert shown()[name][0] == of_device
    return of_device


def test_precedence_is_the_same_for_device_executor_and_command(write, monkeypatch):
    assert everywhere("project") == "main"
    steps = [
        ("covalent", "qelectron.IBMQExecutor"),
        ("pennylane", "threaded.global"),
        ("pennylane", "threaded.ibmq"),
        ("ours", "qelectron.IBMQExecutor"),
        ("ours", "threaded.ibmq"),
    ]
    for place, table in steps:
        path = write(place, table, project=f"{place} {table}")
        assert everywhere("project") == f"{place} {table}"
        assert shown()["project"][1] == f"{path}, line 2"
    monkeypatch.setenv("THREADED_IBMQ_PROJECT", "environment")
    assert everywhere("project") == "environment"
    assert shown()["project"][1] == "environment THREADED_IBMQ_PROJECT"
    assert load_settings({"project": "argument"}).project == "argument"
    assert IBMQExecutor(project="argument").project == "argument"


def test_sources_are_mixed_by_name(write, monkeypatch):
    write("covalent", "qelectron.IBMQExecutor", hub="covalent", group="covalent", project="covalent")
    write("pennylane", "threaded.ibmq", hub="pennylane", group="pennylane")
    write("ours", "threaded.ibmq", hub="ours", max_jobs=3, timeout_secs=9, shots=50)
    monkeypatch.setenv("THREADED_IBMQ_MAX_JOBS", "7")
    settings = load_settings({})
    assert (settings.hub, settings.group, settings.project) == ("ours", "pennylane", "covalent")
    assert (settings.max_jobs, settings.timeout_secs) == (7, 9.0)
    executor = IBMQExecutor()
    assert (executor.max_jobs, executor.timeout_secs, executor.shots) == (7, 9, 50)
    told = shown()
    assert told["shots of executors"] == (50, f"{own_file()}, line 5")
    assert told["persist_data of executors"] == (True, "default")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("max_jobs", "7", 7), ("shard_size", "3", 3), ("shard_size", "auto", "auto"), ("timeout_secs", "2.5", 2.5),
        ("dry_run", "true", True), ("journal", "false", False), ("backend", "fake_lima", "fake_lima"),
        ("transpile_options", '{"optimization_level": 3}', {"optimization_level": 3}), ("tags", "a, b", ["a", "b"]),
        ("progress", "false", False), ("primitive", "sampler", "sampler"), ("seed_simulator", "4", 4),
    ],
)  # fmt: skip
def test_options_of_every_type_come_from_the_environment(monkeypatch, name, text, value):
    monkeypatch.setenv(f"THREADED_IBMQ_{name.upper()}", text)
    assert getattr(load_settings({}), name) == value
    assert shown()[name][1] == f"environment THREADED_IBMQ_{name.upper()}"
    if name != "tags":
        assert getattr(IBMQExecutor(), name) == value


def test_a_wrong_value_names_where_it_stands(write, monkeypatch):
    path = write("ours", "threaded.ibmq", hub="h", max_jobs=0)
    for make in (lambda: load_settings({}), IBMQExecutor):
        with pytest.raises(ConfigurationFileError, match=r"line 3: max_jobs=0") as caught:
            make()
        assert (caught.value.path, caught.value.line, caught.value.argument) == (path, 3, "max_jobs")
    monkeypatch.setenv("THREADED_IBMQ_MAX_JOBS", "many")
    for make in (lambda: load_settings({}), IBMQExecutor):
        with pytest.raises(ConfigurationError, match=r"THREADED_IBMQ_MAX_JOBS: max_jobs='many'"):
            make()
    assert load_settings({"max_jobs": 2}).max_jobs == 2


def test_the_token_of_a_file_is_found_and_not_shown(write):
    path = write("covalent", "qelectron.IBMQExecutor", ibmqx_token=SECRET)
    settings = load_settings({})
    assert settings.ibmqx_token.get_secret_value() == SECRET
    assert SECRET not in repr(settings)
    assert shown()["ibmqx_token"] == ("set", f"{path}, line 2")


def test_what_pennylane_takes_from_its_file_comes_after_the_environment(write, monkeypatch):
    path = write("pennylane", "threaded.ibmq", project="pennylane", seed_simulator=5, optimization_level=0)
    assert pennylane_file() == path
    configuration = qml.Configuration("config.toml")
    monkeypatch.setattr("pennylane.default_config", configuration)
    monkeypatch.setattr("pennylane.devices.device_constructor.default_config", configuration)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConfigurationWarning)
        settings = qml.device("threaded.ibmq", wires=1)._settings
        assert (settings.project, settings.seed_simulator) == ("pennylane", 5)
        assert settings.transpile_options == {"optimization_level": 0}
    monkeypatch.setenv("THREADED_IBMQ_PROJECT", "environment")
    assert qml.device("threaded.ibmq", wires=1)._settings.project == "environment"
    assert qml.device("threaded.ibmq", wires=1, project="argument")._settings.project == "argument"
    assert ThreadedIBMQDevice(1)._settings.project == "environment"


def test_where_circuits_run_is_not_configured(write, monkeypatch):
    write("ours", "qelectron.IBMQExecutor", runs_on="default.qubit")
    monkeypatch.setenv("THREADED_IBMQ_RUNS_ON", "default.qubit")
    with pytest.warns(ConfigurationWarning, match="no key 'runs_on'"):
        assert IBMQExecutor().runs_on == "threaded.ibmq"


def test_no_option_looks_like_a_secret_but_the_token():
    assert [name for name in Settings.model_fields if is_secret(name)] == ["ibmqx_token"]
