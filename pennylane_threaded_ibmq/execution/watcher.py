"""One look for all jobs in flight.

Jobs never poll for themselves: a tick is one request, however many jobs there are. The interval starts short and
grows, and begins anew whenever a job is added or finishes.

The client repeats a request that the service answered with an error, also the one that creates a job. So the first
look at a job is always at the list, where a twin shows: a job with the same tag that nobody waits for. It is cancelled.
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future
from dataclasses import dataclass

from ..exceptions import DeviceClosedError, ServiceError, ThreadedIBMQError
from ..ibm.jobs import Jobs, PendingJob, SentJob, State

logger = logging.getLogger(__name__)

FIRST_INTERVAL_SECS = 0.25
GROWTH = 1.6
LONGEST_INTERVAL_SECS = 10.0
MOST_FAILURES = 12
"""Ticks in a row that may fail before the waiting is given up: about a minute and a half."""


@dataclass(eq=False)
class _Watched:
    job: SentJob
    future: Future[State]
    listed: bool = False


class Watcher:
    """Follows the jobs of one device in one thread, which runs only while there are jobs.

    Args:
        jobs: Where to look.
        tag: Tag that all jobs of the device carry.
    """

    def __init__(self, jobs: Jobs, tag: str) -> None:
        self._jobs = jobs
        self._tag = tag
        self._watched: dict[str, _Watched] = {}
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._fresh = False

    def follow(self, job: SentJob) -> Future[State]:
        """Follow a job; the future gets its final state."""
        future: Future[State] = Future()
        with self._wake:
            if self._closed:
                raise DeviceClosedError("The device was closed.")
            self._watched[job.job_id] = _Watched(job, future)
            self._fresh = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="threaded-ibmq-watcher", daemon=True)
                self._thread.start()
            self._wake.notify()
        return future

    def close(self) -> None:
        """Stop looking. Jobs run on; whoever waits for one gets an error."""
        with self._wake:
            self._closed = True
            left = list(self._watched.values())
            self._watched.clear()
            self._wake.notify()
        for watched in left:
            watched.future.set_exception(
                DeviceClosedError(f"The device was closed while job {watched.job.job_id} was running.")
            )

    def _run(self) -> None:
        interval, failures = FIRST_INTERVAL_SECS, 0
        while True:
            with self._wake:
                if self._fresh:
                    interval, self._fresh = FIRST_INTERVAL_SECS, False
                self._wake.wait_for(lambda: self._closed or self._fresh, timeout=interval)
                if self._closed:
                    return
                if self._fresh:
                    continue
                watched = list(self._watched.values())
                if not watched:
                    self._thread = None
                    return
            interval = min(interval * GROWTH, LONGEST_INTERVAL_SECS)
            try:
                finished = self._look(watched)
                failures = 0
            except Exception as error:  # noqa: BLE001 - whatever the client raises: the waiting goes on, then ends clearly
                failures += 1
                logger.warning("looking for %d jobs failed (%d): %s", len(watched), failures, error)
                if failures >= MOST_FAILURES:
                    self._give_up(watched, error)
                continue
            if finished:
                interval = FIRST_INTERVAL_SECS
                self._settle(finished)

    def _look(self, watched: list[_Watched]) -> list[tuple[_Watched, State]]:
        if len(watched) > 1 or not all(w.listed for w in watched):
            pending = self._jobs.pending(self._tag, most=2 * len(watched))
            self._cancel_twins(watched, pending)
            for one in watched:
                one.listed = True
            watched = [w for w in watched if w.job.job_id not in pending]
        states = [(w, self._jobs.state(w.job)) for w in watched]
        return [(w, s) for w, s in states if s.final]

    def _cancel_twins(self, watched: list[_Watched], pending: dict[str, PendingJob]) -> None:
        mine = {w.job.tag: w.job.job_id for w in watched}
        for job_id, listed in pending.items():
            for tag in listed.tags:
                if mine.get(tag, job_id) != job_id:
                    logger.warning("job %s was created twice; its twin %s is cancelled", mine[tag], job_id)
                    self._jobs.cancel(listed)

    def _settle(self, finished: list[tuple[_Watched, State]]) -> None:
        for watched, state in finished:
            with self._wake:
                known = self._watched.pop(watched.job.job_id, None)
            if known is not None:
                known.future.set_result(state)

    def _give_up(self, watched: list[_Watched], error: Exception) -> None:
        for one in watched:
            with self._wake:
                known = self._watched.pop(one.job.job_id, None)
            if known is None:
                continue
            failure: ThreadedIBMQError = ServiceError(
                f"The service could not be reached for the state of job {one.job.job_id}: {error}. The job runs on; "
                f"fetch it with QiskitRuntimeService().job({one.job.job_id!r}).result()."
            )
            known.future.set_exception(failure)
