"""The decision about a shard whose job may or may not exist. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..service.states import State


@dataclass(frozen=True)
class Found:
    """A job at the service that carries the shard's tag.

    Attributes:
        job_id: Its id.
        state: What the service says of it.
    """

    job_id: str
    state: State


@dataclass(frozen=True)
class Decision:
    """The job to take over, and those to cancel.

    Attributes:
        adopt: Job whose result to take; ``None`` means to send the shard (again).
        cancel: Surplus jobs that still wait or run.
    """

    adopt: str | None
    cancel: tuple[str, ...] = ()


def decide(candidates: Sequence[Found], wanted: str = "") -> Decision:
    """Choose among the jobs that carry a shard's tag.

    A finished job is best, then the one known to be ours, then the oldest that still waits. A job that failed or was
    cancelled is no use: the shard is sent again, which the retry limit bounds.

    Args:
        candidates: All jobs with the tag, oldest first.
        wanted: The job that the service named when it accepted the shard, if it got that far.
    """
    useful = [f for f in candidates if f.state is State.DONE or not f.state.final]
    if not useful:
        return Decision(None)
    chosen = min(useful, key=lambda f: (f.state is not State.DONE, f.job_id != wanted, useful.index(f)))
    surplus = tuple(f.job_id for f in candidates if not f.state.final and f is not chosen)
    return Decision(chosen.job_id, surplus)
