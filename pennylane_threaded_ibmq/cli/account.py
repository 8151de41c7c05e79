"""``threaded-ibmq backends`` and ``threaded-ibmq config``; what they and others know of the account."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from .._quantity import quantity
from .._secrets import covered
from .._variables import ESTIMATE_VARIABLE, HOME_VARIABLE
from .options import Command, account_options, json_option
from .output import note, say_json, say_table

if TYPE_CHECKING:
    from ..config_sources import ConfigValue
    from ..service.account import Credentials
    from ..stacks.current.overview import BackendFacts


def credentials(instance: str | None = None, options: Mapping[str, Any] | None = None) -> Credentials | None:
    """The account that a device with some arguments would use; ``None`` if there is none.

    Args:
        instance: CRN or name, in place of what the environment says.
        options: Options of a device about the account, by name; they come before the environment, as everywhere.
    """
    from ..service.account import Credentials
    from ..service.address import check_address, check_proxies
    from ..service.saved import saved_account
    from ..settings import load_settings

    settings = load_settings({**(options or {}), "instance": instance})
    is_named = settings.account_name or settings.account_file
    # a saved account that is named must be there, and is looked for where one logs in
    if settings.ibmqx_token is None and not is_named and not saved_account():
        return None
    check_address(settings.ibmqx_url)
    check_proxies(settings.proxies)
    client = json.dumps(settings.client_arguments, sort_keys=True)
    return Credentials(settings.ibmqx_token, settings.ibmqx_url, settings.instance, client)


@click.command("backends", cls=Command, short_help="List the backends of the account and of this machine.")
@click.option("--local", is_flag=True, help="Only those of this machine; nothing is asked.")
@click.option("--qubits", type=click.IntRange(min=1), default=1, help="Only with so many qubits or more.")
@click.option("--instance", help="CRN or name of the instance.  [default: that of the environment]")
@account_options
@json_option
def backends_command(
    *, local: bool, qubits: int, instance: str | None, options: dict[str, Any], as_json: bool
) -> None:
    r"""List backends: those of the account, and those that this machine simulates.

    For a system of IBM's, `here` names the backend that simulates it on this machine with its noise.

    \b
    Examples:
      threaded-ibmq backends
      threaded-ibmq backends --local --qubits 100
      threaded-ibmq backends --option account_name=work
      threaded-ibmq backends --json
    """
    from ..stacks.current.overview import Overview, local_backends

    backends: list[BackendFacts] = []
    account = None if local else credentials(instance, options)
    if account is not None:
        backends += Overview(account).backends()
    elif not local:
        note("No account: these are the backends of this machine. threaded-ibmq doctor tells how to add one.")
    backends = [b for b in (*backends, *local_backends()) if b.qubits is None or b.qubits >= qubits]
    if as_json:
        say_json([asdict(backend) for backend in backends])
        return
    say_table(
        ("BACKEND", "WHERE", "QUBITS", "QUEUE", "BASIS", "HERE"),
        [
            (
                b.name,
                "IBM" if b.where == "ibm" else "this machine",
                b.qubits,
                b.queue if b.online else "offline",
                " ".join(b.basis) or "any gate",
                b.stand_in,
            )
            for b in backends
        ],
        empty=f"No backend has {quantity(qubits, 'qubit')}.",
    )


@click.command("config", cls=Command, short_help="Show the settings of a device without arguments.")
@json_option
def config_command(*, as_json: bool) -> None:
    r"""Show the settings of a device that is given no arguments, and where each comes from.

    The token is only told as "set".

    \b
    Examples:
      threaded-ibmq config
      QISKIT_IBM_INSTANCE=my-instance threaded-ibmq config
    """
    rows = settings_table()
    if as_json:
        say_json({row["name"]: {"value": row["value"], "source": row["source"]} for row in rows})
        return
    say_table(
        ("SETTING", "VALUE", "FROM"),
        [(row["name"], "-" if row["value"] is None else row["value"], row["source"]) for row in rows],
    )


def _source(one: ConfigValue) -> str:
    return one.origin.replace("environment variable", "environment")


def _executors_own(
    known: set[str], names: set[str], of_device: dict[str, ConfigValue]
) -> list[dict[str, Any]]:
    """Rows of what the tables of executors say to them alone, or to one of them otherwise than to a device."""
    from pydantic import SecretStr

    from ..config import EXECUTOR_FIELDS, find_values

    rows, known_so_far, values_so_far = [], set(known), dict(of_device)
    for executor, fields in EXECUTOR_FIELDS.items():
        known_so_far |= fields
        for name, one in find_values(known_so_far, names, executor=executor).items():
            if one != values_so_far.get(name):
                value = "set" if isinstance(one.value, SecretStr) else covered(one.value)
                rows.append({"name": f"{name} of {executor}", "value": value, "source": _source(one)})
                values_so_far[name] = one
    return rows


def settings_table() -> list[dict[str, Any]]:
    """Name, value and source of each setting; the token is only told as set."""
    from ..config import EXECUTORS_ONLY, find_values
    from ..loose_options import LOOSE_OPTIONS
    from ..service.saved import saved_account
    from ..settings import Settings, home_folder, load_settings

    settings = load_settings({})
    names = {*Settings.model_fields, *EXECUTORS_ONLY}
    loose = {**LOOSE_OPTIONS, "options": "primitive_options"}
    values = find_values({*names, *loose}, names, judged=())
    sources = {loose.get(name, name): _source(values[name]) for name in values if name not in names}
    sources.update({name: _source(one) for name, one in values.items() if name in names})
    rows = []
    for name in Settings.model_fields:
        value = covered(getattr(settings, name))
        source = sources.get(name, "default")
        if name == "ibmqx_token":
            saved = value is None and saved_account()
            value = "set" if value is not None or saved else None
            source = "account saved by Qiskit's IBM client" if saved else source
        rows.append({"name": name, "value": value, "source": source})
    for name, default in (("shots", 0), ("persist_data", True)):
        value = values[name].value if name in values else default
        rows.append({"name": f"{name} of executors", "value": value, "source": sources.get(name, "default")})
    rows += _executors_own({*names, *loose}, names, values)
    home = f"environment {HOME_VARIABLE}" if os.environ.get(HOME_VARIABLE) else "default"
    rows.append({"name": "folder of the journal", "value": str(home_folder()), "source": home})
    if os.environ.get(ESTIMATE_VARIABLE):
        name = "estimates, nothing is sent"
        value = os.environ[ESTIMATE_VARIABLE]
        rows.append({"name": name, "value": value, "source": f"environment {ESTIMATE_VARIABLE}"})
    return rows
