"""The classic runtime's part about jobs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .classic_account import runtime_url
from .classic_errors import too_many_concurrent, unknown_job, unknown_project
from .config import Project
from .errors import bad_request, not_found, session_closed, unknown_backend
from .job_actions import (
    cancel_job,
    check_limits,
    delete_job,
    filter_of,
    logs_of,
    metrics_of,
    page_of,
    tag_job,
    tag_list,
)
from .jobs import new_id
from .pipeline import Call, Pipeline
from .records import JobRecord, JobStatus, iso, utc_now
from .responses import JSONResponse, PlainTextResponse, Response, no_content, raw_json
from .versions import OLDEST

if TYPE_CHECKING:
    from starlette.routing import Route

MOST_LISTED = 50


def classic_job_routes(pipeline: Pipeline) -> list[Route]:
    """Routes about jobs."""
    return [
        pipeline.route("POST /jobs", _submit),
        pipeline.route("GET /jobs", _list),
        pipeline.route("GET /jobs/{id}", _get),
        pipeline.route("DELETE /jobs/{id}", _delete),
        pipeline.route("GET /jobs/{id}/results", _results),
        pipeline.route("GET /jobs/{id}/metrics", _metrics),
        pipeline.route("GET /jobs/{id}/logs", _logs),
        pipeline.route("POST /jobs/{id}/cancel", _cancel),
        pipeline.route("PUT /jobs/{id}/tags", _tags),
        pipeline.route("GET /facade/v1/jobs/{id}/type", _type),
        # Fetched without a login: who knows the address may read.
        pipeline.route("GET /storage/{id}", _stored, authorised=False),
    ]


def project_of(call: Call, body: dict[str, Any]) -> Project:
    """The project that a body names by its three parts; the default if it names none.

    Args:
        call: The request.
        body: Its body.

    Raises:
        ApiError: There is no such project.
    """
    parts = [body.get(part) for part in ("hub", "group", "project")]
    if parts == [None, None, None]:
        return call.platform.config.projects[0]
    name = "/".join(map(str, parts))
    project = call.platform.projects.get(name)
    if project is None:
        raise unknown_project(name)
    return project


async def _submit(call: Call) -> Response:
    body = call.json()  # the client names no content type
    project = project_of(call, body)
    backend, program, params = body.get("backend"), body.get("program_id"), body.get("params")
    if not isinstance(backend, str) or not isinstance(program, str) or not isinstance(params, dict):
        raise bad_request("program_id, backend and params are required.")
    if call.platform.classic_machine(backend, project) is None:
        raise unknown_backend(backend)
    if program not in call.platform.runner.classic:
        raise not_found("Program", program)
    circuits = params.get("circuits")
    if not circuits:
        raise bad_request("params.circuits must not be empty.")
    check_limits(call, project.name, too_many_concurrent)
    session_id = body.get("session_id")
    _check_session(call, session_id, backend)
    job = JobRecord(
        id=new_id("c"),
        program_id=program,
        backend=backend,
        instance=project.name,
        tags=tag_list(body.get("tags", [])),
        session_id=session_id,
        pubs=len(circuits) if isinstance(circuits, list) else 1,
        created=utc_now(),
    )
    call.platform.jobs.add(job, params, len(call.body))
    call.platform.scheduler.submit(job, call.fate)
    return JSONResponse({"id": job.id, "backend": job.backend})


def _check_session(call: Call, session_id: Any, backend: str) -> None:
    if session_id is None:
        return
    session = call.platform.sessions.get(str(session_id))
    if session is None or session.instance not in call.platform.projects:
        raise not_found("Session", str(session_id))
    if session.backend != backend:
        raise bad_request(f"session {session.id} is for {session.backend}, not for {backend}.")
    if not session.accepting_jobs:
        raise session_closed(session.id)


async def _list(call: Call) -> Response:
    name = call.request.query_params.get("provider")
    if name is not None and name not in call.platform.projects:
        raise unknown_project(name)
    found, limit, offset = page_of(call, filter_of(call, name), MOST_LISTED)
    page = [_describe(call, job) for job in found[offset : offset + limit]]
    return JSONResponse({"jobs": page, "count": len(found), "limit": limit, "offset": offset})


async def _get(call: Call) -> Response:
    return JSONResponse(_describe(call, _job(call)))


async def _delete(call: Call) -> Response:
    return delete_job(call, _job(call))


async def _results(call: Call) -> Response:
    job = _job(call)
    text = call.platform.jobs.text(job.id)
    if text is None:
        return no_content()
    call.platform.jobs.results_read(job.id)
    if job.status is JobStatus.COMPLETED and len(text) > call.platform.config.inline_bytes:
        return PlainTextResponse(json.dumps({"url": f"{runtime_url(call.request)}/storage/{job.id}"}))
    return PlainTextResponse(text)


async def _stored(call: Call) -> Response:
    text = call.platform.jobs.text(_job(call).id)
    if text is None:
        raise not_found("Object", call.part("id"))
    return raw_json(text.encode())


async def _metrics(call: Call) -> Response:
    # The client takes null for what is not known.
    unknown = dict.fromkeys(("qiskit_version", "estimated_start_time", "estimated_completion_time"))
    return JSONResponse({**unknown, **metrics_of(call, _job(call), OLDEST)})


async def _logs(call: Call) -> Response:
    return logs_of(_job(call))


async def _cancel(call: Call) -> Response:
    return cancel_job(call, _job(call))


async def _tags(call: Call) -> Response:
    return tag_job(call, _job(call))


async def _type(call: Call) -> Response:
    _job(call)
    return JSONResponse({"type": "RUNTIME"})


def _job(call: Call) -> JobRecord:
    job_id = call.part("id")
    job = call.platform.jobs.get(job_id)
    if job is None or job.instance not in call.platform.projects:
        raise unknown_job(job_id)
    return job


def _describe(call: Call, job: JobRecord) -> dict[str, Any]:
    """The job as IBM described it; without ``exclude_params=true`` everything that was submitted is in it."""
    project = call.platform.projects[job.instance]
    state: dict[str, Any] = {"status": job.status}
    if job.reason is not None:
        state["reason"] = job.reason
    if job.reason_code is not None:
        state["reason_code"] = job.reason_code
    described: dict[str, Any] = {
        "id": job.id,
        "hub": project.hub,
        "group": project.group,
        "project": project.project,
        "backend": job.backend,
        "status": job.status,
        "state": state,
        "created": iso(job.created),
        "program": {"id": job.program_id},
        "tags": list(job.tags),
        "runtime": "",
        "estimated_running_time_seconds": job.usage_secs,
    }
    if job.session_id is not None:
        described["session_id"] = job.session_id
    if call.request.query_params.get("exclude_params") != "true":
        described["params"] = call.platform.jobs.params(job.id)
    return described
