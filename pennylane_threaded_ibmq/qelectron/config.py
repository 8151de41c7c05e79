"""Where an executor's fields come from when they are not given as arguments.

Sources, first to last: argument, environment, Covalent's configuration file, our own file, default. Files are read
each time an executor is made, so an edit is seen by the next one, and they are never written.

An empty value counts as not given: Covalent writes ``ibmqx_token = ""`` where there is no token.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from platformdirs import user_config_path
from pydantic import SecretStr

from .._compat import load_toml
from ..exceptions import ConfigurationFileError, ConfigurationWarning
from ..settings import Settings, home_folder

APP = "threaded-ibmq"
SECTION = "qelectron.IBMQExecutor"

_TOKEN_VARIABLES = ("IBMQX_TOKEN", "QISKIT_IBM_TOKEN")
_VARIABLES = {
    "ibmqx_token": _TOKEN_VARIABLES,
    "ibmqx_url": ("QISKIT_IBM_URL",),
    "instance": ("QISKIT_IBM_INSTANCE",),
    **{
        name: (f"THREADED_IBMQ_{name.upper()}",)
        for name in ("backend", "hub", "group", "project", "max_jobs", "shots", "persist_data")
    },
}

# What people write for a field whose name is not close enough to be found by its letters.
_OTHER_NAMES = {
    "token": "ibmqx_token",
    "api_token": "ibmqx_token",
    "api_key": "ibmqx_token",
    "apikey": "ibmqx_token",
    "ibm_token": "ibmqx_token",
    "url": "ibmqx_url",
    "backend_name": "backend",
    "crn": "instance",
    "n_shots": "shots",
    "num_shots": "shots",
    "jobs": "max_jobs",
    "persist": "persist_data",
    "timeout": "timeout_secs",
}


_SECRET_WORDS = ("token", "secret", "password", "apikey", "api_key", "credential")
_NOT_SECRET = frozenset(Settings.model_fields) - {"ibmqx_token"}


def is_secret(name: str) -> bool:
    """Whether a value of this name may be a secret, also where the name is mistyped: ``tokn``, ``pasword``."""
    plain = name.lower()
    if plain in _NOT_SECRET:
        return False
    if any(word in plain for word in _SECRET_WORDS):
        return True
    parts = re.split(r"[^a-z]+", plain)
    return any(get_close_matches(part, _SECRET_WORDS, n=1, cutoff=0.85) for part in parts)


def hide_secrets(values: dict[str, Any]) -> None:
    """Wrap what looks like a secret under whatever name it was given."""
    for name, value in values.items():
        if isinstance(value, str) and value and is_secret(name):
            values[name] = SecretStr(value)


class _Text(str):
    """The text of a file, which may hold a token: tools that print the variables of a traceback do not show it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{len(self)} characters>"


@dataclass(frozen=True)
class Found:
    """One value and where it was found.

    Attributes:
        value: The value; never shown, it may be a token.
        origin: Place, for error texts, such as ``/home/me/.config/covalent/covalent.conf, line 7``.
        path: The file, if it was one.
        line: Its line, if known.
    """

    value: Any
    origin: str
    path: Path | None = None
    line: int | None = None

    def __repr__(self) -> str:
        return f"Found({self.origin})"


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


def data_folder() -> Path:
    """Folder of the database of executed circuits."""
    return home_folder()


def find_values(known: Collection[str]) -> dict[str, Found]:
    """Collect what the environment and the files say.

    Args:
        known: Names that may appear in a file.

    Returns:
        The value that counts, by name; names that no source gives are left out.

    Raises:
        ConfigurationFileError: A file cannot be read or is not TOML.
    """
    found = _from_environment()
    for path in (covalent_file(), own_file()):
        for name, value in _from_file(path, known).items():
            found.setdefault(name, value)
    return found


def find_token() -> str:
    """Look the token up in the environment and the files; an empty string when there is none."""
    found = find_values(frozenset({"ibmqx_token"}) | _VARIABLES.keys())
    token = found.get("ibmqx_token")
    if token is None:
        return ""
    return token.value.get_secret_value() if isinstance(token.value, SecretStr) else str(token.value)


def right_name(name: str, known: Iterable[str]) -> str | None:
    """Name the field that somebody who wrote ``name`` may have meant."""
    known = set(known)
    plain = name.lower().replace("-", "_")
    if plain in known:
        return plain
    other = _OTHER_NAMES.get(plain)
    if other in known:
        return other
    names = {**{name: name for name in known}, **{o: n for o, n in _OTHER_NAMES.items() if n in known}}
    close = get_close_matches(plain, sorted(names), n=1, cutoff=0.75)
    return names[close[0]] if close else None


def _from_environment() -> dict[str, Found]:
    found = {}
    for name, variables in _VARIABLES.items():
        variable = next((v for v in variables if os.environ.get(v)), None)
        if variable is not None:
            value = {name: os.environ[variable]}
            hide_secrets(value)
            found[name] = Found(value[name], f"environment variable {variable}")
    return found


def _from_file(path: Path, known: Collection[str]) -> dict[str, Found]:
    text = _read(path)
    if text is None:
        return {}
    table = _table(path, text)
    found = {}
    for name, value in table.items():
        line = _line(text, name)
        origin = f"{path}, line {line}" if line else str(path)
        if name not in known:
            meant = right_name(name, known)
            warnings.warn(
                f"{origin}: [{SECTION}] has no key {name!r}; it is ignored."
                + (f" Did you mean {meant!r}?" if meant else ""),
                ConfigurationWarning,
                stacklevel=2,
            )
        elif value != "":
            found[name] = Found(value, origin, path, line)
    return found


def _read(path: Path) -> str | None:
    try:
        return _Text(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigurationFileError(
            f"{path}, line {line}: not UTF-8 text. Save the file as UTF-8, or move it away. Nothing was sent.",
            path=path,
            line=line,
        ) from None
    except OSError as error:
        raise ConfigurationFileError(
            f"{path}: cannot be read: {error.strerror}. Make it readable, or move it away. Nothing was sent.",
            path=path,
        ) from None


def _table(path: Path, text: str) -> dict[str, Any]:
    try:
        node: Any = load_toml(text)
    except ValueError as error:
        match = re.search(r"\(at line (\d+), column (\d+)\)|\(at end of document\)", str(error))
        line = int(match[1]) if match and match[1] else text.count("\n") + 1
        reason = re.sub(r"\s*\(at .*?\)$", "", str(error))
        raise ConfigurationFileError(
            f"{path}, line {line}: not valid TOML: {reason}. Correct the line, or move the file away. Nothing was sent.",
            path=path,
            line=line,
        ) from None
    for part in SECTION.split("."):
        node = node.get(part, {})
        if not isinstance(node, dict):
            line = _line(text, part) or 1
            raise ConfigurationFileError(
                f"{path}, line {line}: {part} must be a table, [{SECTION}], not a value. Nothing was sent.",
                path=path,
                line=line,
            )
    table: dict[str, Any] = node
    hide_secrets(table)
    return table


def _line(text: str, key: str) -> int | None:
    """Line of a key in our table; the last one that fits, for a key may occur in other tables before."""
    wanted = re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=")
    header = re.compile(r"\s*\[\s*qelectron\s*\.\s*IBMQExecutor\s*\]")
    inside, place = False, None
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("["):
            inside = header.match(line) is not None
        if wanted.match(line) and (inside or place is None):
            place = number
            if inside:
                return place
    return place
