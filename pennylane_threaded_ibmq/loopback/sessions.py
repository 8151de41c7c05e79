"""Sessions and batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .records import JobRecord, SessionRecord, utc_now

DEFAULT_TTL_SECS = 8 * 3600
INTERACTIVE_TTL_SECS = 60


@dataclass
class SessionStore:
    """All sessions, oldest first. Owned by the event loop."""

    keep: int
    _records: dict[str, SessionRecord] = field(default_factory=dict)
    _live: dict[str, set[str]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[SessionRecord]:
        return iter(self._records.values())

    def get(self, session_id: str) -> SessionRecord | None:
        """The session of that id."""
        return self._records.get(session_id)

    def add(self, record: SessionRecord) -> None:
        """Take in a new session; the oldest closed one may go for it."""
        self._records[record.id] = record
        self._live[record.id] = set()
        if len(self._records) > self.keep:
            oldest = next((known.id for known in self._records.values() if known.state == "closed"), None)
            if oldest is not None:
                del self._records[oldest], self._live[oldest]

    def jobs_in(self, session_id: str) -> frozenset[str]:
        """Ids of the session's jobs that are queued or running."""
        return frozenset(self._live[session_id])

    def job_added(self, job: JobRecord) -> None:
        """A job joined its session, if it has one."""
        if job.session_id in self._live:
            self._live[job.session_id].add(job.id)

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
        live = self._live[record.id]
        live.discard(job.id)
        state = record.state if live else ("inactive" if record.accepting_jobs else "closed")
        usage = record.usage_secs + job.usage_secs
        self._put(record, state=state, last_job_completed=job.finished, usage_secs=usage)

    def close(self, session_id: str) -> None:
        """Take no more jobs; those that are in run on."""
        record = self._records[session_id]
        if record.accepting_jobs:
            state = record.state if self._live[session_id] else "closed"
            self._put(record, accepting_jobs=False, closed=utc_now(), state=state)

    def expire(self, session_id: str) -> frozenset[str]:
        """Close a session whose time is up, if it is still known.

        Returns:
            Ids of its jobs that are queued or running.
        """
        if session_id not in self._records:
            return frozenset()
        self.close(session_id)
        return self.jobs_in(session_id)

    def _put(self, record: SessionRecord, **changes: Any) -> None:
        self._records[record.id] = record.model_copy(update=changes)
