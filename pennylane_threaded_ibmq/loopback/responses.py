"""Answers: the usual ones, and those that a fault spoils."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, PlainTextResponse, Response

from .errors import ApiError
from .front import Connection

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

__all__ = [
    "Cut",
    "Dropped",
    "JSONResponse",
    "PlainTextResponse",
    "Response",
    "error_response",
    "no_content",
    "raw_json",
]


def error_response(error: ApiError) -> Response:
    """IBM's answer to a request that it refuses."""
    return JSONResponse(error.body(), status_code=error.status, headers=error.headers)


def no_content() -> Response:
    """An answer that says only that it worked."""
    return Response(status_code=204)


def raw_json(body: bytes) -> Response:
    """An answer whose JSON is encoded already."""
    return Response(body, media_type="application/json")


def body_of(response: Response) -> Any:
    """The JSON of an answer."""
    return json.loads(bytes(response.body))


class Dropped(Response):
    """No answer: the connection is reset."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - named by ASGI
        """Reset the connection and wait until the HTTP server has noticed."""
        connection_of(scope).reset()
        await _until_disconnected(receive)


class Cut(Response):
    """An answer that announces its whole length and sends a part."""

    def __init__(self, whole: Response, keep: float) -> None:
        super().__init__(status_code=whole.status_code)
        self.raw_headers = whole.raw_headers
        self.body = bytes(whole.body)[: int(len(whole.body) * keep)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the part, close the connection and wait until the HTTP server has noticed."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        connection_of(scope).close()
        await _until_disconnected(receive)


def connection_of(scope: Scope) -> Connection:
    """The connection that a request came in on."""
    connection: Connection = scope["state"]["connection"]
    return connection


async def _until_disconnected(receive: Receive) -> None:
    """Returning earlier would make the HTTP server complain about an answer that never came."""
    while (await receive())["type"] != "http.disconnect":
        pass
