"""A home of its own for each test: no account, no configuration and no database of the machine."""

from __future__ import annotations

import os
import warnings
from contextlib import ExitStack

import pytest

from pennylane_threaded_ibmq.loopback import SIMULATOR, LoopbackConfig, LoopbackService


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    """A fresh home, in which nothing is configured."""
    for name in list(os.environ):
        if name.startswith(("QISKIT_IBM_", "IBMQX_", "QE_", "COVALENT_", "XDG_", "THREADED_IBMQ_")):
            monkeypatch.delenv(name)
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("THREADED_IBMQ_HOME", str(home / "threaded-ibmq"))
    # The client fixes the path of its saved accounts when it is imported.
    monkeypatch.setattr(
        "qiskit_ibm_runtime.accounts.management._DEFAULT_ACCOUNT_CONFIG_JSON_FILE",
        str(home / "accounts.json"),
    )
    return home


@pytest.fixture
def loopback():
    """Start a service and point this process at it: ``loopback(job_secs=0.5, slots=2)``."""
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="qiskit_ibm_runtime")

        def starter(*, token=None, **fields):
            service = stack.enter_context(
                LoopbackService(LoopbackConfig(**{"backends": ("ibm_manila", SIMULATOR), **fields}))
            )
            crn = service.config.instances[0].crn
            stack.enter_context(service.applied(token=token or service.config.tokens[0], instance=crn))
            return service

        yield starter
