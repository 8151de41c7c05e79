"""The thread, the event loop and the socket of a service."""

from __future__ import annotations

import asyncio
import secrets
import socket
import tempfile
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import uvicorn

from .._compat import end_pool
from .app import build_app
from .authority import Authority
from .config import LoopbackConfig
from .control import Control
from .environment import Endpoint
from .front import Door
from .platform import Platform

_KEEP_ALIVE_SECS = 120
"""Long enough that no client finds a connection closed which it wants to use again."""


class Server:
    """Runs one service in a thread of its own.

    Args:
        config: What the service pretends to be.
    """

    def __init__(self, config: LoopbackConfig) -> None:
        self._config = config
        self._ready: Future[None] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._control: Control | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._thread: threading.Thread | None = None
        self.endpoint: Endpoint | None = None

    def start(self) -> None:
        """Start; the service answers when this returns.

        Raises:
            OSError: The port is taken.
        """
        # The protocol is named because asyncio sets TCP_NODELAY only then; without it a small answer, whose head and body
        # are written one after the other, takes 40 ms.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self._config.port))
        except OSError:
            listener.close()
            raise
        self._folder = tempfile.TemporaryDirectory(prefix="loopback-")
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="loopback-compute")
        arguments = (listener, self._folder.name, self._pool)
        # A daemon, so that a program that dies without leaving its `with` block does not hang.
        self._thread = threading.Thread(target=self._run, args=arguments, name="loopback-server", daemon=True)
        self._thread.start()
        try:
            self._ready.result()
        except BaseException:
            self.stop()
            raise

    def call(self, command: str, arguments: Mapping[str, Any]) -> Any:
        """Carry out a command on the event loop and wait for its answer."""
        assert self._loop is not None
        assert self._control is not None
        return asyncio.run_coroutine_threadsafe(self._control.run(command, arguments), self._loop).result()

    def stop(self) -> None:
        """Stop, and leave nothing behind: no thread, no socket, no file. Harmless if it does not run."""
        loop, stop = self._loop, self._stop
        if self._thread is not None:
            if loop is not None and stop is not None and self._thread.is_alive():
                loop.call_soon_threadsafe(stop.set)
            self._thread.join()
        if self._pool is not None:
            end_pool(self._pool)
        if self._folder is not None:
            self._folder.cleanup()
        self.endpoint = self._thread = self._pool = self._folder = None

    def _run(self, listener: socket.socket, folder: str, pool: ThreadPoolExecutor) -> None:
        try:
            asyncio.run(self._serve(listener, Path(folder), pool))
        except BaseException as error:  # noqa: BLE001 - carried over to the thread that started this one
            if not self._ready.done():
                self._ready.set_exception(error)
        finally:
            listener.close()

    async def _serve(self, listener: socket.socket, folder: Path, pool: ThreadPoolExecutor) -> None:
        platform = Platform(self._config, pool)
        self._control = Control(platform)
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        authority = Authority(folder)
        home = folder / "home"
        home.mkdir()
        key = secrets.token_urlsafe(24)
        settings = uvicorn.Config(
            build_app(platform, self._control, key),
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,  # the host program's logging is its own
            access_log=False,
            timeout_keep_alive=_KEEP_ALIVE_SECS,
        )
        door = Door(settings, authority, platform.tally)
        server = await self._loop.create_server(door.open, sock=listener, backlog=1024)
        self.endpoint = Endpoint(listener.getsockname()[1], str(authority.bundle), str(home), key)
        self._ready.set_result(None)
        try:
            await self._stop.wait()
        finally:
            server.close()
            await platform.scheduler.stop()
            await door.close()
            await server.wait_closed()
