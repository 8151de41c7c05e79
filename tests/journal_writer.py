"""One of several processes that write a journal at the same time; importing this takes little time."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from pennylane_threaded_ibmq.store.journal import Journal
from pennylane_threaded_ibmq.store.records import NewShard, ShardState


def write_batches(path: Path) -> list[str]:
    """Begin, move and deliver ten batches of a shard each; the ids of the jobs that were taken over."""
    journal = Journal(path)
    claimed: list[str] = []
    for n in range(10):
        batch, (claim,) = journal.begin("b", "i", (), [NewShard("shared", n, (0,), uuid4().hex)])
        if not claim:
            journal.move(batch, 0, ShardState.SENDING)
        journal.move(batch, 0, ShardState.DONE)
        journal.deliver(batch, [0])
        claimed += [claim.job_id] if claim else []
    journal.close()
    return claimed
