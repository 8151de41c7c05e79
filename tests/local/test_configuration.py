"""One configuration for device, executors and the command: argument, environment, files, default."""

import json
import os
import warnings

import pennylane as qml
import pytest
from click.testing import CliRunner

from pennylane_threaded_ibmq import IBMQExecutor, QiskitExecutor, ThreadedIBMQDevice
from pennylane_threaded_ibmq._secrets import is_secret
from pennylane_threaded_ibmq.cli.app import main
from pennylane_threaded_ibmq.config import (
    EXECUTOR_FIELDS,
    EXECUTORS_ONLY,
    covalent_file,
    find_token,
    own_file,
    pennylane_file,
)
from pennylane_threaded_ibmq.exceptions import (
    ConfigurationError,
    ConfigurationFileError,
    ConfigurationWarning,
)
from pennylane_threaded_ibmq.executors.executor import DEVICE_OPTIONS
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
def places(home):
    return {
        "ours": own_file(),
        "pennylane": home / "pennylane" / "config.toml",
        "covalent": covalent_file(),
    }


@pytest.fixture
def write(places):
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


def everywhere(name, **arguments):
    """The value that devices made in both ways, executor and command have; they agree."""
    value = getattr(load_settings(arguments), name)
    of_device = getattr(qml.device("threaded.ibmq", wires=1, **arguments)._settings, name)
    executor = IBMQExecutor(**arguments)
    of_executor = getattr(executor, name, Settings.model_fields[name].default)
    assert value == of_device == of_executor
    if not arguments:
        assert shown()[name][0] == value
    return value


SOURCES = (
    # each counts before those above it
    ("covalent", "qelectron.IBMQExecutor"),
    ("pennylane", "threaded.global"),
    ("pennylane", "threaded.ibmq"),
    ("ours", "qelectron.IBMQExecutor"),
    ("ours", "threaded.ibmq"),
)


@pytest.mark.parametrize(
    ("name", "values"), [
        ("project", [f"value {n}" for n in range(7)]),
        ("max_jobs", [*range(1, 8)]),
        ("timeout_secs", [n + 0.5 for n in range(7)]),
        ("dry_run", [True, False] * 3 + [True]),
        ("backend", ["fake_lima", "fake_quito", "fake_belem", "fake_manila", "fake_oslo", "fake_perth", "fake_lagos"]),
    ],
)  # fmt: skip
def test_precedence_is_the_same_for_devices_executors_and_the_command(
    write, places, monkeypatch, name, values
):
    assert everywhere(name) == Settings.model_fields[name].default
    for (place, table), value in zip(SOURCES, values, strict=False):
        text = places[place].read_text() if places[place].exists() else ""
        path = write(place, table, **{name: value})
        path.write_text(path.read_text() + text)  # what counted before stays below it
        configuration = qml.Configuration("config.toml")
        monkeypatch.setattr("pennylane.default_config", configuration)
        monkeypatch.setattr("pennylane.devices.device_constructor.default_config", configuration)
        assert everywhere(name) == value
        assert shown()[name][1] == f"{path}, line 2"
    monkeypatch.setenv(f"THREADED_IBMQ_{name.upper()}", str(values[5]))
    assert everywhere(name) == values[5]
    assert shown()[name][1] == f"environment THREADED_IBMQ_{name.upper()}"
    assert everywhere(name, **{name: values[6]}) == values[6]


def test_the_command_shows_what_only_executors_have(write):
    path = write("covalent", "qelectron.QiskitExecutor", device="sampler", hub="q", ibmqx_token=SECRET)
    write("ours", "qelectron.IBMQExecutor", num_threads=4)
    told = shown()
    assert told["device of QiskitExecutor"] == ("sampler", f"{path}, line 2")
    assert told["hub of QiskitExecutor"] == ("q", f"{path}, line 3")
    assert told["ibmqx_token of QiskitExecutor"] == ("set", f"{path}, line 4")
    assert told["num_threads of IBMQExecutor"] == (4, f"{own_file()}, line 2")
    assert told["hub"] == ("ibm-q", "default")


def test_the_command_knows_options_that_stand_by_themselves(write):
    path = write("ours", "threaded.ibmq", resilience_level=1, optimization_level=2, max_jbos=3)
    done = CliRunner().invoke(main, ["config", "--json"])
    told = json.loads(done.stdout)
    for name, key, value, line in (
        ("primitive_options", "resilience_level", 1, 2),
        ("transpile_options", "optimization_level", 2, 3),
    ):
        assert told[name] == {"value": {key: value}, "source": f"{path}, line {line}"}
    assert done.stderr == (
        f"Warning: {path}, line 4: [threaded.ibmq] has no key 'max_jbos'; it is ignored. Did you mean 'max_jobs'?\n"
    )


def test_the_keys_of_executors_are_their_fields():
    more = {
        "IBMQExecutor": (IBMQExecutor, set(), {"name", "runs_on"}),
        "QiskitExecutor": (QiskitExecutor, EXECUTOR_FIELDS["IBMQExecutor"], {"name", "runs_on"}),
    }
    for name, (executor, known, not_configured) in more.items():
        fields = {*executor.model_fields, *executor.known_extras} - not_configured
        assert fields - {*DEVICE_OPTIONS, *EXECUTORS_ONLY, *known} == EXECUTOR_FIELDS[name] - DEVICE_OPTIONS


def test_a_device_leaves_keys_of_executors_to_them(write):
    write("covalent", "qelectron.IBMQExecutor", num_threads=4, backned="x")
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConfigurationWarning)
        load_settings({})
    with pytest.warns(ConfigurationWarning, match="'backned'.*Did you mean 'backend'"):
        assert IBMQExecutor().num_threads == 4


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


def test_a_file_that_begins_with_the_mark_of_its_encoding_is_read(write):
    path = write("ours", "threaded.ibmq", max_jobs=3)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert load_settings({}).max_jobs == 3
    assert shown()["max_jobs"] == (3, f"{path}, line 2")


@pytest.mark.parametrize("text", ["high", "[1]", '{"optimization_level": 1', "3"])
def test_a_variable_that_should_be_json_says_so(monkeypatch, text):
    monkeypatch.setenv("THREADED_IBMQ_TRANSPILE_OPTIONS", text)
    with pytest.raises(ConfigurationError, match="THREADED_IBMQ_TRANSPILE_OPTIONS: ") as caught:
        load_settings({})
    assert """ should be a valid dictionary, as JSON: '{"name": 1}'. """ in str(caught.value)


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


@pytest.mark.parametrize(
    ("name", "filed", "environment", "set_"), [
        ("max_jobs", 3, "7", 7), ("dry_run", True, "false", False), ("hub", "h", "of-environment", "of-environment"),
        ("timeout_secs", 2.5, "4", 4.0),
    ],
)  # fmt: skip
def test_an_argument_that_equals_pennylanes_file_is_an_argument(
    write, monkeypatch, name, filed, environment, set_
):
    """Equal values look alike: Python has one object for each small number and for each truth value."""
    write("pennylane", "threaded.ibmq", **{name: filed})
    configuration = qml.Configuration("config.toml")
    monkeypatch.setattr("pennylane.default_config", configuration)
    monkeypatch.setattr("pennylane.devices.device_constructor.default_config", configuration)
    monkeypatch.setenv(f"THREADED_IBMQ_{name.upper()}", environment)
    value_of = lambda device: getattr(device._settings, name)  # noqa: E731 - said four times
    assert value_of(qml.device("threaded.ibmq", wires=1)) == set_
    assert (
        value_of(qml.device("threaded.ibmq", wires=1, **{name: configuration["threaded.ibmq"][name]}))
        == filed
    )
    assert value_of(qml.device("threaded.ibmq", wires=1, ibmqx_token="t", **{name: filed})) == filed
    assert value_of(qml.device("threaded.ibmq", wires=1, config=qml.Configuration("config.toml"))) == filed


def test_where_circuits_run_is_not_configured(write, monkeypatch):
    write("ours", "qelectron.IBMQExecutor", runs_on="default.qubit")
    monkeypatch.setenv("THREADED_IBMQ_RUNS_ON", "default.qubit")
    with pytest.warns(ConfigurationWarning, match="no key 'runs_on'"):
        assert IBMQExecutor().runs_on == "threaded.ibmq"


def test_no_option_looks_like_a_secret_but_the_token():
    assert [name for name in Settings.model_fields if is_secret(name)] == ["ibmqx_token"]


def warnings_of(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [str(one.message) for one in caught if one.category is ConfigurationWarning]


@pytest.mark.parametrize(
    ("variable", "advice"),
    [
        ("THREADED_IBMQ_MAX_JBOS", "Did you mean 'THREADED_IBMQ_MAX_JOBS'?"),
        ("THREADED_IBMQ_TOKEN", "Did you mean 'THREADED_IBMQ_IBMQX_TOKEN'?"),
        ("THREADED_IBMQ_HOEM", "Did you mean 'THREADED_IBMQ_HOME'?"),
        ("THREADED_IBMQ_PERSIST", "Did you mean 'THREADED_IBMQ_PERSIST_DATA'?"),
        ("THREADED_IBMQ_RESILIENCE_LEVEL", "Give resilience_level as an argument."),
        ("THREADED_IBMQ_SESSION", "Give session as an argument."),
        ("THREADED_IBMQ_RUNS_ON", ""),
        ("THREADED_IBMQ_XYZZY", ""),
    ],
)
def test_a_variable_that_nothing_is_read_from_is_warned_of(monkeypatch, variable, advice):
    monkeypatch.setenv(variable, SECRET)
    text = f"environment variable {variable!r}: nothing is read from it; it is ignored. {advice}".strip()
    assert warnings_of(lambda: load_settings({})) == [text]
    assert warnings_of(IBMQExecutor) == warnings_of(QiskitExecutor) == [text]
    done = CliRunner().invoke(main, ["config"])
    # once, in a line, and the value is nowhere
    assert done.stderr.splitlines() == [f"Warning: {text}"]
    assert SECRET not in done.output


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no lower case in names of variables")
def test_a_variable_in_lower_case_is_not_read_and_warned_of(monkeypatch):
    monkeypatch.setenv("threaded_ibmq_max_jobs", "7")
    assert load_settings({}).max_jobs == 20
    assert "Did you mean 'THREADED_IBMQ_MAX_JOBS'?" in warnings_of(lambda: load_settings({}))[0]


def test_no_other_variable_is_warned_of(monkeypatch, tmp_path):
    for name in {*Settings.model_fields, *EXECUTORS_ONLY} - {"noise_model", "provider", "session"}:
        monkeypatch.setenv(f"THREADED_IBMQ_{name.upper()}", "")
    for name, value in (("SHOTS", "5"), ("PERSIST_DATA", "false"), ("ESTIMATE", str(tmp_path / "e"))):
        monkeypatch.setenv(f"THREADED_IBMQ_{name}", value)
    monkeypatch.setenv("THREADED_IBMQ_XYZZY", "")
    monkeypatch.setenv("THREADED_MAX_JBOS", "3")
    assert warnings_of(lambda: load_settings({})) == warnings_of(IBMQExecutor) == []
    # the token alone is looked up without a word on anything else
    monkeypatch.setenv("THREADED_IBMQ_MAX_JBOS", "3")
    assert warnings_of(find_token) == []
