"""Accounts that IBM's client has saved here; by itself, since importing the client takes seconds."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from ..exceptions import CredentialsError

USUAL_FILE = Path("~/.qiskit/qiskit-ibm.json")
"""File in which the client saves accounts."""

REMOVED_CHANNEL = "ibm_quantum"
"""The client's way to IBM Quantum Platform Classic, switched off in July 2025; newer clients overlook such accounts."""


def saved_account() -> bool:
    """Whether IBM's client has an account saved on this machine; the client is imported only if it has a file."""
    # once the client is imported, it alone knows which file it reads
    if "qiskit_ibm_runtime" not in sys.modules and not USUAL_FILE.expanduser().exists():
        return False
    return bool(import_module("qiskit_ibm_runtime").QiskitRuntimeService.saved_accounts())


def check_removed(place: Mapping[str, Any]) -> None:
    """Refuse to look for an account where there are only some that no client can use any more.

    Args:
        place: ``filename`` and ``name`` of the account, as far as they are given.

    Raises:
        CredentialsError: All that is there is of the removed channel.
    """
    file = Path(place.get("filename") or _client_file()).expanduser()
    try:
        accounts = json.loads(file.read_text(encoding="utf-8"))
        channels = {name: one.get("channel") for name, one in accounts.items()}
    except (OSError, ValueError, AttributeError):
        return
    account = place.get("name")
    candidates = [name for name in channels if account in (None, name)]
    if {channels[name] for name in candidates} == {REMOVED_CHANNEL}:
        raise CredentialsError(
            f"The account saved as {' and '.join(map(repr, candidates))} in {file} is of the channel {REMOVED_CHANNEL!r}, which "
            "IBM switched off in July 2025: its key opens nothing any more. Get an API key at https://quantum.cloud.ibm.com and "
            "save it with QiskitRuntimeService.save_account(token=..., overwrite=True, set_as_default=True), or give it as "
            "ibmqx_token=. Nothing was sent.",
            argument="account_name" if account else "ibmqx_token",
            value=account,
        )


def account_at(url: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments that let the client's service use a saved account at another address, which it takes with a token only.

    Args:
        url: The address.
        arguments: Arguments for the client, with ``filename`` and ``name`` of the account; they come before what was saved.
    """
    from qiskit_ibm_runtime.accounts import AccountManager

    changes = {key: value for key, value in arguments.items() if key not in {"filename", "name"}}
    account = AccountManager.get(filename=arguments.get("filename"), name=arguments.get("name"))
    names = (
        "channel",
        "token",
        "instance",
        "verify",
        "private_endpoint",
        "region",
        "plans_preference",
        "tags",
    )
    values = {name: getattr(account, name, None) for name in names}
    proxies = getattr(account, "proxies", None)
    values["proxies"] = None if proxies is None else proxies.to_dict()
    return {**{name: value for name, value in values.items() if value is not None}, **changes, "url": url}


def _client_file() -> str:
    """The file that the client reads, which it fixes when it is imported."""
    manager = import_module("qiskit_ibm_runtime.accounts.management")
    return str(getattr(manager, "_DEFAULT_ACCOUNT_CONFIG_JSON_FILE", USUAL_FILE))
