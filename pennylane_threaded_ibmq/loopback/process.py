"""The service in a process of its own."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from .app import CONTROL_HEADER, CONTROL_PATH
from .config import LoopbackConfig
from .environment import Endpoint
from .face import Loopback

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
        self._where: Endpoint | None = None

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
                said = json.loads(child.stdout.readline() or "null")
            except BaseException:  # such as Ctrl-C, which the child does not see
                self.stop()
                raise
        if said is None:
            self.stop()
            raise RuntimeError(
                f"the loopback process ended with status {child.returncode} before it answered; "
                "it says why on standard error"
            )
        self._where = Endpoint(said["port"], said["ca_bundle"], said["home"], said["key"])

    def stop(self) -> None:
        """End the process. Harmless if it does not run."""
        child, self._child, self._where = self._child, None, None
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
        """Where the service is; an error if it does not run."""
        if self._where is None:
            raise RuntimeError("the loopback process does not run; use it in a 'with' block")
        return self._where

    def _ask(self, command: str, **arguments: Any) -> Any:
        where = self.endpoint
        # http.client knows nothing of proxies, which may be set to this very service.
        connection = http.client.HTTPConnection("127.0.0.1", where.port)
        try:
            order = json.dumps({"command": command, "arguments": arguments})
            connection.request("POST", CONTROL_PATH, order, {CONTROL_HEADER: where.key})
            said = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        if said.get("timeout"):
            raise TimeoutError
        if "answer" not in said:
            raise ValueError(said["error"])
        return said["answer"]
