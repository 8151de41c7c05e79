"""The runtime's part about jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import bad_request, not_found, session_closed, unknown_backend, unknown_program
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
from .responses import JSONResponse, PlainTextResponse, Response, no_content
from .versions import usage_of

if TYPE_CHECKING:
    from starlette.routing import Route

MOST_LISTED = 200
DEFAULT_COST_SECS = 10_800


def job_routes(pipeline: Pipeline) -> list[Route]:
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
    ]


async def _submit(call: Call) -> Response:
    body = call.json()
    backend, program, params = body.get("backend"), body.get("program_id"), body.get("params")
    if not isinstance(backend, str) or not isinstance(program, str) or not isinstance(params, dict):
        raise bad_request("program_id, backend and params are required.")
    if call.machine(backend) is None:
        raise unknown_backend(backend)
    if program not in call.platform.runner.primitives:
        raise unknown_program(program)
    pubs = _pubs(program, params)
    cost = body.get("cost")
    if cost is not None and (not isinstance(cost, int) or cost <= 0):
        raise bad_request("cost must be a positive number of seconds.")
    session_id = body.get("session_id")
    check_limits(call, call.account.crn)
    _check_session(call, session_id, backend)
    job = JobRecord(
        id=new_id("d"),
        program_id=program,
        backend=backend,
        instance=call.account.crn,
        tags=tag_list(body.get("tags", [])),
        session_id=session_id,
        private=bool(body.get("private", False)),
        cost=cost,
        calibration_id=body.get("calibration_id"),
        pubs=len(pubs),
        created=utc_now(),
    )
    call.platform.jobs.add(job, params, len(call.body))
    call.platform.scheduler.submit(job, call.fate)
    answer = {"id": job.id, "backend": job.backend, "session_id": session_id, "private": job.private}
    return JSONResponse({key: value for key, value in answer.items() if value is not None})


def _pubs(program: str, params: dict[str, Any]) -> list[Any]:
    """The PUBs of a body; of the program ``executor``, the items."""
    path = ("quantum_program", "items") if program == "executor" else ("pubs",)
    value: Any = params
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, list) or not value:
        raise bad_request(f"params.{'.'.join(path)} must be a list that is not empty.")
    return value


def _check_session(call: Call, session_id: Any, backend: str) -> None:
    if session_id is None:
        return
    session = call.platform.sessions.get(str(session_id))
    if session is None or session.instance != call.account.crn:
        raise not_found("Session", str(session_id))
    if session.backend != backend:
        raise bad_request(f"session {session.id} is for {session.backend}, not for {backend}.")
    if not session.accepting_jobs:
        raise session_closed(session.id)


async def _list(call: Call) -> Response:
    wanted = filter_of(call, call.account.crn)
    found, limit, offset = page_of(call, wanted, MOST_LISTED)
    page = [_describe(call, job) for job in found[offset : offset + limit]]
    return JSONResponse({"jobs": page, "count": len(found), "limit": limit, "offset": offset})


async def _get(call: Call) -> Response:
    return JSONResponse(_describe(call, _job(call)))


async def _delete(call: Call) -> Response:
    return delete_job(call, _job(call))


async def _results(call: Call) -> Response:
    job = _job(call)
    text = call.platform.jobs.text(job.id)
    if text is None and job.private and job.results_read:
        raise not_found("Job results", job.id)
    if text is None:
        return no_content()
    call.platform.jobs.results_read(job.id)
    return PlainTextResponse(text)


async def _metrics(call: Call) -> Response:
    return JSONResponse(metrics_of(call, _job(call), call.version))


async def _logs(call: Call) -> Response:
    return logs_of(_job(call))


async def _cancel(call: Call) -> Response:
    return cancel_job(call, _job(call))


async def _tags(call: Call) -> Response:
    return tag_job(call, _job(call))


def _job(call: Call) -> JobRecord:
    job_id = call.part("id")
    job = call.platform.jobs.get(job_id)
    if job is None or job.instance != call.account.crn:
        raise not_found("Job", job_id)
    return job


def _describe(call: Call, job: JobRecord) -> dict[str, Any]:
    """The job as IBM describes it; inputs are left out on request, and always for a private job."""
    state = {
        "status": job.status,
        "reason": job.reason,
        "reason_code": job.reason_code,
        "reason_solution": job.reason_solution,
    }
    described: dict[str, Any] = {
        "id": job.id,
        "backend": job.backend,
        "program": {"id": job.program_id},
        "created": iso(job.created),
        "state": {key: value for key, value in state.items() if value is not None},
        "status": job.status,
        "cost": job.cost or DEFAULT_COST_SECS,
        "tags": list(job.tags),
        "runtime": "",
        "private": job.private,
        "usage": usage_of(job, call.version),
    }
    if job.session_id is not None:
        described["session_id"] = job.session_id
    if job.status is JobStatus.COMPLETED:
        described["estimated_running_time_seconds"] = job.usage_secs
    if call.request.query_params.get("exclude_params") != "true" and not job.private:
        described["params"] = call.platform.jobs.params(job.id)
    return described
