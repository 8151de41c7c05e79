"""What a batch may cost, by the options of its device and the budget of its instance; and programs that estimate instead of sending.

``THREADED_IBMQ_ESTIMATE`` names a file. While it is set, no device of this package sends anything: the first batch for
IBM Quantum is estimated, the estimate is added to the file as a line of JSON, and the program ends.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from math import ceil
from typing import TYPE_CHECKING

from ..circuits.shards import Shard
from ..execution.budget import Budget, Spending
from ..settings import estimates_file
from ..store.ledger import Ledger
from ..store.records import BatchRecord, ShardState

if TYPE_CHECKING:
    from ..settings import Settings
    from .planner import Plan


class SpendingLimits:
    """Limits of one device.

    Attributes:
        budget: What it may spend over its life; ``None`` for anything. Devices that take its place share it.
    """

    def __init__(self, settings: Settings) -> None:
        most = settings.budget_secs
        self.budget = None if most is None else Budget("budget_secs", most, "this device")
        self._settings = settings

    def spending(self, plan: Plan) -> Spending | None:
        """The spending that a batch is allowed, where there is a limit; nothing is estimated where there is none."""
        if not plan.context.remote:
            return None
        most, path = self._settings.max_usage_secs, self._settings.journal_file
        budgets = [] if most is None else [Budget("max_usage_secs", most, "it")]
        if self.budget is not None:
            budgets.append(self.budget)
        ledger = None if path is None or not path.exists() else Ledger(path)
        if ledger is not None and not ledger.has_budget(plan.context.instance):
            ledger = None
        if not budgets and ledger is None:
            return None
        return Spending(budgets, ledger, plan.context.instance, plan.estimate)

    def most_secs(self, plan: Plan) -> list[int] | None:
        """QPU seconds after which each job of a batch is stopped, where the user wants that."""
        overrun = self._settings.max_overrun
        if overrun is None or not plan.context.remote:
            return None
        return [ceil(overrun * secs) for secs in plan.estimate.secs_by_job]


def unsent(shards: Sequence[Shard], like: BatchRecord | None) -> list[int]:
    """Numbers of the shards that have to be paid for: of a batch that is taken up, those that have no job."""
    if like is None or [s.positions for s in shards] != [s.tapes for s in like.shards]:
        return list(range(len(shards)))
    states = {ShardState.SENDING, ShardState.ACCEPTED, ShardState.DONE}
    return [i for i, shard in enumerate(like.shards) if shard.state not in states]


class OnlyEstimated(SystemExit):
    """Ends the program where it would have sent a batch.

    No error of the package's tree: a program that catches errors in order to try again must end as well.
    """


def stop_if_only_estimating(plan: Plan) -> None:
    """End the program, if it is one that only estimates and this batch would be sent.

    Args:
        plan: The batch; nothing happens where it runs on this machine.

    Raises:
        OnlyEstimated: The estimate is in the file.
    """
    path = estimates_file()
    if path is None or not plan.context.remote:
        return
    batch = plan.context.estimate(plan.shards, ask=True)
    estimate = {"backend": plan.context.name, "tapes": len(plan.tapes), **asdict(batch)}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(estimate) + "\n")
    raise OnlyEstimated(0)
