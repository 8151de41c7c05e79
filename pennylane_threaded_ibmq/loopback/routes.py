"""Jobs and sessions: what both APIs do with them alike. Each says in its own words whose they are and how they look."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, ClassVar

from .admission import NEW_USAGE_SINCE, NEWEST, execution_ns, usage_of
from .jobs import INTERACTIVE_TTL_SECS, Filter
from .pipeline import Call, Pipeline
from .records import JobRecord, JobStatus, SessionRecord, iso, utc_now
from .responses import (
    ApiError,
    JSONResponse,
    PlainTextResponse,
    Response,
    bad_request,
    no_content,
    not_found,
    session_closed,
    too_many_pending,
    too_many_requests,
    usage_exceeded,
    wrong_state,
)

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams
    from starlette.routing import Route


class Api(ABC):
    """One of IBM's two APIs, as far as they are alike.

    Args:
        pipeline: Makes its routes.
    """

    most_listed: ClassVar[int]
    """Most jobs on a page of a list."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    @abstractmethod
    async def submit(self, call: Call) -> Response:
        """Take a new job."""

    @abstractmethod
    async def results(self, call: Call) -> Response:
        """Hand out the results of a job."""

    @abstractmethod
    async def open_session(self, call: Call) -> Response:
        """Take a new session or batch."""

    @abstractmethod
    def job(self, call: Call) -> JobRecord:
        """The job that a path names, if whoever asks may see it."""

    @abstractmethod
    def owner(self, call: Call) -> str | None:
        """Owner of the jobs that a list holds; ``None`` for those of everybody who asks."""

    @abstractmethod
    def owns(self, call: Call, record: JobRecord | SessionRecord) -> bool:
        """Whether a job or session belongs to whoever asks."""

    @abstractmethod
    def describe(self, call: Call, job: JobRecord) -> dict[str, Any]:
        """A job as this API describes it."""

    @abstractmethod
    def metrics(self, call: Call, job: JobRecord) -> dict[str, Any]:
        """Times, usage and the place in the queue, as this API describes them."""

    @abstractmethod
    def backend_routes(self) -> list[Route]:
        """Routes about backends."""

    def routes(self) -> list[Route]:
        """All routes of the runtime."""
        return [*self.backend_routes(), *self.job_routes(), *self.session_routes()]

    def job_routes(self) -> list[Route]:
        """Routes about jobs."""
        route = self._pipeline.route
        return [
            route("POST /jobs", self.submit),
            route("GET /jobs", self._list),
            route("GET /jobs/{id}", self._get),
            route("DELETE /jobs/{id}", self._delete),
            route("GET /jobs/{id}/results", self.results),
            route("GET /jobs/{id}/metrics", self._metrics),
            route("GET /jobs/{id}/logs", self._logs),
            route("POST /jobs/{id}/cancel", self._cancel),
            route("PUT /jobs/{id}/tags", self._tag),
        ]

    def session_routes(self) -> list[Route]:
        """Routes about sessions and batches."""
        route = self._pipeline.route
        return [
            route("POST /sessions", self.open_session),
            route("GET /sessions/{id}", self._get_session),
            route("PATCH /sessions/{id}", self._patch_session),
            route("DELETE /sessions/{id}/close", self._close_session),
        ]

    def session(self, call: Call, session_id: str) -> SessionRecord:
        """A session of whoever asks.

        Raises:
            ApiError: 404.
        """
        session = call.platform.sessions.get(session_id)
        if session is None or not self.owns(call, session):
            raise not_found("Session", session_id)
        return session

    def check_session(self, call: Call, session_id: Any, backend: str) -> None:
        """Refuse a job for a session that is not there, is for another backend, or takes none.

        Raises:
            ApiError: It is one of these.
        """
        if session_id is None:
            return
        session = self.session(call, str(session_id))
        if session.backend != backend:
            raise bad_request(f"session {session.id} is for {session.backend}, not for {backend}.")
        if not session.accepting_jobs:
            raise session_closed(session.id)

    async def _list(self, call: Call) -> Response:
        query = call.request.query_params
        wanted = filter_of(call, self.owner(call))
        limit = min(_number(query, "limit", self.most_listed), self.most_listed)
        offset = _number(query, "offset", 0)
        found = call.platform.jobs.select(wanted, ascending=query.get("sort", "DESC").upper() == "ASC")
        page = [self.describe(call, job) for job in found[offset : offset + limit]]
        return JSONResponse({"jobs": page, "count": len(found), "limit": limit, "offset": offset})

    async def _get(self, call: Call) -> Response:
        return JSONResponse(self.describe(call, self.job(call)))

    async def _delete(self, call: Call) -> Response:
        job = self.job(call)
        if not job.status.final:
            raise wrong_state(job.id, job.status, "deleted")
        call.platform.jobs.remove(job.id)
        return no_content()

    async def _metrics(self, call: Call) -> Response:
        return JSONResponse(self.metrics(call, self.job(call)))

    async def _logs(self, call: Call) -> Response:
        """A line for each state that the job reached."""
        job = self.job(call)
        lines = [f"{iso(job.created)} created on {job.backend}"]
        lines += [f"{iso(job.started)} running"] if job.started else []
        lines += [f"{iso(job.finished)} {job.status} {job.reason or ''}".rstrip()] if job.finished else []
        return PlainTextResponse("\n".join(lines) + "\n")

    async def _cancel(self, call: Call) -> Response:
        job = self.job(call)
        if not call.platform.scheduler.cancel(job):
            raise wrong_state(job.id, job.status, "cancelled")
        return no_content()

    async def _tag(self, call: Call) -> Response:
        call.platform.jobs.update(self.job(call).id, tags=tag_list(call.json().get("tags")))
        return no_content()

    async def _get_session(self, call: Call) -> Response:
        return JSONResponse(describe_session(self.session(call, call.part("id"))))

    async def _patch_session(self, call: Call) -> Response:
        """Take no more jobs, if the body says so; those that are in go on."""
        session = self.session(call, call.part("id"))
        if call.json().get("accepting_jobs") is False:
            call.platform.sessions.close(session.id)
        return no_content()

    async def _close_session(self, call: Call) -> Response:
        """Take no more jobs and drop those that are queued; those that run go on."""
        session = self.session(call, call.part("id"))
        call.platform.sessions.close(session.id)
        for job_id in call.platform.sessions.jobs_in(session.id):
            job = call.platform.jobs.get(job_id)
            if job is not None and job.status is JobStatus.QUEUED:
                call.platform.scheduler.cancel(job)
        return no_content()


def open_session(call: Call, session: SessionRecord) -> Response:
    """Take in a new session."""
    call.platform.sessions.add(session)
    call.platform.scheduler.limit(session)
    return JSONResponse(describe_session(session))


def take_job(call: Call, job: JobRecord, params: dict[str, Any]) -> None:
    """Take in a new job."""
    call.platform.jobs.add(job, params, len(call.body))
    call.platform.scheduler.submit(job, call.forced_outcome)


def check_limits(call: Call, owner: str, full: Callable[[int], ApiError] = too_many_pending) -> None:
    """Refuse a job beyond the limits of its owner.

    Args:
        call: The submission.
        owner: Instance or project that the job is for.
        full: What is said when too many jobs are pending, given how many may be.

    Raises:
        ApiError: It is beyond one.
    """
    config, jobs = call.platform.config, call.platform.jobs
    if config.usage_limit_secs is not None and jobs.used_secs(owner) >= config.usage_limit_secs:
        raise usage_exceeded()
    if (
        config.max_pending is not None
        and sum(job.instance == owner for job in jobs.live()) >= config.max_pending
    ):
        raise full(config.max_pending)
    wait_secs = jobs.wait_secs(owner)
    if wait_secs and config.jobs_per_minute is not None:
        raise too_many_requests(config.jobs_per_minute, math.ceil(wait_secs))


def filter_of(call: Call, owner: str | None) -> Filter:
    """The filter of the jobs that a list is to hold.

    Args:
        call: The request for the list.
        owner: Instance or project whose jobs are listed; ``None`` for every project.

    Raises:
        ApiError: A part of the query cannot be understood.
    """
    query = call.request.query_params
    pending = query.get("pending")
    if pending not in {None, "true", "false"}:
        raise bad_request("pending must be true or false.")
    return Filter(
        owners=frozenset(call.platform.projects) if owner is None else frozenset({owner}),
        backend=query.get("backend"),
        pending=None if pending is None else pending == "true",
        program=query.get("program"),
        tags=frozenset(query.getlist("tags")),
        session_id=query.get("session_id"),
        mocks=wants_mocks(call),
        created_after=_moment(query, "created_after"),
        created_before=_moment(query, "created_before"),
    )


def wants_mocks(call: Call) -> bool:
    """Whether mock backends and their jobs are asked for; they are left out of lists otherwise."""
    return call.request.query_params.get("include_mocks", "").lower() == "true"


def metrics_of(call: Call, job: JobRecord, version: str) -> dict[str, Any]:
    """Times, usage and the place in the queue, in the words of a version of the API."""
    metrics: dict[str, Any] = {
        "timestamps": {
            "created": iso(job.created),
            "running": iso(job.started),
            "finished": iso(job.finished),
        },
        "usage": usage_of(job, version),
    }
    if version < NEW_USAGE_SINCE:
        metrics["bss"] = {"seconds": job.run_secs}
    if version >= NEWEST:
        metrics["circuits_execution_time_ns"] = execution_ns(job)
    if job.status is JobStatus.QUEUED:
        ahead = [other.id for other in call.platform.jobs.live() if other.backend == job.backend]
        position = ahead.index(job.id) + 1
        metrics["position_in_queue"] = position
        config = call.platform.config
        waits = max(config.queue_secs, (position - 1) // config.slots * config.job_secs)
        start = max(job.created + timedelta(seconds=waits), datetime.now(timezone.utc))
        metrics["estimated_start_time"] = iso(start)
        metrics["estimated_completion_time"] = iso(start + timedelta(seconds=config.job_secs))
    return metrics


def tag_list(value: Any) -> tuple[str, ...]:
    """The tags of a body, each once.

    Raises:
        ApiError: They are no list of texts.
    """
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
        raise bad_request(f"tags must be a list of texts, not {json.dumps(value)[:100]}.")
    return tuple(dict.fromkeys(value))


def describe_session(session: SessionRecord) -> dict[str, object]:
    """The session as IBM describes it."""
    return {
        "id": session.id,
        "backend_name": session.backend,
        "mode": session.mode,
        "state": session.state,
        "accepting_jobs": session.accepting_jobs,
        "max_ttl": session.max_ttl,
        "interactive_ttl": INTERACTIVE_TTL_SECS,
        "active_ttl": session.max_ttl,
        "started_at": iso(session.created),
        "activated_at": iso(session.activated),
        "closed_at": iso(session.closed),
        "last_job_started": iso(session.last_job_started),
        "last_job_completed": iso(session.last_job_completed),
        "elapsed_time": session.usage_secs,
    }


def _number(query: QueryParams, name: str, default: int) -> int:
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
