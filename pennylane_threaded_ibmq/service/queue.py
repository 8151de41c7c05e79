"""The place of a job in its queue, as far as the service tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any


@dataclass(frozen=True)
class QueueInfo:
    """The place of a job.

    Attributes:
        position: Its place in the queue, from 1; ``None`` if the service does not say.
        starts_at: When the service reckons that it starts, in seconds since 1970; ``None`` if it does not say.
        running: It has left the queue and runs.
    """

    position: int | None = None
    starts_at: float | None = None
    running: bool = False


def read_place(metrics: Any) -> QueueInfo:
    """Read a place from a job's metrics, of which any part may be missing or of another kind."""
    fields = metrics if isinstance(metrics, Mapping) else {}
    times = fields.get("timestamps")
    times = times if isinstance(times, Mapping) else {}
    position = fields.get("position_in_queue")
    whole = isinstance(position, int) and not isinstance(position, bool) and position > 0
    return QueueInfo(
        position if whole else None,
        read_seconds(fields.get("estimated_start_time")),
        running=bool(times.get("running")) and not times.get("finished"),
    )


def read_seconds(text: Any) -> float | None:
    """Seconds since 1970, from a time in ISO 8601; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except (AttributeError, TypeError, ValueError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
