"""Jobs, sessions and batches that the service knows."""

from __future__ import annotations

import secrets
import string
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from .config import LoopbackConfig, Model
from .records import JobRecord, JobStatus, SessionRecord, Tally, utc_now
from .responses import bad_request

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams

_ALPHABET = string.ascii_lowercase + string.digits


def new_id(prefix: str) -> str:
    """An id of 20 characters, as IBM's are."""
    return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(20 - len(prefix)))


class Ending(Model):
    """The end of a job; but for its results it is what the job's record then says.

    Attributes:
        text: What ``GET /jobs/{id}/results`` answers; ``None`` for nothing.
    """

    status: JobStatus
    text: str | None = None
    reason: str | None = None
    reason_code: int | None = None
    reason_solution: str | None = None
    rows: int = 0
    shots: int = 0
    usage_secs: float = 0.0


@dataclass(frozen=True)
class Filter:
    """The query of ``GET /jobs``; fields left out do not filter."""

    owners: frozenset[str]
    backend: str | None = None
    pending: bool | None = None
    program: str | None = None
    tags: frozenset[str] = frozenset()
    session_id: str | None = None
    mocks: bool = False
    created_after: datetime | None = None
    created_before: datetime | None = None

    def matches(self, job: JobRecord) -> bool:
        """Whether a job passes."""
        return (
            job.instance in self.owners
            and self.backend in {None, job.backend}
            and self.pending in {None, not job.status.final}
            and self.program in {None, job.program_id}
            and self.tags.issubset(job.tags)
            and self.session_id in {None, job.session_id}
            and (self.mocks or not job.backend.startswith("mock_"))
            and (self.created_after is None or job.created >= self.created_after)
            and (self.created_before is None or job.created <= self.created_before)
        )


def filter_of(query: QueryParams, owners: frozenset[str]) -> Filter:
    """The filter of the jobs that a list is to hold.

    Raises:
        ApiError: A part of the query cannot be understood.
    """
    pending = query.get("pending")
    if pending not in {None, "true", "false"}:
        raise bad_request("pending must be true or false.")
    return Filter(
        owners=owners,
        backend=query.get("backend"),
        pending=None if pending is None else pending == "true",
        program=query.get("program"),
        tags=frozenset(query.getlist("tags")),
        session_id=query.get("session_id"),
        mocks=wants_mocks(query),
        created_after=_moment(query, "created_after"),
        created_before=_moment(query, "created_before"),
    )


def wants_mocks(query: QueryParams) -> bool:
    """Whether mock backends and their jobs are asked for; they are left out of lists otherwise."""
    return query.get("include_mocks", "").lower() == "true"


def query_number(query: QueryParams, name: str, default: int) -> int:
    """A number of a query.

    Raises:
        ApiError: It is none, or negative.
    """
    text = query.get(name)
    if text is None:
        return default
    if not text.isdecimal():
        raise bad_request(f"{name} must be a number that is not negative, not {text!r}.")
    return int(text)


def _moment(query: QueryParams, name: str) -> datetime | None:
    text = query.get(name)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise bad_request(f"{name} must be a time in ISO 8601, not {text!r}.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=utc_now().tzinfo)


@dataclass
class _Entry:
    record: JobRecord
    params: dict[str, Any]
    size: int
    text: str | None = None


@dataclass
class JobStore:
    """All jobs, oldest first. Owned by the event loop.

    A record is replaced, never changed. The counters follow each state.
    """

    config: LoopbackConfig
    tally: Tally
    _entries: dict[str, _Entry] = field(default_factory=dict)
    _live: dict[str, None] = field(default_factory=dict)
    _final: deque[str] = field(default_factory=deque)
    _bytes: int = 0
    _acceptances: dict[str, deque[float]] = field(default_factory=dict)
    _used: dict[str, float] = field(default_factory=dict)

    def __iter__(self) -> Iterator[JobRecord]:
        return (entry.record for entry in self._entries.values())

    def get(self, job_id: str) -> JobRecord | None:
        """The job of that id."""
        entry = self._entries.get(job_id)
        return entry.record if entry else None

    def params(self, job_id: str) -> dict[str, Any]:
        """The inputs of a job, with typed values still encoded."""
        return self._entries[job_id].params

    def text(self, job_id: str) -> str | None:
        """The results of a job as text, ``None`` if there are none or a private job's were fetched."""
        return self._entries[job_id].text

    def live(self) -> Iterator[JobRecord]:
        """The jobs that are queued or running, oldest first."""
        return (self._entries[job_id].record for job_id in self._live)

    def select(self, query: Filter, *, ascending: bool) -> list[JobRecord]:
        """The jobs that pass a filter, newest first unless ``ascending``."""
        selection = [record for record in self if query.matches(record)]
        return selection if ascending else selection[::-1]

    def used_secs(self, instance: str) -> float:
        """QPU seconds that an instance has used."""
        return self._used.get(instance, 0.0)

    def wait_secs(self, instance: str) -> float:
        """Seconds until an instance may submit again under the limit of jobs per minute; 0 if it may now."""
        limit = self.config.jobs_per_minute
        if limit is None:
            return 0.0
        acceptances = self._acceptances.setdefault(instance, deque())
        start = time.monotonic() - self.config.minute_secs
        while acceptances and acceptances[0] <= start:
            acceptances.popleft()
        return 0.0 if len(acceptances) < limit else acceptances[0] - start

    def add(self, record: JobRecord, params: dict[str, Any], size: int) -> None:
        """Take in a new job: its record, which is queued, its inputs, and their bytes."""
        self._entries[record.id] = _Entry(record, params, size)
        self._live[record.id] = None
        self._bytes += size
        if self.config.jobs_per_minute is not None:
            self._acceptances.setdefault(record.instance, deque()).append(time.monotonic())
        self.tally.count(jobs=1, pubs=record.pubs, pending=1)
        self._evict()

    def update(self, job_id: str, **changes: Any) -> JobRecord:
        """Replace fields of a record that are not its state."""
        entry = self._entries[job_id]
        entry.record = entry.record.model_copy(update=changes)
        return entry.record

    def start(self, job_id: str) -> JobRecord:
        """Put a job into ``Running``."""
        self.tally.count(running=1)
        return self.update(job_id, status=JobStatus.RUNNING, started=utc_now())

    def finish(self, job_id: str, ending: Ending) -> JobRecord:
        """Put a job into its final state."""
        entry = self._entries[job_id]
        self.tally.count(
            pending=-1,
            running=-(entry.record.status is JobStatus.RUNNING),
            rows=ending.rows,
            shots=ending.shots,
            billed_jobs=ending.usage_secs > 0,
            usage_secs=ending.usage_secs,
        )
        record = self.update(job_id, finished=utc_now(), **ending.model_dump(exclude={"text"}))
        self._used[record.instance] = self.used_secs(record.instance) + ending.usage_secs
        entry.text = ending.text
        growth = len(ending.text or "")
        entry.size += growth
        self._bytes += growth
        del self._live[job_id]
        self._final.append(job_id)
        self._evict()
        return record

    def results_read(self, job_id: str) -> None:
        """Note that results were handed out; those of a private job are gone now."""
        entry = self._entries[job_id]
        self.update(job_id, results_read=entry.record.results_read + 1)
        if entry.record.private:
            entry.text = None

    def remove(self, job_id: str) -> None:
        """Forget a finished job."""
        self._final.remove(job_id)
        self._bytes -= self._entries.pop(job_id).size

    def _evict(self) -> None:
        while self._final and (
            len(self._final) > self.config.keep_jobs
            or (self._bytes > self.config.keep_bytes and len(self._final) > 1)
        ):
            self._bytes -= self._entries.pop(self._final.popleft()).size


DEFAULT_TTL_SECS = 8 * 3600
INTERACTIVE_TTL_SECS = 60


@dataclass
class SessionStore:
    """All sessions, oldest first. Owned by the event loop."""

    keep: int
    jobs: JobStore
    _records: dict[str, SessionRecord] = field(default_factory=dict)

    def __iter__(self) -> Iterator[SessionRecord]:
        return iter(self._records.values())

    def get(self, session_id: str) -> SessionRecord | None:
        """The session of that id."""
        return self._records.get(session_id)

    def add(self, record: SessionRecord) -> None:
        """Take in a new session; the oldest closed one may go for it."""
        self._records[record.id] = record
        if len(self._records) > self.keep:
            oldest = next((r.id for r in self._records.values() if r.state == "closed"), None)
            if oldest is not None:
                del self._records[oldest]

    def jobs_in(self, session_id: str) -> list[JobRecord]:
        """The session's jobs that are queued or running."""
        return [job for job in self.jobs.live() if job.session_id == session_id]

    def queued_in(self, session_id: str) -> list[JobRecord]:
        """The session's jobs that are queued."""
        return [job for job in self.jobs_in(session_id) if job.status is JobStatus.QUEUED]

    def job_started(self, job: JobRecord) -> None:
        """A job of a session began to run."""
        record = self._records.get(job.session_id or "")
        if record is not None:
            activated = record.activated or job.started
            self._put(record, state="active", activated=activated, last_job_started=job.started)

    def job_finished(self, job: JobRecord) -> None:
        """A job of a session ended."""
        record = self._records.get(job.session_id or "")
        if record is None:
            return
        state = (
            record.state if self.jobs_in(record.id) else ("inactive" if record.accepting_jobs else "closed")
        )
        usage = record.usage_secs + job.usage_secs
        self._put(record, state=state, last_job_completed=job.finished, usage_secs=usage)

    def close(self, session_id: str) -> None:
        """Take no more jobs, if the session is still known; those that are in run on."""
        record = self._records.get(session_id)
        if record is not None and record.accepting_jobs:
            state = record.state if self.jobs_in(session_id) else "closed"
            self._put(record, accepting_jobs=False, closed=utc_now(), state=state)

    def _put(self, record: SessionRecord, **changes: Any) -> None:
        self._records[record.id] = record.model_copy(update=changes)
