"""The service within this process."""

from __future__ import annotations

from typing import Any

from .config import LoopbackConfig
from .environment import Endpoint
from .face import Loopback
from .server import Server


class LoopbackService(Loopback):
    """IBM Quantum Platform on 127.0.0.1, in a thread of this process.

    Simulation holds Python's interpreter lock: while a job is computed, neither this service nor the program around it
    runs Python. Where times are measured, use :class:`LoopbackProcess`.

    Args:
        config: What the service pretends to be.

    Raises:
        ValueError: On start: a backend has no snapshot.
    """

    def __init__(self, config: LoopbackConfig | None = None) -> None:
        super().__init__(config)
        self._server: Server | None = None

    def start(self) -> None:
        """Start the service; it answers when this returns."""
        if self._server is not None:
            raise RuntimeError("the loopback service runs already")
        server = Server(self.config)
        server.start()
        self._server = server

    def stop(self) -> None:
        """Stop the service: no thread, no socket and no file is left. Harmless if it does not run."""
        server, self._server = self._server, None
        if server is not None:
            server.stop()

    def _running(self) -> Server:
        if self._server is None:
            raise RuntimeError("the loopback service does not run; use it in a 'with' block")
        return self._server

    @property
    def endpoint(self) -> Endpoint:
        """Where the service is; an error if it does not run."""
        endpoint = self._running().endpoint
        assert endpoint is not None
        return endpoint

    def _ask(self, command: str, **arguments: Any) -> Any:
        return self._running().call(command, arguments)
