"""The former name of :mod:`pennylane_threaded_ibmq.executors`, kept for one release; it can be called, as the decorator."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from ..executors import *  # noqa: F403 - all of its names, whatever they are
from ..executors import __all__ as __all__
from ..executors import qelectron


class _CallableModule(ModuleType):
    """The decorator has the name of this package, so the package can be called in its place."""

    __wrapped__ = staticmethod(qelectron)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the decorator."""
        return qelectron(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule
