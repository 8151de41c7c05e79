"""``@qelectron``: a QNode whose circuits run on executors."""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast, overload

import pennylane as qml

from ..exceptions import ConfigurationError
from ..settings import DEFAULT_BACKEND
from ..stack import stack
from .base import BaseQExecutor
from .cluster import QCluster, check_executors, check_selector
from .executor import IBMQExecutor

if TYPE_CHECKING:
    from .current import QElectron
    from .options import Executors, Selector
else:
    QElectron = import_module(f".{stack().value}", __package__).QElectron

__all__ = ["QElectron", "qelectron"]

_SIMULATOR_GRADIENTS = ("backprop", "adjoint", "device")


@overload
def qelectron(
    qnode: Callable[..., Any],
    *,
    executors: Executors | None = ...,
    selector: Selector = ...,
    name: str | None = ...,
    description: str | None = ...,
) -> QElectron: ...


@overload
def qelectron(
    *,
    executors: Executors | None = ...,
    selector: Selector = ...,
    name: str | None = ...,
    description: str | None = ...,
) -> Callable[[Callable[..., Any]], QElectron]: ...


def qelectron(
    qnode: Callable[..., Any] | None = None,
    *,
    executors: Executors | None = None,
    selector: Selector = "cyclic",
    name: str | None = None,
    description: str | None = None,
) -> Any:
    """Run the circuits of a QNode on executors.

    Used as ``@qelectron``, as ``@qelectron(executors=...)``, both above ``@qml.qnode(...)``, or as a function,
    ``qelectron(qnode, executors=...)``.

    Args:
        qnode: The QNode; it is not changed.
        executors: An executor, a list of them, or a ``QCluster``, which brings its own selector. Without any, circuits
            run on a simulator of this machine.
        selector: Which executor of a list runs a circuit: ``"cyclic"``, ``"random"``, ``"least_busy"``, or a callable
            ``selector(circuit, executors)`` that returns one of them.
        name: Kept as ``name`` of what is returned; by default the function's name.
        description: Kept as ``description``; by default the function's documentation.

    Returns:
        A :class:`~pennylane_threaded_ibmq.QElectron`, which is a QNode with ``run_later``; a decorator if no QNode was given.

    Raises:
        ConfigurationError: Executors or selector cannot work, or the QNode's gradients need a simulator's state.
        TypeError: Something other than a QNode was given.
    """
    target = _target(executors, selector)
    if qnode is None:
        return functools.partial(_wrap, target=target, name=name, description=description)
    return _wrap(qnode, target, name, description)


def _target(executors: Executors | None, selector: Selector) -> BaseQExecutor:
    selector = check_selector(selector)
    if executors is None:
        # by name, so that a backend that some file configures is not used, and paid, unasked
        return IBMQExecutor(backend=DEFAULT_BACKEND)
    if isinstance(executors, BaseQExecutor):
        return executors
    members = check_executors(executors)
    return members[0] if len(members) == 1 else QCluster(executors=members, selector=selector)


def _wrap(qnode: Any, target: BaseQExecutor, name: str | None, description: str | None) -> QElectron:
    if isinstance(qnode, QElectron):
        qnode = qnode.original_qnode
    if not isinstance(qnode, qml.QNode):
        raise TypeError(_no_qnode(qnode))
    if qnode.diff_method in _SIMULATOR_GRADIENTS:
        raise ConfigurationError(
            f"diff_method={qnode.diff_method!r} needs the state of a simulator, which executors do not give. Use "
            "diff_method='best' or 'parameter-shift' in qml.qnode. Nothing was sent.",
            argument="diff_method",
            value=qnode.diff_method,
        )
    made = QElectron(qnode, target)
    made.name = name if name is not None else str(getattr(qnode.func, "__name__", ""))
    made.description = description if description is not None else str(qnode.func.__doc__ or "")
    return made


def _no_qnode(given: Any) -> str:
    if isinstance(given, (BaseQExecutor, list, tuple)):
        return f"qelectron got {type(given).__name__} where a QNode belongs: pass executors by name, executors=..."
    if callable(given):
        called = cast(str, getattr(given, "__name__", repr(given)))
        return (
            f"qelectron got {called!r} ({type(given).__name__}), which is no QNode. Put @qelectron above @qml.qnode(...): "
            "the line next to the function is @qml.qnode."
        )
    return f"qelectron got {given!r} ({type(given).__name__}), which is no QNode."
