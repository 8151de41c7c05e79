"""The runtime's part about jobs."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from .errors import (
    bad_request,
    not_found,
    session_closed,
    too_many_pending,
    too_many_requests,
    unknown_backend,
    usage_exceeded,
    wrong_state,
)
from .jobs import Filter, new_id
from .pipeline import Call, Pipeline
from .records import JobRecord, JobStatus, iso, utc_now
from .responses import JSONResponse, PlainTextResponse, Response, no_content

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams
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
    if program not in call.platform.programs.known:
        raise not_found("Program", program)
    pubs = params.get("pubs")
    if not isinstance(pubs, list) or not pubs:
        raise bad_request("params.pubs must be a list that is not empty.")
    cost = body.get("cost")
    if cost is not None and (not isinstance(cost, int) or cost <= 0):
        raise bad_request("cost must be a positive number of seconds.")
    session_id = body.get("session_id")
    _check_limits(call)
    _check_session(call, session_id, backend)
    job = JobRecord(
        id=new_id("d"),
        program_id=program,
        backend=backend,
        instance=call.account.crn,
        tags=_tag_list(body.get("tags", [])),
        session_id=session_id,
        private=bool(body.get("private", False)),
        cost=cost,
        pubs=len(pubs),
        created=utc_now(),
    )
    call.platform.jobs.add(job, params, len(call.body))
    call.platform.scheduler.submit(job, call.fate)
    answer = {"id": job.id, "backend": job.backend, "session_id": session_id, "private": job.private}
    return JSONResponse({key: value for key, value in answer.items() if value is not None})


def _check_limits(call: Call) -> None:
    """Refuse a job beyond the limits of its instance."""
    config, jobs, crn = call.platform.config, call.platform.jobs, call.account.crn
    if config.usage_limit_secs is not None and jobs.used_secs(crn) >= config.usage_limit_secs:
        raise usage_exceeded()
    if (
        config.max_pending is not None
        and sum(job.instance == crn for job in jobs.live()) >= config.max_pending
    ):
        raise too_many_pending(config.max_pending)
    wait_secs = jobs.wait_secs(crn)
    if wait_secs and config.jobs_per_minute is not None:
        raise too_many_requests(config.jobs_per_minute, math.ceil(wait_secs))


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
    query = call.request.query_params
    pending = query.get("pending")
    if pending not in {None, "true", "false"}:
        raise bad_request("pending must be true or false.")
    wanted = Filter(
        instance=call.account.crn,
        backend=query.get("backend"),
        pending=None if pending is None else pending == "true",
        program=query.get("program"),
        tags=frozenset(query.getlist("tags")),
        session_id=query.get("session_id"),
        created_after=_moment(query, "created_after"),
        created_before=_moment(query, "created_before"),
    )
    limit, offset = min(_number(query, "limit", MOST_LISTED), MOST_LISTED), _number(query, "offset", 0)
    found = call.platform.jobs.select(wanted, ascending=query.get("sort", "DESC").upper() == "ASC")
    page = [_describe(call, job) for job in found[offset : offset + limit]]
    return JSONResponse({"jobs": page, "count": len(found), "limit": limit, "offset": offset})


async def _get(call: Call) -> Response:
    return JSONResponse(_describe(call, _job(call)))


async def _delete(call: Call) -> Response:
    job = _job(call)
    if not job.status.final:
        raise wrong_state(job.id, job.status, "deleted")
    call.platform.jobs.remove(job.id)
    return no_content()


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
    job = _job(call)
    seconds = 0.0
    if job.started and job.finished:
        seconds = (job.finished - job.started).total_seconds()
    metrics: dict[str, Any] = {
        "timestamps": {
            "created": iso(job.created),
            "running": iso(job.started),
            "finished": iso(job.finished),
        },
        "usage": {"quantum_seconds": job.usage_secs, "seconds": seconds},
        "bss": {"seconds": seconds},
    }
    if job.status is JobStatus.QUEUED:
        ahead = [other.id for other in call.platform.jobs.live() if other.backend == job.backend]
        position = ahead.index(job.id) + 1
        metrics["position_in_queue"] = position
        config = call.platform.config
        waits = max(config.queue_secs, (position - 1) // config.slots * config.job_secs)
        start = max(job.created + timedelta(seconds=waits), datetime.now(UTC))
        metrics["estimated_start_time"] = iso(start)
        metrics["estimated_completion_time"] = iso(start + timedelta(seconds=config.job_secs))
    return JSONResponse(metrics)


async def _logs(call: Call) -> Response:
    job = _job(call)
    lines = [f"{iso(job.created)} created on {job.backend}"]
    lines += [f"{iso(job.started)} running"] if job.started else []
    lines += [f"{iso(job.finished)} {job.status} {job.reason or ''}".rstrip()] if job.finished else []
    return PlainTextResponse("\n".join(lines) + "\n")


async def _cancel(call: Call) -> Response:
    job = _job(call)
    if not call.platform.scheduler.cancel(job):
        raise wrong_state(job.id, job.status, "cancelled")
    return no_content()


async def _tags(call: Call) -> Response:
    job = _job(call)
    call.platform.jobs.update(job.id, tags=_tag_list(call.json().get("tags")))
    return no_content()


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
        "usage": {"quantum_seconds": job.usage_secs},
    }
    if job.session_id is not None:
        described["session_id"] = job.session_id
    if job.status is JobStatus.COMPLETED:
        described["estimated_running_time_seconds"] = job.usage_secs
    if call.request.query_params.get("exclude_params") != "true" and not job.private:
        described["params"] = call.platform.jobs.params(job.id)
    return described


def _tag_list(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
        raise bad_request(f"tags must be a list of texts, not {json.dumps(value)[:100]}.")
    return tuple(dict.fromkeys(value))


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
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
