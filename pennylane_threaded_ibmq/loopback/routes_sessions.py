"""The runtime's part about sessions and batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import bad_request, not_found, session_not_allowed, unknown_backend
from .jobs import new_id
from .pipeline import Call, Pipeline
from .records import JobStatus, SessionRecord, iso, utc_now
from .responses import JSONResponse, Response, no_content
from .sessions import DEFAULT_TTL_SECS, INTERACTIVE_TTL_SECS

if TYPE_CHECKING:
    from starlette.routing import Route


def session_routes(pipeline: Pipeline) -> list[Route]:
    """Routes about sessions and batches."""
    return [
        pipeline.route("POST /sessions", _open),
        pipeline.route("GET /sessions/{id}", _get),
        pipeline.route("PATCH /sessions/{id}", _patch),
        pipeline.route("DELETE /sessions/{id}/close", _close),
    ]


async def _open(call: Call) -> Response:
    body = call.json()
    mode, backend, max_ttl = (
        body.get("mode", "dedicated"),
        body.get("backend"),
        body.get("max_ttl", DEFAULT_TTL_SECS),
    )
    if mode not in {"batch", "dedicated"}:
        raise bad_request(f"mode must be batch or dedicated, not {mode!r}.")
    if not isinstance(max_ttl, int) or max_ttl <= 0:
        raise bad_request("max_ttl must be a positive number of seconds.")
    if not isinstance(backend, str) or call.machine(backend) is None:
        raise unknown_backend(str(backend))
    if mode == "dedicated" and call.account.plan.lower() == "open":
        raise session_not_allowed()
    session = SessionRecord(
        id=new_id("s"),
        backend=backend,
        instance=call.account.crn,
        mode=mode,
        max_ttl=max_ttl,
        created=utc_now(),
    )
    call.platform.sessions.add(session)
    call.platform.scheduler.limit(session)
    return JSONResponse(describe_session(session))


async def _get(call: Call) -> Response:
    return JSONResponse(describe_session(_session(call)))


async def _patch(call: Call) -> Response:
    return patch_session(call, _session(call))


async def _close(call: Call) -> Response:
    return close_session(call, _session(call))


def patch_session(call: Call, session: SessionRecord) -> Response:
    """Take no more jobs, if the body says so; those that are in go on."""
    if call.json().get("accepting_jobs") is False:
        call.platform.sessions.close(session.id)
    return no_content()


def close_session(call: Call, session: SessionRecord) -> Response:
    """Take no more jobs and drop those that are queued; those that run go on."""
    call.platform.sessions.close(session.id)
    for job_id in call.platform.sessions.jobs_in(session.id):
        job = call.platform.jobs.get(job_id)
        if job is not None and job.status is JobStatus.QUEUED:
            call.platform.scheduler.cancel(job)
    return no_content()


def _session(call: Call) -> SessionRecord:
    session = call.platform.sessions.get(call.part("id"))
    if session is None or session.instance != call.account.crn:
        raise not_found("Session", call.part("id"))
    return session


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
