"""The one configuration where it differs on the classic stack: its own variable, and its PennyLane's ``qml.device``."""

from __future__ import annotations

import json
from pathlib import Path

import pennylane as qml
import pytest
from click.testing import CliRunner

from pennylane_threaded_ibmq import IBMQExecutor
from pennylane_threaded_ibmq.cli.app import main


def shown(name):
    row = json.loads(CliRunner().invoke(main, ["config", "--json"]).output)[name]
    return row["value"], row["source"]


def test_the_address_of_qiskit_ibmq_is_read_first(monkeypatch):
    """Device, executor and command say the same, and where it stands."""
    monkeypatch.setenv("QISKIT_IBM_URL", "http://platform.example")
    monkeypatch.setenv("IBMQX_URL", "http://classic.example/api")
    address = qml.device("threaded.ibmq", wires=1, backend="fake_lima")._settings.ibmqx_url
    assert address == IBMQExecutor().ibmqx_url == "http://classic.example/api"
    assert shown("ibmqx_url") == (address, "environment IBMQX_URL")
    monkeypatch.setenv("THREADED_IBMQ_IBMQX_URL", "http://ours.example/api")
    assert (
        qml.device("threaded.ibmq", wires=1, backend="fake_lima")._settings.ibmqx_url
        == "http://ours.example/api"
    )
    given = qml.device("threaded.ibmq", wires=1, backend="fake_lima", ibmqx_url="http://argument.example/api")
    assert given._settings.ibmqx_url == "http://argument.example/api"


@pytest.mark.parametrize(
    ("name", "filed", "environment", "set_"),
    [("max_jobs", 3, "7", 7), ("parametrise", True, "false", False), ("hub", "h", "e", "e")],
)
def test_pennylanes_file_comes_after_the_environment_and_an_equal_argument_does_not(
    wiped_environment, monkeypatch, name, filed, environment, set_
):
    monkeypatch.setenv("PENNYLANE_CONF", str(wiped_environment))
    path = Path(wiped_environment) / "config.toml"
    path.write_text(f"[threaded.ibmq]\n{name} = {json.dumps(filed)}\n")
    monkeypatch.setattr("pennylane.default_config", qml.Configuration("config.toml"))

    def value(**arguments):
        return getattr(qml.device("threaded.ibmq", wires=1, **arguments)._settings, name)

    assert value() == filed
    assert shown(name) == (filed, f"{path}, line 2")
    monkeypatch.setenv(f"THREADED_IBMQ_{name.upper()}", environment)
    assert value() == set_
    assert value(**{name: filed}) == filed
