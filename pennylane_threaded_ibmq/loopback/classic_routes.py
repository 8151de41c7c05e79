"""The classic API: its login and projects, and its runtime's backends, jobs and sessions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .admission import OLDEST
from .environment import is_public
from .jobs import DEFAULT_TTL_SECS, new_id
from .machines import ClassicMachine
from .pipeline import Call, Pipeline
from .platform import Platform
from .records import JobRecord, JobStatus, SessionRecord, iso, utc_now
from .responses import (
    JSONResponse,
    PlainTextResponse,
    Response,
    bad_request,
    license_required,
    login_failed,
    no_content,
    not_found,
    raw_json,
    too_many_concurrent,
    unknown_backend,
    unknown_job,
    unknown_project,
)
from .routes import Api, check_limits, metrics_of, open_session, tag_list, take_job

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import Route

    from .config import Project

ACCOUNT_PREFIX = "/api"
RUNTIME_PREFIX = "/classic"


class ClassicApi(Api):
    """Jobs and sessions of the classic runtime; only the last of its clients knows sessions."""

    most_listed = 50

    def backend_routes(self) -> list[Route]:
        """Routes about backends."""
        route = self._pipeline.route
        return [
            # The client asks with the slash.
            route("GET /backends", _backends, path="/backends/"),
            route("GET /backends", _backends),
            route("GET /backends/{name}/configuration", _configuration),
            route("GET /backends/{name}/properties", _properties),
            route("GET /backends/{name}/defaults", _defaults),
            route("GET /backends/{name}/status", _status),
        ]

    def job_routes(self) -> list[Route]:
        """Routes about jobs."""
        route = self._pipeline.route
        return [
            *super().job_routes(),
            route("GET /facade/v1/jobs/{id}/type", self._type),
            # Fetched without a login: who knows the address may read.
            route("GET /storage/{id}", self._stored, authorised=False),
        ]

    async def submit(self, call: Call) -> Response:
        """Take a new job."""
        body = call.json()  # the client names no content type
        project = _project_of(call, body)
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
        self.check_session(call, session_id, backend)
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
        take_job(call, job, params)
        return JSONResponse({"id": job.id, "backend": job.backend})

    async def results(self, call: Call) -> Response:
        """Hand out the results of a job."""
        job = self.job(call)
        text = call.platform.jobs.text(job.id)
        if text is None:
            return no_content()
        call.platform.jobs.results_read(job.id)
        if job.status is JobStatus.COMPLETED and len(text) > call.platform.config.inline_bytes:
            runtime = _urls(call.request)["services"]["runtime"]
            return PlainTextResponse(json.dumps({"url": f"{runtime}/storage/{job.id}"}))
        return PlainTextResponse(text)

    async def open_session(self, call: Call) -> Response:
        """Take a new session."""
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
        return open_session(call, session)

    def owner(self, call: Call) -> str | None:
        """Owner of the jobs that a list holds."""
        name = call.request.query_params.get("provider")
        if name is not None and name not in call.platform.projects:
            raise unknown_project(name)
        return name

    def owns(self, call: Call, record: JobRecord | SessionRecord) -> bool:
        """Whether a job or session belongs to whoever asks."""
        return record.instance in call.platform.projects

    def metrics(self, call: Call, job: JobRecord) -> dict[str, Any]:
        """Times, usage and the place in the queue."""
        # The client takes null for what is not known.
        unknown = dict.fromkeys(("qiskit_version", "estimated_start_time", "estimated_completion_time"))
        return {**unknown, **metrics_of(call, job, OLDEST)}

    def job(self, call: Call) -> JobRecord:
        """The job that a path names."""
        job_id = call.part("id")
        job = call.platform.jobs.get(job_id)
        if job is None or job.instance not in call.platform.projects:
            raise unknown_job(job_id)
        return job

    def describe(self, call: Call, job: JobRecord) -> dict[str, Any]:
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

    async def _stored(self, call: Call) -> Response:
        text = call.platform.jobs.text(self.job(call).id)
        if text is None:
            raise not_found("Object", call.part("id"))
        return raw_json(text.encode())

    async def _type(self, call: Call) -> Response:
        self.job(call)
        return JSONResponse({"type": "RUNTIME"})


def admit_with_token(platform: Platform, request: Request) -> None:
    """The classic way: an access token, and nothing about who pays.

    Args:
        platform: The service's state.
        request: The request.

    Raises:
        ApiError: 401.
    """
    platform.issuer.check_token(request.headers.get("x-access-token", ""))


def account_routes(pipeline: Pipeline) -> list[Route]:
    """Routes about the account."""
    return [
        pipeline.route("GET /version", _version, authorised=False),
        pipeline.route("POST /users/loginWithToken", _login, authorised=False),
        pipeline.route("GET /users/me", _me),
        pipeline.route("GET /Network", _network),
    ]


async def switched_off(call: Call) -> Response:
    """The answer of an API that is no more: a page for people. What IBM's own answers, if anything, is a guess."""
    status = call.platform.config.gone or 410
    page = "<html><head><title>Gone</title></head><body>This service has been retired.</body></html>\n"
    return PlainTextResponse(page, status_code=status, media_type="text/html")


def _project_of(call: Call, body: dict[str, Any]) -> Project:
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


async def _version(call: Call) -> Response:  # noqa: ARG001 - a handler's signature
    return JSONResponse({"new_api": True, "api-auth": "loopback", "api-app": "loopback"})


async def _login(call: Call) -> Response:
    config = call.platform.config
    token = call.json().get("apiToken")
    if not isinstance(token, str):
        raise login_failed()
    if token in config.unlicensed_tokens:
        raise license_required()
    if not call.platform.issuer.knows(token):
        raise login_failed()
    call.platform.tally.count(logins=1)
    return JSONResponse(call.platform.issuer.issue_classic())


async def _me(call: Call) -> Response:
    return JSONResponse({"id": "loopback-user", "urls": _urls(call.request)})


async def _network(call: Call) -> Response:
    hubs: dict[str, Any] = {}
    for index, project in enumerate(call.platform.config.projects):
        hub = hubs.setdefault(project.hub, {"name": project.hub, "groups": {}})
        group = hub["groups"].setdefault(project.group, {"name": project.group, "projects": {}})
        group["projects"][project.project] = {"name": project.project, "isDefault": index == 0}
    return JSONResponse(list(hubs.values()))


def _urls(request: Request) -> dict[str, Any]:
    host = request.headers.get("host", "")
    if is_public(host):
        return {
            "http": "https://api.quantum-computing.ibm.com/api",
            "ws": "wss://wss.quantum-computing.ibm.com",
            "services": {"runtime": "https://runtime-us-east.quantum-computing.ibm.com"},
        }
    return {
        "http": f"http://{host}{ACCOUNT_PREFIX}",
        "ws": f"ws://{host}{ACCOUNT_PREFIX}",
        "services": {"runtime": f"http://{host}{RUNTIME_PREFIX}"},
    }


async def _backends(call: Call) -> Response:
    machines = call.platform.classic_machines
    name = call.request.query_params.get("provider")
    if name is None:
        return JSONResponse({"devices": list(machines)})
    project = call.platform.projects.get(name)
    if project is None:
        raise unknown_project(name)
    return JSONResponse({"devices": [machine for machine in machines if project.offers(machine)]})


async def _configuration(call: Call) -> Response:
    return raw_json(_machine(call).configuration_body)


async def _properties(call: Call) -> Response:
    return raw_json(_machine(call).properties_body)


async def _defaults(call: Call) -> Response:
    _machine(call)
    return JSONResponse({})  # there is nothing to play pulses on


async def _status(call: Call) -> Response:
    machine = _machine(call)
    return JSONResponse(
        {
            "state": True,
            "status": "active",
            "message": "",
            "length_queue": call.platform.queue_length(machine.name),
            "backend_version": machine.configuration["backend_version"],
        }
    )


def _machine(call: Call) -> ClassicMachine:
    name = call.part("name")
    for project in call.platform.projects.values():
        machine = call.platform.classic_machine(name, project)
        if machine is not None:
            return machine
    raise unknown_backend(name)
