"""The Platform: IBM Cloud's login, instances and plans, and the runtime's backends, jobs and sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from starlette.responses import JSONResponse, Response

from .admission import metrics_of, published_versions, usage_of, version_of
from .config import Instance, Payer
from .jobs import wants_mocks
from .machines import Machine
from .pipeline import Call
from .records import JobRecord, JobStatus
from .responses import (
    ApiError,
    bad_request,
    not_found,
    session_not_allowed,
    too_many_pending,
    unknown_program,
    wrong_instance,
)
from .routes import Api

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import Route

DEFAULT_COST_SECS = 10_800
_GRANT = "urn:ibm:params:oauth:grant-type:apikey"


class PlatformApi(Api):
    """IBM Quantum Platform."""

    _most_listed = 200
    _id_prefix = "d"
    _max_ttl_field = "max_ttl"
    _state_fields = ("reason", "reason_code", "reason_solution")

    def routes(self) -> list[Route]:
        """Routes of the runtime."""
        return [
            *super().routes(),
            self.route("GET /versions", self._versions, authorised=False),
            self.route("GET /instances/usage", self._usage),
        ]

    def iam_routes(self) -> list[Route]:
        """Routes of the identity service."""
        return [self.route("POST /identity/token", self._login, authorised=False)]

    def search_routes(self) -> list[Route]:
        """Routes of the resource search."""
        return [self.route("POST /v3/resources/search", self._search, authorised=False)]

    def catalog_routes(self) -> list[Route]:
        """Routes of the catalogue of plans."""
        return [self.route("GET /catalog/{id}", self._plan, authorised=False, path="/api/v1/{id}")]

    def _admit(self, request: Request) -> Instance:
        """Take an access token, and the CRN of an instance of the account."""
        self._platform.issuer.check(request.headers)
        self._version(request)
        crn = request.headers.get("service-crn", "")
        if crn not in self._platform.instances:
            raise wrong_instance(crn)
        return self._platform.instances[crn]

    def _version(self, request: Request) -> str:
        return version_of(request.headers, self._platform.config.oldest_version)

    @property
    def _machines(self) -> Mapping[str, Machine]:
        return self._platform.offered_machines

    def _payers(self, call: Call) -> Sequence[Payer]:
        return (call.account,)

    def _payer(self, call: Call, _body: dict[str, Any]) -> Payer:
        return call.account

    def _job_fields(self, program: str, params: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
        if program not in self._platform.runner.primitives:
            raise unknown_program(program)
        cost = body.get("cost")
        if cost is not None and (not isinstance(cost, int) or cost <= 0):
            raise bad_request("cost must be a positive number of seconds.")
        return {
            "pubs": len(_pubs(program, params)),
            "private": bool(body.get("private", False)),
            "cost": cost,
            "calibration_id": body.get("calibration_id"),
        }

    def _receipt(self, job: JobRecord) -> dict[str, Any]:
        session = {} if job.session_id is None else {"session_id": job.session_id}
        return {**super()._receipt(job), **session, "private": job.private}

    def _mode(self, call: Call, body: dict[str, Any]) -> str:
        mode = str(body.get("mode", "dedicated"))
        if mode not in {"batch", "dedicated"}:
            raise bad_request(f"mode must be batch or dedicated, not {mode!r}.")
        if mode == "dedicated" and call.account.plan.lower() == "open":
            raise session_not_allowed()
        return mode

    def _too_many_pending(self, limit: int) -> ApiError:
        return too_many_pending(limit)

    def _no_job(self, job_id: str) -> ApiError:
        return not_found("Job", job_id)

    def _metrics_of(self, call: Call, job: JobRecord) -> dict[str, Any]:
        return metrics_of(self._platform, job, self._version(call.request))

    def _description(self, call: Call, job: JobRecord) -> dict[str, Any]:
        description: dict[str, Any] = {
            "cost": job.cost or DEFAULT_COST_SECS,
            "private": job.private,
            "usage": usage_of(job, self._version(call.request)),
        }
        if job.status is JobStatus.COMPLETED:
            description["estimated_running_time_seconds"] = job.usage_secs
        return description

    async def _login(self, call: Call) -> Response:
        form = parse_qs(call.body.decode("latin-1"))
        if form.get("grant_type") != [_GRANT] or not self._platform.issuer.knows(form.get("apikey", [""])[0]):
            # The context of the real answer is left out: it describes IBM's own servers.
            return JSONResponse(
                {"errorCode": "BXNIM0415E", "errorMessage": "Provided API key could not be found."},
                status_code=400,
            )
        self._platform.tally.count(logins=1)
        return JSONResponse(self._platform.issuer.issue())

    async def _search(self, call: Call) -> Response:
        self._platform.issuer.check(call.request.headers)
        items = [
            {
                "crn": instance.crn,
                "name": instance.name,
                "tags": list(instance.tags),
                "service_plan_unique_id": _plan_id(index),
                # clients leave out an instance that no backend is allotted to
                "doc": {}
                if instance.backends == ()
                else {
                    "extensions": [
                        {
                            "backends": list(
                                self._platform.machines if instance.backends is None else instance.backends
                            )
                        }
                    ]
                },
            }
            for index, instance in enumerate(self._platform.config.instances)
        ]
        return JSONResponse({"items": items, "limit": 100})

    async def _plan(self, call: Call) -> Response:
        self._platform.issuer.check(call.request.headers)
        plan_id = call.part("id")
        for index, instance in enumerate(self._platform.config.instances):
            if _plan_id(index) == plan_id:
                return JSONResponse(
                    {
                        "id": plan_id,
                        "overview_ui": {"en": {"display_name": instance.plan.title()}},
                        "metadata": {"pricing": {"type": instance.pricing_type}},
                    }
                )
        raise not_found("Plan", plan_id)

    async def _versions(self, _: Call) -> Response:
        return JSONResponse({"versions": published_versions(self._platform.config.oldest_version)})

    async def _backends(self, call: Call) -> Response:
        devices = [
            {
                "name": machine.name,
                "status": {"name": "paused" if machine.name in self._platform.scheduler.paused else "online"},
                "qubits": machine.num_qubits,
                "queue_length": self._platform.queue_length(machine.name),
                "is_simulator": machine.simulator,
                "processor_type": machine.configuration.get("processor_type"),
                **({"class": "mock"} if machine.mock else {}),
            }
            for machine in self._machines.values()
            if call.account.offers(machine.name)
            and (wants_mocks(call.request.query_params) or not machine.mock)
        ]
        return JSONResponse({"devices": devices})

    async def _usage(self, call: Call) -> Response:
        limit = self._platform.config.usage_limit_secs
        used_secs = self._platform.jobs.used_secs(call.account.crn)
        usage = {
            "instance_id": call.account.crn,
            "plan_id": call.account.plan,
            "usage_consumed_seconds": used_secs,
            "usage_limit_reached": limit is not None and used_secs >= limit,
        }
        if limit is not None:
            usage.update(usage_limit_seconds=limit, usage_remaining_seconds=max(limit - used_secs, 0))
        return JSONResponse(usage)


def _pubs(program: str, params: dict[str, Any]) -> list[Any]:
    """The PUBs of a body; of the program ``executor``, the items."""
    path = ("quantum_program", "items") if program == "executor" else ("pubs",)
    value: Any = params
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, list) or not value:
        raise bad_request(f"params.{'.'.join(path)} must be a list that is not empty.")
    return value


def _plan_id(index: int) -> str:
    return f"00000000-0000-4000-9000-{index:012d}"
