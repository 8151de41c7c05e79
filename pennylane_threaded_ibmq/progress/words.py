"""A batch and a loop of batches in a line of words. Pure, but for the clock."""

from __future__ import annotations

import time
from dataclasses import dataclass

from .._quantity import quantity
from .progress import Progress


@dataclass
class Loop:
    """The batches that a device has run so far, for whoever runs one after another.

    Attributes:
        started: When the first was waited for, on the monotonic clock.
        batches: Batches that were waited for to their end.
        tapes: Their tapes.
        jobs: Their jobs.
    """

    started: float
    batches: int = 0
    tapes: int = 0
    jobs: int = 0

    def add(self, progress: Progress) -> None:
        """Count a batch that is finished."""
        self.batches += 1
        self.tapes += progress.tapes
        self.jobs += len(progress.job_ids)

    def describe(self) -> str:
        """Batches, circuits, jobs, time and rate; nothing before the first is finished."""
        if not self.batches:
            return ""
        seconds = max(time.monotonic() - self.started, 1e-3)
        rate = self.batches / seconds
        counts = (
            (self.batches, "batch", "batches"),
            (self.tapes, "circuit", "circuits"),
            (self.jobs, "job", "jobs"),
        )
        pace = f"{rate:.1f} batches/s" if rate >= 1 else f"{1 / rate:.1f} s/batch"
        return f"{', '.join(quantity(*count) for count in counts if count[0])} in {clock(seconds)}, {pace}"


def describe(progress: Progress) -> str:
    """The progress of a batch in one line."""
    place = [] if progress.queue_position is None else [f"place {progress.queue_position}"]
    if progress.start_secs is not None:
        place.append(f"starts in ~{clock(progress.start_secs)}")
    counts = (
        (progress.planned, "planned"),
        (progress.sending, "sending"),
        (progress.queued, f"queued ({', '.join(place)})" if place else "queued"),
        (progress.running, "running"),
        (progress.done, "done"),
        (progress.failed, "failed"),
        (progress.cancelled, "cancelled"),
    )
    phases = ", ".join(f"{number} {phase}" for number, phase in counts if number) or "nothing to run"
    parts = [f"{quantity(progress.shards, 'shard')}: {phases}"]
    if progress.retries:
        parts.append(f"{progress.retries} sent again")
    if not progress.finished and 0 < progress.fraction < 1 and not progress.done:
        parts.append(f"{progress.fraction:.0%}")
    parts.append(clock(progress.elapsed_secs))
    if not progress.finished and progress.left_secs is not None:
        parts.append(f"~{clock(progress.left_secs)} left")
    if progress.qpu_secs is not None:
        parts.append(f"QPU ~{progress.qpu_secs:.0f} s")
    return " | ".join(parts)


def went_wrong(progress: Progress) -> bool:
    """Whether some shards will give no result."""
    return progress.failed + progress.cancelled > 0


def clock(seconds: float) -> str:
    """Seconds as ``m:ss`` or ``h:mm:ss``."""
    minutes, secs = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{secs:02}" if hours else f"{minutes}:{secs:02}"
