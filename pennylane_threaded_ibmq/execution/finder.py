"""Find the job of a shard: one that others have sent for it, an earlier program or one beside this, or one of our own.

Jobs are found by their tags, for as long as they may still appear.
"""

from __future__ import annotations

import logging
from functools import partial

from ..exceptions import ResultError
from ..service.arrival import arrival_secs_since
from ..service.job import SentJob
from ..service.outage import QUIET_SECS
from ..service.retry import RetryPolicy
from ..service.service import JobService
from ..store.records import Attempt, ShardState
from .batch_journal import BatchJournal
from .primitives import job_pubs
from .recovery import Found, decide
from .runner import ShardRun

logger = logging.getLogger(__name__)

LOOK_SECS = 0.2
"""Between two looks into the journal for what another program is just sending."""

_LOOKS = RetryPolicy(0.25, 10.0)

AFTER_OUTAGE_SECS = 30.0
"""Seconds for which a list of jobs may lag behind a service that was out when it was asked for it."""


class JobFinder:
    """Looks for jobs of one backend.

    Args:
        jobs: Jobs on the backend.
        journal: Where others have written theirs down.
    """

    def __init__(self, jobs: JobService, journal: BatchJournal) -> None:
        self._jobs = jobs
        self._journal = journal

    def take_over(self, run: ShardRun) -> SentJob | None:
        """The job of an earlier program for the same content, if there is one and it is good for something."""
        if not run.spec.adopts:
            return None
        job = self.job_of_others(run)
        if job is not None:
            logger.info(
                "job %s of an earlier program is taken over",
                job.job_id,
                extra=run.facts("accepted", job.job_id),
            )
        return job

    def job_of_others(self, run: ShardRun, *, failed: str = "") -> SentJob | None:
        """The job that another program has sent, or is just sending, for a shard.

        Args:
            run: The shard.
            failed: Tag of an attempt whose job gave no result.

        Returns:
            The job, or ``None``: then there is none, and it is this batch's turn to send one. That has been written down,
            so that nobody else sends it too.
        """
        while True:
            run.refuse_given_up()
            attempt = self._journal.attempt(run)
            if attempt is not None:
                run.tag = attempt.tag
                if attempt.is_being_sent:
                    run.given_up.wait(LOOK_SECS)
                    continue
            job = self._found(run, attempt) if attempt is not None and run.tag != failed else None
            if (
                job is not None
                or not run.scope.may_send
                or self._journal.win(run, None if attempt is None else attempt.state)
            ):
                return job

    def find(self, run: ShardRun) -> SentJob | None:
        """The job that carries a shard's tag and is good for something; surplus ones are cancelled."""
        return self._choose(run, "", self._listed(run))

    def created(self, run: ShardRun, job_id: str) -> SentJob | None:
        """The job that the service named when it accepted a shard, if it knows it and the job carries the shard's tag."""
        return self._jobs.known(job_id, run.tag, *self._kind(run), partial(_check, run))

    def wait(self, run: ShardRun, secs: float) -> SentJob | None:
        """Look for a job whose sending nobody knows the end of, until it is there or can no longer come.

        A shard that is cancelled meanwhile is looked for all the same: what arrives must be cancelled too.

        Args:
            run: The shard.
            secs: For how long it may still come.

        Raises:
            JobCancelledError: The batch was let go: whoever takes it over looks further.
        """
        clock = self._jobs.outage.clock
        until = clock.now() + secs
        looks = 0
        while True:
            looks += 1
            # before the look, which may take as long as an outage
            began = clock.now()
            left = until - began
            found = self._listed(run)
            if clock.now() - began > QUIET_SECS:
                # a service that has just come back may still be taking in what it was sent before
                until = max(until, clock.now() + min(secs, AFTER_OUTAGE_SECS))
                left = until - clock.now()
            if found or left <= 0:
                return self._choose(run, "", found)
            logger.info(
                "whether a submission with tag %s arrived is not known; looking for it for %.0f s more",
                run.tag,
                left,
                extra=run.facts("sending"),
            )
            self._jobs.outage.pause(min(_LOOKS.pause_secs(looks), left), partial(_check, run))

    # ------------------------------------------------------------------------------------------------ inside

    def _found(self, run: ShardRun, attempt: Attempt) -> SentJob | None:
        """The job of an attempt that somebody else has sent, if it is good for something."""
        if attempt.state not in {ShardState.SENDING, ShardState.ACCEPTED, ShardState.DONE}:
            return None
        with run.busy():
            try:
                job = self._of_attempt(run, attempt)
            except ResultError as error:
                self._journal.note(run, ShardState.FAILED, error=str(error))
                raise
            if job is None:
                return None
            self._journal.note(run, ShardState.ACCEPTED, job_id=job.job_id)
            self._journal.hand_over(run, job, self._jobs)
        run.report(ShardState.ACCEPTED, job_id=job.job_id)
        return job

    def _of_attempt(self, run: ShardRun, attempt: Attempt) -> SentJob | None:
        """The job of an attempt; ``None`` if there is none that is good for something.

        Raises:
            ResultError: The service once accepted the job and knows nothing of it now.
            JobCancelledError: The batch was let go.
        """
        if not attempt.job_id:
            return self.wait(run, arrival_secs_since(attempt.changed))
        found = self._listed(run)
        if not found:
            found = self._named(run, attempt.job_id)
        return self._choose(run, attempt.job_id, found)

    def _listed(self, run: ShardRun) -> list[SentJob]:
        return self._jobs.find(run.tag, *self._kind(run), partial(_check, run))

    def _named(self, run: ShardRun, job_id: str) -> list[SentJob]:
        """A job that no list shows: lists may lag behind, and another job in its place would be paid for too."""
        job = self._jobs.known(job_id, run.tag, *self._kind(run), partial(_check, run))
        if job is None:
            raise ResultError(
                f"Job {job_id} was accepted by {self._jobs.backend.name}, and the service does not know it any more. It "
                "may have been deleted, or the service may be in trouble. Nothing was sent in its place; run the same "
                "tapes once more to send this part again.",
                job_ids=[job_id],
            )
        return [job]

    def _kind(self, run: ShardRun) -> tuple[str, int]:
        """Primitive and number of PUBs of a shard's job."""
        return run.spec.shard.blocks[0].primitive, len(job_pubs(run.requests, self._jobs))

    def _choose(self, run: ShardRun, wanted: str, found: list[SentJob]) -> SentJob | None:
        check = partial(_check, run)
        decision = decide([Found(job.job_id, self._jobs.state_for_sure(job, check)) for job in found], wanted)
        jobs = {job.job_id: job for job in found}
        for job_id in decision.cancel:
            logger.warning(
                "job %s is one too many for its shard and is cancelled",
                job_id,
                extra=run.facts("sending", job_id),
            )
        self._jobs.cancel([jobs[job_id] for job_id in decision.cancel])
        return jobs[decision.adopt] if decision.adopt else None


def _check(run: ShardRun) -> None:
    """Look on for the job of a shard that is cancelled, as it must be cancelled too; for one that is let go, no longer."""
    if not run.cancelled:
        run.refuse_given_up()
