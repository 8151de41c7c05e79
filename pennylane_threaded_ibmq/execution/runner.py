"""A shard as it was planned, the same under way, and where it runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..circuits.decode import BlockResult
from ..circuits.pubs import make_request
from ..circuits.shards import Shard
from ..exceptions import JobCancelledError
from ..progress.progress import ProgressTracker
from ..service.job import PubData, SentJob
from ..service.metrics import QueueInfo
from ..service.pace import Pacer
from ..service.service import JobService
from ..store.records import ShardState
from .budget import Spending


@dataclass(frozen=True, eq=False)
class ShardSpec:
    """A shard as it was planned.

    Attributes:
        shard: What runs.
        number: Its place in the batch.
        seed: Seed of its random numbers.
        most_secs: QPU seconds after which its job is stopped; ``None`` for the service's own limit.
        tag: Tag of the job of its first attempt.
        adopts: A shard of an earlier program has the same content, and its job is taken over.
    """

    shard: Shard
    number: int
    seed: int
    most_secs: int | None = None
    tag: str = ""
    adopts: bool = False


class SharedBatch:
    """IBM's Batch context for several jobs: opened before the first is sent, closed after the last.

    Args:
        jobs: Jobs on the backend.
        shards: How many jobs there will be; fewer than two need no context.
    """

    def __init__(self, jobs: JobService, shards: int) -> None:
        self._jobs = jobs
        self._left = shards
        self._wanted = shards > 1
        self._batch: Any = None
        self._lock = threading.Lock()

    @contextmanager
    def sending(self) -> Iterator[Any]:
        """Around the sending of each shard, also of one that is given up: gives the context, or ``None``."""
        try:
            with self._lock:
                if self._wanted:
                    self._wanted = False
                    self._batch = self._jobs.open_batch()
            yield self._batch
        finally:
            with self._lock:
                self._left -= 1
                if self._left == 0 and self._batch is not None:
                    self._jobs.close_batch(self._batch)


@dataclass(frozen=True, eq=False)
class BatchScope:
    """The things that the shards of one batch have in common.

    Attributes:
        shards: How many they are.
        tracker: Is told how far each has got.
        batch_id: Id of the batch; empty without a journal.
        tags: Tags of the user's, for the jobs.
        may_send: Shards may be sent, and paid for.
        spending: What the jobs may cost; ``None`` for anything.
        ibm_batch: IBM's Batch context, in which they are sent; ``None`` where there is no service.
    """

    shards: int
    tracker: ProgressTracker
    batch_id: str = ""
    tags: tuple[str, ...] = ()
    may_send: bool = True
    spending: Spending | None = None
    ibm_batch: SharedBatch | None = None


class ShardRun:
    """One shard under way. Its lane alone changes it; anybody may give it up.

    Args:
        spec: What runs.
        scope: What it shares with the other shards of its batch.

    Attributes:
        rng: Random numbers of this shard alone, so that lanes need not take turns.
        requests: What runs, as PUBs.
        tag: Tag of the job of the attempt that it is at.
        job: The accepted job, once there is one.
        slot: Pacer of the backend, of which it holds a slot.
        answers: What the service said of each PUB beside the numbers; empty until its result is there.
        given_up: Nothing of it is to be sent any more.
        cancelled: Its job is not wanted either; set before ``given_up``.
        idle: Cleared while it is being sent, and nobody can know whether its job exists.
        on_idle: Called when it is idle again.
    """

    def __init__(self, spec: ShardSpec, scope: BatchScope) -> None:
        self.spec = spec
        self.scope = scope
        self.rng = np.random.default_rng(spec.seed)
        self.requests = tuple(make_request(block, self.rng) for block in spec.shard.blocks)
        self.tag = spec.tag
        self.job: SentJob | None = None
        self.slot: Pacer | None = None
        self.answers: tuple[PubData, ...] = ()
        self.given_up = threading.Event()
        self.cancelled = False
        self.idle = threading.Event()
        self.idle.set()
        self.on_idle: Callable[[], None] = _do_nothing

    def report(
        self, state: ShardState, *, job_id: str = "", fraction: float = 0.0, queue: QueueInfo | None = None
    ) -> None:
        """Tell how far it has got."""
        self.scope.tracker.report(self.spec.number, state, job_id=job_id, fraction=fraction, queue=queue)

    def give_up(self, *, cancel: bool = False) -> None:
        """Send nothing more of it.

        Args:
            cancel: Its job is not wanted either.
        """
        if cancel:
            self.cancelled = True
        self.given_up.set()

    def refuse_given_up(self) -> None:
        """Stop here if nothing more is to be sent.

        Raises:
            JobCancelledError: The batch was cancelled or let go.
        """
        if self.given_up.is_set():
            raise JobCancelledError(
                f"The batch was {'cancelled' if self.cancelled else 'let go'} before this part of it was sent.",
                job_ids=() if self.job is None else (self.job.job_id,),
            )

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Mark that nobody knows whether it has a job while the block runs."""
        self.idle.clear()
        try:
            yield
        finally:
            self.idle.set()
            self.on_idle()

    def take(self, job: SentJob, jobs: JobService, cancelled: Callable[[SentJob], None]) -> None:
        """Have a job from here on; one that arrives after the batch was cancelled is cancelled too, of which somebody is told."""
        self.job = job
        if self.cancelled:
            jobs.cancel([job], cancelled)

    def free_slot(self) -> None:
        """Give back the slot that it holds, if it holds one."""
        slot, self.slot = self.slot, None
        if slot is not None:
            slot.leave()

    def facts(self, state: str, job_id: str = "") -> dict[str, Any]:
        """Fields of a line of the log."""
        return {
            "batch_id": self.scope.batch_id,
            "shard": self.spec.number,
            "job_id": job_id,
            "state": state,
        }


def _do_nothing() -> None:
    """Nobody has released the batch."""


class ShardRunner(Protocol):
    """A place where shards run: this machine, an engine, or a service."""

    def run(self, run: ShardRun, lane: Any, /) -> list[BlockResult]:
        """Run one shard in a lane, through what that owns; one result a request."""

    def close(self) -> None:
        """End what it has open."""
