"""What Windows lacks is not needed: emulated here, as no machine with Windows runs these tests."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pennylane_threaded_ibmq.cli import rehearse
from pennylane_threaded_ibmq.device import interrupts

linux = pytest.mark.skipif(sys.platform != "linux", reason="open files are looked up in /proc")


@linux
def test_nothing_of_posix_is_needed(tmp_path):
    program = Path(__file__).with_name("windows.py")
    done = subprocess.run(
        [sys.executable, str(program), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == [
        "modules True",
        "alive True True False",
        "kept True",
        "pickles True",
        "locks 0",
        "results [-1.0, -1.0, -1.0]",
    ], done.stderr


class Endless:
    """A batch that never ends until somebody has looked three times."""

    def __init__(self):
        self.asked = []

    def wait(self, timeout):
        self.asked.append(timeout)
        if timeout is None:
            raise AssertionError("Ctrl-C would not be seen")
        return len(self.asked) == 3

    def progress(self):
        raise AssertionError


@pytest.mark.parametrize("inside", [True, False], ids=["own handler", "no handler"])
def test_no_wait_is_without_end_where_ctrl_c_would_not_end_it(monkeypatch, inside):
    monkeypatch.setattr(interrupts, "DEAF", True)
    if not inside:
        monkeypatch.setattr(interrupts, "handle_termination", lambda: None)
    batch = Endless()
    assert threading.current_thread() is threading.main_thread()
    with interrupts.termination_interrupts(batch) as waited:
        assert waited.wait(None)
    assert batch.asked == [interrupts.LOOK_SECS] * 3


def test_a_rehearsal_looks_for_the_program_where_the_program_would(tmp_path, monkeypatch):
    """Windows looks in the PATH of the process that starts it."""
    asked = []
    monkeypatch.setattr(
        "subprocess.run", lambda words, **_: asked.append(words) or subprocess.CompletedProcess(words, 0)
    )
    tool = tmp_path / "a-tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    assert rehearse._run(("a-tool", "1"), {"PATH": str(tmp_path)}, quiet_stdout=False) == 0
    assert rehearse._run(("nowhere",), {"PATH": str(tmp_path)}, quiet_stdout=False) == 0
    assert asked == [[str(tool), "1"], ["nowhere"]]
