"""The one loader of what no argument gives, for devices, executors and the command ``threaded-ibmq config``.

Sources, first to last: argument, environment, our own file, PennyLane's configuration file, Covalent's, default.
pydantic-settings asks them in that order; a value comes as a :class:`ConfigValue`, with its place, so that the two cannot part.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping
from functools import lru_cache
from inspect import currentframe
from pathlib import Path
from typing import Any, ClassVar

from platformdirs import user_config_path
from pydantic import AliasChoices, BaseModel, Field, SecretStr, ValidationError, create_model
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from ._compat import without_prefix
from ._secrets import covered, is_secret
from ._variables import ESTIMATE_VARIABLE, HOME_VARIABLE
from .config_sources import ConfigValue, EnvironmentSource, TableSource
from .exceptions import ConfigurationError, ConfigurationFileError, StackError
from .stack import Stack, stack

APP = "threaded-ibmq"
DEVICES = "threaded."
"""Names with which tables for devices begin."""
EXECUTORS = "qelectron."
"""Covalent's tables of executors, with the class's name behind it; also read in our own file."""
DEVICE_EXECUTOR = "IBMQExecutor"
"""The executor whose table is a device's too."""
PENNYLANE = ("threaded.ibmq", "threaded.global")
"""Tables of PennyLane's file, the first before the second; ours has the first."""
PREFIX = "THREADED_IBMQ_"
EXECUTORS_ONLY = frozenset({"shots", "persist_data"})
"""Names that the environment and any table may configure and only executors take; a device's shots PennyLane itself takes."""
EXECUTOR_FIELDS = {
    DEVICE_EXECUTOR: frozenset(
        {
            "device",
            "num_threads",
            "qnode_device_import_path",
            "qnode_device_shots",
            "qnode_device_wires",
            "pennylane_active_return",
        }
    ),
    "QiskitExecutor": frozenset(
        {"options", "single_job", "local_transpile", "channel", "max_time", "cloud_instance"}
    ),
}
"""Further keys that the tables of executors may have."""
_PENNYLANES = frozenset({"pennylane", "pennylane.devices"})
"""Packages that have had ``qml.device``."""

_NOT_HERE = EXECUTORS_ONLY | {"wires"}

_IBM_VARIABLES = {
    "ibmqx_token": ("IBMQX_TOKEN", "QISKIT_IBM_TOKEN"),
    "ibmqx_url": ("QISKIT_IBM_URL",),
    "instance": ("QISKIT_IBM_INSTANCE",),
}
_OBJECTS = frozenset({"noise_model", "provider", "session"})
"""Options that no text can give."""
_LONGEST = 300
"""Characters of a value that an error shows as a whole."""
_OTHER_VARIABLES = frozenset(
    {HOME_VARIABLE, ESTIMATE_VARIABLE, *(f"{PREFIX}{name.upper()}" for name in EXECUTORS_ONLY)}
)
"""Variables of ours that are no option of a device."""


class Configuration(BaseSettings):
    """Values by name, each with where it was found, from the first source that has it.

    A subclass has the names as fields; those with aliases may also come from environment variables of these names.

    Attributes:
        own_table: Class of executors whose own table is read before that of ``IBMQExecutor``.
        judged_tables: Tables, by what their names begin with, whose unknown keys are warned of; where there are any, unknown
            variables of ours are, too.
    """

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, case_sensitive=True, env_ignore_empty=True, protected_namespaces=()
    )
    own_table: ClassVar[str] = DEVICE_EXECUTOR
    judged_tables: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], *_: Any, **__: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The sources, first to last."""
        tables = [f"{EXECUTORS}{name}" for name in dict.fromkeys((cls.own_table, DEVICE_EXECUTOR))]
        places = [(own_file(), table) for table in (PENNYLANE[0], *tables)]
        file = pennylane_file()
        if file is not None:
            places += [(file, table) for table in PENNYLANE]
        places += [(covalent_file(), table) for table in tables]
        return (
            EnvironmentSource(settings_cls, PREFIX, _OTHER_VARIABLES if cls.judged_tables else None),
            *(
                TableSource(
                    settings_cls, path, table, _NOT_HERE if table.startswith(cls.judged_tables) else None
                )
                for path, table in places
            ),
        )


def covalent_file() -> Path:
    """Path of Covalent's configuration file, by Covalent's own rules."""
    for variable in ("COVALENT_CONFIG_DIR", "XDG_CONFIG_DIR"):
        folder = os.environ.get(variable)
        if folder:
            return Path(folder).expanduser() / "covalent.conf"
    return Path.home() / ".config" / "covalent" / "covalent.conf"


def own_file() -> Path:
    """Path of our own configuration file: ``config.toml``."""
    home = os.environ.get(HOME_VARIABLE)
    folder = Path(home).expanduser() if home else user_config_path(APP, appauthor=False)
    return folder / "config.toml"


def pennylane_file() -> Path | None:
    """Path of PennyLane's configuration file, by PennyLane's own rules; ``None`` if there is none."""
    folders = [Path()]
    if os.environ.get("PENNYLANE_CONF"):
        folders.append(Path(os.environ["PENNYLANE_CONF"]))
    folders.append(user_config_path("pennylane", "Xanadu"))
    return next((f / "config.toml" for f in folders if (f / "config.toml").is_file()), None)


def find_values(
    known: Collection[str],
    variables: Collection[str],
    executor: str = DEVICE_EXECUTOR,
    judged: tuple[str, ...] = (DEVICES, EXECUTORS),
) -> dict[str, ConfigValue]:
    """Collect what the environment and the files say.

    Args:
        known: Names that may appear in a file.
        variables: Those of them that environment variables may give.
        executor: Class of executors whose own table is read before that of ``IBMQExecutor``.
        judged: Tables, by what their names begin with, whose unknown keys are warned of.

    Returns:
        The value that counts, by name; names that no source gives are left out. Values of the environment are text.

    Raises:
        ConfigurationFileError: A file cannot be read or is not TOML.
    """
    names = tuple((name, _variables(name) if name in variables else ()) for name in sorted(known))
    values = _configuration(names, executor, judged)()
    return {name: value for name, value in values if value is not None}


def find_token() -> str:
    """Look the token up in the environment and the files; an empty string when there is none."""
    token = find_values({"ibmqx_token"}, {"ibmqx_token"}, judged=()).get("ibmqx_token")
    if token is None:
        return ""
    return token.value.get_secret_value() if isinstance(token.value, SecretStr) else str(token.value)


def variable_of(option: str) -> str | None:
    """The environment variable that an option is taken from when no argument gives it; ``None`` if none is set."""
    return next((name for name in _variables(option) if os.environ.get(name)), None)


def leave_to_pennylanes_file(arguments: dict[str, Any]) -> None:
    """Leave out what ``qml.device`` took from PennyLane's configuration file: it comes after the environment."""
    call = _arguments_of_call(arguments)
    if call is None:
        return
    configuration = sys.modules["pennylane"].default_config
    for table in PENNYLANE:
        for name in configuration[table]:
            if name not in call:
                arguments.pop(name, None)


def _arguments_of_call(arguments: dict[str, Any]) -> dict[str, Any] | None:
    """The arguments as they were written in the call of ``qml.device``; ``None`` if no such call, or one with ``config=``.

    PennyLane mixes its file into the arguments before it makes a device, and equal values look alike. What was written
    is known to the call alone, so it is asked.
    """
    frame = currentframe()
    while frame is not None:
        if frame.f_code.co_name == "device" and frame.f_globals.get("__package__") in _PENNYLANES:
            place = frame.f_locals
            mixed, default = place.get("options", {}), frame.f_globals.get("default_config")
            # a device that is made by its class while PennyLane makes another one has arguments of its own
            ours = all(
                name in mixed and (mixed[name] is value or isinstance(value, SecretStr))
                for name, value in arguments.items()
            )
            return place.get("kwargs") if ours and default and place.get("config") is default else None
        frame = frame.f_back
    return None


@lru_cache(maxsize=32)
def _configuration(
    names: tuple[tuple[str, tuple[str, ...]], ...], executor: str, judged: tuple[str, ...]
) -> type[Configuration]:
    """The class whose fields are these names with these variables."""
    fields: dict[str, Any] = {
        name: (Any, Field(None, validation_alias=AliasChoices(*variables) if variables else None))
        for name, variables in names
    }
    model = create_model("Configuration", __base__=Configuration, **fields)
    model.own_table, model.judged_tables = executor, judged
    return model


def _variables(option: str) -> tuple[str, ...]:
    own = f"{PREFIX}{option.upper()}"
    if option in _OBJECTS or own in {HOME_VARIABLE, ESTIMATE_VARIABLE}:
        return ()
    classic = ("IBMQX_URL",) if option == "ibmqx_url" and _is_classic() else ()
    return (own, *classic, *_IBM_VARIABLES.get(option, ()))


def _is_classic() -> bool:
    """Whether to read what ``qiskit.ibmq`` reads; on the current stack it would lead to a service that is gone."""
    try:
        return stack() is Stack.CLASSIC
    except StackError:
        return False


def _in_short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]}... ({len(text)} characters)"


def explain(
    model: type[BaseModel],
    error: ValidationError,
    arguments: Mapping[str, Any],
    configured: Mapping[str, ConfigValue],
    place: str = "",
) -> ConfigurationError:
    """The error for the first value that a model refuses.

    Args:
        model: What refuses them.
        error: What pydantic says.
        arguments: Values that were given, by name.
        configured: Others, with the places where they were found.
        place: Where values were given; empty for a device.
    """
    first = error.errors(include_url=False, include_input=False)[0]
    whole = first.get("ctx", {}).get("error")
    if place and isinstance(whole, ConfigurationError):
        return ConfigurationError(f"{place}: {whole}", argument=whole.argument, value=whole.value)
    name = str(first["loc"][0]) if first["loc"] else "" if place else "backend"
    source = configured.get(name)
    value = None if is_secret(name) else covered(arguments.get(name, source.value if source else None))
    shown = name if is_secret(name) or not name else f"{name}={_in_short(value)}"
    reason = without_prefix(str(first["msg"]), "Value error, ").rstrip(".")
    if source is not None and source.path is None and first["type"] == "dict_type":
        reason += """, as JSON: '{"name": 1}'"""
    stop = "" if reason.endswith("?") else "."
    about = model.model_fields[name].description if name in model.model_fields else None
    if place:
        about = f" ({name}: {about})" if about else ""
    else:
        # a rule of our own says what is allowed
        about = "" if first["type"] == "value_error" else f" {name} is: {about}"
    text = f"{': '.join(filter(None, (source.origin if source else place, shown, reason)))}{stop}{about} Nothing was sent."
    if source is not None and source.path is not None:
        return ConfigurationFileError(text, path=source.path, line=source.line, argument=name, value=value)
    return ConfigurationError(text, argument=name, value=value)
