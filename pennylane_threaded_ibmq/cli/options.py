"""Parts that commands share: help as it is written, options, and values that they take."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

import click

from .._compat import without_suffix
from .._secrets import covered

C = TypeVar("C", bound="Callable[..., Any]")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

journal_option = click.option(
    "--journal",
    "journal_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File of the journal, as given to the device.  [default: the usual file]",
)


class _NewFile(click.Path):
    """A file that is written when a command ends, which may take hours: its folder is looked for before."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = Path(str(super().convert(value, param, ctx)))
        if not path.parent.is_dir():
            self.fail(f"{path} cannot be written: there is no folder {path.parent}.", param, ctx)
        return path


def output_option(text: str) -> Callable[[C], C]:
    """An option ``-o FILE`` of a command.

    Args:
        text: Its help.
    """
    return click.option("-o", "--output", type=_NewFile(), help=text)


class Amount(click.FloatRange):
    """A finite number above 0: comparisons alone let no number at all pass."""

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        number = float(super().convert(value, param, ctx))
        if not isfinite(number):
            self.fail(f"{value!r} is no finite number.", param, ctx)
        return number


_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d)?")


def duration(text: str) -> float:
    """Seconds, from ``500ms``, ``30s``, ``2m``, ``1h``, ``90d`` or a bare number of seconds.

    Raises:
        BadParameter: It is none of these.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise click.BadParameter(f"{text!r} is no length of time; write 500ms, 30s, 2m, 1h or 90d.")
    return float(match[1]) * _UNITS[match[2] or "s"]


def share(text: str) -> float:
    """A share from 0 to 1, from ``5%`` or ``0.05``.

    Raises:
        BadParameter: It is none.
    """
    try:
        fraction = float(without_suffix(text.strip(), "%")) / (100 if text.strip().endswith("%") else 1)
    except ValueError:
        fraction = -1.0
    if not 0 <= fraction <= 1:
        raise click.BadParameter(f"{text!r} is no share; write 5% or 0.05.")
    return fraction


class Command(click.Command):
    r"""A command whose help may hold ``\b``, after which click breaks no line anew, in a raw docstring."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.help = unraw(self.help)


def unraw(text: str | None) -> str | None:
    r"""Turn ``\b`` as it is written into the one character that click looks for."""
    return None if text is None else text.replace("\\b\n", "\b\n")


ACCOUNT_OPTIONS = (
    "ibmqx_url",
    "account_name",
    "account_file",
    "region",
    "plans_preference",
    "tags",
    "proxies",
    "verify",
    "private_endpoint",
)
"""Options of a device that say which account is used and how it is reached; a key belongs into the environment."""


def device_options(text: str, advice: Callable[[str], str]) -> Callable[[C], C]:
    """An option ``--option NAME=VALUE`` of a command, for its device.

    Args:
        text: Its help.
        advice: What to do about a name, or about none, that cannot be given; empty for one that can.
    """

    def read(_: click.Context, __: click.Parameter, pairs: tuple[str, ...]) -> dict[str, Any]:
        options: dict[str, Any] = {}
        for pair in pairs:
            name, equals, value = pair.partition("=")
            if wrong := advice(name if equals else ""):
                shown = f"{name}={covered({name: value})[name]}" if equals else pair
                raise click.BadParameter(f"{shown!r}: {wrong}.")
            options[name] = _value(value)
        return options

    return click.option("--option", "options", multiple=True, callback=read, metavar="NAME=VALUE", help=text)


def _value(text: str) -> Any:
    """A value, by Python's literals; other text stands for itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


account_options = device_options(
    f"As for a device: {', '.join(ACCOUNT_OPTIONS)}.",
    lambda name: (
        "" if name in ACCOUNT_OPTIONS else f"write NAME=VALUE, with a name of {', '.join(ACCOUNT_OPTIONS)}"
    ),
)
