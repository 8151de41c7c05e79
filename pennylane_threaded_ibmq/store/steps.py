"""What happens to a shard, step by step, with the time of each."""

from __future__ import annotations

from dataclasses import dataclass

from .._compat import StrEnum


class Phase(StrEnum):
    """Where a shard is."""

    PLANNED = "planned"
    SENDING = "sending"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether nothing follows, unless the shard is tried again."""
        return self in (Phase.DONE, Phase.FAILED, Phase.CANCELLED)

    @classmethod
    def of(cls, written: str) -> Phase:
        """The phase that the journal's word for a state means: an accepted job waits in the queue."""
        return cls.QUEUED if written == "accepted" else cls(written)


@dataclass(frozen=True)
class Step:
    """One step of one shard.

    Attributes:
        at: When: seconds since 1970.
        shard: The shard's place in its batch.
        attempt: Which try of it, from 1.
        phase: Where it got to.
        job_id: Its job, if there is one and it is known.
    """

    at: float
    shard: int
    attempt: int
    phase: Phase
    job_id: str = ""
