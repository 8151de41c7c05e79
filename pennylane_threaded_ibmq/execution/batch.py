"""A batch under way: its shards, what they gave so far, and who waits for it."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from .._compat import zip_strict
from .._fork import ForkLock
from .._quantity import quantity
from ..circuits.decode import decode_block
from ..circuits.shards import Shard
from ..exceptions import (
    DeviceClosedError,
    JobCancelledError,
    JobError,
    ShardFailedError,
    ThreadedIBMQError,
)
from ..progress.progress import Observer, Progress, ProgressTracker
from ..service.job import SentJob
from ..store.records import ShardState
from .batch_journal import BatchJournal
from .batch_service import BatchJobs, BatchService
from .budget import Spending
from .futures import TapeFuture, forked_error
from .lanes import Lanes
from .open_batches import OpenBatches
from .runner import BatchScope, ShardRun, ShardRunner, ShardSpec
from .tape_results import Parts, TapeResults, merge

if TYPE_CHECKING:
    import numpy as np
    from pennylane.tape import QuantumScript
    from pennylane.typing import Result

logger = logging.getLogger(__name__)

RELEASE_SECS = 5.0
"""Longest wait of a batch that is released for what is just being sent."""

CANCEL_SECS = 30.0
"""Longest wait of a batch that is cancelled and released: what arrives then must be cancelled by somebody."""


@dataclass(frozen=True, eq=False)
class RunContext:
    """The things that run the batches of a device.

    Attributes:
        runner: Runs shards.
        lanes: Carry them.
        journal: Where batches are written down.
        service: What else is asked of the service; ``None`` on this machine.
        batches: Those that were started.
    """

    runner: ShardRunner
    lanes: Lanes
    journal: BatchJournal
    service: BatchService | None
    batches: OpenBatches = field(default_factory=OpenBatches, init=False)


class Batch:
    """One batch from its start to its results.

    Args:
        tapes: Preprocessed tapes.
        specs: The batch, cut; each measurement of each tape is read from exactly one of them.
        scope: What they have in common.
        context: Where they run, and who carries them.

    Attributes:
        jobs: Those of its jobs that were accepted so far.
    """

    def __init__(
        self,
        tapes: Sequence[QuantumScript],
        specs: Sequence[ShardSpec],
        scope: BatchScope,
        context: RunContext,
    ) -> None:
        self.tapes = tuple(tapes)
        self.runs = tuple(ShardRun(spec, scope) for spec in specs)
        self.batch_id = scope.batch_id
        self.tracker = scope.tracker
        self.jobs = BatchJobs(self.runs, context.service)
        self._context = context
        self._lock = ForkLock()
        self._results = TapeResults(self.tapes, self.batch_id)
        self._serving: dict[int, tuple[ShardRun, ...]] = dict.fromkeys(range(len(self.tapes)), ())
        for run in self.runs:
            for position in run.spec.shard.positions:
                self._serving[position] += (run,)
        self._delivered: set[int] = set()
        self._open = len(self.runs)
        self._leaving = False
        self._cancelled = False
        self._finished = threading.Event()
        self._pid = os.getpid()
        if not self.runs:
            self._finished.set()

    def start(self) -> None:
        """Hand all shards to the lanes."""
        self._context.batches.add(self)
        for run in self.runs:
            future = self._context.lanes.submit(partial(self._run_shard, run))
            future.add_done_callback(partial(self._finish, run))

    @property
    def shards_left(self) -> int:
        """Number of shards that have not ended."""
        return self._open

    @property
    def open_job_ids(self) -> tuple[str, ...]:
        """Ids of the accepted jobs whose results some tape still waits for."""
        return tuple(job.job_id for _, job in self._awaited())

    def done(self) -> bool:
        """Whether every tape has its result or its error."""
        return self._finished.is_set()

    def wait(self, timeout: float | None) -> bool:
        """Wait until every tape has its result or its error; ``False`` if time ran out.

        Raises:
            DeviceClosedError: This process was forked after the batch began: none of the threads that would end it is here.
        """
        if self._pid != os.getpid() and not self.done():
            raise forked_error(self._pid, self.batch_id)
        return self._finished.wait(timeout)

    def progress(self) -> Progress:
        """The progress so far."""
        return self.tracker.progress()

    def results(self) -> tuple[Result, ...]:
        """Results of a finished batch in the order of its tapes; the journal learns that they were handed over.

        Where some are missing, none is handed over for good: the same tapes, run again, find what there is.

        Raises:
            ShardFailedError: Some tapes have no result and others do.
            ThreadedIBMQError: What all tapes failed with.
        """
        errors = self._results.errors
        if not errors:
            self._deliver(self.runs)
            return tuple(self._results.values)
        self.release()
        first = errors[min(errors)]
        if len(errors) == len(self.tapes) or not isinstance(first, ThreadedIBMQError):
            raise first
        failed = [r for r in self.runs if any(p in errors for p in r.spec.shard.positions)]
        raise ShardFailedError(
            f"{len(failed)} of {len(self.runs)} jobs gave no result, so {len(errors)} of {len(self.tapes)} tapes "
            f"have none. The first error: {first} Results of the others are in .results of this error; running the same "
            "tapes again, or dev.resume(), runs only what is missing.",
            results=self._results.values,
            errors=errors,
            job_ids=[job.job_id for run, job in self.jobs.by_shard() if run in failed],
            batch_id=self.batch_id,
        ) from first

    def close(self) -> None:
        """Its device is closed: what is missing is left to whoever runs the same tapes next, also in this program."""
        if not self.done() or self._results.errors:
            self.release()

    def release(self) -> None:
        """Nobody waits any more: nothing more is sent, and what is under way may be taken over by another."""
        for run in self.runs:
            run.give_up()
        # whoever takes over what is just being sent would look for its job too early, and pay again
        if self._cancelled:
            self._wait_idle(CANCEL_SECS)
        elif self.batch_id:
            self._wait_idle(RELEASE_SECS)
        if not self.batch_id:
            return
        with self._lock:
            self._leaving = True
        for run in self.runs:
            run.on_idle = self._leave
        self._leave()

    def warn_of_unanswered(self) -> None:
        """Name the submissions that the service has not answered: their jobs may still arrive, and be paid for."""
        tags = [run.tag for run in self.runs if run.job is None and not run.idle.is_set()]
        if not tags:
            return
        back = (
            f" threaded-ibmq cancel {self.batch_id} cancels those that arrived; running the same tapes again, or "
            f"dev.resume({self.batch_id!r}), takes them over."
            if self.batch_id
            else ""
        )
        logger.warning(
            "%s not answered yet. Jobs may still arrive and run, with the tags %s.%s",
            quantity(len(tags), "submission was", "submissions were"),
            ", ".join(tags),
            back,
            extra={"batch_id": self.batch_id, "job_id": "", "shard": None, "state": "sending"},
        )

    def error(self, position: int) -> BaseException | None:
        """The error that a tape failed with, if it did."""
        return self._results.errors.get(position)

    def value(self, position: int) -> Result:
        """Result of one tape; ``None`` while there is none."""
        return self._results.values[position]

    def future(self, position: int) -> TapeFuture:
        """The future of one tape; it cannot be cancelled by itself, since a job serves many tapes."""
        future = self._results.future(position)
        if self._pid != os.getpid() and not future.done():
            future.set_exception(forked_error(self._pid, self.batch_id))
        elif future.done() and self.error(position) is None:
            self._deliver_tapes([position])
        return future

    def cancel(self) -> None:
        """Give up: shards that wait are not sent, accepted jobs are cancelled."""
        self._cancelled = True
        for run in self.runs:
            run.give_up(cancel=True)
        if self._context.service is not None:
            self._context.service.cancel(list(self._awaited()))

    def _awaited(self) -> Iterator[tuple[ShardRun, SentJob]]:
        """Accepted jobs whose results some tape still waits for, each with its shard."""
        for run, job in self.jobs.by_shard():
            if not self._results.are_settled(run.spec.shard.positions):
                yield run, job

    def _deliver_tapes(self, positions: Sequence[int]) -> None:
        """Write down that the program has the results of some tapes: those of all shards that they were put together from."""
        self._deliver({run: None for position in positions for run in self._serving[position]})

    def _deliver(self, runs: Iterable[ShardRun]) -> None:
        """Write down, once, that the program has the results of some shards; where that fails, again when they are asked for."""
        with self._lock:
            new = [run.spec.number for run in runs if run.spec.number not in self._delivered]
        if self._context.journal.deliver(self.batch_id, new):
            with self._lock:
                self._delivered.update(new)

    def _wait_idle(self, secs: float) -> None:
        """Wait until nothing of it is being sent, or looked for."""
        until = time.monotonic() + secs
        busy = [run for run in self.runs if not run.idle.is_set()]
        if busy and self._cancelled and not busy[0].idle.wait(1.0):
            logger.warning(
                "waiting up to %.0f s for the answer to %s, to cancel their jobs; Ctrl-C leaves at once",
                secs,
                quantity(len(busy), "submission"),
            )
        for run in busy:
            run.idle.wait(max(0.0, until - time.monotonic()))

    def _run_shard(self, run: ShardRun, lane: Any) -> Parts:
        """Run a shard in a lane, through what that owns."""
        parts: Parts = {}
        results = self._context.runner.run(run, lane)
        for request, result in zip_strict(run.requests, results):
            merge(parts, decode_block(request.block, result, run.rng))
        return parts

    def _leave(self) -> None:
        """Write down that the batch is released, as soon as nothing of it is being sent."""
        with self._lock:
            if not self._leaving or not all(run.idle.is_set() for run in self.runs):
                return
            self._leaving = False
        self._context.journal.release(self.batch_id)

    def _finish(self, run: ShardRun, future: Future[Parts]) -> None:
        """Take in what a lane brought, or what it failed with; whatever happens here, those who wait are told."""
        failure: BaseException | None = None
        parts: Parts = {}
        try:
            parts = future.result()
        except BaseException as error:  # noqa: BLE001 - a lane hands on whatever it met
            failure = _explained(error, run)
        awaited, failure = self._results.take(run.spec.shard.positions, parts, failure)
        with self._lock:
            self._open -= 1
            last = self._open == 0
        try:
            run.report(_end(future, failure))
            try:
                # first: a program may end as soon as it has its last result, and this thread with it
                if failure is None:
                    self._deliver_tapes(awaited)
            finally:
                for position in awaited:
                    self._results.resolve(position)
            self._leave()
        finally:
            if last:
                self._finished.set()


def open_batch(
    tapes: Sequence[QuantumScript],
    shards: Sequence[Shard],
    context: RunContext,
    rng: np.random.Generator,
    *,
    most_secs: Sequence[int] | None = None,
    resume: str | None = None,
    tags: tuple[str, ...] = (),
    may_send: bool = True,
    spending: Spending | None = None,
    qpu_secs: Callable[[], float] | None = None,
    observers: Sequence[Observer] = (),
) -> Batch:
    """Write a batch down, so that it can be started.

    Args:
        tapes: Preprocessed tapes.
        shards: The batch, cut.
        context: Where it runs.
        rng: Gives each shard its seed.
        most_secs: QPU seconds after which each job is stopped; ``None`` for the service's own limit.
        resume: Take jobs from this batch of the journal only.
        tags: Tags of the user's, for its jobs.
        may_send: Send what has no job; otherwise the jobs that exist are taken over, and nothing is sent.
        spending: What its jobs may cost; ``None`` for anything.
        qpu_secs: Estimates the QPU seconds that it will use; asked only if somebody wants to know.
        observers: Told how far it has got.
    """
    seeds = rng.integers(0, 2**63, size=len(shards)).tolist()
    most: Sequence[int | None] = [None] * len(shards) if most_secs is None else most_secs
    specs = tuple(map(ShardSpec, shards, range(len(shards)), seeds, most))
    batch_id, specs = context.journal.open(tapes, specs, resume, tags) if specs else ("", specs)
    tracker = ProgressTracker(
        len(tapes), len(specs), batch_id=batch_id, qpu_secs=qpu_secs, observers=observers
    )
    ibm_batch = None if context.service is None else context.service.share(len(specs))
    scope = BatchScope(len(specs), tracker, batch_id, tags, may_send, spending, ibm_batch)
    return Batch(tapes, specs, scope, context)


def _explained(error: BaseException, run: ShardRun) -> BaseException:
    """An error with the tapes that it leaves without a result."""
    if isinstance(error, CancelledError):
        return DeviceClosedError("The device was closed before this part of the batch was sent.")
    if isinstance(error, JobError):
        error.tapes = run.spec.shard.positions
    return error


def _end(future: Future[Any], failure: BaseException | None) -> ShardState:
    """The state in which a shard ended."""
    if future.cancelled() or isinstance(failure, JobCancelledError):
        return ShardState.CANCELLED
    return ShardState.DONE if failure is None else ShardState.FAILED
