"""Charges of the jobs of a batch of the journal: asked for again while they are not known, and then written down."""

from __future__ import annotations

from collections.abc import Callable

from ..store.journal import Journal
from ..store.ledger import Ledger
from ..store.records import BatchRecord, ShardRecord


def ask_charges(
    journal: Journal, batch: BatchRecord, ask: Callable[[ShardRecord], float | None]
) -> BatchRecord:
    """Ask for the charges of a batch that the journal does not know, and write down those that are known now.

    Args:
        journal: The journal.
        batch: A batch of it.
        ask: Asks for the QPU seconds of a shard's job; ``None`` while they are not known.

    Returns:
        The batch with what is known now.
    """
    for shard in batch.shards:
        if shard.job_id and shard.usage_secs is None:
            seconds = ask(shard)
            if seconds is not None:
                journal.charge(batch.id, shard.number, seconds)
                _charge_budget(journal, batch.instance, shard.tag, seconds)
    return journal.batch(batch.id)


def usage_of(batch: BatchRecord) -> float | None:
    """QPU seconds that a batch was charged; ``None`` while that of one of its jobs is not known, or where it has no job."""
    charged = [shard.usage_secs for shard in batch.shards if shard.job_id]
    known = [seconds for seconds in charged if seconds is not None]
    return sum(known) if known and len(known) == len(charged) else None


def _charge_budget(journal: Journal, instance: str, tag: str, seconds: float) -> None:
    ledger = Ledger(journal.path)
    if ledger.has_budget(instance):
        ledger.charge(tag, seconds)
