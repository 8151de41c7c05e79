"""What a fault does to a request and its answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .errors import ApiError
from .faults import Fault
from .platform import Platform
from .resize import resized
from .responses import Cut, Dropped, JSONResponse, PlainTextResponse, Response, body_of, error_response

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

Act: TypeAlias = "Callable[[], Awaitable[Response]]"


async def answer(platform: Platform, fault: Fault, act: Act) -> Response:
    """Answer a request that a fault hit.

    Args:
        platform: The service's state.
        fault: The fault.
        act: Answers the request as if nothing were wrong.

    Returns:
        The answer.
    """
    if fault.effect in ("status", "reset", "stall"):
        acted = await act() if fault.when == "after" else None
        if fault.effect == "reset":
            return Dropped()
        if fault.effect == "status":
            return _error(fault)
        await _stall(platform, fault)
        return acted or await act()
    answered = await act()
    if fault.effect == "empty":
        return Response(status_code=fault.status or 204)
    if fault.effect == "job":
        return answered
    if fault.effect == "short":
        return Cut(answered, fault.keep)
    return _spoil(fault, answered)


def _error(fault: Fault) -> Response:
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    return error_response(ApiError(fault.status or 500, fault.code, fault.message, headers=headers))


async def _stall(platform: Platform, fault: Fault) -> None:
    """Wait for as long as the fault says, or until faults are cleared; whether the client is still there is no matter."""
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(platform.stalling(), fault.secs)


def _spoil(fault: Fault, response: Response) -> Response:
    """Change the body of an answer that is otherwise well formed; an error stays as it is."""
    if response.status_code != 200:
        return response
    text = bytes(response.body).decode()
    if fault.effect == "truncate":
        return PlainTextResponse(text[: int(len(text) * fault.keep)])
    if fault.effect == "count":
        body = body_of(response)
        return JSONResponse({**body, "count": body["count"] + fault.delta})
    if fault.effect == "state":
        body = body_of(response)
        state = {**body["state"], "status": fault.unknown_state}
        return JSONResponse({**body, "status": fault.unknown_state, "state": state})
    if fault.effect == "extra":
        return JSONResponse(_with_extras(json.loads(text)))
    return PlainTextResponse(resized(fault, text))


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
