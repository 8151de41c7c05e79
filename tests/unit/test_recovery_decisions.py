"""Which of the jobs that carry a shard's tag is taken, and which are cancelled."""

from __future__ import annotations

import pytest

from pennylane_threaded_ibmq.execution.recovery import Decision, Found, decide
from pennylane_threaded_ibmq.service.states import State

NAMES = {
    "P": State.PENDING,
    "R": State.RUNNING,
    "D": State.DONE,
    "F": State.FAILED,
    "C": State.CANCELLED,
    "T": State.TOO_LONG,
}


def jobs(text):
    """``"P D"`` is a pending job ``0`` and a finished job ``1``."""
    return [Found(str(i), NAMES[name]) for i, name in enumerate(text.split())]


@pytest.mark.parametrize(
    ("found", "wanted", "adopt", "cancel"),
    [
        ("", "", None, ()),
        ("F", "0", None, ()),
        ("C F T", "", None, ()),
        ("P", "", "0", ()),
        ("R", "", "0", ()),
        ("D", "", "0", ()),
        # what is finished is taken, whatever else waits, and though it is not the one that was named
        ("P D", "", "1", ("0",)),
        ("P D", "0", "1", ("0",)),
        ("R D P", "2", "1", ("0", "2")),
        # of two that are finished the named one, then the oldest; nothing is left to cancel
        ("D D", "1", "1", ()),
        ("D D", "", "0", ()),
        # of those that wait the named one, then the oldest
        ("P R", "1", "1", ("0",)),
        ("P R", "", "0", ("1",)),
        ("P P P", "2", "2", ("0", "1")),
        # the dead are neither taken nor cancelled
        ("F P", "0", "1", ()),
        ("C R T P", "", "1", ("3",)),
        ("F D F", "", "1", ()),
    ],
)
def test_the_job_that_is_taken(found, wanted, adopt, cancel):
    assert decide(jobs(found), wanted) == Decision(adopt, cancel)


@pytest.mark.parametrize("state", list(State))
def test_only_waiting_and_running_jobs_are_not_final(state):
    assert state.final == (state not in (State.PENDING, State.RUNNING))
