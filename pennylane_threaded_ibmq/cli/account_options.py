"""``--option`` of the commands that log in: the account, as a device is given it."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any, TypeVar

import click

C = TypeVar("C", bound="Callable[..., Any]")

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


def account_options(command: C) -> C:
    """Give a command ``--option NAME=VALUE`` for the account."""
    return click.option(
        "--option",
        "options",
        multiple=True,
        callback=_read,
        metavar="NAME=VALUE",
        help=f"As for a device: {', '.join(ACCOUNT_OPTIONS)}.",
    )(command)


def read_value(text: str) -> Any:
    """A value, by Python's literals; other text stands for itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _read(_: click.Context, __: click.Parameter, pairs: tuple[str, ...]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for text in pairs:
        name, equals, value = text.partition("=")
        if not equals or name not in ACCOUNT_OPTIONS:
            raise click.BadParameter(
                f"{text!r}: write NAME=VALUE, with a name of {', '.join(ACCOUNT_OPTIONS)}."
            )
        options[name] = read_value(value)
    return options
