"""The journal as a batch and its shards use it: what must be written before a job is sent, and what else is noted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from .._compat import zip_strict
from .._tags import OWN_PREFIX
from ..circuits.shards import Shard, circuits_text
from ..exceptions import JournalError, ServiceError
from ..service.job import SentJob
from ..service.metrics import QueueInfo
from ..service.service import JobService
from ..service.states import State
from ..store.journal import Journal
from ..store.records import Attempt, NewShard, ShardState
from .runner import ShardRun, ShardSpec

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript

logger = logging.getLogger(__name__)


def _own_tag() -> str:
    return f"{OWN_PREFIX}{uuid4().hex[:12]}"


@dataclass(frozen=True, eq=False)
class BatchJournal:
    """Batches on one backend, in the journal if there is one; without one, tags are all that there is to give.

    Attributes:
        journal: Where they are written down; ``None`` for nowhere.
        backend: Name of the backend.
        instance: Who pays.
        job_options: Options of the device by which its jobs are recognised.
        options: All that a job is sent with beside its circuits, as a text that is the same in the next program.
        by_circuits: Jobs are told apart by their compiled circuits too, as the user compiles them.
        tag: Tag of all jobs that are sent from here.
    """

    journal: Journal | None = None
    backend: str = ""
    instance: str = ""
    job_options: Mapping[str, Any] = field(default_factory=dict)
    options: str = field(default="", repr=False)
    by_circuits: bool = False
    tag: str = field(default_factory=_own_tag)

    # --------------------------------------------------------------------------------------------- whole batches

    def open(
        self,
        tapes: Sequence[QuantumScript],
        specs: Sequence[ShardSpec],
        resume: str | None,
        tags: tuple[str, ...] = (),
    ) -> tuple[str, tuple[ShardSpec, ...]]:
        """Write a batch down before anything of it is sent, and take over what an earlier program left of it.

        Args:
            tapes: The batch.
            specs: The same, cut.
            resume: Take jobs from this batch only.
            tags: Tags of the user's.

        Returns:
            Its id, and its shards with their tags; what is taken over keeps seed and tag.
        """
        specs = [replace(spec, tag=self._new_tag()) for spec in specs]
        if self.journal is None:
            return "", tuple(specs)
        batch_id, claims = self.journal.begin(
            self.backend,
            self.instance,
            tapes,
            [NewShard(self._content(s.shard), s.seed, s.shard.positions, s.tag) for s in specs],
            options=self.job_options,
            resume=resume,
            tags=tags,
        )
        return batch_id, tuple(
            spec if claim is None else replace(spec, seed=claim.seed, tag=claim.tag, adopts=True)
            for spec, claim in zip_strict(specs, claims)
        )

    def earlier_cut(self, tapes: int, cut: Callable[[int], tuple[Shard, ...]]) -> tuple[Shard, ...] | None:
        """A batch as an earlier program has cut it whose jobs can be taken over; ``None`` if none has left any.

        Args:
            tapes: Tapes of the batch.
            cut: Cuts it into shards of so many tapes.
        """
        if self.journal is None:
            return None
        where = self.backend, self.instance
        for size in self.journal.open_sizes(*where, tapes):
            shards = cut(size)
            if self.journal.is_there([self._content(shard) for shard in shards], *where):
                return shards
        return None

    def deliver(self, batch_id: str, numbers: Sequence[int]) -> bool:
        """Note that the program has the results of some shards; whether that is written down, or need not be."""
        if self.journal is not None and numbers:
            try:
                self.journal.deliver(batch_id, numbers)
            except JournalError as error:
                logger.warning("%s Results that the program has may be given to its next run again.", error)
                return False
        return True

    def release(self, batch_id: str) -> None:
        """Note that nobody waits for a batch any more."""
        if self.journal is not None:
            try:
                self.journal.release(batch_id)
            except JournalError as error:
                logger.warning("%s Batch %s is free when this program has ended.", error, batch_id)

    # -------------------------------------------------------------------------------------------------- attempts

    def attempt(self, run: ShardRun) -> Attempt | None:
        """The attempt that a shard is at; ``None`` without a journal."""
        return None if self.journal is None else self.journal.attempt(*_place(run))

    def win(self, run: ShardRun, state: ShardState | None) -> bool:
        """Make the shard's next attempt this batch's to send, under another tag; whether it is.

        Args:
            run: The shard.
            state: What its last attempt had come to when it was found to be good for nothing.
        """
        tag = self._new_tag()
        won = self.journal is None or self.journal.again(*_place(run), run.tag, tag, state=state)
        if won:
            run.tag = tag
        return won

    def begin_sending(self, run: ShardRun) -> None:
        """Write down that a shard is sent now.

        Raises:
            JournalError: It cannot be written down, or is not this batch's to send: it must not be sent.
        """
        if self.journal is not None:
            self.journal.move(*_place(run), ShardState.SENDING, tag=run.tag)

    def note(self, run: ShardRun, state: ShardState, *, job_id: str | None = None, error: str = "") -> None:
        """Note what became of a sending. If that fails the run goes on: the job can be found by its tag."""
        if self.journal is not None:
            try:
                self.journal.move(*_place(run), state, tag=run.tag, job_id=job_id, error=error)
            except JournalError as failure:
                batch_id, number = _place(run)
                logger.warning("%s Shard %d of batch %s is %s.", failure, number, batch_id, state)

    def hand_over(self, run: ShardRun, job: SentJob, jobs: JobService) -> None:
        """Give a shard its job; where the batch was cancelled meanwhile, that of the job is written down."""
        run.take(job, jobs, partial(self.note_end, run, jobs))

    def note_end(self, run: ShardRun, jobs: JobService, job: SentJob) -> None:
        """Note that a shard's job was cancelled, unless it may still end well, as one that ran already may."""
        with suppress(ServiceError):
            if jobs.state(job) is State.CANCELLED:
                self.note(run, ShardState.CANCELLED)

    def give_way(self, run: ShardRun) -> None:
        """Note that others who wait for the same job may send it."""
        if self.journal is not None:
            try:
                self.journal.give_way(*_place(run))
            except JournalError as error:
                batch_id, number = _place(run)
                logger.warning(
                    "%s Others that wait for shard %d of batch %s wait until this program ends.",
                    error,
                    number,
                    batch_id,
                )

    def note_seen(self, run: ShardRun, info: QueueInfo) -> None:
        """Note that a shard's job runs, or where it waits; if that fails, only pages and pictures are the poorer."""
        if self.journal is None:
            return
        try:
            if info.running:
                self.journal.running(*_place(run))
            else:
                self.journal.place(*_place(run), info.position, info.starts_at)
        except JournalError as error:
            logger.warning("%s", error)

    def charge(self, run: ShardRun, job_tag: str, secs: float) -> None:
        """Note what a shard's job was charged, in the budgets of its instance too."""
        if self.journal is not None:
            try:
                if run.scope.spending is not None:
                    run.scope.spending.charge(job_tag, secs)
                self.journal.charge(*_place(run), secs)
            except JournalError as error:
                logger.warning("%s", error)

    # ---------------------------------------------------------------------------------------------------- inside

    def _content(self, shard: Shard) -> str:
        """The text by which a shard is recognised when a program runs again."""
        return shard.content(self.options, *([circuits_text(shard)] if self.by_circuits else []))

    def _new_tag(self) -> str:
        return f"{self.tag}-{uuid4().hex[:12]}"


def _place(run: ShardRun) -> tuple[str, int]:
    """A shard's place in the journal."""
    return run.scope.batch_id, run.spec.number
