"""What every request goes through: counting, latency, faults, authorisation, and IBM's error bodies."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect
from starlette.routing import Route

from . import effects
from .config import Instance
from .errors import ApiError, bad_request, wrong_instance
from .faults import Fault
from .platform import Platform
from .responses import Response, error_response
from .snapshots import Machine
from .versions import version_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from typing_extensions import TypeAlias

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Call:
    """One request on its way to a handler.

    Attributes:
        platform: The service's state.
        request: The request.
        body: Its body.
        instance: The instance it names; only routes that need one have one.
        fate: How the job that it creates is to end; ``None`` for its natural end.
    """

    platform: Platform
    request: Request
    body: bytes
    instance: Instance | None = None
    fate: Fault | None = None

    @property
    def version(self) -> str:
        """The version of the Platform's API that the request speaks.

        Raises:
            ApiError: 400.
        """
        return version_of(self.request.headers, self.platform.config.oldest_version)

    @property
    def account(self) -> Instance:
        """The instance, on routes that need one."""
        assert self.instance is not None, "the route was declared without authorisation"
        return self.instance

    def part(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])

    def json(self) -> dict[str, Any]:
        """The body, which must be a JSON object.

        Raises:
            ApiError: 400.
        """
        try:
            value = json.loads(self.body)
        except ValueError as error:
            raise bad_request(f"the body is not JSON: {error}") from None
        if not isinstance(value, dict):
            raise bad_request(f"the body must be an object, not {type(value).__name__}")
        return value

    def machine(self, name: str) -> Machine | None:
        """A backend of the instance."""
        return self.platform.machine(name, self.account)


Handler: TypeAlias = "Callable[[Call], Awaitable[Response]]"
Admit: TypeAlias = "Callable[[Platform, Request], Instance | None]"
"""Refuses a request without a valid login, and names the instance that it is for, if its face has instances."""


class Pipeline:
    """Turns handlers into routes.

    Args:
        platform: The service's state.
        admit: Asked about each request to a route that is authorised.
    """

    def __init__(self, platform: Platform, admit: Admit) -> None:
        self._platform = platform
        self._admit = admit

    def route(
        self, label: str, handler: Handler, *, authorised: bool = True, path: str | None = None
    ) -> Route:
        """A route.

        Args:
            label: ``"METHOD /path"``, under which it is counted and faults find it.
            handler: Answers it.
            authorised: Whether it takes an access token and an instance.
            path: Path, where it differs from that of the label.
        """
        method, _, template = label.partition(" ")

        async def endpoint(request: Request) -> Response:
            return await self.serve(label, handler, request, authorised=authorised)

        return Route(path or template, endpoint, methods=[method])

    async def serve(self, label: str, handler: Handler, request: Request, *, authorised: bool) -> Response:
        """Take one request through; once its body is here it is carried out, whether or not the client stays."""
        platform = self._platform
        try:
            body = await request.body()
        except ClientDisconnect:  # killed while it sent: the request never was
            return Response(status_code=400)
        platform.tally.request(label, len(body))
        platform.change.notify()
        if platform.config.request_secs:
            await asyncio.sleep(platform.config.request_secs)
        fault = platform.faults.decide(label)
        if fault is not None:
            platform.tally.fault(fault.effect)
        fate = fault if fault is not None and fault.effect == "job" else None

        async def act() -> Response:
            return await self._act(handler, request, body, fate, authorised=authorised)

        response = await act() if fault is None else await effects.answer(platform, fault, act)
        platform.tally.answer(len(response.body))
        return response

    async def _act(
        self, handler: Handler, request: Request, body: bytes, fate: Fault | None, *, authorised: bool
    ) -> Response:
        try:
            instance = self._admit(self._platform, request) if authorised else None
            return await handler(Call(self._platform, request, body, instance, fate))
        except ApiError as error:
            return error_response(error)
        except Exception as error:
            logger.exception("%s %s could not be answered", request.method, request.url.path)
            return error_response(ApiError(500, 1000, f"API Internal error: {error!r}", "Retry the action."))


def admit_to_instance(platform: Platform, request: Request) -> Instance:
    """The Platform's way: an access token, and the CRN of an instance of the account."""
    platform.issuer.check(request.headers)
    version_of(request.headers, platform.config.oldest_version)
    crn = request.headers.get("service-crn", "")
    if crn not in platform.instances:
        raise wrong_instance(crn)
    return platform.instances[crn]
