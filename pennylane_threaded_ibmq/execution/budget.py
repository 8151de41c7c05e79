"""Budgets of QPU time: of a device over its life, and of all programs on an instance over some days.

Seconds are reserved by their estimate before each sending, sendings again included.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from .._fork import ForkLock
from ..exceptions import UsageLimitError
from ..store.ledger import Ledger
from .usage import Estimate


class Budget:
    """QPU seconds that one owner may spend.

    Args:
        argument: The option that sets it, for the error.
        most: Most seconds.
        owner: Whose it is, for the error.
    """

    def __init__(self, argument: str, most: float, owner: str) -> None:
        self.argument = argument
        self.most = most
        self._owner = owner
        self._lock = ForkLock()
        self._spent = 0.0

    @property
    def spent(self) -> float:
        """Seconds reserved so far."""
        with self._lock:
            return self._spent

    def check(self, secs: float, what: str) -> None:
        """Look whether so many seconds may still be spent.

        Raises:
            UsageLimitError: They may not.
        """
        with self._lock:
            self._check(secs, what)

    def spend(self, secs: float, what: str) -> None:
        """Reserve seconds.

        Raises:
            UsageLimitError: They would be too many; none are reserved.
        """
        with self._lock:
            self._check(secs, what)
            self._spent += secs

    def refund(self, secs: float) -> None:
        """Give back seconds that were reserved for what is not sent."""
        with self._lock:
            self._spent -= secs

    def _check(self, secs: float, what: str) -> None:
        # the other way round, no number at all would pass
        if not self._spent + secs <= self.most:
            before = f", after {self._spent:.1f} s of {self._owner} before" if self._spent else ""
            raise UsageLimitError(
                f"{self.argument}={self.most:g}: {what}{before}. Send fewer tapes or shots, or raise {self.argument}. "
                "Nothing was sent.",
                argument=self.argument,
                value=self.most,
            )


class Spending:
    """The spending of one batch, within all budgets that there are.

    Args:
        budgets: Of the batch, and of its device.
        ledger: Budgets of instances; ``None`` without a journal.
        instance: Who pays.
        found: What the batch is estimated to use.
    """

    def __init__(
        self, budgets: Sequence[Budget], ledger: Ledger | None, instance: str, estimate: Estimate
    ) -> None:
        self._budgets = tuple(budgets)
        self._ledger = ledger
        self._instance = instance
        self._secs = estimate.secs_by_job
        self._formula = estimate.formula

    def check(self, jobs: Sequence[int]) -> None:
        """Look, before anything is sent, whether some of its jobs may be paid for.

        Raises:
            UsageLimitError: They may not.
        """
        secs = sum(self._secs[job] for job in jobs)
        if not jobs:
            return
        what = f"this batch is estimated to use {secs:.1f} s of QPU time ({self._formula})"
        for budget in self._budgets:
            budget.check(secs, what)
        if self._ledger is not None:
            self._ledger.check(self._instance, secs, what)

    def spend(self, job: int, tag: str) -> None:
        """Reserve what one sending of a job is estimated to use.

        Raises:
            UsageLimitError: It would be too much.
        """
        what = f"one more job of this batch is estimated to use {self._secs[job]:.1f} s of QPU time"
        # other batches of the device may spend at the same moment
        with ExitStack() as undo:
            for budget in self._budgets:
                budget.spend(self._secs[job], what)
                undo.callback(budget.refund, self._secs[job])
            if self._ledger is not None:
                self._ledger.spend(self._instance, tag, self._secs[job], what)
            undo.pop_all()

    def charge(self, tag: str, secs: float) -> None:
        """Put what was charged in the place of an estimate, where somebody asked for it."""
        if self._ledger is not None:
            self._ledger.charge(tag, secs)
