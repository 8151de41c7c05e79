"""Find the job of a shard at the service by its tag, for as long as it may still appear."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from ..exceptions import ResultError
from ..service.arrival import arrival_secs_since
from ..service.job import SentJob
from ..service.outage import QUIET_SECS
from ..service.retry import RetryPolicy
from ..service.service import JobService
from .primitives import job_pubs
from .recovery import Found, decide

if TYPE_CHECKING:
    from ..store.records import Attempt
    from .runner import ShardRun

logger = logging.getLogger(__name__)

_LOOKS = RetryPolicy(0.25, 10.0)

AFTER_OUTAGE_SECS = 30.0
"""Seconds for which a list of jobs may lag behind a service that was out when it was asked for it."""


class JobFinder:
    """Looks for jobs of one backend.

    Args:
        jobs: Jobs on the backend.
    """

    def __init__(self, jobs: JobService) -> None:
        self._jobs = jobs

    def find(self, run: ShardRun, wanted: str = "") -> SentJob | None:
        """The job that carries a shard's tag and is good for something; surplus ones are cancelled.

        Args:
            run: The shard.
            wanted: The job that the service named when it accepted the shard, if it got that far.
        """
        return self._choose(run, wanted, self._listed(run))

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

    def take_over(self, run: ShardRun, attempt: Attempt) -> SentJob | None:
        """The job of an earlier program; ``None`` if there is none that is good for something.

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

    # ------------------------------------------------------------------------------------------------ inside

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
