"""The classic runtime's part about backends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .classic_errors import unknown_project
from .classic_machines import ClassicMachine
from .errors import unknown_backend
from .pipeline import Call, Pipeline
from .responses import JSONResponse, Response, raw_json

if TYPE_CHECKING:
    from starlette.routing import Route


def backend_routes(pipeline: Pipeline) -> list[Route]:
    """Routes about backends."""
    return [
        # The client asks with the slash.
        pipeline.route("GET /backends", _backends, path="/backends/"),
        pipeline.route("GET /backends", _backends),
        pipeline.route("GET /backends/{name}/configuration", _configuration),
        pipeline.route("GET /backends/{name}/properties", _properties),
        pipeline.route("GET /backends/{name}/defaults", _defaults),
        pipeline.route("GET /backends/{name}/status", _status),
    ]


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
