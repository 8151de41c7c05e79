"""One look for all jobs in flight.

Jobs never poll for themselves: a tick is one request, however many jobs there are. The interval starts short and
grows, and begins anew whenever a job is added or finishes.

The client repeats a request that the service answered with an error, also the one that creates a job. So the first
look at a job is always at the list, where a twin shows: a job with the same tag that nobody waits for. It is cancelled.

While somebody looks on, one of the jobs is also asked for its place in the queue, twice a minute.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from .._quantity import quantity
from ..exceptions import DeviceClosedError, ServiceError
from ..service import arrival
from ..service.errors import PuzzlingAnswerError, is_outage, is_unknown_job, status_code
from ..service.job import ListedJob, SentJob
from ..service.metrics import QueueInfo
from ..service.outage import Puzzle
from ..service.service import JobService
from ..service.states import State, UnknownStateError
from .queue import Listener, QueuePoller

logger = logging.getLogger(__name__)

FIRST_INTERVAL_SECS = 0.25
"""Before the first look at a job, and before the second: a simulator's takes half a second."""
GROWTH = 1.3
LONGEST_INTERVAL_SECS = 10.0
OUTAGE_INTERVAL_SECS = 30.0
"""The longest interval while looks fail."""

MOST_REFUSALS = 5
"""Looks at a job in a row that the service may refuse before the waiting is given up."""

UNKNOWN_TIMES = 3
"""Times that the service must say that it does not know a job before its id is taken for a wrong one."""


class WrongJobError(ServiceError):
    """The id that the service gave for a submission is that of another job, or of none."""


@dataclass(eq=False)
class _Watched:
    job: SentJob
    future: Future[State]
    puzzle: Puzzle
    listed: bool = False
    listed_late: bool = False
    failures: int = 0
    unknown: int = 0
    refusals: int = 0
    puzzling: bool = False
    runs: bool = False
    aware: int = 0
    listeners: list[Listener] = field(default_factory=list)
    since: float = field(default_factory=time.monotonic)


class Watcher:
    """Follows the jobs of one device in one thread, which runs only while there are jobs.

    Args:
        jobs: Where to look.
    """

    def __init__(self, jobs: JobService) -> None:
        self._jobs = jobs
        self._watched: dict[tuple[str, str], _Watched] = {}
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._fresh = False
        self._poller = QueuePoller(jobs.place)

    def follow(self, job: SentJob, listener: Listener | None = None) -> Future[State]:
        """Follow a job; the future gets its final state. Two that follow one job share its future.

        Args:
            job: The job.
            listener: Told what a look happens to show.
        """
        future: Future[State] = Future()
        with self._wake:
            if self._closed:
                raise DeviceClosedError("The device was closed.")
            listeners = [] if listener is None else [listener]
            if _key(job) in self._watched:
                self._watched[_key(job)].listeners += listeners
                return self._watched[_key(job)].future
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="threaded-ibmq-watcher", daemon=True)
                # where the system has no thread left, the next that follows a job tries again
                thread.start()
                self._thread = thread
            puzzle = Puzzle(self._jobs.outage.clock)
            self._watched[_key(job)] = _Watched(job, future, puzzle, listeners=listeners)
            self._fresh = True
            self._wake.notify()
        return future

    def close(self) -> None:
        """Stop looking. Jobs run on; whoever waits for one gets an error."""
        with self._wake:
            self._closed = True
            left = list(self._watched.values())
            self._watched.clear()
            self._wake.notify()
        self._jobs.outage.close()
        for watched in left:
            watched.future.set_exception(
                DeviceClosedError(f"The device was closed while job {watched.job.job_id} was running.")
            )

    def _run(self) -> None:
        interval = 0.0
        while True:
            with self._wake:
                if self._fresh:
                    interval, self._fresh = 0.0, False
                wait = self._jobs.outage.clock.pause(max(interval, FIRST_INTERVAL_SECS))
                self._wake.wait_for(lambda: self._closed or self._fresh, timeout=wait)
                if self._closed:
                    return
                if self._fresh:
                    continue
                watched = list(self._watched.values())
                if not watched:
                    self._thread = None
                    return
            most = OUTAGE_INTERVAL_SECS if any(w.failures for w in watched) else LONGEST_INTERVAL_SECS
            interval = min(interval * GROWTH or FIRST_INTERVAL_SECS, most)
            if self._look(watched):
                interval = 0.0
            self._poll_queue()

    def _look(self, watched: list[_Watched]) -> bool:
        """One tick; whether a job has finished."""
        if len(watched) > 1 or any(_needs_the_list(w) for w in watched):
            watched = self._left_the_list(watched)
        finished = False
        for one in watched:
            if self._closed:
                break
            try:
                state = self._jobs.state(one.job)
            except Exception as error:  # noqa: BLE001 - whatever the client raises: the waiting goes on, or ends clearly
                self._failed([one], error)
                if is_outage(error):
                    break  # nobody answers: the others need not wait for that, one by one
                continue
            self._answered([one])
            one.puzzling, one.unknown = False, 0
            if state is State.RUNNING:
                self._tell_running(one)
            if state.final:
                finished = True
                self._settle(one, state)
        return finished

    def _left_the_list(self, watched: list[_Watched]) -> list[_Watched]:
        """The jobs that are not listed as pending any more: one request for each device that sent some."""
        groups: dict[str, list[_Watched]] = {}
        for one in watched:
            groups.setdefault(one.job.tag.rpartition("-")[0], []).append(one)
        unlisted: list[_Watched] = []
        for tag, group in groups.items():
            try:
                pending = self._jobs.pending(tag, most=2 * len(group))
                self._cancel_twins(group, pending)
            except Exception as error:  # noqa: BLE001 - as above
                self._failed(group, error)
                continue
            self._jobs.outage.answered(self)
            for one in group:
                if _key(one.job) not in self._watched:
                    continue
                one.listed, one.listed_late = True, _is_late(one)
                if one.job.job_id in pending:
                    # whatever its state is called: the service says that it waits or runs
                    self._answered([one])
                    one.puzzling = False
                else:
                    unlisted.append(one)
        return unlisted

    def _answered(self, watched: list[_Watched]) -> None:
        """A look at some jobs was answered."""
        self._jobs.outage.answered(self)
        for one in watched:
            one.failures = one.refusals = 0
            one.puzzle.solved()

    def _failed(self, watched: list[_Watched], error: Exception) -> None:
        """Looking at some jobs failed: the others come first at the next tick, and what will not change ends the waiting."""
        if is_outage(error):
            self._jobs.outage.failed(self, error)
        else:
            first = watched[0].failures == 0
            logger.log(
                logging.WARNING if first else logging.INFO,
                "looking for %s failed: %s",
                quantity(len(watched), "job"),
                error,
            )
        for one in watched:
            one.failures += 1
            end = self._end(one, error)
            with self._wake:
                if self._watched.pop(_key(one.job), None) is None:
                    continue
                if end is None:
                    self._watched[_key(one.job)] = one
                    continue
            one.future.set_exception(end)

    def _end(self, watched: _Watched, error: Exception) -> ServiceError | None:
        """The error with which the waiting for a job ends after a look that failed; ``None`` if it goes on."""
        job = watched.job
        too_long = watched.puzzle.lasts_too_long(error)
        if is_outage(error):
            return None
        back = (
            f"It is not lost: fetch it with {self._jobs.coming_back.format(repr(job.job_id))}, or later by running the same "
            "tapes again, or dev.resume() or threaded-ibmq resume with the id of its batch."
        )
        if isinstance(error, UnknownStateError):
            watched.puzzling = True
            return ServiceError(f"{error} That has been so for too long. {back}") if too_long else None
        if is_unknown_job(error):
            watched.unknown += 1
            return _wrong(job, "is not known to the service") if watched.unknown >= UNKNOWN_TIMES else None
        if not isinstance(error, ServiceError) or isinstance(error, PuzzlingAnswerError):
            why = f"The service's answers about job {job.job_id} have made no sense for too long: {error}. {back}"
            return ServiceError(why) if too_long else None
        watched.refusals += 1
        if watched.refusals < MOST_REFUSALS:
            return None
        return ServiceError(
            f"The service refuses to tell the state of job {job.job_id}: {error}. {back}",
            status_code=status_code(error),
        )

    def _cancel_twins(self, watched: list[_Watched], pending: dict[str, ListedJob]) -> None:
        """Cancel the twins of jobs that are ours for sure; a job with our tag may be the one whose id we were not given."""
        by_tag = {w.job.tag: w for w in watched}
        for job_id, listed in pending.items():
            for tag in listed.tags & by_tag.keys():
                one = by_tag[tag]
                if one.job.job_id == job_id:
                    continue
                if self._is_ours(one.job, pending):
                    logger.warning(
                        "job %s was created twice; its twin %s is cancelled", one.job.job_id, job_id
                    )
                    self._jobs.cancel([listed])
                else:
                    self._give_up(one, _wrong(one.job, f"does not carry the tag that {job_id} carries"))

    def _is_ours(self, job: SentJob, pending: dict[str, ListedJob]) -> bool:
        """Whether a job carries the tag of the submission that it was named for."""
        listed = pending.get(job.job_id)
        if listed is not None:
            return job.tag in listed.tags
        return any(other.job_id == job.job_id for other in self._jobs.find(job.tag, job.primitive, job.pubs))

    def _give_up(self, watched: _Watched, error: ServiceError) -> None:
        with self._wake:
            known = self._watched.pop(_key(watched.job), None)
        if known is not None:
            known.future.set_exception(error)

    def _tell_running(self, watched: _Watched) -> None:
        with self._wake:
            watched.runs = True
            new, watched.aware = watched.listeners[watched.aware :], len(watched.listeners)
        _notify(new, QueueInfo(running=True))

    def _poll_queue(self) -> None:
        """Ask for a place in the queue, if it is time and somebody wants to know."""
        with self._wake:
            waiting = [(w.job, w.since, list(w.listeners)) for w in self._watched.values() if not w.runs]
        answer = None if self._closed else self._poller.look(waiting)
        if answer is None:
            return
        job, info = answer
        with self._wake:
            watched = self._watched.get(_key(job))
        if watched is None:
            return
        if info.running:
            self._tell_running(watched)
            return
        _notify(watched.listeners, info)

    def _settle(self, watched: _Watched, state: State) -> None:
        with self._wake:
            known = self._watched.pop(_key(watched.job), None)
        if known is not None:
            known.future.set_result(state)


def _notify(listeners: Sequence[Listener], info: QueueInfo) -> None:
    for listener in listeners:
        try:
            listener.seen(info)
        except Exception:
            logger.exception("where a job stands could not be told; the looks at all jobs go on")


def _key(job: SentJob) -> tuple[str, str]:
    """The key of a submission: a service may name one job for two of them, and only one of those is wrong."""
    return job.job_id, job.tag


def _needs_the_list(watched: _Watched) -> bool:
    """Whether a look at the state of the job alone would not do."""
    return not watched.listed or watched.puzzling or (_is_late(watched) and not watched.listed_late)


def _is_late(watched: _Watched) -> bool:
    """Whether a twin of the job, from a repeated request that took its time, has arrived by now if there is one."""
    return time.monotonic() - watched.since >= arrival.ARRIVAL_SECS


def _wrong(job: SentJob, why: str) -> WrongJobError:
    return WrongJobError(
        f"The service named job {job.job_id} for the submission with tag {job.tag}, and that job {why}. No job was cancelled."
    )
