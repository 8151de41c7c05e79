"""A batch under way: its shards, what they gave so far, and who waits for it."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from .._compat import zip_strict
from .._quantity import quantity
from ..circuits.decode import MISSING, decode_block
from ..circuits.plan import Block
from ..circuits.pubs import make_request, transpile
from ..circuits.shards import Shard
from ..exceptions import (
    DeviceClosedError,
    JobCancelledError,
    JobError,
    ShardFailedError,
    ThreadedIBMQError,
    UnsupportedCircuitError,
)
from ..progress.progress import Observer, Progress, ProgressTracker
from ..service.calls import Steps
from ..service.usage import JobMetrics
from ..store.records import ShardState
from .budget import Spending
from .futures import TapeFuture, forked_error
from .lanes import Lanes
from .runner import JournalEntry, ShardRun, ShardRunner

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript
    from pennylane.typing import Result
    from typing_extensions import TypeAlias

    from .metadata import PubMetadata

logger = logging.getLogger(__name__)

LET_GO_SECS = 5.0
"""How long a batch that is let go waits for what is just being sent."""

CANCEL_SECS = 30.0
"""How long a batch that is cancelled and let go waits for it: what arrives then must be cancelled by somebody."""

K = TypeVar("K")

Parts: TypeAlias = "dict[tuple[int, int], list[Any]]"
"""For each tape and measurement, one result a copy of the shot vector."""


class Batch:
    """One batch from its start to its results.

    Args:
        tapes: Preprocessed tapes.
        shards: The batch, cut; each measurement of each tape is read from exactly one of them.
        site: Where they run.
        lanes: Who carries them.
        rng: Source of the shards' random numbers.
        resume: Take jobs from this batch of the journal only.
        qpu_secs: Estimates the QPU seconds that it will use; asked only if somebody wants to know.
        observers: Told how far it has got.
        spending: What its jobs may cost; ``None`` for anything.
        most_secs: QPU seconds after which each job is stopped; ``None`` for the service's own limit.
        tags: Tags of the user's, for its jobs.
    """

    def __init__(
        self,
        tapes: Sequence[QuantumScript],
        shards: Sequence[Shard],
        runner: ShardRunner,
        lanes: Lanes,
        rng: np.random.Generator,
        resume: str | None = None,
        *,
        qpu_secs: Callable[[], float] | None = None,
        observers: Sequence[Observer] = (),
        spending: Spending | None = None,
        most_secs: Sequence[int] | None = None,
        tags: tuple[str, ...] = (),
    ) -> None:
        self.tapes = tuple(tapes)
        self._runner = runner
        self._lanes = lanes
        self._lock = threading.Lock()
        self._parts: list[dict[int, list[Any]]] = [{} for _ in self.tapes]
        self._results: list[Any] = [None] * len(self.tapes)
        self._errors: dict[int, BaseException] = {}
        self._settled = [False] * len(self.tapes)
        self._futures: dict[int, TapeFuture] = {}
        self._open = len(shards)
        self._leaving = False
        self._cancelled = False
        self._finished = threading.Event()
        self._pid = os.getpid()
        # what cannot run is refused while it costs nothing, not even a line in the journal
        for shard in shards:
            transpile_blocks(shard.blocks)
        seeds = [int(seed) for seed in rng.integers(0, 2**63, size=len(shards))]
        entries = runner.register(self.tapes, shards, seeds, resume, tags) if shards else []
        self.runs = tuple(_run(entry, shard) for entry, shard in zip_strict(entries, shards))
        self.batch_id = entries[0].batch_id if entries else ""
        self.tracker = ProgressTracker(
            len(self.tapes), len(shards), batch_id=self.batch_id, qpu_secs=qpu_secs, observers=observers
        )
        for number, run in enumerate(self.runs):
            run.report = partial(self.tracker.report, number)
            run.wants_queue_info = self.tracker.looked_at
            run.place = partial(self.tracker.place, number)
            run.most_secs = None if most_secs is None else most_secs[number]
            if spending is not None:
                run.spend, run.charge = partial(spending.spend, number), spending.charge
        for position, tape in enumerate(self.tapes):
            if not tape.measurements:
                self._results[position], self._settled[position] = (), True
        if not shards:
            self._finished.set()

    def collect_only(self) -> None:
        """Take over the jobs that exist, and send nothing."""
        for run in self.runs:
            run.entry.may_send = False

    def start(self) -> None:
        """Hand all shards to the lanes."""
        shared = self._runner.start(len(self.runs))
        for run in self.runs:
            future = self._lanes.submit(partial(self._run_shard, run, shared))
            future.add_done_callback(partial(self._finish, run))

    @property
    def job_ids(self) -> tuple[str, ...]:
        """Ids of the jobs that were accepted so far, in the order of the shards."""
        return tuple(run.job.job_id for run in self.runs if run.job is not None)

    def job_ids_of(self, positions: range) -> tuple[str, ...]:
        """Ids of those of them that run some of the tapes."""
        return tuple(
            run.job.job_id
            for run in self.runs
            if run.job is not None and any(p in positions for p in run.shard.positions)
        )

    @property
    def shards_left(self) -> int:
        """How many shards have not ended."""
        return self._open

    @property
    def jobs(self) -> tuple[Any, ...]:
        """What the client knows those jobs by, in the same order."""
        return tuple(run.job.handle for run in self.runs if run.job is not None)

    @property
    def open_job_ids(self) -> tuple[str, ...]:
        """Ids of the accepted jobs whose results some tape still waits for."""
        return tuple(
            run.job.job_id
            for run in self.runs
            if run.job is not None and not all(self._settled[p] for p in run.shard.positions)
        )

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
        """How far it has got."""
        return self.tracker.progress()

    def results(self) -> tuple[Result, ...]:
        """Results of a finished batch in the order of its tapes; the journal learns that they were handed over.

        Where some are missing, none is handed over for good: the same tapes, run again, find what there is.

        Raises:
            ShardFailedError: Some tapes have no result and others do.
            ThreadedIBMQError: What all tapes failed with.
        """
        if not self._errors:
            self._runner.deliver(self.runs)
            return tuple(self._results)
        self.let_go()
        first = self._errors[min(self._errors)]
        if len(self._errors) == len(self.tapes) or not isinstance(first, ThreadedIBMQError):
            raise first
        failed = [r for r in self.runs if any(p in self._errors for p in r.shard.positions)]
        raise ShardFailedError(
            f"{len(failed)} of {len(self.runs)} jobs gave no result, so {len(self._errors)} of {len(self.tapes)} tapes "
            f"have none. The first error: {first} Results of the others are in .results of this error; running the same "
            "tapes again, or dev.resume(), runs only what is missing.",
            results=self._results,
            errors=self._errors,
            job_ids=[r.job.job_id for r in failed if r.job is not None],
            batch_id=self.batch_id,
        ) from first

    def let_go(self) -> None:
        """Nobody waits any more: nothing more is sent, and what is under way may be taken over by another."""
        for run in self.runs:
            if run.job is None:
                run.given_up.set()
        # whoever takes over what is just being sent would look for its job too early, and pay again
        if self._cancelled:
            self._wait_idle(CANCEL_SECS)
        elif self.batch_id:
            self._wait_idle(LET_GO_SECS)
        if not self.batch_id:
            return
        with self._lock:
            self._leaving = True
        self._leave()

    def warn_of_unanswered(self) -> None:
        """Name the submissions that the service has not answered: their jobs may still arrive, and be paid for."""
        tags = [run.entry.tag for run in self.runs if run.job is None and not run.idle.is_set()]
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

    def usage_secs(self) -> float | None:
        """QPU seconds that IBM charged for the jobs of a finished batch.

        ``None`` where nothing is charged, and while the charge of one of the jobs is not known.
        """
        charged = [self._runner.usage(run) for run in self.runs if run.job is not None]
        known = [secs for secs in charged if secs is not None]
        return sum(known) if known and len(known) == len(charged) else None

    def metadata(self) -> dict[int, tuple[PubMetadata, ...]]:
        """What the service said of tapes beside their numbers, by position, as far as there are results."""
        found: dict[int, tuple[PubMetadata, ...]] = {}
        for run in self.runs:
            for position, some in (self._runner.metadata(run) or {}).items():
                found[position] = found.get(position, ()) + some
        return found

    def metrics(self) -> tuple[JobMetrics, ...]:
        """Charge and times of the jobs that were accepted, in the order of the shards.

        Raises:
            ServiceError: The service did not answer properly.
        """
        found = [self._runner.metrics(run) for run in self.runs if run.job is not None]
        return tuple(one for one in found if one is not None)

    def error(self, position: int) -> BaseException | None:
        """What a tape failed with, if it did."""
        return self._errors.get(position)

    def value(self, position: int) -> Result:
        """Result of one tape; ``None`` while there is none."""
        return self._results[position]

    def future(self, position: int) -> TapeFuture:
        """The future of one tape; it cannot be cancelled by itself, since a job serves many tapes."""
        with self._lock:
            future = self._futures.get(position)
            if future is None:
                future = self._futures[position] = TapeFuture()
                future.batch_id = self.batch_id
                future.set_running_or_notify_cancel()
                if not self._settled[position]:
                    return future
            else:
                return future
        self._resolve(position, future)
        return future

    def cancel(self) -> None:
        """Give up: shards that wait are not sent, accepted jobs are cancelled."""
        self._cancelled = True
        for run in self.runs:
            run.cancelled = True
            run.given_up.set()
        self._runner.cancel(
            [
                run
                for run in self.runs
                if run.job is not None and not all(self._settled[p] for p in run.shard.positions)
            ]
        )

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

    def _run_shard(self, run: ShardRun, shared: Any) -> Steps[Parts]:
        """What a lane does with a shard."""
        parts: Parts = {}
        results = yield from self._runner.run(run, shared)
        for request, result in zip_strict(run.requests, results):
            _merge(parts, decode_block(request.block, result, run.rng))
        return parts

    def _leave(self) -> None:
        """Write down that the batch is let go, as soon as nothing of it is being sent."""
        with self._lock:
            if not self._leaving or not all(run.idle.is_set() for run in self.runs):
                return
            self._leaving = False
        self._runner.let_go(self.batch_id)

    def _finish(self, run: ShardRun, future: Future[Parts]) -> None:
        """What a lane brought, or what it failed with; whatever happens here, those who wait are told."""
        settled: list[int] = []
        failure: BaseException | None = None
        parts: Parts = {}
        try:
            parts = future.result()
        except BaseException as error:  # noqa: BLE001 - a lane hands on whatever it met
            failure = _explained(error, run)
        with self._lock:
            try:
                self._settle(run, parts, failure, settled)
            except Exception as error:
                logger.exception("results of a shard could not be put together")
                failure = error
                self._settle(run, {}, failure, settled)
            self._open -= 1
            last = self._open == 0
            waiting = [(p, self._futures[p]) for p in settled if p in self._futures]
        try:
            run.report(_end(future, failure))
            for position, one in waiting:
                self._resolve(position, one)
            if waiting and failure is None:
                self._runner.deliver([run])
            self._leave()
        finally:
            if last:
                self._finished.set()

    def _settle(self, run: ShardRun, parts: Parts, failure: BaseException | None, settled: list[int]) -> None:
        """Take in what a shard gave; ``settled`` gets the tapes that have their result or error now."""
        for (position, index), copies in parts.items():
            _merge(self._parts[position], {index: copies})
        for position in run.shard.positions:
            if self._settled[position]:
                continue
            if failure is not None:
                self._errors[position] = failure
            elif self._complete(position):
                self._results[position] = assemble(self.tapes[position], self._parts[position])
            else:
                continue
            self._parts[position] = {}
            self._settled[position] = True
            settled.append(position)

    def _complete(self, position: int) -> bool:
        parts = self._parts[position]
        whole = all(copy is not MISSING for copies in parts.values() for copy in copies)
        return whole and len(parts) == len(self.tapes[position].measurements)

    def _resolve(self, position: int, future: Future[Any]) -> None:
        error = self._errors.get(position)
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(self._results[position])


def assemble(tape: QuantumScript, parts: dict[int, list[Any]]) -> Result:
    """Nest results as PennyLane wants them: shot copies outside, measurements inside."""
    columns = [parts[i] for i in range(len(tape.measurements))]
    copies = [tuple(c) if len(c) > 1 else c[0] for c in zip_strict(*columns)]
    return tuple(copies) if tape.shots.has_partitioned_shots else copies[0]


def _merge(parts: dict[K, list[Any]], more: Mapping[K, list[Any]]) -> None:
    """Take in more results; copies of a shot vector may come from several shards."""
    for key, copies in more.items():
        have = parts.get(key, copies)
        parts[key] = [b if a is MISSING else a for a, b in zip_strict(have, copies)]


def _run(entry: JournalEntry, shard: Shard) -> ShardRun:
    rng = np.random.default_rng(entry.seed)
    return ShardRun(entry, shard, tuple(make_request(block, rng) for block in shard.blocks), rng)


def transpile_blocks(blocks: Sequence[Block]) -> None:
    """Transpile what blocks need, where that was not done before.

    Raises:
        UnsupportedCircuitError: One cannot be transpiled; it names the tape.
    """
    for block in blocks:
        _transpile(block)


def _transpile(block: Block) -> None:
    try:
        transpile(block)
    except ThreadedIBMQError:
        raise
    except Exception as error:
        position = block.members[0].position
        raise UnsupportedCircuitError(
            f"Tape {position} cannot be transpiled for the backend: {error} Nothing was sent.", tape=position
        ) from error


def _explained(error: BaseException, run: ShardRun) -> BaseException:
    """An error with the tapes that it leaves without a result."""
    if isinstance(error, CancelledError):
        return DeviceClosedError("The device was closed before this part of the batch was sent.")
    if isinstance(error, JobError):
        error.tapes = run.shard.positions
    return error


def _end(future: Future[Any], failure: BaseException | None) -> ShardState:
    """How a shard ended."""
    if future.cancelled() or isinstance(failure, JobCancelledError):
        return ShardState.CANCELLED
    return ShardState.DONE if failure is None else ShardState.FAILED
