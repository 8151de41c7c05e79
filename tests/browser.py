"""A headless Chromium, driven through a pipe by its own protocol, as no package for that is needed."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
"""The program; ``None`` where there is none."""


class Browser:
    """One page in a browser of its own.

    Args:
        profile: Folder for what it keeps.

    Attributes:
        events: What the browser told beside its answers.
    """

    def __init__(self, profile: Path) -> None:
        self.events: list[dict[str, Any]] = []
        theirs, self._to = os.pipe()
        self._from, back = os.pipe()
        # the browser reads from descriptor 3 and writes to 4
        start = (
            "import fcntl, os, sys; high = [fcntl.fcntl(int(n), fcntl.F_DUPFD, 20) for n in sys.argv[1:3]]; "
            "os.dup2(high[0], 3); os.dup2(high[1], 4); os.execv(sys.argv[3], sys.argv[3:])"
        )
        options = (
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
        )
        self._process = subprocess.Popen(
            [sys.executable, "-c", start, str(theirs), str(back), str(BROWSER), *options, "about:blank"],
            pass_fds=(theirs, back),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs)
        os.close(back)
        self._numbers = itertools.count(1)
        self._buffer = b""
        self._session = ""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.ask(f"{domain}.enable")

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._to)
        os.close(self._from)

    def ask(self, method: str, **parameters: Any) -> Any:
        """Send a command and wait for its answer."""
        number = next(self._numbers)
        session = {"sessionId": self._session} if self._session else {}
        os.write(
            self._to,
            json.dumps({"id": number, "method": method, "params": parameters, **session}).encode() + b"\0",
        )
        while True:
            said = self._read()
            if said.get("id") == number:
                assert "result" in said, said
                return said["result"]
            self.events.append(said)

    def open(self, address: str) -> None:
        """Go to a page and wait until all of it is there."""
        self.events.clear()
        self.ask("Page.navigate", url=address)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self._read())

    def value(self, expression: str) -> Any:
        """The value of an expression of JavaScript; a promise is waited for."""
        found = self.ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait_for_text(self, text: str) -> None:
        """Wait until the page shows a text."""
        wanted = json.dumps(text)
        self.value(
            f"""new Promise((found, late) => {{
                const look = () => document.body.innerText.includes({wanted}) && (found(true), true);
                if (look()) return;
                new MutationObserver(look).observe(document.body, {{childList: true, subtree: true, characterData: true}});
                setTimeout(() => late(new Error("the page does not show it")), 120000);
            }})"""
        )

    def look(self, *, width: int, dark: bool = False, picture: Path | None = None) -> None:
        """Give the page another width, or a dark scheme, and take a picture of it."""
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])
        if picture is not None:
            picture.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot")["data"]))

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            more = os.read(self._from, 1 << 16)
            assert more, "the browser has ended"
            self._buffer += more
        line, _, self._buffer = self._buffer.partition(b"\0")
        said: dict[str, Any] = json.loads(line)
        return said
