"""States of jobs, and the ends of those that gave no result."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ..exceptions import JobCancelledError, JobError, JobFailedError
from .errors import PuzzlingAnswerError

_CODE = re.compile(r"Error code (\d+)")


class UnknownStateError(PuzzlingAnswerError):
    """The service says something of a job that this package does not know."""


class State(Enum):
    """State of a job."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TOO_LONG = "ran too long"

    @property
    def final(self) -> bool:
        """Whether nothing will change any more."""
        return self not in (State.PENDING, State.RUNNING)


def read_state(status: str, states: Mapping[str, State], job_id: str) -> State:
    """The state that a word of a service's stands for.

    Args:
        status: The word, in letters of any case.
        states: The words that are known, in small letters.
        job_id: The job that is in it.

    Raises:
        UnknownStateError: It is none of those.
    """
    state = states.get(status.lower())
    if state is None:
        raise UnknownStateError(f"Job {job_id} is in the state {status!r}, which this release does not know.")
    return state


@dataclass(frozen=True)
class Ending:
    """The reason why a job gave no result.

    Attributes:
        reason: The service's words; empty if it gives none.
        code: Its code; ``None`` if it gives none.
    """

    reason: str = ""
    code: int | None = None


def read_code(code: Any) -> int | None:
    """A code of the service's, which may come as a number or as its digits."""
    return int(code) if str(code).isdecimal() else None


def error_of(job_id: str, backend: str, state: State, ending: Ending) -> JobError:
    """The error of a job that gave no result, by its final state and the reason for it."""
    if state is State.TOO_LONG:
        return JobFailedError(
            f"Job {job_id} was stopped by {backend}: it ran too long. Send fewer tapes in a job (shard_size=) or fewer shots, "
            "or raise max_execution_time in primitive_options.",
            job_ids=[job_id],
        )
    reason, code = ending.reason, ending.code
    if code is None and (match := _CODE.search(reason)):
        code = int(match[1])
    if state is State.FAILED:
        return JobFailedError(
            f"Job {job_id} failed on {backend}: {reason}", job_ids=[job_id], code=code, reason=reason
        )
    if not reason and code is None:
        return JobCancelledError(f"Job {job_id} was cancelled.", job_ids=[job_id])
    named = "" if code is None or str(code) in reason else f"Error code {code}; "
    return JobCancelledError(
        f"Job {job_id} was cancelled by {backend}: {named}{reason}",
        job_ids=[job_id],
        code=code,
        reason=reason,
    )
