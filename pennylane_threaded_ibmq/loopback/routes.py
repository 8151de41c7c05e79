"""Backends, jobs and sessions: what both APIs do with them alike. Each says in its own words whose they are and how they look."""

from __future__ import annotations

import json
import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from starlette.responses import JSONResponse, PlainTextResponse, Response

from .jobs import DEFAULT_TTL_SECS, INTERACTIVE_TTL_SECS, filter_of, new_id, query_number
from .pipeline import Call, Pipeline
from .records import JobRecord, SessionRecord, iso, utc_now
from .responses import (
    ApiError,
    bad_request,
    no_content,
    not_found,
    raw_json,
    session_closed,
    too_many_requests,
    unknown_backend,
    usage_exceeded,
    wrong_state,
)

if TYPE_CHECKING:
    from starlette.routing import Route

    from .config import Payer
    from .machines import Machine


class Api(Pipeline):
    """One of IBM's two APIs, as far as they are alike."""

    _most_listed: ClassVar[int]
    """Most jobs on a page of a list."""

    _id_prefix: ClassVar[str]
    """First letter of the ids of its jobs."""

    _max_ttl_field: ClassVar[str]
    """Name of a session's longest time in the body that opens it."""

    _state_fields: ClassVar[tuple[str, ...]]
    """Fields that are said of a job's end beside its status, those that have a value."""

    @property
    @abstractmethod
    def _machines(self) -> Mapping[str, Machine]:
        """The backends by name."""

    @abstractmethod
    def _payers(self, call: Call) -> Sequence[Payer]:
        """The instances or projects whose jobs and backends a request is about."""

    @abstractmethod
    def _payer(self, call: Call, body: dict[str, Any]) -> Payer:
        """The instance or project that a new job or session is for."""

    @abstractmethod
    def _job_fields(self, program: str, params: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
        """Fields of a new job that this API alone has, and how many circuits it is submitted with.

        Raises:
            ApiError: There is no such program, or they make no sense.
        """

    @abstractmethod
    def _mode(self, call: Call, body: dict[str, Any]) -> str:
        """The mode of a new session."""

    @abstractmethod
    def _too_many_pending(self, limit: int) -> ApiError:
        """The answer to a job beyond the limit of those that are queued or running."""

    @abstractmethod
    def _no_job(self, job_id: str) -> ApiError:
        """The answer to a question for a job that is not there."""

    @abstractmethod
    def _description(self, call: Call, job: JobRecord) -> dict[str, Any]:
        """The fields of a job's description that this API alone has."""

    @abstractmethod
    def _metrics_of(self, call: Call, job: JobRecord) -> dict[str, Any]:
        """Times, usage and the place in the queue."""

    @abstractmethod
    async def _backends(self, call: Call) -> Response:
        """List the backends."""

    def routes(self) -> list[Route]:
        """The routes that both have."""
        route = self.route
        return [
            route("GET /backends", self._backends),
            route("GET /backends/{name}/configuration", self._configuration),
            route("GET /backends/{name}/properties", self._properties),
            route("GET /backends/{name}/status", self._status),
            route("POST /jobs", self._submit),
            route("GET /jobs", self._list),
            route("GET /jobs/{id}", self._get),
            route("DELETE /jobs/{id}", self._delete),
            route("GET /jobs/{id}/results", self._results),
            route("GET /jobs/{id}/metrics", self._metrics),
            route("GET /jobs/{id}/logs", self._logs),
            route("POST /jobs/{id}/cancel", self._cancel),
            route("PUT /jobs/{id}/tags", self._tag),
            route("POST /sessions", self._open_session),
            route("GET /sessions/{id}", self._get_session),
            route("PATCH /sessions/{id}", self._patch_session),
            route("DELETE /sessions/{id}/close", self._close_session),
        ]

    # ----------------------------------------------------------------------------------------------- backends

    def _machine(self, name: Any, payers: Sequence[Payer]) -> Machine:
        """A backend that one of some payers may use.

        Raises:
            ApiError: 404.
        """
        machine = self._machines.get(name) if isinstance(name, str) else None
        if machine is None or not any(payer.offers(name) for payer in payers):
            raise unknown_backend(str(name))
        return machine

    def _machine_of(self, call: Call) -> Machine:
        """The backend that a path names."""
        return self._machine(call.part("name"), self._payers(call))

    async def _configuration(self, call: Call) -> Response:
        return raw_json(self._machine_of(call).configuration_body)

    async def _properties(self, call: Call) -> Response:
        return raw_json(self._machine_of(call).properties_body)

    async def _status(self, call: Call) -> Response:
        machine = self._machine_of(call)
        return JSONResponse(
            {
                "state": True,
                "status": "paused" if machine.name in self._platform.scheduler.paused else "active",
                "message": "",
                "length_queue": self._platform.queue_length(machine.name),
                "backend_version": machine.configuration["backend_version"],
            }
        )

    # --------------------------------------------------------------------------------------------------- jobs

    async def _submit(self, call: Call) -> Response:
        """Take a new job."""
        body = call.json()
        payer = self._payer(call, body)
        backend, program, params = body.get("backend"), body.get("program_id"), body.get("params")
        if not isinstance(backend, str) or not isinstance(program, str) or not isinstance(params, dict):
            raise bad_request("program_id, backend and params are required.")
        self._machine(backend, [payer])
        fields = self._job_fields(program, params, body)
        self._check_limits(payer)
        session_id = body.get("session_id")
        self._check_session(call, session_id, backend)
        job = JobRecord(
            id=new_id(self._id_prefix),
            program_id=program,
            backend=backend,
            instance=payer.id,
            tags=tag_list(body.get("tags", [])),
            session_id=session_id,
            created=utc_now(),
            **fields,
        )
        self._platform.jobs.add(job, params, len(call.body))
        self._platform.scheduler.submit(job, call.forced_outcome)
        return JSONResponse(self._receipt(job))

    def _receipt(self, job: JobRecord) -> dict[str, Any]:
        """The answer to a new job."""
        return {"id": job.id, "backend": job.backend}

    def _check_limits(self, payer: Payer) -> None:
        """Refuse a job beyond the limits of its payer.

        Raises:
            ApiError: It is beyond one.
        """
        config, jobs = self._platform.config, self._platform.jobs
        if config.usage_limit_secs is not None and jobs.used_secs(payer.id) >= config.usage_limit_secs:
            raise usage_exceeded()
        pending = sum(job.instance == payer.id for job in jobs.live())
        if config.max_pending is not None and pending >= config.max_pending:
            raise self._too_many_pending(config.max_pending)
        wait_secs = jobs.wait_secs(payer.id)
        if wait_secs and config.jobs_per_minute is not None:
            raise too_many_requests(config.jobs_per_minute, math.ceil(wait_secs))

    def _check_session(self, call: Call, session_id: Any, backend: str) -> None:
        """Refuse a job for a session that is not there, is for another backend, or takes none.

        Raises:
            ApiError: It is one of these.
        """
        if session_id is None:
            return
        session = self._session(call, str(session_id))
        if session.backend != backend:
            raise bad_request(f"session {session.id} is for {session.backend}, not for {backend}.")
        if not session.accepting_jobs:
            raise session_closed(session.id)

    def _owners(self, call: Call) -> frozenset[str]:
        """Ids of the instances or projects whose jobs a request is about."""
        return frozenset(payer.id for payer in self._payers(call))

    def _job(self, call: Call) -> JobRecord:
        """The job that a path names, if whoever asks may see it."""
        job = self._platform.jobs.get(call.part("id"))
        if job is None or job.instance not in self._owners(call):
            raise self._no_job(call.part("id"))
        return job

    async def _list(self, call: Call) -> Response:
        query = call.request.query_params
        selection = filter_of(query, self._owners(call))
        limit = min(query_number(query, "limit", self._most_listed), self._most_listed)
        offset = query_number(query, "offset", 0)
        ascending = query.get("sort", "DESC").upper() == "ASC"
        jobs = self._platform.jobs.select(selection, ascending=ascending)
        page = [self._describe(call, job) for job in jobs[offset : offset + limit]]
        return JSONResponse({"jobs": page, "count": len(jobs), "limit": limit, "offset": offset})

    async def _get(self, call: Call) -> Response:
        return JSONResponse(self._describe(call, self._job(call)))

    def _describe(self, call: Call, job: JobRecord) -> dict[str, Any]:
        """A job as IBM describes it; inputs are left out on request, and always for a private job."""
        ending = {name: getattr(job, name) for name in self._state_fields}
        description = {
            "id": job.id,
            "backend": job.backend,
            "program": {"id": job.program_id},
            "created": iso(job.created),
            "state": {"status": job.status, **_known(ending)},
            "status": job.status,
            "tags": list(job.tags),
            "runtime": "",
            **self._description(call, job),
            **_known({"session_id": job.session_id}),
        }
        if call.request.query_params.get("exclude_params") != "true" and not job.private:
            description["params"] = self._platform.jobs.params(job.id)
        return description

    async def _results(self, call: Call) -> Response:
        job = self._job(call)
        text = self._platform.jobs.text(job.id)
        if text is None and job.private and job.results_read:
            raise not_found("Job results", job.id)
        if text is None:
            return no_content()
        self._platform.jobs.results_read(job.id)
        return PlainTextResponse(self._results_text(call, job, text))

    def _results_text(self, _call: Call, _job: JobRecord, text: str) -> str:
        """The results of a job as they are handed out."""
        return text

    async def _delete(self, call: Call) -> Response:
        job = self._job(call)
        if not job.status.final:
            raise wrong_state(job.id, job.status, "deleted")
        self._platform.jobs.remove(job.id)
        return no_content()

    async def _metrics(self, call: Call) -> Response:
        return JSONResponse(self._metrics_of(call, self._job(call)))

    async def _logs(self, call: Call) -> Response:
        """A line for each state that the job reached."""
        job = self._job(call)
        lines = [f"{iso(job.created)} created on {job.backend}"]
        lines += [f"{iso(job.started)} running"] if job.started else []
        lines += [f"{iso(job.finished)} {job.status} {job.reason or ''}".rstrip()] if job.finished else []
        return PlainTextResponse("\n".join(lines) + "\n")

    async def _cancel(self, call: Call) -> Response:
        job = self._job(call)
        if not self._platform.scheduler.cancel(job):
            raise wrong_state(job.id, job.status, "cancelled")
        return no_content()

    async def _tag(self, call: Call) -> Response:
        self._platform.jobs.update(self._job(call).id, tags=tag_list(call.json().get("tags")))
        return no_content()

    # ----------------------------------------------------------------------------------------------- sessions

    async def _open_session(self, call: Call) -> Response:
        """Take a new session or batch."""
        body = call.json()
        payer = self._payer(call, body)
        mode, max_ttl = self._mode(call, body), body.get(self._max_ttl_field, DEFAULT_TTL_SECS)
        if not isinstance(max_ttl, int) or max_ttl <= 0:
            raise bad_request(f"{self._max_ttl_field} must be a positive number of seconds.")
        session = SessionRecord(
            id=new_id("s"),
            backend=self._machine(body.get("backend"), [payer]).name,
            instance=payer.id,
            mode=mode,
            max_ttl=max_ttl,
            created=utc_now(),
        )
        self._platform.sessions.add(session)
        self._platform.scheduler.limit(session)
        return JSONResponse(describe_session(session))

    def _session(self, call: Call, session_id: str) -> SessionRecord:
        """A session of whoever asks.

        Raises:
            ApiError: 404.
        """
        session = self._platform.sessions.get(session_id)
        if session is None or session.instance not in self._owners(call):
            raise not_found("Session", session_id)
        return session

    async def _get_session(self, call: Call) -> Response:
        return JSONResponse(describe_session(self._session(call, call.part("id"))))

    async def _patch_session(self, call: Call) -> Response:
        """Take no more jobs, if the body says so; those that are in go on."""
        session = self._session(call, call.part("id"))
        if call.json().get("accepting_jobs") is False:
            self._platform.sessions.close(session.id)
        return no_content()

    async def _close_session(self, call: Call) -> Response:
        """Take no more jobs and drop those that are queued; those that run go on."""
        session = self._session(call, call.part("id"))
        self._platform.sessions.close(session.id)
        for job in self._platform.sessions.queued_in(session.id):
            self._platform.scheduler.cancel(job)
        return no_content()


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


def _known(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields that have a value."""
    return {name: value for name, value in fields.items() if value is not None}
