"""Budgets of instances, and what was spent of them: in the file of a journal, in tables of their own.

Each question has its own connection, so none crosses a fork.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from .._quantity import quantity
from ..exceptions import JournalError, UsageLimitError
from .database import Database

DAY_SECS = 86400.0

_TABLES = (
    "CREATE TABLE IF NOT EXISTS budgets (instance TEXT PRIMARY KEY, secs REAL NOT NULL, days REAL NOT NULL)",
    "CREATE TABLE IF NOT EXISTS spending (instance TEXT NOT NULL, tag TEXT PRIMARY KEY, secs REAL NOT NULL, at REAL NOT NULL)",
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
    """Budgets of instances, in the file of a journal."""

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
            rows = db.execute("SELECT instance, secs, days FROM budgets ORDER BY instance").fetchall()
            return tuple(
                InstanceBudget(instance, secs, days, _spent(db, instance, days))
                for instance, secs, days in rows
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
    # the other way round, no number at all would pass
    if not spent + secs <= most:
        raise UsageLimitError(
            f"The budget of instance {instance!r} is {most:g} s in {quantity(days, 'day')}, of which {spent:.1f} s are spent; {what}. "
            f"Wait, send fewer tapes or shots, or raise it: threaded-ibmq budget "
            "--secs. Nothing was sent.",
            argument="budget",
            value=most,
        )
    return True


def _budget(db: sqlite3.Connection, instance: str) -> tuple[float, float] | None:
    """Seconds, and in how many days."""
    row = db.execute("SELECT secs, days FROM budgets WHERE instance=?", (instance,)).fetchone()
    return None if row is None else (float(row["secs"]), float(row["days"]))


def _spent(db: sqlite3.Connection, instance: str, days: float) -> float:
    since = time.time() - days * DAY_SECS
    (secs,) = db.execute(
        "SELECT COALESCE(SUM(secs), 0) FROM spending WHERE instance=? AND at>?", (instance, since)
    ).fetchone()
    return float(secs)
