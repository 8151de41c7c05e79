"""Records of the journal, frozen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .._compat import StrEnum

DIGEST = "sha256"
"""The one key of an option that was an object, in place of which the journal has its digest."""


def is_digest(option: Any) -> bool:
    """Whether an option of a batch stands for an object, which a journal cannot give back."""
    return isinstance(option, dict) and set(option) == {DIGEST}


class ShardState(StrEnum):
    """State of a shard: planned, sending, accepted, and then done, failed or cancelled.

    The steps of a shard know one more, of which nothing depends: its job was seen to run.
    """

    PLANNED = "planned"
    SENDING = "sending"
    ACCEPTED = "accepted"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    QUEUED = ACCEPTED
    """The name of those who look on, as a job that is accepted and not seen to run waits in the queue."""

    @property
    def final(self) -> bool:
        """Whether nothing follows, unless the shard is tried again."""
        return self in {ShardState.DONE, ShardState.FAILED, ShardState.CANCELLED}

    @property
    def shown(self) -> str:
        """The word for those who look on."""
        return "queued" if self is ShardState.ACCEPTED else str(self)


@dataclass(frozen=True)
class Step:
    """One step of one shard, with its time.

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
    phase: ShardState
    job_id: str = ""


@dataclass(frozen=True)
class ShardRecord:
    """One shard, as the journal knows it.

    Attributes:
        batch: Id of its batch.
        number: Its place in the batch.
        tapes: Positions of its tapes in the batch.
        state: How far it has got.
        tag: Its job's own tag at IBM.
        job_id: Its job; empty until there is one.
        attempt: Which try this is, from 1.
        delivered: Its result was handed to the program.
        seed: Seed of its random numbers.
        usage_secs: QPU seconds that IBM charged, if they were asked for.
        error: Why it failed.
        changed: When the journal last heard of it: seconds since 1970.
        adopted: A shard of a later batch has taken its job over.
        adopter: That batch; empty if it is not known.
        queue_position: Place of its job in the queue, from 1, as the service last said; ``None`` if nobody asked.
        starts_at: When the service then reckoned that it starts: seconds since 1970.
    """

    batch: str
    number: int
    tapes: tuple[int, ...]
    state: ShardState
    tag: str
    job_id: str
    attempt: int
    delivered: bool
    seed: int
    usage_secs: float | None
    error: str
    changed: float = 0.0
    adopted: bool = False
    adopter: str = ""
    queue_position: int | None = None
    starts_at: float | None = None


@dataclass(frozen=True)
class Attempt:
    """The attempt that a shard is at, which all who wait for its job share.

    Attributes:
        tag: Tag of its job.
        state: How far it has got.
        job_id: Its job; empty until there is one.
        sender: Batch whose program has won it, and is still to send it; empty if there is none that lives.
        changed: When the journal last heard of it: seconds since 1970.
    """

    tag: str
    state: ShardState
    job_id: str
    sender: str
    changed: float

    @property
    def is_being_sent(self) -> bool:
        """Whether a program that lives is to send it, or is just sending it."""
        return bool(self.sender) and self.state in {ShardState.PLANNED, ShardState.SENDING}


@dataclass(frozen=True)
class BatchRecord:
    """One batch, as the journal knows it.

    Attributes:
        id: Its id, for ``resume``.
        backend: Where it runs.
        instance: Who pays.
        created: When it was planned: seconds since 1970.
        tapes: How many tapes it has.
        shards: Its shards.
        steps: What happened to them, in order.
        options: Options of the device by which its jobs are recognised, such as ``primitive``; empty if not known.
        resumable: Its tapes are in the journal, so that it can be resumed by its id.
        tags: Tags that the user gave it.
    """

    id: str
    backend: str
    instance: str
    created: float
    tapes: int
    shards: tuple[ShardRecord, ...]
    steps: tuple[Step, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    resumable: bool = True
    tags: tuple[str, ...] = ()

    @property
    def delivered(self) -> bool:
        """Whether the program has all results."""
        return all(shard.delivered for shard in self.shards)

    @property
    def open(self) -> bool:
        """Whether there are results that no program has got, and that no later batch has taken over."""
        return any(not (shard.delivered or shard.adopted) for shard in self.shards)

    @property
    def taken_over_by(self) -> tuple[str, ...]:
        """Later batches that have taken over what was not delivered here."""
        return tuple(dict.fromkeys(s.adopter for s in self.shards if s.adopter and not s.delivered))

    @property
    def job_ids(self) -> tuple[str, ...]:
        """Jobs that were accepted."""
        return tuple(shard.job_id for shard in self.shards if shard.job_id)


@dataclass(frozen=True)
class NewShard:
    """A shard before it runs, for the journal.

    Attributes:
        content: Hash of all that is run.
        seed: Seed of its random numbers.
        tapes: Positions of its tapes.
        tag: Tag of its job.
    """

    content: str
    seed: int
    tapes: tuple[int, ...]
    tag: str
