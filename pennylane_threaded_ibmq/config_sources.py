"""Sources of configured values: the environment, and tables of files; each value knows where it was found.

They are sources of pydantic-settings, which asks them in turn. Files are read each time, so an edit is seen by the next
device or executor, and they are never written.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import AliasChoices, SecretStr
from pydantic_settings import EnvSettingsSource, PydanticBaseSettingsSource

from ._compat import load_toml
from ._secrets import conceal, is_secret
from .exceptions import ConfigurationFileError, ConfigurationWarning

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_settings import BaseSettings

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


def hide_secrets(values: dict[str, Any]) -> None:
    """Wrap what looks like a secret under whatever name it was given, in place; dictionaries with one do not show it."""
    for name, value in values.items():
        if isinstance(value, str) and value and is_secret(name):
            values[name] = SecretStr(value)
        else:
            values[name] = conceal(value)


class _Text(str):
    """The text of a file, which may hold a token: tools that print the variables of a traceback do not show it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{len(self)} characters>"


@dataclass(frozen=True)
class ConfigValue:
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
        return f"ConfigValue({self.origin})"


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


class EnvironmentSource(EnvSettingsSource):
    """The variables that the fields name as their aliases; a field without one is not asked for.

    Args:
        settings_cls: Its fields have the variables as aliases.
        prefix: What the names of our variables begin with; others that do are warned of.
        others: Variables that are meant for somebody else; ``None`` for all but those of the fields.
    """

    def __init__(self, settings_cls: type[BaseSettings], prefix: str, others: frozenset[str] | None) -> None:
        super().__init__(settings_cls)
        self._prefix, self._others = prefix, others

    def __call__(self) -> dict[str, Any]:
        """Values that are set, by the key of the field."""
        self._warn_of_unknown()
        values = {}
        for name, field in self.settings_cls.model_fields.items():
            if field.validation_alias is None:
                continue
            text, variable, _ = self.get_field_value(field, name)
            if text is not None:
                value = {name: text}
                hide_secrets(value)
                values[key_of(name, field)] = ConfigValue(value[name], f"environment variable {variable}")
        return values

    def _warn_of_unknown(self) -> None:
        if self._others is None:
            return
        unknown = {name for name in self.env_vars if name.upper().startswith(self._prefix)} - self._others
        fields = self.settings_cls.model_fields
        aliases = [
            alias
            for alias in (f.validation_alias for f in fields.values())
            if isinstance(alias, AliasChoices)
        ]
        known = {str(name) for alias in aliases for name in alias.choices}
        for variable in sorted(unknown - known):
            option = variable[len(self._prefix) :].lower()
            if option in fields and f"{self._prefix}{option.upper()}" not in known:
                advice = f" Give {option} as an argument."
            else:
                ours = [
                    name[len(self._prefix) :]
                    for name in known | self._others
                    if name.startswith(self._prefix)
                ]
                meant = right_name(option, map(str.lower, ours))
                advice = f" Did you mean {self._prefix + meant.upper()!r}?" if meant else ""
            _warn_of_ignored(f"environment variable {variable!r}: nothing is read from it", advice)


class TableSource(PydanticBaseSettingsSource):
    """A table of a TOML file. An empty text in it counts as not given: Covalent writes one where there is no token.

    Args:
        settings_cls: Its fields are the keys that the table may have.
        path: The file; it need not exist.
        table: Name of the table, with dots.
        others: Keys that are meant for somebody else; ``None`` for all but the fields.

    Raises:
        ConfigurationFileError: The file cannot be read or is not TOML.
    """

    def __init__(
        self, settings_cls: type[BaseSettings], path: Path, table: str, others: frozenset[str] | None
    ) -> None:
        super().__init__(settings_cls)
        self._path, self._table, self._others = path, table, others

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Value of a field, its key, and that it is no JSON."""
        key = key_of(field_name, field)
        return self().get(key), key, False

    def __call__(self) -> dict[str, Any]:
        """Values of the table, by the key of the field."""
        text = _read(self._path)
        if text is None:
            return {}
        fields, values = self.settings_cls.model_fields, {}
        for name, value in _table(self._path, text, self._table).items():
            line = _line(text, name, self._table)
            origin = f"{self._path}, line {line}" if line else str(self._path)
            if name not in fields:
                self._warn(name, origin)
            elif value != "":
                values[key_of(name, fields[name])] = ConfigValue(value, origin, self._path, line)
        return values

    def _warn(self, name: str, origin: str) -> None:
        if self._others is None or name in self._others:
            return
        suggestion = right_name(name, self.settings_cls.model_fields)
        advice = f" Did you mean {suggestion!r}?" if suggestion else ""
        _warn_of_ignored(f"{origin}: [{self._table}] has no key {name!r}", advice)


def _warn_of_ignored(fault: str, advice: str) -> None:
    warnings.warn(f"{fault}; it is ignored.{advice}", ConfigurationWarning, stacklevel=3)


def key_of(name: str, field: FieldInfo) -> str:
    """The key by which pydantic takes a field's value: its first alias, or its name."""
    alias = field.validation_alias
    return str(alias.choices[0]) if isinstance(alias, AliasChoices) else name


def _read(path: Path) -> str | None:
    try:
        # some editors on Windows begin a file with a mark of its encoding
        return _Text(path.read_text(encoding="utf-8-sig"))
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
    pattern = re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=")
    header = re.compile(r"\s*\[\s*" + r"\s*\.\s*".join(map(re.escape, section.split("."))) + r"\s*\]")
    inside, place = False, None
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("["):
            inside = header.match(line) is not None
        if pattern.match(line) and (inside or place is None):
            place = number
            if inside:
                return place
    return place
