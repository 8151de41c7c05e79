"""Checks of ``doctor`` that need the package itself: settings, journal, account."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from .._quantity import quantity
from ..config import variable_of
from ..exceptions import JournalError, ThreadedIBMQError, nearest
from ..service.retired import local_alternative, retirement
from ..settings import load_settings
from ..simulators.local import is_local_name
from ..stacks.current.overview import BackendFacts, Overview
from .account import credentials
from .doctor import Check, time_left
from .journal import open_journal

HOW_TO_GET_AN_ACCOUNT = (
    "For IBM Quantum get an API key at https://quantum.cloud.ibm.com and set QISKIT_IBM_TOKEN, or save it with "
    "QiskitRuntimeService.save_account."
)
MOST_NAMED = 5


def look_at_default() -> Check:
    """Check where a device runs that is given no backend."""
    name = load_settings({}).backend
    where = "simulated on this machine by Aer" if is_local_name(name) else "IBM Quantum"
    return Check("default backend", "ok", f"{name}, {where}")


def look_at_journal() -> Check:
    """Whether the journal can be read, and what is in it."""
    path = load_settings({}).journal_file
    advice = "Choose another folder with THREADED_IBMQ_HOME."
    if path is None:
        return Check("journal", "note", "none is kept: journal=False is configured")
    try:
        journal = open_journal(None)
    except JournalError as error:
        return Check("journal", "bad", str(error), advice)
    if journal is None:
        folder = next(folder for folder in path.absolute().parents if folder.exists())
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            return Check(
                "journal", "bad", f"{path} cannot be made: {folder} is no folder to write in", advice
            )
        return Check("journal", "ok", f"none yet; it will be {path}")
    batches, waiting = journal.count()
    advice = "threaded-ibmq batches --open lists them." if waiting else ""
    return Check(
        "journal", "ok", f"{path}: {quantity(batches, 'batch', 'batches')}, {waiting} not delivered", advice
    )


def look_at_account(backend: str | None, instance: str | None, options: Mapping[str, Any]) -> Iterator[Check]:
    """Whether there is an account, what it has and what is left."""
    account = credentials(instance, options)
    if account is None:
        is_needed = backend is not None and not is_local_name(backend)
        yield Check(
            "account",
            "bad" if is_needed else "note",
            "none; circuits run on this machine",
            HOW_TO_GET_AN_ACCOUNT,
        )
        return
    source = "the account saved by Qiskit's IBM client"
    if account.token is not None:
        source = variable_of("ibmqx_token") or source
    try:
        overview = Overview(account)
        instances = overview.instances
        active, usage = overview.instance, overview.usage
        backends = overview.backends()
    except ThreadedIBMQError as error:
        advice = f"The token comes from {source}. Check it at https://quantum.cloud.ibm.com, and the network."
        yield Check("account", "bad", str(error), advice)
        return
    yield Check("account", "ok", f"logged in with the token of {source}")
    current = next((i for i in instances if i.crn == active), None)
    if current is None:
        yield Check(
            "instance", "note", f"{len(instances)} instances, none chosen", "Set QISKIT_IBM_INSTANCE."
        )
    else:
        advice = ""
        if account.instance is None and len(instances) > 1:
            advice = f"The account has {len(instances)} instances; QISKIT_IBM_INSTANCE chooses one."
        yield Check("instance", "ok", f"{current.name} ({current.crn})", advice)
        used_up = usage.left_secs is not None and usage.left_secs <= 0
        yield Check(
            "plan",
            "bad" if used_up else "ok",
            f"{current.plan}, {time_left(usage.left_secs)}",
            "Wait for the next period, or use another instance." if used_up else "",
        )
    yield _look_at_backends(backends, backend)


def _look_at_backends(backends: tuple[BackendFacts, ...], name: str | None) -> Check:
    names = [b.name for b in backends]
    if name is not None and name != "least_busy" and not is_local_name(name):
        facts = next((b for b in backends if b.name == name), None)
        if facts is None:
            end = retirement(name)
            advice = f"{nearest(name, names)} threaded-ibmq backends lists them."
            if end:
                advice = f"{local_alternative(name)}. threaded-ibmq backends lists what there is."
            found_none = f"the account has no {name}{': ' + end if end else ''}"
            return Check("backend", "bad", found_none, advice.strip())
        if not facts.online:
            return Check("backend", "bad", f"{name} is offline", "threaded-ibmq backends lists the others.")
        numbers = ((facts.qubits, "qubit", "qubits"), (facts.queue, "job in the queue", "jobs in the queue"))
        words = [quantity(number, *nouns) for number, *nouns in numbers if number is not None]
        return Check("backend", "ok", ", ".join((name, *words)))
    online = [b.name for b in backends if b.online]
    if not online:
        return Check("backends", "bad", "none is online", "threaded-ibmq backends lists them.")
    more = f" and {len(online) - MOST_NAMED} more" if len(online) > MOST_NAMED else ""
    return Check("backends", "ok", f"{', '.join(online[:MOST_NAMED])}{more}; shortest queue first")
