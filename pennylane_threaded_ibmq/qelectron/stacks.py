"""Which modules serve the installed PennyLane, chosen in one place.

What differs between the stacks is in modules of the same content, one for each: ``current_tapes`` and
``classic_tapes``, ``current_node`` and ``classic_node``.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from ..stack import stack


def of_stack(name: str) -> ModuleType:
    """The module of this name that serves the installed PennyLane: ``of_stack("tapes")``."""
    return import_module(f".{stack().value}_{name}", __package__)
