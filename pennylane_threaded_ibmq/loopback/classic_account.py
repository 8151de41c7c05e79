"""The classic API's part about the account: login, the addresses of the services, and the projects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .classic_errors import license_required, login_failed
from .hosts import is_public
from .pipeline import Call, Pipeline
from .platform import Platform
from .responses import JSONResponse, PlainTextResponse, Response

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import Route

ACCOUNT_PREFIX = "/api"
RUNTIME_PREFIX = "/classic"


def admit_with_token(platform: Platform, request: Request) -> None:
    """The classic way: an access token, and nothing about who pays.

    Args:
        platform: The service's state.
        request: The request.

    Raises:
        ApiError: 401.
    """
    platform.issuer.check_token(request.headers.get("x-access-token", ""))


def runtime_url(request: Request) -> str:
    """Base URL of the runtime, where the client that asks reaches it."""
    return _urls(request)["services"]["runtime"]  # type: ignore[no-any-return]


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
    call.platform.tally.logins += 1
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
