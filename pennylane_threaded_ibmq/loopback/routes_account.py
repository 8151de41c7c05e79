"""IBM Cloud's part: login, the list of instances, and the plan of each."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from .errors import not_found
from .pipeline import Call, Pipeline
from .responses import JSONResponse, Response

if TYPE_CHECKING:
    from starlette.routing import Route

    from .config import Instance

_GRANT = "urn:ibm:params:oauth:grant-type:apikey"


def iam_routes(pipeline: Pipeline) -> list[Route]:
    """Routes of the identity service."""
    return [pipeline.route("POST /identity/token", _login, authorised=False)]


def search_routes(pipeline: Pipeline) -> list[Route]:
    """Routes of the resource search."""
    return [pipeline.route("POST /v3/resources/search", _search, authorised=False)]


def catalog_routes(pipeline: Pipeline) -> list[Route]:
    """Routes of the catalogue of plans."""
    return [pipeline.route("GET /catalog/{id}", _plan, authorised=False, path="/api/v1/{id}")]


async def _login(call: Call) -> Response:
    form = parse_qs(call.body.decode("latin-1"))
    if form.get("grant_type") != [_GRANT] or not call.platform.issuer.knows(form.get("apikey", [""])[0]):
        # The context of the real answer is left out: it describes IBM's own servers.
        return JSONResponse(
            {"errorCode": "BXNIM0415E", "errorMessage": "Provided API key could not be found."},
            status_code=400,
        )
    call.platform.tally.logins += 1
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
            else {"extensions": [{"backends": _backends(call, instance)}]},
        }
        for index, instance in enumerate(call.platform.config.instances)
    ]
    return JSONResponse({"items": items, "limit": 100})


def _backends(call: Call, instance: Instance) -> list[str]:
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
