"""Limits of what the batches of a device may cost: by the options of the device, and by the budget of its instance."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING

from ..circuits.shards import Shard
from ..execution.budget import Budget, Spending
from ..store.ledger import Ledger
from ..store.records import BatchRecord, ShardState

if TYPE_CHECKING:
    from ..settings import Settings
    from .planner import Plan


class SpendingLimits:
    """Limits of one device.

    Args:
        settings: Options of the device.

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
    sent = {ShardState.SENDING, ShardState.ACCEPTED, ShardState.DONE}
    return [i for i, shard in enumerate(like.shards) if shard.state not in sent]
