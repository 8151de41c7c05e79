"""What both faces of the service do with a job, once it is known which."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from .errors import ApiError, bad_request, too_many_pending, too_many_requests, usage_exceeded, wrong_state
from .jobs import Filter
from .pipeline import Call
from .records import JobRecord, JobStatus, iso, utc_now
from .responses import PlainTextResponse, Response, no_content
from .versions import NEW_USAGE_SINCE, NEWEST, execution_ns, usage_of

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams


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
    """Which jobs a list is to hold.

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


def page_of(call: Call, wanted: Filter, most: int) -> tuple[list[JobRecord], int, int]:
    """All jobs of a list, how many are on the page that is asked for, and where it starts.

    Args:
        call: The request for the list.
        wanted: Which jobs.
        most: Most jobs on a page.

    Raises:
        ApiError: A part of the query cannot be understood.
    """
    query = call.request.query_params
    limit, offset = min(_number(query, "limit", most), most), _number(query, "offset", 0)
    found = call.platform.jobs.select(wanted, ascending=query.get("sort", "DESC").upper() == "ASC")
    return found, limit, offset


def delete_job(call: Call, job: JobRecord) -> Response:
    """Forget a finished job."""
    if not job.status.final:
        raise wrong_state(job.id, job.status, "deleted")
    call.platform.jobs.remove(job.id)
    return no_content()


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


def logs_of(job: JobRecord) -> Response:
    """A line for each state that the job reached."""
    lines = [f"{iso(job.created)} created on {job.backend}"]
    lines += [f"{iso(job.started)} running"] if job.started else []
    lines += [f"{iso(job.finished)} {job.status} {job.reason or ''}".rstrip()] if job.finished else []
    return PlainTextResponse("\n".join(lines) + "\n")


def cancel_job(call: Call, job: JobRecord) -> Response:
    """Cancel a job that is not finished."""
    if not call.platform.scheduler.cancel(job):
        raise wrong_state(job.id, job.status, "cancelled")
    return no_content()


def tag_job(call: Call, job: JobRecord) -> Response:
    """Replace the tags of a job."""
    call.platform.jobs.update(job.id, tags=tag_list(call.json().get("tags")))
    return no_content()


def tag_list(value: Any) -> tuple[str, ...]:
    """The tags of a body, each once.

    Raises:
        ApiError: They are no list of texts.
    """
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
    return moment if moment.tzinfo else moment.replace(tzinfo=utc_now().tzinfo)
