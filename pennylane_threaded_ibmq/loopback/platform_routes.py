"""The Platform: IBM Cloud's login, instances and plans, and the runtime's backends, jobs and sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from .admission import published_versions, usage_of
from .jobs import DEFAULT_TTL_SECS, new_id
from .machines import Machine
from .pipeline import Call, Pipeline
from .records import JobRecord, JobStatus, SessionRecord, iso, utc_now
from .responses import (
    JSONResponse,
    PlainTextResponse,
    Response,
    bad_request,
    no_content,
    not_found,
    raw_json,
    session_not_allowed,
    unknown_backend,
    unknown_program,
)
from .routes import Api, check_limits, metrics_of, open_session, tag_list, take_job, wants_mocks

if TYPE_CHECKING:
    from starlette.routing import Route

    from .config import Instance

DEFAULT_COST_SECS = 10_800
_GRANT = "urn:ibm:params:oauth:grant-type:apikey"


class PlatformApi(Api):
    """Jobs, sessions and batches of the Platform."""

    most_listed = 200

    def backend_routes(self) -> list[Route]:
        """Routes about backends and instances."""
        route = self._pipeline.route
        return [
            route("GET /versions", _versions, authorised=False),
            route("GET /backends", _backends),
            route("GET /backends/{name}/configuration", _configuration),
            route("GET /backends/{name}/properties", _properties),
            route("GET /backends/{name}/status", _status),
            route("GET /instances/usage", _usage),
        ]

    async def submit(self, call: Call) -> Response:
        """Take a new job."""
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
        self.check_session(call, session_id, backend)
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
        take_job(call, job, params)
        answer = {"id": job.id, "backend": job.backend, "session_id": session_id, "private": job.private}
        return JSONResponse({key: value for key, value in answer.items() if value is not None})

    async def results(self, call: Call) -> Response:
        """Hand out the results of a job."""
        job = self.job(call)
        text = call.platform.jobs.text(job.id)
        if text is None and job.private and job.results_read:
            raise not_found("Job results", job.id)
        if text is None:
            return no_content()
        call.platform.jobs.results_read(job.id)
        return PlainTextResponse(text)

    async def open_session(self, call: Call) -> Response:
        """Take a new session."""
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
        return open_session(call, session)

    def owner(self, call: Call) -> str:
        """Owner of the jobs that a list holds."""
        return call.account.crn

    def owns(self, call: Call, record: JobRecord | SessionRecord) -> bool:
        """Whether a job or session belongs to whoever asks."""
        return record.instance == call.account.crn

    def metrics(self, call: Call, job: JobRecord) -> dict[str, Any]:
        """Times, usage and the place in the queue."""
        return metrics_of(call, job, call.version)

    def job(self, call: Call) -> JobRecord:
        """The job that a path names."""
        job_id = call.part("id")
        job = call.platform.jobs.get(job_id)
        if job is None or job.instance != call.account.crn:
            raise not_found("Job", job_id)
        return job

    def describe(self, call: Call, job: JobRecord) -> dict[str, Any]:
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


def iam_routes(pipeline: Pipeline) -> list[Route]:
    """Routes of the identity service."""
    return [pipeline.route("POST /identity/token", _login, authorised=False)]


def search_routes(pipeline: Pipeline) -> list[Route]:
    """Routes of the resource search."""
    return [pipeline.route("POST /v3/resources/search", _search, authorised=False)]


def catalog_routes(pipeline: Pipeline) -> list[Route]:
    """Routes of the catalogue of plans."""
    return [pipeline.route("GET /catalog/{id}", _plan, authorised=False, path="/api/v1/{id}")]


def _pubs(program: str, params: dict[str, Any]) -> list[Any]:
    """The PUBs of a body; of the program ``executor``, the items."""
    path = ("quantum_program", "items") if program == "executor" else ("pubs",)
    value: Any = params
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, list) or not value:
        raise bad_request(f"params.{'.'.join(path)} must be a list that is not empty.")
    return value


async def _login(call: Call) -> Response:
    form = parse_qs(call.body.decode("latin-1"))
    if form.get("grant_type") != [_GRANT] or not call.platform.issuer.knows(form.get("apikey", [""])[0]):
        # The context of the real answer is left out: it describes IBM's own servers.
        return JSONResponse(
            {"errorCode": "BXNIM0415E", "errorMessage": "Provided API key could not be found."},
            status_code=400,
        )
    call.platform.tally.count(logins=1)
    return JSONResponse(call.platform.issuer.issue())


async def _search(call: Call) -> Response:
    call.platform.issuer.check(call.request.headers)
    items = [
        {
            "crn": instance.crn,
            "name": instance.name,
            "tags": list(instance.tags),
            "service_plan_unique_id": _plan_id(index),
            # clients leave out an instance that no backend is allotted to
            "doc": {}
            if instance.backends == ()
            else {"extensions": [{"backends": _offered(call, instance)}]},
        }
        for index, instance in enumerate(call.platform.config.instances)
    ]
    return JSONResponse({"items": items, "limit": 100})


def _offered(call: Call, instance: Instance) -> list[str]:
    return list(call.platform.machines if instance.backends is None else instance.backends)


async def _plan(call: Call) -> Response:
    call.platform.issuer.check(call.request.headers)
    plan_id = call.part("id")
    for index, instance in enumerate(call.platform.config.instances):
        if _plan_id(index) == plan_id:
            return JSONResponse(
                {
                    "id": plan_id,
                    "overview_ui": {"en": {"display_name": instance.plan.title()}},
                    "metadata": {"pricing": {"type": instance.pricing_type}},
                }
            )
    raise not_found("Plan", plan_id)


def _plan_id(index: int) -> str:
    return f"00000000-0000-4000-9000-{index:012d}"


async def _versions(call: Call) -> Response:
    return JSONResponse({"versions": published_versions(call.platform.config.oldest_version)})


async def _backends(call: Call) -> Response:
    devices = [
        {
            "name": machine.name,
            "status": {"name": "paused" if _is_paused(call, machine.name) else "online"},
            "qubits": machine.num_qubits,
            "queue_length": call.platform.queue_length(machine.name),
            "is_simulator": machine.simulator,
            "processor_type": machine.configuration.get("processor_type"),
            **({"class": "mock"} if machine.mock else {}),
        }
        for machine in call.platform.machines.values()
        if call.machine(machine.name) is not None and (wants_mocks(call) or not machine.mock)
    ]
    return JSONResponse({"devices": devices})


async def _configuration(call: Call) -> Response:
    return raw_json(_machine(call).configuration_body)


async def _properties(call: Call) -> Response:
    return raw_json(_machine(call).properties_body)


async def _status(call: Call) -> Response:
    machine = _machine(call)
    return JSONResponse(
        {
            "state": True,
            "status": "paused" if _is_paused(call, machine.name) else "active",
            "message": "",
            "length_queue": call.platform.queue_length(machine.name),
            "backend_version": machine.configuration["backend_version"],
        }
    )


def _is_paused(call: Call, name: str) -> bool:
    return name in call.platform.scheduler.paused


async def _usage(call: Call) -> Response:
    limit = call.platform.config.usage_limit_secs
    used = call.platform.jobs.used_secs(call.account.crn)
    usage = {
        "instance_id": call.account.crn,
        "plan_id": call.account.plan,
        "usage_consumed_seconds": used,
        "usage_limit_reached": limit is not None and used >= limit,
    }
    if limit is not None:
        usage.update(usage_limit_seconds=limit, usage_remaining_seconds=max(limit - used, 0))
    return JSONResponse(usage)


def _machine(call: Call) -> Machine:
    name = call.part("name")
    machine = call.machine(name)
    if machine is None:
        raise unknown_backend(name)
    return machine
