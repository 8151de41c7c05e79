"""The classic API: its login and projects, and its runtime's backends, jobs and sessions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, PlainTextResponse, Response

from .admission import OLDEST, metrics_of
from .environment import is_public
from .machines import Machine
from .pipeline import Call
from .records import JobRecord, JobStatus
from .responses import (
    ApiError,
    bad_request,
    license_required,
    login_failed,
    not_found,
    raw_json,
    too_many_concurrent,
    unknown_job,
    unknown_project,
)
from .routes import Api

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import Route

    from .config import Payer, Project

ACCOUNT_PREFIX = "/api"
RUNTIME_PREFIX = "/classic"


class ClassicApi(Api):
    """The classic API; only the last of its clients knows sessions."""

    _most_listed = 50
    _id_prefix = "c"
    _max_ttl_field = "max_session_ttl"
    _state_fields = ("reason", "reason_code")

    def routes(self) -> list[Route]:
        """Routes of the runtime."""
        return [
            # The client asks with the slash.
            self.route("GET /backends", self._backends, path="/backends/"),
            *super().routes(),
            self.route("GET /backends/{name}/defaults", self._defaults),
            self.route("GET /facade/v1/jobs/{id}/type", self._type),
            # Fetched without a login: who knows the address may read.
            self.route("GET /storage/{id}", self._stored, authorised=False),
        ]

    def account_routes(self) -> list[Route]:
        """Routes about the account."""
        return [
            self.route("GET /version", self._version, authorised=False),
            self.route("POST /users/loginWithToken", self._login, authorised=False),
            self.route("GET /users/me", self._me),
            self.route("GET /Network", self._network),
        ]

    async def switched_off(self, _: Call) -> Response:
        """The answer of an API that is no more: a page for people. What IBM's own answers, if anything, is a guess."""
        status = self._platform.config.gone or 410
        page = "<html><head><title>Gone</title></head><body>This service has been retired.</body></html>\n"
        return PlainTextResponse(page, status_code=status, media_type="text/html")

    def _admit(self, request: Request) -> None:
        """Take an access token, and nothing about who pays."""
        self._platform.issuer.check_token(request.headers.get("x-access-token", ""))

    @property
    def _machines(self) -> Mapping[str, Machine]:
        return self._platform.classic_machines

    def _project(self, name: str) -> Project:
        if name not in self._platform.projects:
            raise unknown_project(name)
        return self._platform.projects[name]

    def _payers(self, call: Call) -> Sequence[Payer]:
        name = call.request.query_params.get("provider")
        return tuple(self._platform.projects.values()) if name is None else (self._project(name),)

    def _payer(self, _call: Call, body: dict[str, Any]) -> Payer:
        """The project that a body names, a session's by its name and a job's by its parts; the default if it names none."""
        parts = [body.get(part) for part in ("hub", "group", "project")]
        path = "/".join(map(str, parts)) if parts != [None, None, None] else None
        return self._project(str(body.get("instance") or path or self._platform.config.projects[0].name))

    def _job_fields(self, program: str, params: dict[str, Any], _body: dict[str, Any]) -> dict[str, Any]:
        if program not in self._platform.runner.classic:
            raise not_found("Program", program)
        circuits = params.get("circuits")
        if not circuits:
            raise bad_request("params.circuits must not be empty.")
        return {"pubs": len(circuits) if isinstance(circuits, list) else 1}

    def _mode(self, _call: Call, body: dict[str, Any]) -> str:
        return body.get("mode") or "dedicated"

    def _too_many_pending(self, limit: int) -> ApiError:
        return too_many_concurrent(limit)

    def _no_job(self, job_id: str) -> ApiError:
        return unknown_job(job_id)

    def _metrics_of(self, _call: Call, job: JobRecord) -> dict[str, Any]:
        # The client takes null for what is not known.
        unknown = dict.fromkeys(("qiskit_version", "estimated_start_time", "estimated_completion_time"))
        return {**unknown, **metrics_of(self._platform, job, OLDEST)}

    def _description(self, _call: Call, job: JobRecord) -> dict[str, Any]:
        project = self._platform.projects[job.instance]
        return {
            "hub": project.hub,
            "group": project.group,
            "project": project.project,
            "estimated_running_time_seconds": job.usage_secs,
        }

    def _results_text(self, call: Call, job: JobRecord, text: str) -> str:
        """Results, or where they are if they are long."""
        if job.status is not JobStatus.COMPLETED or len(text) <= self._platform.config.inline_bytes:
            return text
        return json.dumps({"url": f"{_urls(call.request)['services']['runtime']}/storage/{job.id}"})

    async def _stored(self, call: Call) -> Response:
        text = self._platform.jobs.text(self._job(call).id)
        if text is None:
            raise not_found("Object", call.part("id"))
        return raw_json(text.encode())

    async def _type(self, call: Call) -> Response:
        self._job(call)
        return JSONResponse({"type": "RUNTIME"})

    async def _backends(self, call: Call) -> Response:
        projects = self._payers(call)
        everything = "provider" not in call.request.query_params
        names = [n for n in self._machines if everything or any(p.offers(n) for p in projects)]
        return JSONResponse({"devices": names})

    async def _defaults(self, call: Call) -> Response:
        self._machine_of(call)
        return JSONResponse({})  # there is nothing to play pulses on

    async def _version(self, _: Call) -> Response:
        return JSONResponse({"new_api": True, "api-auth": "loopback", "api-app": "loopback"})

    async def _login(self, call: Call) -> Response:
        config = self._platform.config
        token = call.json().get("apiToken")
        if not isinstance(token, str):
            raise login_failed()
        if token in config.unlicensed_tokens:
            raise license_required()
        if not self._platform.issuer.knows(token):
            raise login_failed()
        self._platform.tally.count(logins=1)
        return JSONResponse(self._platform.issuer.issue_classic())

    async def _me(self, call: Call) -> Response:
        return JSONResponse({"id": "loopback-user", "urls": _urls(call.request)})

    async def _network(self, _: Call) -> Response:
        hubs: dict[str, Any] = {}
        for index, project in enumerate(self._platform.config.projects):
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
