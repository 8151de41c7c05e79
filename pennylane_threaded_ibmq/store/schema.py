"""The journal's tables, and the steps from each format of the file to the next."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

_MIGRATIONS = (
    """
    CREATE TABLE batches (
        id TEXT PRIMARY KEY,
        owner TEXT NOT NULL,           -- the process; empty once it has let go of the batch
        backend TEXT NOT NULL,
        instance TEXT NOT NULL,
        created REAL NOT NULL,         -- seconds since 1970, UTC
        tapes INTEGER NOT NULL,
        content BLOB                   -- the tapes, pickled and compressed; NULL if they cannot be
    );
    CREATE TABLE shards (
        batch TEXT NOT NULL REFERENCES batches(id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        content TEXT NOT NULL,         -- hash of all that is run
        seed TEXT NOT NULL,            -- of the shard's random numbers, such as the bases of a shadow
        tapes TEXT NOT NULL,           -- their positions in the batch, separated by spaces
        state TEXT NOT NULL,
        tag TEXT NOT NULL,             -- the job's own tag at IBM
        job_id TEXT NOT NULL DEFAULT '',
        attempt INTEGER NOT NULL DEFAULT 1,
        delivered INTEGER NOT NULL DEFAULT 0,
        adopted INTEGER NOT NULL DEFAULT 0,
        usage_secs REAL,
        error TEXT NOT NULL DEFAULT '',
        changed REAL NOT NULL,
        PRIMARY KEY (batch, number)
    );
    CREATE INDEX shards_by_content ON shards (content, delivered, adopted);
    """,
    # each step with its time, written by the file itself in the transaction that changes the shard
    """
    CREATE TABLE steps (
        batch TEXT NOT NULL REFERENCES batches(id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        attempt INTEGER NOT NULL,
        state TEXT NOT NULL,
        job_id TEXT NOT NULL,
        at REAL NOT NULL               -- seconds since 1970, UTC
    );
    CREATE INDEX steps_by_batch ON steps (batch);
    INSERT INTO steps SELECT s.batch, s.number, 1, 'planned', '', b.created FROM shards s JOIN batches b ON b.id = s.batch;
    INSERT INTO steps SELECT batch, number, attempt, state, job_id, changed FROM shards WHERE state <> 'planned';
    CREATE TRIGGER shard_planned AFTER INSERT ON shards BEGIN INSERT INTO steps VALUES
        (NEW.batch, NEW.number, NEW.attempt, NEW.state, NEW.job_id, NEW.changed); END;
    CREATE TRIGGER shard_moved AFTER UPDATE ON shards WHEN NEW.state <> OLD.state OR NEW.attempt <> OLD.attempt
        BEGIN INSERT INTO steps VALUES (NEW.batch, NEW.number, NEW.attempt, NEW.state, NEW.job_id, NEW.changed); END;
    """,
    # options of the device by which its jobs are recognised, JSON; an empty object where they are not known
    """
    ALTER TABLE batches ADD COLUMN options TEXT NOT NULL DEFAULT '{}';
    """,
    # who is to send the attempt that a tag stands for, and who has taken it over: both are ids of batches
    """
    ALTER TABLE shards ADD COLUMN sender TEXT NOT NULL DEFAULT '';
    ALTER TABLE shards ADD COLUMN adopter TEXT NOT NULL DEFAULT '';
    UPDATE shards SET sender=batch;
    CREATE INDEX shards_by_tag ON shards (tag);
    """,
    # how the tapes are written: before this, they were pickles
    """
    ALTER TABLE batches ADD COLUMN tape_format INTEGER NOT NULL DEFAULT 0;
    """,
    # tags of the user's, JSON
    """
    ALTER TABLE batches ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';
    """,
    # what the service last said of a job that waits; NULL if it did not
    """
    ALTER TABLE shards ADD COLUMN queue_position INTEGER;
    ALTER TABLE shards ADD COLUMN starts_at REAL;
    """,
)

FORMAT = len(_MIGRATIONS)
"""Number of the file's format."""


def migrate(db: sqlite3.Connection, steps: Sequence[str] = _MIGRATIONS) -> None:
    """Bring a file to today's format, inside a transaction of the caller's.

    Args:
        db: The file.
        steps: From each format to the next; those of the journal, where they are no others.

    Raises:
        sqlite3.DatabaseError: The file is from a newer version of this package.
    """
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > len(steps):
        raise sqlite3.DatabaseError(
            f"it has format {version}, made by a newer version of this package; this one knows {len(steps)}"
        )
    for step in steps[version:]:
        for statement in step.split(";\n"):
            db.execute(statement)
    db.execute(f"PRAGMA user_version={len(steps)}")
