"""The tests of the current stack; those of the classic one are in a folder with settings of its own."""

from __future__ import annotations

import signal

import pytest
from hypothesis import HealthCheck, settings

from pennylane_threaded_ibmq.stack import Stack, stack

collect_ignore = ["classic"]


# Examples are the same in each run, and a busy machine may take its time for them.
settings.register_profile(
    "steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("steady")


def pytest_configure(config):
    # A job in the background of a script starts with this signal ignored, and what it starts inherits that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if stack() is not Stack.CURRENT:
        raise pytest.UsageError("This environment has the classic stack. Run 'pytest tests/classic'.")
    # A deprecation of PennyLane's that our own code causes is a failure. Not in pyproject.toml: a PennyLane
    # without this class could not even read that file.
    warning = "pennylane.exceptions.PennyLaneDeprecationWarning"
    config.addinivalue_line("filterwarnings", f"error::{warning}:pennylane_threaded_ibmq")
