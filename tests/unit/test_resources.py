"""What devices share: one of each kind, made when first asked for, closed by its owner."""

from __future__ import annotations

import os
import signal
from types import SimpleNamespace
from typing import ClassVar

import pytest

from pennylane_threaded_ibmq.device.handle import BatchHandle
from pennylane_threaded_ibmq.execution.budget import Budget
from pennylane_threaded_ibmq.progress.progress import ProgressTracker
from pennylane_threaded_ibmq.resources import RESOURCES, Resources
from pennylane_threaded_ibmq.service.pace import Pacers


class Opened:
    closed: ClassVar[list[type]] = []

    def close(self):
        self.closed.append(type(self))


class OpenedLater(Opened):
    pass


@pytest.fixture(autouse=True)
def closed(monkeypatch):
    monkeypatch.setattr(Opened, "closed", [])
    return Opened.closed


def test_there_is_one_of_each_kind():
    resources = Resources()
    assert isinstance(resources.get(Pacers), Pacers)
    assert resources.get(Pacers) is resources.get(Pacers)
    assert resources.get(Opened) is not resources.get(OpenedLater)


def test_whoever_brings_others_shares_nothing():
    mine = Resources()
    assert mine.get(Pacers) is not RESOURCES.get(Pacers)
    assert mine.get(Pacers).of("i", "b") is not RESOURCES.get(Pacers).of("i", "b")


def test_one_may_need_another():
    class Needy:
        def __init__(self):
            self.pacers = resources.get(Pacers)

    resources = Resources()
    assert resources.get(Needy).pacers is resources.get(Pacers)


def test_what_is_closed_is_closed_in_reverse_and_made_anew(closed):
    with Resources() as resources:
        first = resources.get(Opened)
        resources.get(Pacers)
        resources.get(OpenedLater)
    assert closed == [OpenedLater, Opened]
    assert resources.get(Opened) is not first
    resources.close()
    resources.close()
    assert closed == [OpenedLater, Opened, Opened]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_makes_its_own_and_closes_none_of_its_parents():
    resources = Resources()
    first = resources.get(Opened)
    child = os.fork()
    if child == 0:
        resources.close()
        os._exit(0 if not first.closed and resources.get(Opened) is not first else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert resources.get(Opened) is first


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize(
    ("make", "use"),
    [
        (lambda: Budget("budget_secs", 9.0, "this device"), lambda budget: budget.spend(1.0, "it")),
        (lambda: ProgressTracker(1, 1), ProgressTracker.progress),
        (lambda: BatchHandle(None, (), SimpleNamespace(active=False), None), BatchHandle._track),
    ],
    ids=["budget", "progress", "handle"],
)
def test_what_outlives_a_fork_is_not_locked_there_by_a_thread_of_the_parent(make, use):
    one = make()
    with one._lock:
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            use(one)
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
