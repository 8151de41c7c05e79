"""Which modules serve the installed PennyLane, chosen in one place.

What differs between the stacks is in modules of the same content, one for each: ``current_tapes`` and
``classic_tapes``, ``current_node`` and ``classic_node``.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

import pennylane as qml

CLASSIC_ENDS = (0, 38)
"""The first PennyLane whose QNodes do not know the legacy device API in their own code."""


def part(name: str) -> ModuleType:
    """The module of this name that serves the installed PennyLane: ``part("tapes")``."""
    installed = tuple(int(number) for number in qml.__version__.split(".")[:2])
    stack = "classic" if installed < CLASSIC_ENDS else "current"
    return import_module(f".{stack}_{name}", __package__)
