"""The pages on 127.0.0.1, live, for whoever has the key in the address."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..._printable import printable
from ...exceptions import ThreadedIBMQError
from .render import STATIC, Pages

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

LOOK_SECS = 2.0
"""Seconds between two looks of an open page for something new."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # the address has the key, and pages link to IBM's
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def new_key() -> str:
    """A key that nobody guesses; whoever else uses this machine can reach the port, but not the pages."""
    return secrets.token_urlsafe(16)


def make_app(journal_path: Path | None, limit: int, key: str) -> Any:
    """The pages as a web application, all of them below the key.

    Args:
        journal_path: File of the journal; ``None`` for the usual one.
        limit: Most batches, and most circuits, to show.
        key: First part of every address.

    Raises:
        ClickException: What it needs is not installed.
    """
    try:
        from starlette.applications import Starlette
        from starlette.middleware import Middleware
        from starlette.middleware.trustedhost import TrustedHostMiddleware
        from starlette.routing import Route
    except ImportError:
        raise click.ClickException(
            "pages need starlette: pip install 'pennylane-threaded-ibmq[pages]'."
        ) from None

    site = _Site(Pages(journal_path, limit, root=f"/{key}/", live=LOOK_SECS), key)
    # sync functions, which Starlette runs in threads: they read files and draw
    routes = [
        Route("/{key}/", site.index),
        Route("/{key}/circuits", site.circuits),
        Route("/{key}/batch/{batch}", site.batch),
        Route("/{key}/{file}", site.file),
    ]
    # a page of elsewhere whose name is led to this machine is answered to nothing
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"], www_redirect=False)
    return Starlette(routes=routes, middleware=[hosts])


class _Site:
    def __init__(self, pages: Pages, key: str) -> None:
        self._pages = pages
        self._key = key

    def index(self, request: Request) -> Response:
        return self._answer(request, self._pages.index)

    def circuits(self, request: Request) -> Response:
        return self._answer(request, self._pages.circuits)

    def batch(self, request: Request) -> Response:
        return self._answer(request, lambda: self._pages.batch(request.path_params["batch"]))

    def file(self, request: Request) -> Response:
        name = request.path_params["file"]
        kind = "text/css" if name.endswith(".css") else "text/javascript"
        return self._answer(request, lambda: self._pages.file(name) if name in STATIC else None, kind)

    def _answer(self, request: Request, make: Any, kind: str = "text/html") -> Response:
        from starlette.responses import PlainTextResponse, Response

        if not secrets.compare_digest(request.path_params["key"].encode(), self._key.encode()):
            return PlainTextResponse("not found", 404, headers=HEADERS)
        try:
            text = make()
        except ThreadedIBMQError as error:
            return PlainTextResponse(printable(str(error)), 500, headers=HEADERS)
        if text is None:
            return PlainTextResponse("not found", 404, headers=HEADERS)
        tag = f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
        headers = {**HEADERS, "ETag": tag}
        if request.headers.get("If-None-Match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(text, media_type=kind, headers=headers)
