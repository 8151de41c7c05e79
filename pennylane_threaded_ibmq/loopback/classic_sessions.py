"""The classic runtime's part about sessions, which only the last of its clients knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .classic_errors import unknown_project
from .errors import bad_request, not_found, unknown_backend
from .jobs import new_id
from .pipeline import Call, Pipeline
from .records import SessionRecord, utc_now
from .responses import JSONResponse, Response
from .routes_sessions import close_session, describe_session, patch_session
from .sessions import DEFAULT_TTL_SECS

if TYPE_CHECKING:
    from starlette.routing import Route


def classic_session_routes(pipeline: Pipeline) -> list[Route]:
    """Routes about sessions."""
    return [
        pipeline.route("POST /sessions", _open),
        pipeline.route("GET /sessions/{id}", _get),
        pipeline.route("PATCH /sessions/{id}", _patch),
        pipeline.route("DELETE /sessions/{id}/close", _close),
    ]


async def _open(call: Call) -> Response:
    body = call.json()
    name = body.get("instance") or call.platform.config.projects[0].name
    project = call.platform.projects.get(name)
    if project is None:
        raise unknown_project(str(name))
    backend, max_ttl = body.get("backend"), body.get("max_session_ttl", DEFAULT_TTL_SECS)
    if not isinstance(backend, str) or call.platform.classic_machine(backend, project) is None:
        raise unknown_backend(str(backend))
    if not isinstance(max_ttl, int) or max_ttl <= 0:
        raise bad_request("max_session_ttl must be a positive number of seconds.")
    session = SessionRecord(
        id=new_id("s"),
        backend=backend,
        instance=project.name,
        mode=body.get("mode") or "dedicated",
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


def _session(call: Call) -> SessionRecord:
    session = call.platform.sessions.get(call.part("id"))
    if session is None or session.instance not in call.platform.projects:
        raise not_found("Session", call.part("id"))
    return session
