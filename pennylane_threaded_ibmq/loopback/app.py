"""The application: which host and path goes to which handler."""

from __future__ import annotations

import hmac
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route, Router

from .classic_routes import ACCOUNT_PREFIX, RUNTIME_PREFIX, ClassicApi
from .environment import Service, service_of
from .pipeline import Call, Handler
from .platform import Control, Platform, serves_platform
from .platform_routes import PlatformApi
from .proxy import refusal_text
from .responses import error_response, not_found

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

CONTROL_HEADER = "x-loopback-key"
CONTROL_PATH = "/loopback/control"


def build_app(platform: Platform, control: Control, key: str) -> ASGIApp:
    """Build the application.

    Args:
        platform: The service's state.
        control: Carries out commands from other processes.
        key: Secret that such a process must know.
    """
    platform_api, classic_api = PlatformApi(platform), ClassicApi(platform)

    async def unknown(call: Call) -> Response:
        raise not_found("Route", f"{call.request.method} {call.request.url.path}")

    def router(routes: Sequence[BaseRoute], otherwise: Handler = unknown, label: str = "(unknown)") -> Router:
        async def fallback(scope: Scope, receive: Receive, send: Send) -> None:
            request = Request(scope, receive, send)
            response = await platform_api.serve(
                f"{request.method} {label}", otherwise, request, authorised=False
            )
            await response(scope, receive, send)

        # Redirects to paths with another slash would hide a client's mistake.
        return Router(routes, default=fallback, redirect_slashes=False)

    account, classic = router(classic_api.account_routes()), router(classic_api.routes())
    if platform.config.gone is not None:
        account = classic = router([], classic_api.switched_off, "(gone)")
    runtime = router(platform_api.routes() if serves_platform() else [])
    iam, search, catalog = map(
        router, (platform_api.iam_routes(), platform_api.search_routes(), platform_api.catalog_routes())
    )
    commands = Route(CONTROL_PATH, _control_endpoint(platform, control, key), methods=["POST"])
    mounts = [
        # IBM's own hosts carry /api/v1; a base URL with "experimental" in it is used by clients as it stands.
        Mount("/api/v1", runtime),
        Mount("/experimental", runtime),
        # New clients can be told where these are; to others they are hosts of their own.
        Mount("/iam", iam),
        Mount("/search", search),
        Mount("/catalog", catalog),
        Mount(ACCOUNT_PREFIX, account),
        Mount(RUNTIME_PREFIX, classic),
        commands,
    ]
    services: dict[Service, ASGIApp] = {
        "iam": iam,
        "search": search,
        "catalog": catalog,
        "runtime": router(mounts),
        "classic_account": router([Mount(ACCOUNT_PREFIX, account)]),
        "classic_runtime": classic,
    }
    return _by_host(services, platform)


def _by_host(services: dict[Service, ASGIApp], platform: Platform) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        host = _normalise(scope)
        service = service_of(host)
        if service is None:
            platform.tally.count(refused=1)
            await PlainTextResponse(refusal_text(host or "a request without a host"), 502)(
                scope, receive, send
            )
            return
        await services[service](scope, receive, send)

    return app


def _normalise(scope: Scope) -> str:
    """Bring a proxy's absolute URL into the form of a direct request, and name the host that is asked."""
    target = unquote(str(scope["raw_path"], "latin-1"))
    if target.startswith("http://"):
        url = urlsplit(target)
        scope["path"] = url.path or "/"
        scope["raw_path"] = scope["path"].encode()
        return url.netloc
    return next((str(value, "latin-1") for name, value in scope["headers"] if name == b"host"), "")


def _control_endpoint(platform: Platform, control: Control, key: str) -> Any:
    async def endpoint(request: Request) -> Response:
        if not hmac.compare_digest(request.headers.get(CONTROL_HEADER, "").encode(), key.encode()):
            return error_response(not_found("Route", CONTROL_PATH))
        # Each command comes on a connection of its own, which is no client's.
        platform.tally.count(connections=-1)
        try:
            order = json.loads(await request.body())
            return JSONResponse({"answer": await control.run(order["command"], order["arguments"])})
        except TimeoutError:
            return JSONResponse({"timeout": True})
        except (ValidationError, ValueError, KeyError, TypeError) as error:
            return JSONResponse({"error": repr(error)})

    return endpoint
