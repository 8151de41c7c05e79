"""Exact tests of the pure core: no thread, socket, process or waiting is allowed to any of them."""

from __future__ import annotations

import socket
import subprocess
import threading
import time

import pytest


@pytest.fixture(autouse=True)
def nothing_but_computing(monkeypatch):
    """Refuse what a pure function has no use for; threads that earlier tests have left go on as they were."""
    test = threading.current_thread()

    def refuse(owner, name):
        original = getattr(owner, name)

        def refused(*args, **kwargs):
            if threading.current_thread() is test:
                raise AssertionError("a pure test started a thread or a process, opened a socket, or waited")
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, refused)

    refuse(threading.Thread, "start")
    refuse(subprocess.Popen, "__init__")
    refuse(socket.socket, "connect")
    refuse(time, "sleep")
