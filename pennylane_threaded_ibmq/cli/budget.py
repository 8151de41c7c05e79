"""``threaded-ibmq budget``: how much QPU time all programs of this user may spend."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from .options import Amount, Command, journal_option, json_option
from .output import say_json, say_table

USUAL_DAYS = 28.0
"""The period of IBM's open plan."""


@click.command("budget", cls=Command, short_help="Show or set what may be spent on an instance.")
@click.option("--instance", help="CRN or name of the instance, as the journal tells it.")
@click.option("--secs", type=Amount(), help="Most QPU seconds to spend.")
@click.option(
    "--days",
    type=Amount(),
    help="In so many days up to now.  [default: 28]",
)
@click.option("--off", is_flag=True, help="Take the budget away, and forget what was counted.")
@journal_option
@json_option
def budget_command(
    *,
    instance: str | None,
    secs: float | None,
    days: float | None,
    off: bool,
    journal_path: Path | None,
    as_json: bool,
) -> None:
    r"""Show or set how many QPU seconds may be spent on an instance by all programs that keep this journal.

    A batch that is estimated to go beyond is refused. What IBM charged takes the place of an estimate once a program asked.

    \b
    Examples:
      threaded-ibmq budget
      threaded-ibmq budget --instance crn:v1:... --secs 300
      threaded-ibmq budget --instance crn:v1:... --secs 60 --days 1
      threaded-ibmq budget --instance crn:v1:... --off
    """
    from ..resources import RESOURCES
    from ..settings import load_settings
    from ..store.journal import Journals
    from ..store.ledger import Ledger

    path = journal_path or load_settings({}).journal_file
    if path is None:
        raise click.ClickException("there is no journal to keep a budget in.")
    if (secs is not None or off) and not instance:
        raise click.UsageError("whose budget is it? Give --instance with --secs and --off.")
    if secs is not None and off:
        raise click.UsageError("--secs sets a budget and --off takes it away; give one of them.")
    if days is not None and secs is None:
        raise click.UsageError("--days is the time for --secs; give both.")
    if secs is not None or off:
        RESOURCES.get(Journals).at(path)  # made with the rights that it should have
        Ledger(path).set(str(instance), None if off else secs, days or USUAL_DAYS)
    budgets = Ledger(path).budgets() if path.exists() else ()
    if instance and secs is None and not off:
        budgets = tuple(budget for budget in budgets if budget.instance == instance)
    if as_json:
        say_json([asdict(budget) for budget in budgets])
        return
    say_table(
        ("INSTANCE", "SECONDS", "DAYS", "SPENT", "LEFT"),
        [
            (b.instance, b.secs, b.days, round(b.spent, 1), round(max(0.0, b.secs - b.spent), 1))
            for b in budgets
        ],
        empty=f"Instance {instance} has no budget." if instance and not off else "No instance has a budget.",
    )
