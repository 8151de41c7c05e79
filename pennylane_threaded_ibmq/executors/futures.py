"""The futures of executors: each knows the submission that it is part of."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from ..execution.futures import TapeFuture


class Submission(Protocol):
    """Circuits that were handed over: one future a circuit, in order."""

    @property
    def futures(self) -> Sequence[Future[Any]]:
        """One future a circuit."""

    @property
    def job_ids(self) -> tuple[str, ...]:
        """Ids of the jobs accepted so far."""

    def flush(self) -> None:
        """Do in this thread what another would do later; called before waiting."""

    def cancel(self) -> None:
        """Give the circuits up."""


class CircuitFuture(TapeFuture):
    """The result of one circuit. A thread that waits for it does what another would do later.

    Args:
        submission: What it is part of.
    """

    def __init__(self, submission: Submission) -> None:
        super().__init__()
        self.handle = submission

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the result."""
        self._hasten()
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait; what the circuit failed with, or ``None``."""
        self._hasten()
        return super().exception(timeout)

    def _hasten(self) -> None:
        if not self.done():
            self.handle.flush()
