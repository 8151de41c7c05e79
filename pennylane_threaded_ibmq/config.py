"""The one loader of what no argument gives, for devices, executors and the command ``threaded-ibmq config``.

Sources, first to last: argument, environment, our own file, PennyLane's configuration file, Covalent's, default.
pydantic-settings asks them in that order; a value comes as a :class:`Found`, with its place, so that the two cannot part.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from platformdirs import user_config_path
from pydantic import AliasChoices, Field, SecretStr, create_model
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from ._variables import ESTIMATE_VARIABLE, HOME_VARIABLE
from .config_sources import EnvironmentSource, Found, TableSource, hide_secrets, is_secret, right_name
from .exceptions import StackError
from .stack import Stack, stack

__all__ = [
    "DEVICES",
    "EXECUTORS_ONLY",
    "EXECUTOR_FIELDS",
    "PENNYLANE",
    "Found",
    "covalent_file",
    "find_token",
    "find_values",
    "hide_secrets",
    "is_secret",
    "own_file",
    "pennylane_file",
    "right_name",
    "variable_of",
]

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
_NOT_HERE = EXECUTORS_ONLY | {"wires"}

_IBM_VARIABLES = {
    "ibmqx_token": ("IBMQX_TOKEN", "QISKIT_IBM_TOKEN"),
    "ibmqx_url": ("QISKIT_IBM_URL",),
    "instance": ("QISKIT_IBM_INSTANCE",),
}
_OBJECTS = frozenset({"noise_model", "provider", "session"})
"""Options that no text can give."""


class Configuration(BaseSettings):
    """Values by name, each with where it was found, from the first source that has it.

    A subclass has the names as fields; those with aliases may also come from environment variables of these names.

    Attributes:
        own_table: Class of executors whose own table is read before that of ``IBMQExecutor``.
        judged_tables: Tables, by what their names begin with, whose unknown keys are warned of.
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
            EnvironmentSource(settings_cls),
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
    home = os.environ.get("THREADED_IBMQ_HOME")
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
) -> dict[str, Found]:
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
    asked = tuple((name, _variables(name) if name in variables else ()) for name in sorted(known))
    values = _configuration(asked, executor, judged)()
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


@lru_cache(maxsize=32)
def _configuration(
    asked: tuple[tuple[str, tuple[str, ...]], ...], executor: str, judged: tuple[str, ...]
) -> type[Configuration]:
    """The class whose fields are these names with these variables."""
    fields: dict[str, Any] = {
        name: (Any, Field(None, validation_alias=AliasChoices(*variables) if variables else None))
        for name, variables in asked
    }
    made = create_model("Configuration", __base__=Configuration, **fields)
    made.own_table, made.judged_tables = executor, judged
    return made


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
