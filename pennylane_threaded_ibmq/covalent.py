"""Our executor for a real Covalent: ``from pennylane_threaded_ibmq.covalent import register``, and Covalent's own way to it.

This is what Covalent loads by its entry-point group ``covalent.executor.executor_plugins`` while it is being imported.

Covalent asks each installed package of that group for a module with a class, and makes the class an attribute of
``covalent.executor``. It does so unguarded, in releases without qelectrons too: an error here would take Covalent away
from programs that never heard of us. So what is in the way is told by the class, when somebody uses it.
"""

from __future__ import annotations

from importlib import import_module, metadata
from types import ModuleType
from typing import Any

from packaging.version import Version

from .exceptions import StackError
from .stack import Stack, stack

__all__ = ["ExecutorRegistry", "IBMQExecutor", "ThreadedIBMQExecutor", "register"]  # noqa: F822 - see __getattr__

CLASS = "ThreadedIBMQExecutor"
_FIRST, _ENDED = Version("0.228"), Version("0.233")


_WAYS = (
    "use pennylane_threaded_ibmq itself, which has the same names without Covalent, or install what goes together with: "
    "pip install 'pennylane-threaded-ibmq[covalent]'."
)


def obstacle() -> str:
    """The reason why our executor cannot be in a Covalent here, as one sentence; an empty text if it can."""
    version = _covalent_version()
    if version is not None and not _FIRST <= version < _ENDED:
        return f"Covalent {version} has no qelectrons, which 0.228 brought and 0.232 had last: {_WAYS}"
    try:
        if stack() is Stack.CURRENT:
            return f"Covalent 0.232 runs with PennyLane 0.31, the classic stack, and this is the current one: {_WAYS}"
    except StackError as error:
        return str(error)
    return "" if version is not None else f"Covalent 0.232 is not installed: {_WAYS}"


def _covalent_version() -> Version | None:
    try:
        return Version(metadata.version("covalent"))
    except metadata.PackageNotFoundError:
        return None


def _load() -> ModuleType:
    reason = obstacle()
    if reason:
        return _placeholder(reason)
    try:
        module = import_module(".stacks.classic.covalent", __package__)
    except Exception as error:  # noqa: BLE001 - Covalent must load, whatever is wrong with us
        return _placeholder(f"{type(error).__name__}: {error}")
    # who imports our module first makes it import Covalent, and with it this one, before it has a class: it adds it then
    return module if hasattr(module, CLASS) else _placeholder("Covalent is being imported")


def _placeholder(reason: str) -> ModuleType:
    """A module as Covalent wants it, whose class says why it is not ours."""

    def refuse(*_: Any, **__: Any) -> None:
        raise ImportError(reason)

    module = ModuleType(__name__)
    module.__dict__.update(
        {"EXECUTOR_PLUGIN_NAME": CLASS, CLASS: type(CLASS, (), {"__new__": refuse, "__module__": __name__})}
    )
    return module


def __getattr__(name: str) -> Any:
    """Load what is asked for then: ``plugin`` for Covalent, whatever happens, and the executor's module for users."""
    if name == "plugin":
        return _load()
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    reason = obstacle()
    if reason:
        raise ImportError(reason)
    return getattr(import_module(".stacks.classic.covalent", __package__), name)
