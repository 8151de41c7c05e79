"""A batch under way: its shards, what they gave so far, and who waits for it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..exceptions import (
    DeviceClosedError,
    JobCancelledError,
    JobError,
    ShardFailedError,
    ThreadedIBMQError,
    UnsupportedCircuitError,
)
from ..ibm.jobs import SentJob
from .decode import BlockResult, decode_block
from .lanes import Lanes
from .plan import Block
from .pubs import Request, make_request, transpile
from .records import ShardRecord
from .shards import Shard

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript
    from pennylane.typing import Result

Parts = dict[tuple[int, int], list[Any]]
"""For each tape and measurement, one result a copy of the shot vector."""


@dataclass(eq=False)
class Slip:
    """A shard's place in the journal.

    Attributes:
        seed: Seed of the shard's random numbers.
        batch_id: Id of the batch; empty without a journal.
        number: Place of the shard in the batch.
        tag: Tag of its job.
        claimed: A shard of an earlier program with the same content, whose job is taken over.
        may_send: It may be sent, and paid for.
    """

    seed: int
    batch_id: str = ""
    number: int = 0
    tag: str = ""
    claimed: ShardRecord | None = None
    may_send: bool = True


@dataclass(eq=False)
class ShardRun:
    """One shard under way. Its lane writes ``job``; whoever gives up sets ``cancelled``.

    Attributes:
        slip: Its place in the journal.
        shard: What runs.
        requests: The same as PUBs.
        rng: Random numbers of this shard alone, so that lanes need not take turns.
        job: The accepted job, once there is one.
        slotted: The job holds a slot of the backend.
        cancelled: The result is not wanted any more.
    """

    slip: Slip
    shard: Shard
    requests: tuple[Request, ...]
    rng: np.random.Generator
    job: SentJob | None = None
    slotted: bool = False
    cancelled: threading.Event = field(default_factory=threading.Event)


class Site(Protocol):
    """Where shards run: this machine, or a service."""

    def open_inner(self) -> Any:
        """Make the inner device of a lane, in its thread."""

    def register(
        self,
        tapes: Sequence[QuantumScript],
        shards: Sequence[Shard],
        seeds: Sequence[int],
        resume: str | None,
    ) -> list[Slip]:
        """Write a batch down before anything of it is sent."""

    def start(self, shards: int) -> Any:
        """What the shards of one batch share."""

    def run(self, run: ShardRun, inner: Any, shared: Any) -> list[BlockResult]:
        """Run one shard in a lane; one result a request."""

    def cancel(self, run: ShardRun) -> None:
        """Stop a job that was accepted."""

    def deliver(self, runs: Sequence[ShardRun]) -> None:
        """The program has the results of some shards."""

    def let_go(self, batch_id: str) -> None:
        """Nobody waits for this batch any more."""

    def usage(self, run: ShardRun) -> float | None:
        """QPU seconds that a shard's job was charged; ``None`` where nothing is charged."""


class Batch:
    """One batch from its start to its results.

    Args:
        tapes: Preprocessed tapes.
        shards: The batch, cut; each measurement of each tape is read from exactly one of them.
        site: Where they run.
        lanes: Who carries them.
        rng: Source of the shards' random numbers.
        resume: Take jobs from this batch of the journal only.
    """

    def __init__(
        self,
        tapes: Sequence[QuantumScript],
        shards: Sequence[Shard],
        site: Site,
        lanes: Lanes,
        rng: np.random.Generator,
        resume: str | None = None,
    ) -> None:
        self.tapes = tuple(tapes)
        self._site = site
        self._lanes = lanes
        self._lock = threading.Lock()
        self._parts: list[dict[int, list[Any]]] = [{} for _ in self.tapes]
        self._results: list[Any] = [None] * len(self.tapes)
        self._errors: dict[int, BaseException] = {}
        self._settled = [False] * len(self.tapes)
        self._futures: dict[int, Future[Any]] = {}
        self._open = len(shards)
        self._finished = threading.Event()
        # what cannot run is refused while it costs nothing, not even a line in the journal
        for shard in shards:
            for block in shard.blocks:
                _transpile(block)
        seeds = [int(seed) for seed in rng.integers(0, 2**63, size=len(shards))]
        slips = site.register(self.tapes, shards, seeds, resume) if shards else []
        self.runs = tuple(_run(slip, shard) for slip, shard in zip(slips, shards, strict=True))
        self.batch_id = slips[0].batch_id if slips else ""
        for position, tape in enumerate(self.tapes):
            if not tape.measurements:
                self._results[position], self._settled[position] = (), True
        if not shards:
            self._finished.set()

    def only_collect(self) -> None:
        """Take over the jobs that exist, and send nothing."""
        for run in self.runs:
            run.slip.may_send = False

    def start(self) -> None:
        """Hand all shards to the lanes."""
        shared = self._site.start(len(self.runs))
        for run in self.runs:
            future = self._lanes.submit(partial(self._carry, run, shared))
            future.add_done_callback(partial(self._finish, run))

    @property
    def job_ids(self) -> tuple[str, ...]:
        """Ids of the jobs that were accepted so far, in the order of the shards."""
        return tuple(run.job.job_id for run in self.runs if run.job is not None)

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
        """Wait until every tape has its result or its error; ``False`` if time ran out."""
        return self._finished.wait(timeout)

    def results(self) -> tuple[Result, ...]:
        """Results of a finished batch in the order of its tapes; the journal learns that they were handed over.

        Raises:
            ShardFailedError: Some tapes have no result and others do.
            ThreadedIBMQError: What all tapes failed with.
        """
        self._site.deliver([r for r in self.runs if not any(p in self._errors for p in r.shard.positions)])
        if not self._errors:
            return tuple(self._results)
        first = self._errors[min(self._errors)]
        if len(self._errors) == len(self.tapes) or not isinstance(first, ThreadedIBMQError):
            raise first
        failed = [r for r in self.runs if any(p in self._errors for p in r.shard.positions)]
        raise ShardFailedError(
            f"{len(failed)} of {len(self.runs)} jobs gave no result, so {len(self._errors)} of {len(self.tapes)} tapes "
            f"have none. The first error: {first} Results of the others are in .results of this error; running the same "
            "tapes again runs only what is missing.",
            results=self._results,
            errors=self._errors,
            job_ids=[r.job.job_id for r in failed if r.job is not None],
            batch_id=self.batch_id,
        ) from first

    def let_go(self) -> None:
        """Nobody waits any more: what is under way may be taken over by whoever runs the same tapes."""
        if self.batch_id:
            self._site.let_go(self.batch_id)

    def usage_secs(self) -> float | None:
        """QPU seconds that IBM charged for the jobs of a finished batch; ``None`` where nothing is charged."""
        charged = [self._site.usage(run) for run in self.runs]
        known = [secs for secs in charged if secs is not None]
        return sum(known) if known else None

    def error(self, position: int) -> BaseException | None:
        """What a tape failed with, if it did."""
        return self._errors.get(position)

    def value(self, position: int) -> Result:
        """Result of one tape; ``None`` while there is none."""
        return self._results[position]

    def future(self, position: int) -> Future[Any]:
        """The future of one tape; it cannot be cancelled by itself, since a job serves many tapes."""
        with self._lock:
            future = self._futures.get(position)
            if future is None:
                future = self._futures[position] = Future()
                future.set_running_or_notify_cancel()
                if not self._settled[position]:
                    return future
            else:
                return future
        self._resolve(position, future)
        return future

    def cancel(self) -> None:
        """Give up: shards that wait are not sent, accepted jobs are cancelled."""
        for run in self.runs:
            run.cancelled.set()
        for run in self.runs:
            if run.job is not None and not all(self._settled[p] for p in run.shard.positions):
                self._site.cancel(run)

    def _carry(self, run: ShardRun, shared: Any, inner: Any) -> Parts:
        """What a lane does with a shard."""
        parts: Parts = {}
        for request, result in zip(run.requests, self._site.run(run, inner, shared), strict=True):
            parts.update(decode_block(request.block, result, run.rng))
        return parts

    def _finish(self, run: ShardRun, future: Future[Parts]) -> None:
        settled: list[int] = []
        try:
            parts = future.result()
        except BaseException as error:  # noqa: BLE001 - a lane hands on whatever it met
            failure = _explained(error, run)
            with self._lock:
                for position in run.shard.positions:
                    if not self._settled[position]:
                        self._errors[position] = failure
                        self._settled[position] = True
                        settled.append(position)
        else:
            with self._lock:
                for (position, index), copies in parts.items():
                    self._parts[position][index] = copies
                for position in run.shard.positions:
                    if not self._settled[position] and self._complete(position):
                        self._results[position] = assemble(self.tapes[position], self._parts[position])
                        self._parts[position] = {}
                        self._settled[position] = True
                        settled.append(position)
        with self._lock:
            self._open -= 1
            last = self._open == 0
            waiting = [(p, self._futures[p]) for p in settled if p in self._futures]
        for position, one in waiting:
            self._resolve(position, one)
        if waiting and not future.exception():
            self._site.deliver([run])
        if last:
            self._finished.set()

    def _complete(self, position: int) -> bool:
        return len(self._parts[position]) == len(self.tapes[position].measurements)

    def _resolve(self, position: int, future: Future[Any]) -> None:
        error = self._errors.get(position)
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(self._results[position])


def assemble(tape: QuantumScript, parts: dict[int, list[Any]]) -> Result:
    """Nest results as PennyLane wants them: shot copies outside, measurements inside."""
    columns = [parts[i] for i in range(len(tape.measurements))]
    copies = [tuple(c) if len(c) > 1 else c[0] for c in zip(*columns, strict=True)]
    return tuple(copies) if tape.shots.has_partitioned_shots else copies[0]


def _run(slip: Slip, shard: Shard) -> ShardRun:
    rng = np.random.default_rng(slip.seed)
    return ShardRun(slip, shard, tuple(make_request(block, rng) for block in shard.blocks), rng)


def _transpile(block: Block) -> None:
    """Transpile a block, or give one clear error."""
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


def refuse_cancelled(run: ShardRun) -> None:
    """Stop here if nobody wants the result.

    Raises:
        JobCancelledError: The batch was cancelled.
    """
    if run.cancelled.is_set():
        job_ids = () if run.job is None else (run.job.job_id,)
        raise JobCancelledError("The batch was cancelled before this part of it was sent.", job_ids=job_ids)
