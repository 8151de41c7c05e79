"""The one loader of what no argument gives, for devices, executors and the command ``threaded-ibmq config``.

Sources, first to last: argument, environment, our own file, PennyLane's configuration file, Covalent's, default. Files
are read each time a device or an executor is made, so an edit is seen by the next one, and they are never written.

An empty value counts as not given: Covalent writes ``ibmqx_token = ""`` where there is no token.
"""

from __future__ import annotations

import os
import re
import typing
import warnings
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from platformdirs import user_config_path
from pydantic import SecretStr

from ._compat import load_toml
from ._variables import ESTIMATE_VARIABLE, HOME_VARIABLE
from .exceptions import ConfigurationFileError, ConfigurationWarning

APP = "threaded-ibmq"
COVALENT = "qelectron.IBMQExecutor"
"""Covalent's table in its file; also read in ours."""
PENNYLANE = ("threaded.ibmq", "threaded.global")
"""Tables of PennyLane's file, the first before the second; ours has the first."""
PREFIX = "THREADED_IBMQ_"
EXECUTORS_ONLY = frozenset({"shots", "persist_data"})
"""What a file may configure that only executors take from it; a device's shots PennyLane itself takes from its file."""
_NOT_HERE = EXECUTORS_ONLY | {"wires"}

_IBM_VARIABLES = {
    "ibmqx_token": ("IBMQX_TOKEN", "QISKIT_IBM_TOKEN"),
    "ibmqx_url": ("QISKIT_IBM_URL",),
    "instance": ("QISKIT_IBM_INSTANCE",),
}
_OBJECTS = frozenset({"noise_model", "provider", "session"})
"""Options that no text can give."""

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


def is_secret(name: str) -> bool:
    """Whether a value of this name may be a secret, also where the name is mistyped: ``tokn``, ``pasword``."""
    plain = name.lower()
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


def pennylane_file() -> Path | None:
    """Path of PennyLane's configuration file, by PennyLane's own rules; ``None`` if there is none."""
    folders = [Path()]
    if os.environ.get("PENNYLANE_CONF"):
        folders.append(Path(os.environ["PENNYLANE_CONF"]))
    folders.append(user_config_path("pennylane", "Xanadu"))
    return next((f / "config.toml" for f in folders if (f / "config.toml").is_file()), None)


def find_values(known: Collection[str], variables: Collection[str]) -> dict[str, Found]:
    """Collect what the environment and the files say.

    Args:
        known: Names that may appear in a file.
        variables: Names that may be given by environment variables.

    Returns:
        The value that counts, by name; names that no source gives are left out. Values of the environment are text.

    Raises:
        ConfigurationFileError: A file cannot be read or is not TOML.
    """
    found = _from_environment(variables)
    places = [(own_file(), PENNYLANE[0]), (own_file(), COVALENT)]
    theirs = pennylane_file()
    if theirs is not None:
        places += [(theirs, table) for table in PENNYLANE]
    for path, table in (*places, (covalent_file(), COVALENT)):
        for name, value in _from_file(path, table, known).items():
            found.setdefault(name, value)
    return found


def find_token() -> str:
    """Look the token up in the environment and the files; an empty string when there is none."""
    token = find_values(_Everything(), ("ibmqx_token",)).get("ibmqx_token")
    if token is None:
        return ""
    return token.value.get_secret_value() if isinstance(token.value, SecretStr) else str(token.value)


def variable_of(option: str) -> str | None:
    """The environment variable that an option is taken from when no argument gives it; ``None`` if none is set."""
    return next((name for name in _variables(option) if os.environ.get(name)), None)


class _Everything(typing.Collection[str]):  # not that of collections.abc, which takes no type on Python 3.8
    """All names there may be: nothing is unknown to who looks for one value."""

    def __contains__(self, _: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(_IBM_VARIABLES)

    def __len__(self) -> int:
        return len(_IBM_VARIABLES)


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


def _variables(option: str) -> tuple[str, ...]:
    own = f"{PREFIX}{option.upper()}"
    if option in _OBJECTS or own in {HOME_VARIABLE, ESTIMATE_VARIABLE}:
        return ()
    return (own, *_IBM_VARIABLES.get(option, ()))


def _from_environment(names: Collection[str]) -> dict[str, Found]:
    found = {}
    for name in names:
        variable = variable_of(name)
        if variable is not None:
            value = {name: os.environ[variable]}
            hide_secrets(value)
            found[name] = Found(value[name], f"environment variable {variable}")
    return found


def _from_file(path: Path, section: str, known: Collection[str]) -> dict[str, Found]:
    text = _read(path)
    if text is None:
        return {}
    table = _table(path, text, section)
    found = {}
    for name, value in table.items():
        line = _line(text, name, section)
        origin = f"{path}, line {line}" if line else str(path)
        if name in _NOT_HERE and name not in known:
            continue
        if name not in known:
            meant = right_name(name, known)
            warnings.warn(
                f"{origin}: [{section}] has no key {name!r}; it is ignored."
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


def _table(path: Path, text: str, section: str) -> dict[str, Any]:
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
    for part in section.split("."):
        node = node.get(part, {})
        if not isinstance(node, dict):
            line = _line(text, part, section) or 1
            raise ConfigurationFileError(
                f"{path}, line {line}: {part} must be a table, [{section}], not a value. Nothing was sent.",
                path=path,
                line=line,
            )
    table: dict[str, Any] = node
    hide_secrets(table)
    return table


def _line(text: str, key: str, section: str) -> int | None:
    """Line of a key in our table; the last one that fits, for a key may occur in other tables before."""
    wanted = re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=")
    header = re.compile(r"\s*\[\s*" + r"\s*\.\s*".join(map(re.escape, section.split("."))) + r"\s*\]")
    inside, place = False, None
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("["):
            inside = header.match(line) is not None
        if wanted.match(line) and (inside or place is None):
            place = number
            if inside:
                return place
    return place
