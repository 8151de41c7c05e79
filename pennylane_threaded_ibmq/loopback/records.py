"""Records of the service about itself: counters, jobs and sessions, frozen."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timezone

from pydantic import Field

from .._compat import StrEnum
from .config import Model


def utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(timezone.utc)


def iso(moment: datetime | None) -> str | None:
    """A time as IBM writes it: UTC, microseconds, ``Z``."""
    return None if moment is None else moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class JobStatus(StrEnum):
    """The states of a job, in IBM's words."""

    QUEUED = "Queued"
    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    RAN_TOO_LONG = "Cancelled - Ran too long"

    @property
    def final(self) -> bool:
        """Whether a job in this state stays in it."""
        return self not in {JobStatus.QUEUED, JobStatus.RUNNING}


class JobRecord(Model):
    """One job, at the moment of asking.

    Attributes:
        id: Job id.
        program_id: Program: ``sampler``, ``estimator`` or ``executor``; of the classic API, ``circuit-runner`` or ``qasm3-runner``.
        backend: Backend that runs it.
        instance: CRN of the instance that pays; of the classic API, ``hub/group/project``.
        tags: Tags, in the order given.
        session_id: Session or batch it belongs to.
        private: Whether its inputs are hidden and its results readable once.
        cost: ``max_execution_time`` in seconds, if given.
        calibration_id: Calibration that it asks for, if any; this service has but one.
        status: State.
        reason: Why it failed or was cancelled.
        reason_code: IBM's error code.
        reason_solution: IBM's advice.
        pubs: PUBs, circuits, or items of a quantum program, it was submitted with.
        rows: Circuit executions: parameter rows, times measurement bases for the estimator. 0 until run.
        shots: Shots over all rows. 0 until run.
        usage_secs: QPU seconds charged. 0 until run, and for ever if it never ran.
        usage_complete: Whether a client that asks is told these seconds.
        results_read: How often its results were handed out.
        created: When it was accepted.
        started: When it began to run.
        finished: When it reached its final state.
    """

    id: str
    program_id: str
    backend: str
    instance: str
    tags: tuple[str, ...] = ()
    session_id: str | None = None
    private: bool = False
    cost: int | None = None
    calibration_id: str | None = None
    status: JobStatus = JobStatus.QUEUED
    reason: str | None = None
    reason_code: int | None = None
    reason_solution: str | None = None
    pubs: int = 0
    rows: int = 0
    shots: int = 0
    usage_secs: float = 0.0
    usage_complete: bool = False
    results_read: int = 0
    created: datetime
    started: datetime | None = None
    finished: datetime | None = None

    @property
    def run_secs(self) -> float:
        """Seconds from its start to its end; 0 while it has not ended, and if it never ran."""
        if self.started is None or self.finished is None:
            return 0.0
        return (self.finished - self.started).total_seconds()


class SessionRecord(Model):
    """One session or batch, at the moment of asking.

    Attributes:
        id: Session id.
        backend: Backend it is for.
        instance: CRN of the instance that pays.
        mode: ``batch`` or ``dedicated``.
        state: ``open`` until its first job runs, then ``active`` or ``inactive``, at last ``closed``.
        accepting_jobs: Whether it takes new jobs.
        max_ttl: Seconds after which it takes no new jobs.
        usage_secs: QPU seconds of its jobs.
        created: When it was opened.
        activated: When its first job began to run.
        closed: When it took its last job.
        last_job_started: When its latest job began to run.
        last_job_completed: When its latest job ended.
    """

    id: str
    backend: str
    instance: str
    mode: str
    state: str = "open"
    accepting_jobs: bool = True
    max_ttl: int
    usage_secs: float = 0.0
    created: datetime
    activated: datetime | None = None
    closed: datetime | None = None
    last_job_started: datetime | None = None
    last_job_completed: datetime | None = None


class Counters(Model):
    """Counts since the start, or since the counters were reset.

    Attributes:
        requests: HTTP requests, repeated and failed ones included; the tunnels below are none.
        by_route: The same, by ``"METHOD /route"``.
        logins: Access tokens handed out.
        jobs: Jobs created.
        pubs: PUBs of those jobs.
        rows: Circuit executions of jobs that ran, see :attr:`JobRecord.rows`.
        shots: Shots of jobs that ran.
        billed_jobs: Jobs that were charged for, each when it reached its final state.
        usage_secs: QPU seconds charged for them.
        faults: Requests that a fault hit, by :attr:`Fault.effect`.
        bytes_received: Bytes of request bodies.
        bytes_sent: Bytes of answer bodies, as far as the service wrote them.
        connections: TCP connections accepted.
        tunnels: ``CONNECT`` requests answered with a tunnel.
        refused: Requests through the proxy for hosts that are not IBM's.
        pending: Jobs in ``Queued`` or ``Running`` now.
        running: Jobs in ``Running`` now.
        max_pending: Most jobs in ``Queued`` or ``Running`` at a time.
        max_running: Most jobs in ``Running`` at a time.
    """

    requests: int = 0
    by_route: dict[str, int] = Field(default_factory=dict)
    logins: int = 0
    jobs: int = 0
    pubs: int = 0
    rows: int = 0
    shots: int = 0
    billed_jobs: int = 0
    usage_secs: float = 0.0
    faults: dict[str, int] = Field(default_factory=dict)
    bytes_received: int = 0
    bytes_sent: int = 0
    connections: int = 0
    tunnels: int = 0
    refused: int = 0
    pending: int = 0
    running: int = 0
    max_pending: int = 0
    max_running: int = 0


class Tally:
    """The counters behind :class:`Counters`, while they count. Owned by the event loop."""

    def __init__(self) -> None:
        self._numbers: Counter[str] = Counter()
        self._by_route: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()

    def reset(self) -> None:
        """Start counting anew; jobs in flight stay in the count of those pending and running."""
        pending, running = self._numbers["pending"], self._numbers["running"]
        for counts in (self._numbers, self._by_route, self._faults):
            counts.clear()
        self._numbers.update(pending=pending, running=running, max_pending=pending, max_running=running)

    def count(self, **numbers: float) -> None:
        """Add to counters, by their names in :class:`Counters`."""
        for name, number in numbers.items():
            self._numbers[name] += number  # type: ignore[assignment]  # seconds are fractions
        for name in ("pending", "running"):
            self._numbers[f"max_{name}"] = max(self._numbers[f"max_{name}"], self._numbers[name])

    def request(self, label: str, received: int) -> None:
        """A request arrived, whatever becomes of it."""
        self._by_route[label] += 1
        self.count(requests=1, bytes_received=received)

    def fault(self, effect: str) -> None:
        """A fault hit the request."""
        self._faults[effect] += 1

    def requests_of(self, label: str) -> int:
        """Requests of one route so far."""
        return self._by_route[label]

    def snapshot(self) -> Counters:
        """The counters now."""
        by_route, faults = (dict(sorted(counts.items())) for counts in (self._by_route, self._faults))
        return Counters(**self._numbers, by_route=by_route, faults=faults)
