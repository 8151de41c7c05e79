"""Adopt jobs that others have sent for the same shard: an earlier program, or one beside this."""

from __future__ import annotations

import logging

from ..exceptions import ResultError
from ..service.job import SentJob
from ..service.service import JobService
from ..store.records import Attempt, ShardState
from .batch_journal import BatchJournal
from .finder import JobFinder
from .runner import ShardRun

logger = logging.getLogger(__name__)

LOOK_SECS = 0.2
"""Between two looks into the journal for what another program is just sending."""


class JobAdopter:
    """Adopts jobs on one backend.

    Args:
        jobs: Jobs on the backend.
        journal: Where others have written theirs down.
        finder: Finds them at the service.
    """

    def __init__(self, jobs: JobService, journal: BatchJournal, finder: JobFinder) -> None:
        self._jobs = jobs
        self._journal = journal
        self._finder = finder

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

    def _found(self, run: ShardRun, attempt: Attempt) -> SentJob | None:
        """The job of an attempt that somebody else has sent, if it is good for something."""
        if attempt.state not in {ShardState.SENDING, ShardState.ACCEPTED, ShardState.DONE}:
            return None
        with run.busy():
            try:
                job = self._finder.take_over(run, attempt)
            except ResultError as error:
                self._journal.note(run, ShardState.FAILED, error=str(error))
                raise
            if job is None:
                return None
            self._journal.note(run, ShardState.ACCEPTED, job_id=job.job_id)
            run.take(job, self._jobs)
        run.report(ShardState.ACCEPTED, job_id=job.job_id)
        return job
