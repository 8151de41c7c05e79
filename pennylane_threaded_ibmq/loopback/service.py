"""The service in a thread of this process, or in a process of its own."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from typing import Any

import uvicorn

from .._compat import end_pool
from .app import CONTROL_HEADER, CONTROL_PATH, build_app
from .client import Loopback
from .config import LoopbackConfig
from .environment import Endpoint
from .platform import Control, Platform
from .proxy import Authority, Proxy


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
        """The endpoint of the service; an error if it does not run."""
        endpoint = self._running().endpoint
        assert endpoint is not None
        return endpoint

    def _ask(self, command: str, **arguments: Any) -> Any:
        return self._running().call(command, arguments)


_KEEP_ALIVE_SECS = 120
"""Long enough that no client finds a connection closed which it wants to use again."""


class Server:
    """Runs one service in a thread of its own."""

    def __init__(self, config: LoopbackConfig) -> None:
        self._config = config
        self._ready: Future[None] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._control: Control | None = None
        self._cleanup = ExitStack()
        self.endpoint: Endpoint | None = None

    def start(self) -> None:
        """Start; the service answers when this returns.

        Raises:
            OSError: The port is taken.
        """
        with ExitStack() as stack:
            # The protocol is named because asyncio sets TCP_NODELAY only then; without it a small answer, whose head and
            # body are written one after the other, takes 40 ms.
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            stack.enter_context(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self._config.port))
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="loopback-"))
            pool = ThreadPoolExecutor(1, thread_name_prefix="loopback-compute")
            stack.callback(end_pool, pool)
            # A daemon, so that a program that dies without leaving its `with` block does not hang.
            arguments = (listener, Path(folder), pool)
            thread = threading.Thread(target=self._run, args=arguments, name="loopback-server", daemon=True)
            thread.start()
            stack.callback(self._end, thread)
            self._ready.result()
            self._cleanup = stack.pop_all()

    def call(self, command: str, arguments: Mapping[str, Any]) -> Any:
        """Carry out a command on the event loop and wait for its answer."""
        assert self._loop is not None
        assert self._control is not None
        return asyncio.run_coroutine_threadsafe(self._control.run(command, arguments), self._loop).result()

    def stop(self) -> None:
        """Stop, and leave nothing behind: no thread, no socket, no file. Harmless if it does not run."""
        self._cleanup.close()

    def _end(self, thread: threading.Thread) -> None:
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None and thread.is_alive():
            loop.call_soon_threadsafe(stop.set)
        thread.join()

    def _run(self, listener: socket.socket, folder: Path, pool: ThreadPoolExecutor) -> None:
        try:
            asyncio.run(self._serve(listener, folder, pool))
        except BaseException as error:  # noqa: BLE001 - carried over to the thread that started this one
            if not self._ready.done():
                self._ready.set_exception(error)

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
        proxy = Proxy(settings, authority, platform.tally)
        server = await self._loop.create_server(proxy.open, sock=listener, backlog=1024)
        self.endpoint = Endpoint(listener.getsockname()[1], str(authority.bundle), str(home), key)
        self._ready.set_result(None)
        try:
            await self._stop.wait()
        finally:
            server.close()
            await platform.scheduler.stop()
            await proxy.close()
            await server.wait_closed()


_STOP_SECS = 20.0
_PACKAGE = __package__ or ""


class LoopbackProcess(Loopback):
    """IBM Quantum Platform on 127.0.0.1, in a process of its own: it shares no interpreter lock with its clients.

    The process ends with this one, even if this one is killed.

    Args:
        config: What the service pretends to be.

    Raises:
        RuntimeError: On start: the process ended before it answered.
    """

    def __init__(self, config: LoopbackConfig | None = None) -> None:
        super().__init__(config)
        self._child: subprocess.Popen[str] | None = None
        self._endpoint: Endpoint | None = None

    def start(self) -> None:
        """Start the process; the service answers when this returns."""
        if self._child is not None:
            raise RuntimeError("the loopback process runs already")
        with tempfile.TemporaryDirectory(prefix="loopback-") as folder:
            config = Path(folder) / "config.json"
            config.write_text(self.config.model_dump_json(), encoding="utf-8")
            command = [sys.executable, "-m", _PACKAGE, "--config", str(config), "--until-eof"]
            # The child must import this very package, whatever the current folder of the parent is.
            paths = os.pathsep.join([path for path in sys.path if path])
            self._child = child = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": paths},
            )
            assert child.stdout is not None
            try:
                greeting = json.loads(child.stdout.readline() or "null")
            except BaseException:  # such as Ctrl-C, which the child does not see
                self.stop()
                raise
        if greeting is None:
            self.stop()
            raise RuntimeError(
                f"the loopback process ended with status {child.returncode} before it answered; "
                "it says why on standard error"
            )
        self._endpoint = Endpoint(**{field.name: greeting[field.name] for field in fields(Endpoint)})

    def stop(self) -> None:
        """End the process. Harmless if it does not run."""
        child, self._child, self._endpoint = self._child, None, None
        if child is None:
            return
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.close()
        try:
            child.wait(_STOP_SECS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        finally:
            child.stdout.close()

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint of the service; an error if it does not run."""
        if self._endpoint is None:
            raise RuntimeError("the loopback process does not run; use it in a 'with' block")
        return self._endpoint

    def _ask(self, command: str, **arguments: Any) -> Any:
        endpoint = self.endpoint
        # http.client knows nothing of proxies, which may be set to this very service.
        connection = http.client.HTTPConnection("127.0.0.1", endpoint.port)
        try:
            order = json.dumps({"command": command, "arguments": arguments})
            connection.request("POST", CONTROL_PATH, order, {CONTROL_HEADER: endpoint.key})
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        if answer.get("timeout"):
            raise TimeoutError
        if "answer" not in answer:
            raise ValueError(answer["error"])
        return answer["answer"]
