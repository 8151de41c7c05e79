"""Where shards run, and what a lane is told of each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ..circuits.decode import BlockResult
from ..circuits.pubs import Request
from ..circuits.shards import Shard
from ..exceptions import JobCancelledError
from ..service.calls import Steps
from ..service.queue import QueueInfo
from ..service.service import PubData, SentJob
from ..service.usage import JobMetrics
from ..store.records import ShardRecord

if TYPE_CHECKING:
    import numpy as np
    from pennylane.tape import QuantumScript

    from .metadata import PubMetadata


@dataclass(eq=False)
class JournalEntry:
    """A shard's place in the journal.

    Attributes:
        seed: Seed of the shard's random numbers.
        batch_id: Id of the batch; empty without a journal.
        number: Place of the shard in the batch.
        tag: Tag of its job.
        tags: Tags of the user's, for its job.
        claimed: A shard of an earlier program with the same content, whose job is taken over.
        may_send: It may be sent, and paid for.
    """

    seed: int
    batch_id: str = ""
    number: int = 0
    tag: str = ""
    tags: tuple[str, ...] = ()
    claimed: ShardRecord | None = None
    may_send: bool = True


@dataclass(eq=False)
class ShardRun:
    """One shard under way. Its lane writes ``job`` and ``idle``; whoever gives up sets ``given_up``.

    Attributes:
        entry: Its place in the journal.
        shard: What runs.
        requests: The same as PUBs.
        rng: Random numbers of this shard alone, so that lanes need not take turns.
        job: The accepted job, once there is one.
        slotted: The job holds a slot of the backend.
        given_up: Nothing of it is to be sent any more.
        cancelled: Its job is not wanted either; set before ``given_up``.
        idle: Cleared while it is being sent, and nobody can know whether its job exists.
        report: Tells where it got to: ``report(phase, job_id=..., fraction=...)``.
        curious: Whether somebody wants to know its place in the queue now.
        place: Tells that place.
        spend: Reserves what sending it is estimated to use, or refuses: ``spend(tag)``.
        charge: Tells what was charged for a sending: ``charge(tag, seconds)``.
        most_secs: QPU seconds after which its job is stopped; ``None`` for the service's own limit.
        usage_secs: QPU seconds that its job was charged, once that is known.
        answers: What the service said of each PUB beside the numbers; empty until its result is there.
    """

    entry: JournalEntry
    shard: Shard
    requests: tuple[Request, ...]
    rng: np.random.Generator
    job: SentJob | None = None
    slotted: bool = False
    given_up: threading.Event = field(default_factory=threading.Event)
    cancelled: bool = False
    idle: threading.Event = field(default_factory=threading.Event)
    report: Callable[..., None] = lambda *_, **__: None
    wants_queue_info: Callable[[], bool] = lambda: False
    place: Callable[[QueueInfo], None] = lambda _: None
    spend: Callable[[str], None] = lambda _: None
    charge: Callable[[str, float], None] = lambda _, __: None
    most_secs: int | None = None
    usage_secs: float | None = None
    answers: tuple[PubData, ...] = ()

    def __post_init__(self) -> None:
        self.idle.set()


class ShardRunner(Protocol):
    """Where shards run: this machine, or a service."""

    def open_inner(self) -> Any:
        """Make the inner device of a lane, in its thread."""

    def register(
        self,
        tapes: Sequence[QuantumScript],
        shards: Sequence[Shard],
        seeds: Sequence[int],
        resume: str | None,
        tags: tuple[str, ...] = (),
    ) -> list[JournalEntry]:
        """Write a batch down before anything of it is sent."""

    def start(self, shards: int) -> Any:
        """What the shards of one batch share."""

    def run(self, run: ShardRun, shared: Any) -> Steps[list[BlockResult]]:
        """Run one shard in a lane, by steps whose calls the lane makes; one result a request."""

    def cancel(self, runs: Sequence[ShardRun]) -> None:
        """Stop jobs that were accepted."""

    def deliver(self, runs: Sequence[ShardRun]) -> None:
        """The program has the results of some shards."""

    def let_go(self, batch_id: str) -> None:
        """Nobody waits for this batch any more."""

    def usage(self, run: ShardRun) -> float | None:
        """QPU seconds that a shard's job was charged; ``None`` where nothing is charged."""

    def metadata(self, run: ShardRun) -> Mapping[int, tuple[PubMetadata, ...]] | None:
        """What the service said of each tape of a shard beside its numbers; ``None`` where there is no service."""

    def metrics(self, run: ShardRun) -> JobMetrics | None:
        """Charge and times of a shard's job; ``None`` where there are no jobs."""


def refuse_given_up(run: ShardRun) -> None:
    """Stop here if nothing more is to be sent.

    Raises:
        JobCancelledError: The batch was cancelled or let go.
    """
    if run.given_up.is_set():
        job_ids = () if run.job is None else (run.job.job_id,)
        raise JobCancelledError(
            f"The batch was {'cancelled' if run.cancelled else 'let go'} before this part of it was sent.",
            job_ids=job_ids,
        )
