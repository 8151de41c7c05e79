"""The device as PennyLane sees it: one class a stack, chosen here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..stack import stack

if TYPE_CHECKING:
    from ..stacks.current.device import ThreadedIBMQDevice

__all__ = ["ThreadedIBMQDevice"]


def __getattr__(name: str) -> Any:
    """Give the class of the installed stack, looked for when it is first asked for.

    Raises:
        StackError: What is installed is neither stack.
    """
    if name == "ThreadedIBMQDevice":
        return import_module(f"..stacks.{stack().value}.device", __name__).ThreadedIBMQDevice
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
