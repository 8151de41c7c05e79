"""The way of every request: counting, latency, faults, authorisation, and IBM's error bodies."""

from __future__ import annotations

import asyncio
import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from .config import Instance
from .faults import Fault, resize
from .platform import Platform
from .responses import ApiError, Cut, Dropped, bad_request, error_response

if TYPE_CHECKING:
    from starlette.requests import Request
    from typing_extensions import TypeAlias


logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Call:
    """One request on its way to a handler.

    Attributes:
        request: The request.
        body: Its body.
        instance: The instance it names; only routes that need one have one.
        forced_outcome: How the job that it creates is to end; ``None`` for its natural end.
    """

    request: Request
    body: bytes
    instance: Instance | None = None
    forced_outcome: Fault | None = None

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


Handler: TypeAlias = "Callable[[Call], Awaitable[Response]]"
Act: TypeAlias = "Callable[[], Awaitable[Response]]"


class Pipeline(ABC):
    """Turns handlers into routes."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    @abstractmethod
    def _admit(self, request: Request) -> Instance | None:
        """Refuse a request without a valid login, and find the instance that it is for, if its API has instances.

        Raises:
            ApiError: 401 or 403.
        """

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
        forced_outcome = fault if fault is not None and fault.effect == "job" else None
        act = partial(self._act, handler, request, body, forced_outcome, authorised=authorised)
        response = await act() if fault is None else await self._with_fault(fault, act)
        platform.tally.count(bytes_sent=len(response.body))
        return response

    async def _act(
        self,
        handler: Handler,
        request: Request,
        body: bytes,
        forced_outcome: Fault | None,
        *,
        authorised: bool,
    ) -> Response:
        try:
            instance = self._admit(request) if authorised else None
            return await handler(Call(request, body, instance, forced_outcome))
        except ApiError as error:
            return error_response(error)
        except Exception as error:
            logger.exception("%s %s could not be answered", request.method, request.url.path)
            return error_response(ApiError(500, 1000, f"API Internal error: {error!r}", "Retry the action."))

    async def _with_fault(self, fault: Fault, act: Act) -> Response:
        """Answer a request that a fault hit; ``act`` answers it as if nothing were wrong."""
        if fault.effect in ("status", "reset", "stall"):
            answer = await act() if fault.when == "after" else None
            if fault.effect == "reset":
                return Dropped()
            if fault.effect == "status":
                return _error(fault)
            await self._stall(fault)
            return answer or await act()
        answer = await act()
        if fault.effect == "empty":
            return Response(status_code=fault.status or 204)
        if fault.effect == "job":
            return answer
        if fault.effect == "short":
            return Cut(answer, fault.keep)
        return _spoil(fault, answer)

    async def _stall(self, fault: Fault) -> None:
        """Wait for as long as the fault says, or until faults are cleared; whether the client is still there is no matter."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._platform.stalling(), fault.secs)


def _error(fault: Fault) -> Response:
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    return error_response(ApiError(fault.status or 500, fault.code, fault.message, headers=headers))


def _spoil(fault: Fault, response: Response) -> Response:
    """Change the body of an answer that is otherwise well formed; an error stays as it is."""
    if response.status_code != 200:
        return response
    text = bytes(response.body).decode()
    if fault.effect == "truncate":
        return PlainTextResponse(text[: int(len(text) * fault.keep)])
    if fault.effect == "count":
        body = json.loads(text)
        return JSONResponse({**body, "count": body["count"] + fault.delta})
    if fault.effect == "state":
        body = json.loads(text)
        state = {**body["state"], "status": fault.unknown_state}
        return JSONResponse({**body, "status": fault.unknown_state, "state": state})
    if fault.effect == "extra":
        return JSONResponse(_with_extras(json.loads(text)))
    return PlainTextResponse(resize(fault, text))


def _with_extras(value: Any) -> Any:
    """Add a field that no client knows to every JSON object, except inside typed values and quantum programs."""
    if isinstance(value, dict) and not value.keys() & {"__type__", "schema_version"}:
        return {
            **{key: _with_extras(item) for key, item in value.items()},
            "loopback_extra": {"unknown": [1, None]},
        }
    if isinstance(value, list):
        return [_with_extras(item) for item in value]
    return value
