"""Adoption of what a program has left by another, once."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from typing import NamedTuple

from .._quantity import quantity
from ..exceptions import JournalError
from .records import NewShard, ShardRecord
from .rows import Reader


class Claim(NamedTuple):
    """A shard that is taken over, and the batch that is to send its attempt."""

    record: ShardRecord
    sender: str


def origin(shard: NewShard, batch: str, claim: Claim | None) -> tuple[object, ...]:
    """Seed, tapes, state, tag, job, delivery and sender of a new row: its own, or those of what is taken over."""
    tapes = " ".join(map(str, shard.tapes))
    if claim is None:
        return str(shard.seed), tapes, "planned", shard.tag, "", False, batch
    # what was delivered before stays so: nobody but who asks for it by its id gets it again
    old = claim.record
    return str(old.seed), tapes, old.state, old.tag, old.job_id, old.delivered, claim.sender


def claim(
    db: sqlite3.Connection,
    read: Reader,
    is_alive: Callable[[str], bool],
    adopter: str,
    contents: Sequence[str],
    backend: str,
    instance: str,
    batch: str | None,
) -> list[Claim | None]:
    """Take over what others have left of some contents, inside a transaction of the caller's.

    Args:
        db: The journal.
        read: Reads its rows.
        is_alive: Whether the process of an owner lives.
        adopter: The batch that takes it over.
        contents: What its shards hold.
        backend: Where.
        instance: Who pays.
        batch: From this batch only, whoever waits for it; ``None`` for all whose programs are dead.

    Returns:
        For each content what is taken over; ``None`` for nothing.
    """
    # of a batch that is resumed all is taken over, also what was not sent: two that resume it send it once
    rows = db.execute(
        "SELECT s.*, b.owner FROM shards s JOIN batches b ON b.id = s.batch "
        "WHERE s.content IN (SELECT value FROM json_each(?)) AND b.backend=? AND b.instance=? "
        "AND (b.id=? OR (? IS NULL AND s.delivered=0 AND s.adopted=0 AND s.state IN ('sending', 'accepted', 'done'))) "
        "ORDER BY b.created, s.number",
        (json.dumps(list(contents)), backend, instance, batch, batch),
    ).fetchall()
    alive = {owner: is_alive(owner) for owner in {row["owner"] for row in rows}}
    free: dict[str, list[sqlite3.Row]] = {}
    for row in rows:
        if batch or not alive[row["owner"]]:
            free.setdefault(row["content"], []).append(row)
    claims: list[Claim | None] = []
    for content in contents:
        row = free[content].pop(0) if free.get(content) else None
        if row is not None:
            db.execute("UPDATE shards SET adopted=1, adopter=? WHERE tag=?", (adopter, row["tag"]))
        claims.append(None if row is None else Claim(read.shard(row), row["sender"]))
    return claims


def refuse_being_sent(db: sqlite3.Connection, is_alive: Callable[[str], bool], batch: str) -> None:
    """Refuse to take over what a program that runs is still sending: it cannot be looked up yet, and would be paid for twice.

    Raises:
        JournalError: It is.
    """
    row = db.execute(
        "SELECT b.owner, COUNT(s.number) AS open FROM batches b JOIN shards s ON s.batch = b.id "
        "AND s.state IN ('planned', 'sending') WHERE b.id=? GROUP BY b.id",
        (batch,),
    ).fetchone()
    if row is not None and is_alive(row["owner"]):
        raise JournalError(
            f"batch {batch!r} is still being sent ({quantity(row['open'], 'job')} to go) by a program that runs. Wait for its "
            "handle, or call detach() or cancel() of it. Nothing was sent."
        )
