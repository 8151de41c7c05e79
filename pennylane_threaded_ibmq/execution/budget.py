"""What may be spent: by a batch, by a device over its life, and by all programs of an instance over some days.

Seconds are reserved by their estimate before each sending, sendings again included. The budget of an instance is in the
journal's file, in tables of its own; each question has its own connection, so none crosses a fork.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..exceptions import JournalError, UsageLimitError
from ..store.database import Database
from .usage import Estimate

DAY_SECS = 86400.0

_TABLES = (
    "CREATE TABLE IF NOT EXISTS budgets (instance TEXT PRIMARY KEY, secs REAL NOT NULL, days REAL NOT NULL)",
    "CREATE TABLE IF NOT EXISTS spending (instance TEXT NOT NULL, tag TEXT PRIMARY KEY, secs REAL NOT NULL, at REAL NOT NULL)",
)


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
        self._lock = threading.Lock()
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

    def _check(self, secs: float, what: str) -> None:
        if self._spent + secs > self.most:
            before = f", after {self._spent:.1f} s of {self._owner} before" if self._spent else ""
            raise UsageLimitError(
                f"{self.argument}={self.most:g}: {what}{before}. Send fewer tapes or shots, or raise {self.argument}. "
                "Nothing was sent.",
                argument=self.argument,
                value=self.most,
            )


@dataclass(frozen=True)
class InstanceBudget:
    """The budget of an instance.

    Attributes:
        instance: Whose.
        secs: Most QPU seconds.
        days: In so many days up to now.
        spent: Seconds reserved or charged in that time, since there is a budget.
    """

    instance: str
    secs: float
    days: float
    spent: float


class Ledger:
    """Budgets of instances, in the file of a journal.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def set(self, instance: str, secs: float | None, days: float) -> None:
        """Set the budget of an instance; ``None`` takes it away, and what was counted with it."""
        with self._transaction() as db:
            db.execute("DELETE FROM budgets WHERE instance=?", (instance,))
            if secs is None:
                db.execute("DELETE FROM spending WHERE instance=?", (instance,))
            else:
                db.execute("INSERT INTO budgets VALUES (?, ?, ?)", (instance, secs, days))

    def budgets(self) -> tuple[InstanceBudget, ...]:
        """All budgets."""
        with self._transaction() as db:
            found = db.execute("SELECT instance, secs, days FROM budgets ORDER BY instance").fetchall()
            return tuple(
                InstanceBudget(instance, secs, days, _spent(db, instance, days))
                for instance, secs, days in found
            )

    def has_budget(self, instance: str) -> bool:
        """Whether an instance has a budget."""
        with self._transaction() as db:
            return _budget(db, instance) is not None

    def check(self, instance: str, secs: float, what: str) -> None:
        """Look whether an instance may spend so many seconds.

        Raises:
            UsageLimitError: It may not.
        """
        with self._transaction() as db:
            _check(db, instance, secs, what)

    def spend(self, instance: str, tag: str, secs: float, what: str) -> None:
        """Reserve seconds for one submission.

        Raises:
            UsageLimitError: They would be too many; none are reserved.
        """
        with self._transaction() as db:
            if _check(db, instance, secs, what):
                db.execute(
                    "INSERT OR REPLACE INTO spending VALUES (?, ?, ?, ?)", (instance, tag, secs, time.time())
                )

    def charge(self, tag: str, secs: float) -> None:
        """Put what was charged for a submission in the place of its estimate."""
        with self._transaction() as db:
            db.execute("UPDATE spending SET secs=? WHERE tag=?", (secs, tag))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(Database(self._path, _make_tables)) as database, database.transaction() as db:
                yield db
        except (OSError, sqlite3.Error) as error:
            raise JournalError(f"The budgets in {self._path} cannot be used: {error}.") from error


def _make_tables(db: sqlite3.Connection) -> None:
    for table in _TABLES:
        db.execute(table)


def _check(db: sqlite3.Connection, instance: str, secs: float, what: str) -> bool:
    """Whether the instance has a budget, which is large enough."""
    budget = _budget(db, instance)
    if budget is None:
        return False
    most, days = budget
    spent = _spent(db, instance, days)
    if spent + secs > most:
        raise UsageLimitError(
            f"The budget of instance {instance!r} is {most:g} s in {days:g} days, of which {spent:.1f} s are spent; {what}. "
            f"Wait, send fewer tapes or shots, or raise it: threaded-ibmq budget "
            "--secs. Nothing was sent.",
            argument="budget",
            value=most,
        )
    return True


def _budget(db: sqlite3.Connection, instance: str) -> tuple[float, float] | None:
    """Seconds, and in how many days."""
    found = db.execute("SELECT secs, days FROM budgets WHERE instance=?", (instance,)).fetchone()
    return None if found is None else (float(found["secs"]), float(found["days"]))


def _spent(db: sqlite3.Connection, instance: str, days: float) -> float:
    since = time.time() - days * DAY_SECS
    (spent,) = db.execute(
        "SELECT COALESCE(SUM(secs), 0) FROM spending WHERE instance=? AND at>?", (instance, since)
    ).fetchone()
    return float(spent)


class Spending:
    """What one batch spends, within all budgets that there are.

    Args:
        budgets: Of the batch, and of its device.
        ledger: Budgets of instances; ``None`` without a journal.
        instance: Who pays.
        found: What the batch is estimated to use.
    """

    def __init__(
        self, budgets: Sequence[Budget], ledger: Ledger | None, instance: str, found: Estimate
    ) -> None:
        self._budgets = tuple(budgets)
        self._ledger = ledger
        self._instance = instance
        self._secs = found.secs_by_job
        self._formula = found.formula

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
        for budget in self._budgets:
            budget.check(self._secs[job], what)
        if self._ledger is not None:
            self._ledger.spend(self._instance, tag, self._secs[job], what)
        for budget in self._budgets:
            budget.spend(self._secs[job], what)

    def charge(self, tag: str, secs: float) -> None:
        """Put what was charged in the place of an estimate, where somebody asked for it."""
        if self._ledger is not None:
            self._ledger.charge(tag, secs)
