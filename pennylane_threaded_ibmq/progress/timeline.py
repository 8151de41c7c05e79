"""A batch over time, from its steps: which lane carried which shard, and when it waited, queued and ran. Pure."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ..store.records import BatchRecord, ShardState, Step


@dataclass(frozen=True)
class Span:
    """A stretch of one shard's way in one phase.

    Attributes:
        lane: Number of the lane, from 0.
        shard: The shard's place in its batch.
        attempt: Which try of it, from 1.
        phase: ``PLANNED`` (between two tries), ``SENDING``, ``QUEUED`` or ``RUNNING``.
        start: Seconds since the batch was planned.
        end: The same.
        job_id: The job, if there is one.
        outcome: How the try ended, on its last span: ``DONE``, ``FAILED``, ``CANCELLED``; ``None`` if it did not end
            here.
    """

    lane: int
    shard: int
    attempt: int
    phase: ShardState
    start: float
    end: float
    job_id: str
    outcome: ShardState | None

    @property
    def cells(self) -> tuple[int, int, int, str, str, str, str, str]:
        """Its row in a table, which has shard, attempt, lane, phase, start, end, job and outcome."""
        times = f"{self.start:.1f}", f"{self.end:.1f}"
        return (
            self.shard,
            self.attempt,
            self.lane,
            self.phase.shown,
            *times,
            self.job_id,
            self.outcome or "",
        )


@dataclass(frozen=True)
class Timeline:
    """A batch over time.

    Attributes:
        title: What it is of.
        shards: How many shards the batch has.
        lanes: How many lanes carried them.
        secs: Length in seconds.
        spans: Everything that is drawn, by start.
        finished: Every shard came to an end.
    """

    title: str
    shards: int
    lanes: int
    secs: float
    spans: tuple[Span, ...]
    finished: bool

    @property
    def retries(self) -> int:
        """Number of times that shards were sent again."""
        tries = {span.shard: 1 for span in self.spans}
        for span in self.spans:
            tries[span.shard] = max(tries[span.shard], span.attempt)
        return sum(tries.values()) - len(tries)


def timeline_of(record: BatchRecord, now: float | None = None) -> Timeline:
    """The timeline of a batch of the journal.

    Args:
        record: The batch.
        now: Where it ends that is not finished: seconds since 1970.
    """
    began = datetime.fromtimestamp(record.created).astimezone().strftime("%Y-%m-%d %H:%M")
    title = f"batch {record.id} on {record.backend}, {began}"
    return make_timeline(record.steps, title, shards=len(record.shards), now=now)


def make_timeline(steps: Sequence[Step], title: str, *, shards: int, now: float | None = None) -> Timeline:
    """The timeline of some steps.

    Args:
        steps: Steps of one batch, in order.
        title: What it is of.
        shards: How many shards the batch has.
        now: Where it ends that is not finished: seconds since 1970.
    """
    by_shard: dict[int, list[Step]] = {}
    for step in steps:
        by_shard.setdefault(step.shard, []).append(step)
    finished = len(by_shard) == shards and all(way[-1].phase.final for way in by_shard.values())
    start = min((step.at for step in steps), default=0.0)
    end = max((step.at for step in steps), default=0.0)
    if not finished:
        end = max(end, time.time() if now is None else now)
    ways = [span for way in by_shard.values() if (span := _spans(way, start, end))]
    ways.sort(key=lambda way: (way[0].start, way[0].shard))
    free: list[float] = []
    spans: list[Span] = []
    for way in ways:
        lane = next((i for i, until in enumerate(free) if until <= way[0].start), len(free))
        if lane == len(free):
            free.append(0.0)
        free[lane] = way[-1].end
        spans += [replace(span, lane=lane) for span in way]
    spans.sort(key=lambda span: span.start)
    return Timeline(title, shards, len(free), end - start, tuple(spans), finished)


def _spans(way: list[Step], start: float, end: float) -> list[Span]:
    """The spans of one shard; what it waits before its first sending belongs to no lane."""
    spans: list[Span] = []
    for i, step in enumerate(way):
        following = way[i + 1] if i + 1 < len(way) else None
        phase = step.phase
        if phase is ShardState.PLANNED and not spans:
            # an older journal knows only the beginning and the end
            if following is None or not following.phase.final or not following.job_id:
                continue
            phase = ShardState.ACCEPTED
        if phase.final:
            # a job that failed and is tried again: the wait in between is the lane's; a result that another program
            # left behind is what the shard begins with, and nothing waits until a batch is collected again
            if following is None or not spans:
                continue
            if phase is ShardState.DONE or following.attempt == step.attempt:
                continue
            phase = ShardState.PLANNED
        until = end if following is None else following.at
        outcome = None
        if following is not None and following.phase.final:
            outcome = following.phase
        elif following is not None and following.attempt > step.attempt and not step.phase.final:
            outcome = ShardState.FAILED
        job_id = step.job_id or (following.job_id if following is not None and following.phase.final else "")
        spans.append(
            Span(0, step.shard, step.attempt, phase, step.at - start, until - start, job_id, outcome)
        )
    return spans
