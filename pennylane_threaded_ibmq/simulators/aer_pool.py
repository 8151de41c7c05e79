"""Let Aer run in forked processes."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

from .._fork import FORKS


class AerPool:
    """Aer's one thread for all simulations, which a forked process has not: what it gives to it would wait for ever."""

    def __init__(self) -> None:
        FORKS.watch(self)

    def before_fork(self) -> None:
        """Nothing: Aer makes its thread when it needs it."""

    def after_fork(self, *, in_child: bool) -> None:
        """Give the child an executor of its own; Aer has no option for that."""
        aer = sys.modules.get("qiskit_aer.jobs.aerjob")
        if in_child and isinstance(getattr(aer, "DEFAULT_EXECUTOR", None), ThreadPoolExecutor):
            setattr(aer, "DEFAULT_EXECUTOR", ThreadPoolExecutor(max_workers=1))  # noqa: B010 - no name that mypy knows
