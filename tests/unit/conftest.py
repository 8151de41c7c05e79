"""Exact tests of the pure core: no thread, socket, process or waiting is allowed to any of them."""

from __future__ import annotations

import socket
import subprocess
import threading
import time

import pytest


@pytest.fixture(autouse=True)
def nothing_but_computing(monkeypatch):
    """Refuse what a pure function has no use for."""

    def refused(*_args, **_kwargs):
        raise AssertionError("a pure test started a thread or a process, opened a socket, or waited")

    monkeypatch.setattr(threading.Thread, "start", refused)
    monkeypatch.setattr(subprocess.Popen, "__init__", refused)
    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(time, "sleep", refused)
