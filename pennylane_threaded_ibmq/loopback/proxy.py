"""The front proxy: one port for direct requests, for plain proxy requests, and for TLS tunnels.

A connection that opens with ``CONNECT`` gets its tunnel answered by this very process, with a certificate for the
host it asked for. Any other connection goes to the HTTP server as it is. Nothing is ever passed on to a network.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import socket
import ssl
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import trustme
from uvicorn.server import ServerState

from .environment import is_public
from .records import Tally

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send
    from uvicorn import Config


logger = logging.getLogger(__name__)

_LONGEST_HEAD = 64 * 1024


class Connection:
    """The transport below a request, for faults that no HTTP answer can express."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def reset(self) -> None:
        """Drop the connection; the client sees it reset."""
        raw = self._transport.get_extra_info("socket")
        if raw is not None:
            # No lingering: closing then sends RST in place of FIN.
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def close(self) -> None:
        """Close the connection after what was written."""
        self._transport.close()


class Proxy:
    """The proxy that all connections share: HTTP server, certificates and counters.

    Args:
        config: Settings of the HTTP server, with the application.
        authority: Issues certificates.
        tally: Counts connections.
    """

    def __init__(self, config: Config, authority: Authority, tally: Tally) -> None:
        config.load()
        self._config = config
        self._state = ServerState()
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: set[_Arrival] = set()
        self.authority = authority
        self.tally = tally

    def open(self) -> asyncio.Protocol:
        """A protocol for a connection that arrives."""
        return _Arrival(self)

    def serve(self, transport: asyncio.Transport, received: bytes) -> None:
        """Hand a connection to the HTTP server.

        Args:
            transport: The connection.
            received: What it has sent already.
        """
        build = cast("Callable[..., asyncio.Protocol]", self._config.http_protocol_class)
        # Older servers have no state to hand to the application, so that it is bound to its connection here.
        stateful: dict[str, Any] = (
            {"app_state": {}} if "app_state" in inspect.signature(build).parameters else {}
        )
        protocol = build(
            config=self._config, server_state=self._state, _loop=asyncio.get_running_loop(), **stateful
        )
        cast("Any", protocol).app = _bind(self._config.loaded_app, Connection(transport))
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if received:
            protocol.data_received(received)

    def entered(self, arrival: _Arrival) -> None:
        """A connection arrived that has not said yet what it wants."""
        self.tally.count(connections=1)
        self._waiting.add(arrival)

    def left(self, arrival: _Arrival) -> None:
        """A connection said what it wants, or went."""
        self._waiting.discard(arrival)

    def start(self, tunnel: Any) -> None:
        """Run a coroutine that sets a tunnel up."""
        task = asyncio.get_running_loop().create_task(tunnel)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Drop all connections and what they wait for."""
        for arrival in list(self._waiting):
            arrival.abort()
        for protocol in list(self._state.connections):
            protocol.transport.abort()
        tasks = [*self._tasks, *self._state.tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _bind(app: ASGIApp, connection: Connection) -> ASGIApp:
    """The application, told on which connection each request came in."""

    async def app_with_connection(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"] = {"connection": connection}
        await app(scope, receive, send)

    return app_with_connection


class _Arrival(asyncio.Protocol):
    """A connection until it is known what it wants."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._tunnel = False

    def abort(self) -> None:
        """Drop the connection."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._proxy.entered(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - named by asyncio
        self._proxy.left(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._tunnel or self._transport is None:
            return  # the handshake is over but its coroutine has not run yet: it takes the buffer
        method, space, _ = self._buffer.partition(b" ")
        if space and method != b"CONNECT":
            self._proxy.left(self)
            self._proxy.serve(self._transport, bytes(self._buffer))
        elif b"\r\n\r\n" in self._buffer:
            self._connect(self._transport)
        elif len(self._buffer) > _LONGEST_HEAD:
            self._transport.abort()

    def _connect(self, transport: asyncio.Transport) -> None:
        target = self._buffer.split(b" ", 2)[1].decode("latin-1")
        self._buffer.clear()
        host, _, port = target.rpartition(":")
        if port != "443" or not is_public(host):
            self._proxy.tally.count(refused=1)
            logger.warning("refused a tunnel to %s", target)
            transport.write(refusal(target))
            transport.close()
            return
        self._proxy.tally.count(tunnels=1)
        self._tunnel = True
        transport.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self._proxy.start(self._secure(transport, host.lower()))

    async def _secure(self, transport: asyncio.Transport, host: str) -> None:
        try:
            tls = await asyncio.get_running_loop().start_tls(
                transport, self, self._proxy.authority.context(host), server_side=True
            )
        except (OSError, ssl.SSLError):
            logger.info("a client gave up its tunnel to %s; does it trust the service's certificate?", host)
            return
        finally:
            self._proxy.left(self)
        if tls is not None:
            self._proxy.serve(tls, bytes(self._buffer))


def refusal(target: str) -> bytes:
    """A complete answer to a request for a host that is not IBM's."""
    body = refusal_text(target).encode()
    head = f"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Connection: close\r\n\r\n" + body


def refusal_text(target: str) -> str:
    """Says why a request goes nowhere."""
    return (
        f"The loopback service stands in for IBM Quantum only and passes nothing on: {target} is refused.\n"
    )


class Authority:
    """Vouches for IBM's host names towards clients that were told to trust it, and towards nobody else.

    Args:
        folder: Where the certificate is written that clients have to trust. The private key stays in memory.
    """

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA(organization_name="Loopback service")
        self._contexts: dict[str, ssl.SSLContext] = {}
        self.bundle = folder / "loopback-ca.pem"
        self._authority.cert_pem.write_to_path(str(self.bundle))

    def context(self, host: str) -> ssl.SSLContext:
        """TLS settings with a certificate for one host; there are as many as IBM has hosts."""
        if host not in self._contexts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._authority.issue_cert(host).configure_cert(context)
            self._contexts[host] = context
        return self._contexts[host]
