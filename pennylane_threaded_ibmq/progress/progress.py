"""Progress of a batch: one owner of its steps, and frozen records for whoever wants to know.

The batch and its site report steps; observers are called with a record after each. Nothing here asks a service for
anything: what is shown is what the watcher and the lanes know anyway. Only for a place in the queue does the watcher
ask, seldom, and only while :meth:`ProgressTracker.looked_at` says that somebody looks.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .._compat import cached_property
from .._fork import ForkLock
from .._quantity import quantity
from ..service.metrics import QueueInfo
from ..store.records import ShardState, Step

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

logger = logging.getLogger(__name__)

LOOKING_SECS = 60.0
"""Seconds for which somebody who asked is taken to go on looking."""


@dataclass(frozen=True)
class Progress:
    """A batch at one moment.

    Attributes:
        batch_id: Id of the batch in the journal; empty without one.
        tapes: Tapes of the batch, as they run after preprocessing.
        shards: Its shards; each is in exactly one of the phases below.
        planned: Shards that wait on this machine.
        sending: Shards on their way to the service.
        queued: Shards whose jobs the service has accepted and does not say to be running.
        running: Shards that run.
        done: Shards with a result.
        failed: Shards that gave none.
        cancelled: Shards that were given up.
        retries: How often shards were sent again.
        fraction: How much is finished, from 0 to 1.
        elapsed_secs: Seconds since the batch was started.
        left_secs: Estimated seconds until the end, as if the rest went like what is finished; before anything is, what
            the service reckons; ``None`` where it says nothing.
        qpu_secs: QPU seconds that the batch is estimated to use; ``None`` where nothing is charged.
        job_ids: Jobs accepted so far.
        queue_position: Place in the queue, from 1, of the job that is next, as the service told it within the last
            half minute or so; ``None`` where it does not say.
        start_secs: Seconds until that job starts, as the service reckons; ``None`` where it does not say.
    """

    batch_id: str
    tapes: int
    shards: int
    planned: int
    sending: int
    queued: int
    running: int
    done: int
    failed: int
    cancelled: int
    retries: int
    fraction: float
    elapsed_secs: float
    left_secs: float | None
    qpu_secs: float | None
    job_ids: tuple[str, ...]
    queue_position: int | None = None
    start_secs: float | None = None

    @property
    def finished(self) -> bool:
        """Whether no shard is under way."""
        return self.done + self.failed + self.cancelled == self.shards


Observer: TypeAlias = "Callable[[Progress], None]"


@dataclass
class _ShardProgress:
    phase: ShardState = ShardState.PLANNED
    attempt: int = 1
    job_id: str = ""
    fraction: float = 0.0
    queue: QueueInfo | None = None


class ProgressTracker:
    """The steps of one batch. Safe for several threads.

    Args:
        tapes: Tapes of the batch.
        shards: Shards of the batch.
        batch_id: Its id in the journal, or nothing.
        qpu_secs: Estimates the QPU seconds that it will use; called for the first record.
        observers: Called with a record after each step, one call at a time, in the thread where it happened.
    """

    def __init__(
        self,
        tapes: int,
        shards: int,
        *,
        batch_id: str = "",
        qpu_secs: Callable[[], float] | None = None,
        observers: Sequence[Observer] = (),
    ) -> None:
        self.batch_id = batch_id
        self._tapes = tapes
        self._qpu_secs = qpu_secs
        self._observers = list(observers)
        self._lock = ForkLock()
        # an observer may itself do what leads to a step, such as cancel the batch
        self._notifying = threading.RLock()
        self._start = time.time()
        self._end: float | None = None
        self._shards = [_ShardProgress() for _ in range(shards)]
        self._steps = [Step(self._start, i, 1, ShardState.PLANNED) for i in range(shards)]
        self._retries = 0
        self._last_look = -LOOKING_SECS

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps so far, in order."""
        with self._lock:
            return tuple(self._steps)

    def report(
        self,
        shard: int,
        phase: ShardState,
        *,
        job_id: str = "",
        fraction: float = 0.0,
        queue: QueueInfo | None = None,
    ) -> None:
        """A shard got to a phase.

        Args:
            shard: Its place in the batch.
            phase: The phase; ``PLANNED`` begins another attempt.
            job_id: Its job, once there is one.
            fraction: How much of it is finished.
            queue: Its job's place in the queue, where the service told it; of no account once the shard has moved on.
        """
        if not self._observers:
            self._step(shard, phase, job_id, fraction, queue)
            return
        with self._notifying:
            if self._step(shard, phase, job_id, fraction, queue):
                self._notify()

    def looked_at(self) -> bool:
        """Whether somebody follows it: a function of the user's, or one who asked within the last minute."""
        return bool(self._observers) or time.monotonic() - self._last_look < LOOKING_SECS

    def progress(self) -> Progress:
        """The batch now."""
        self._last_look = time.monotonic()
        qpu_secs = self._estimated
        with self._lock:
            record = replace(self._progress(), qpu_secs=qpu_secs)
        if record.left_secs is None and record.start_secs is not None:
            return replace(record, left_secs=record.start_secs + (qpu_secs or 0.0))
        return record

    # ------------------------------------------------------------------------------------------------ inside

    @cached_property
    def _estimated(self) -> float | None:
        return None if self._qpu_secs is None else self._qpu_secs()

    def _step(
        self, number: int, phase: ShardState, job_id: str, fraction: float, queue: QueueInfo | None
    ) -> bool:
        """Write a step down; ``False`` if it says nothing new."""
        with self._lock:
            shard = self._shards[number]
            job_id = job_id or ("" if phase is ShardState.PLANNED else shard.job_id)
            same = (shard.phase, shard.job_id, shard.fraction) == (phase, job_id, fraction)
            if same and queue in (None, shard.queue):
                return False
            if queue is not None and shard.phase is not phase:
                return False
            if phase is ShardState.PLANNED:
                shard.attempt += 1
                self._retries += 1
            is_move = shard.phase is not phase
            shard.phase, shard.job_id, shard.fraction, shard.queue = phase, job_id, fraction, queue
            now = time.time()
            if is_move:
                self._steps.append(Step(now, number, shard.attempt, phase, job_id))
            is_end = phase.final and all(s.phase.final for s in self._shards)
            if is_end:
                self._end = now
            final = self._progress() if is_end else None
        extra = {"batch_id": self.batch_id, "job_id": job_id, "shard": number, "state": str(phase)}
        if is_move:
            logger.debug("shard %d: %s", number, phase, extra=extra)
        if final is not None:
            self._log(final)
        return True

    def _progress(self) -> Progress:
        count = Counter(shard.phase for shard in self._shards)
        total = len(self._shards)
        finished = sum(1.0 if s.phase.final else s.fraction for s in self._shards)
        fraction = finished / total if total else 1.0
        now = self._end or time.time()
        elapsed = max(0.0, now - self._start)
        queue = next((shard.queue for shard in self._shards if shard.queue is not None), QueueInfo())
        return Progress(
            self.batch_id,
            self._tapes,
            total,
            count[ShardState.PLANNED],
            count[ShardState.SENDING],
            count[ShardState.ACCEPTED],
            count[ShardState.RUNNING],
            count[ShardState.DONE],
            count[ShardState.FAILED],
            count[ShardState.CANCELLED],
            self._retries,
            fraction,
            elapsed,
            elapsed * (1 - fraction) / fraction if fraction else None,
            None,
            tuple(shard.job_id for shard in self._shards if shard.job_id),
            queue.position,
            None if queue.starts_at is None else max(0.0, queue.starts_at - now),
        )

    def _notify(self) -> None:
        record = self.progress()
        for observer in tuple(self._observers):
            try:
                observer(record)
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):  # of the user's, in the main thread
                    raise
                # an exit of a thread of ours would end nothing but the batch
                logger.exception("progress= raised an error and is not called again; the batch goes on")
                self._observers.remove(observer)

    def _log(self, record: Progress) -> None:
        """One line a batch."""
        parts = [f"{record.done} done"]
        parts += [
            f"{n} {word}" for n, word in ((record.failed, "failed"), (record.cancelled, "cancelled")) if n
        ]
        if record.retries:
            parts.append(f"{record.retries} sent again")
        logger.info(
            "batch %s: %s in %s, %s, %.1f s",
            self.batch_id or "without a journal",
            quantity(record.tapes, "tape"),
            quantity(record.shards, "shard"),
            ", ".join(parts),
            record.elapsed_secs,
            extra={
                "batch_id": self.batch_id,
                "job_id": " ".join(record.job_ids),
                "shard": None,
                "state": "done" if record.done == record.shards else "failed",
            },
        )
