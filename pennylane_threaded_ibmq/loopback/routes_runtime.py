"""The runtime's part about backends and instances."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import unknown_backend
from .job_actions import wants_mocks
from .pipeline import Call, Pipeline
from .responses import JSONResponse, Response, raw_json
from .snapshots import Machine
from .versions import published_versions

if TYPE_CHECKING:
    from starlette.routing import Route


def runtime_routes(pipeline: Pipeline) -> list[Route]:
    """Routes about backends and instances."""
    return [
        pipeline.route("GET /versions", _versions, authorised=False),
        pipeline.route("GET /backends", _backends),
        pipeline.route("GET /backends/{name}/configuration", _configuration),
        pipeline.route("GET /backends/{name}/properties", _properties),
        pipeline.route("GET /backends/{name}/status", _status),
        pipeline.route("GET /instances/usage", _usage),
    ]


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
