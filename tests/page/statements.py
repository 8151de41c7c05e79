"""Every statement of Covalent's page "IBMQ Executor", as a table of checks that take a class of executors."""

from __future__ import annotations

import json
import re

import pytest

# "Show JSON Schema" of the page.
PROPERTIES = {
    "persist_data": {"title": "Persist Data", "default": True, "type": "boolean"},
    "qnode_device_import_path": {
        "title": "Qnode Device Import Path",
        "type": "array",
        "minItems": 2,
        "maxItems": 2,
        "items": [{"type": "string"}, {"type": "string"}],
    },
    "qnode_device_shots": {"title": "Qnode Device Shots", "type": "integer"},
    "qnode_device_wires": {"title": "Qnode Device Wires", "type": "integer"},
    "pennylane_active_return": {"title": "Pennylane Active Return", "type": "boolean"},
    "device": {"title": "Device", "default": "default.qubit", "type": "string"},
    "num_threads": {"title": "Num Threads", "default": 10, "type": "integer"},
    "max_jobs": {"title": "Max Jobs", "default": 20, "type": "integer"},
    "shots": {"title": "Shots", "default": 0, "type": "integer"},
    "backend": {"title": "Backend", "type": "string"},
    "ibmqx_token": {"title": "Ibmqx Token", "type": "string"},
    "hub": {"title": "Hub", "type": "string"},
    "group": {"title": "Group", "type": "string"},
    "project": {"title": "Project", "type": "string"},
}
# "Keyword Arguments" of the page, and the sentences above them.
SENTENCES = [
    'the Pennylane native "qiskit.ibmq" device to run circuits on IBM Quantum backends.',
    (
        "The attributes backend, ibmqx_token, hub, group, and project are taken from the Covalent configuration file by default,"
        " if available"
    ),
    (
        "max_jobs: The maximum number of jobs that can be submitted to the backend concurrently. This number corresponds to the"
        " number of threads utilized by this executor. Defaults to 20."
    ),
    (
        "shots: The number of shots to use for the execution device. Overrides the shots value from the original device if set"
        " to None or a positive int"
    ),
    "The shots setting from the original device is used by default, when this argument is 0",
    'backend: The name of the IBM Quantum backend device. Defaults to "ibmq_qasm_simulator".',
    "ibmqx_token: The IBM Quantum API token.",
    'hub: An IBM Quantum hub name. Defaults to "ibm-q".',
    'group: An IBM Quantum group name. Defaults to "open".',
    'project: An IBM Quantum project name. Defaults to "main".',
]
DEFAULTS = {
    "persist_data": True, "qnode_device_import_path": None, "qnode_device_shots": None, "qnode_device_wires": None,
    "pennylane_active_return": None, "device": "default.qubit", "num_threads": 10, "max_jobs": 20, "shots": 0,
    "backend": "ibmq_qasm_simulator", "hub": "ibm-q", "group": "open", "project": "main",
}  # fmt: skip


FIELDS = {
    "persist_data": False, "qnode_device_import_path": ("a.b", "C"), "qnode_device_shots": 5, "qnode_device_wires": 3,
    "pennylane_active_return": True, "device": "default.qubit", "num_threads": 3, "max_jobs": 5, "shots": 12,
    "backend": "ibm_lima", "hub": "h", "group": "g", "project": "p",
}  # fmt: skip
CONFIGURED = ("backend", "ibmqx_token", "hub", "group", "project")


def has_property(name, mode):
    """A property of the schema has the page's title, type and default."""

    def check(cls, _):
        wanted = dict(PROPERTIES[name])
        ours = cls.model_json_schema(mode=mode)["properties"][name]
        items = wanted.pop("items", None)
        assert {key: ours.get(key) for key in wanted} == wanted
        assert ("default" in ours) == ("default" in wanted)
        assert not {"anyOf", "oneOf", "allOf", "$ref"} & set(ours)
        assert ours.get("prefixItems") == items

    return check


def has_schema(mode):
    """The schema as a whole is the page's."""

    def check(cls, _):
        schema = cls.model_json_schema(mode=mode)
        assert (schema["title"], schema["type"]) == ("IBMQExecutor", "object")
        assert schema["additionalProperties"] is True
        assert "required" not in schema
        json.dumps(schema)

    return check


def says(sentence):
    """The description of the schema has a sentence of the page."""

    def check(cls, _):
        text = re.sub(r"\s+", " ", cls.model_json_schema()["description"].replace("``", ""))
        assert sentence in text

    return check


def defaults_to(name, value):
    """A field has the page's default."""

    def check(cls, _):
        assert getattr(cls(), name) == value

    return check


def keeps(name, value):
    """A field is taken, kept, and in what is dumped."""

    def check(cls, _):
        executor = cls(**{name: value})
        assert getattr(executor, name) == value
        assert executor.model_dump()[name] == value

    return check


def is_configured(name):
    """A field is taken from Covalent's configuration file."""

    def check(cls, folder):
        (folder / "covalent.conf").write_text(f'[qelectron.IBMQExecutor]\n{name} = "given"\n')
        value = getattr(cls(), name)
        assert (value.get_secret_value() if name == "ibmqx_token" else value) == "given"

    return check


def no_token(cls, _):
    """The token may be left out."""
    assert cls().ibmqx_token.get_secret_value() == ""


def extras(cls, _):
    """Extra fields are allowed."""
    executor = cls(colour="blue")
    assert executor.colour == executor.model_dump()["colour"] == "blue"


def set_name(cls, _):
    """``set_name`` gives the name of the class."""
    assert cls(name="mine").name == "IBMQExecutor"


def device_is_not_used(cls, _):
    """``device`` is kept, and chooses nothing."""
    executor = cls(device="default.qubit")
    executor.device = executor.device
    again = cls(**{**executor.model_dump(), "ibmqx_token": ""})
    assert (again.device, again.backend) == ("default.qubit", "ibmq_qasm_simulator")
    with pytest.raises(ValueError, match=r"Simulator\(device='lightning\.qubit'\)"):
        cls(device="lightning.qubit")


STATEMENTS = {
    **{
        f"property {name}, {mode}": has_property(name, mode)
        for name in PROPERTIES
        for mode in ("validation", "serialization")
    },
    **{f"schema, {mode}": has_schema(mode) for mode in ("validation", "serialization")},
    **{f"says {sentence[:30]}": says(sentence) for sentence in SENTENCES},
    **{f"default of {name}": defaults_to(name, value) for name, value in DEFAULTS.items()},
    **{f"keeps {name}": keeps(name, value) for name, value in FIELDS.items()},
    **{f"shots={shots}": keeps("shots", shots) for shots in (0, None, 7)},
    **{f"configures {name}": is_configured(name) for name in CONFIGURED},
    "no token": no_token,
    "extras": extras,
    "set_name": set_name,
    "device": device_is_not_used,
}
