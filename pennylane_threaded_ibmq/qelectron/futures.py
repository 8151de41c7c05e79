"""The futures of executors: each knows the submission that it is part of."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, Protocol

from ..exceptions import WaitTimeoutError
from ..execution.futures import TapeFuture


class Submission(Protocol):
    """Circuits that were handed over: one future a circuit, in order."""

    @property
    def futures(self) -> Sequence[Future[Any]]:
        """One future a circuit."""

    @property
    def job_ids(self) -> tuple[str, ...]:
        """Ids of the jobs accepted so far."""

    def help(self) -> None:
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
        self.submission = submission

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
            self.submission.help()


def submissions_of(futures: Iterable[Any]) -> tuple[Submission, ...]:
    """The submissions that futures are part of, each once; futures of other classes have none."""
    found = (getattr(future, "submission", None) for future in futures)
    return tuple({id(one): one for one in found if one is not None}.values())


def job_ids_of(futures: Iterable[Any]) -> tuple[str, ...]:
    """Ids of the jobs accepted so far for these futures; other circuits may share them."""
    return tuple(dict.fromkeys(job_id for sent in submissions_of(futures) for job_id in sent.job_ids))


def results_of(futures: Sequence[Any], timeout_s: float | None) -> list[Any]:
    """Wait for futures; their results in order.

    Args:
        futures: The futures.
        timeout_s: Longest wait in seconds; ``None`` for no end.

    Raises:
        WaitTimeoutError: Time ran out; the jobs run on.
        Exception: What the first circuit without a result failed with.
    """
    for sent in submissions_of(futures):
        sent.help()
    if timeout_s is None:
        return [future.result() for future in futures]
    deadline = time.monotonic() + timeout_s
    try:
        return [_result(future, deadline) for future in futures]
    except _OverdueError:
        raise overdue(futures, timeout_s) from None


def overdue(futures: Sequence[Any], timeout_s: float) -> WaitTimeoutError:
    """The error for a wait that was too long."""
    ids = job_ids_of(futures)
    jobs = f"Jobs {', '.join(ids)} run on" if ids else "What was submitted runs on"
    return WaitTimeoutError(f"No result within timeout_secs={timeout_s:g}. {jobs}.", job_ids=ids)


class _OverdueError(Exception):
    """Time ran out; a circuit may also fail with a ``TimeoutError`` of its own."""


def _result(future: Any, deadline: float) -> Any:
    try:
        return future.result(max(0.0, deadline - time.monotonic()))
    except (TimeoutError, FutureTimeoutError):
        if future.done():
            raise
        raise _OverdueError from None
