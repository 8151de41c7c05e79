"""A job's metrics in the words of any version of IBM's API: its place in the queue, its times, and what it was charged.

Any part of them may be missing, or of another kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

LARGEST = 2**63 - 1
"""Largest number of a service's that is believed; no file of SQLite's holds a larger one."""


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


@dataclass(frozen=True)
class JobMetrics:
    """Times of one job, in seconds; ``None`` for what the service does not say, or does not know yet.

    Attributes:
        job_id: Its id.
        charge_secs: QPU seconds that it was charged.
        execution_secs: How long its circuits ran.
        queue_secs: From its arrival to its start.
        running_secs: From its start to its end, preparation included.
    """

    job_id: str
    charge_secs: float | None = None
    execution_secs: float | None = None
    queue_secs: float | None = None
    running_secs: float | None = None


def read_place(metrics: Any) -> QueueInfo:
    """Read the place of a job from its metrics."""
    fields = mapping(metrics)
    times = mapping(fields.get("timestamps"))
    position = whole(fields.get("position_in_queue"))
    return QueueInfo(
        position if position is not None and position > 0 else None,
        _read_seconds(fields.get("estimated_start_time")),
        running=bool(times.get("running")) and not times.get("finished"),
    )


def read_metrics(job_id: str, metrics: Any) -> JobMetrics:
    """Read the times and the charge of a job from its metrics."""
    fields = mapping(metrics)
    usage, times = mapping(fields.get("usage")), mapping(fields.get("timestamps"))
    # since 2026-04-15 beside the usage, before within it, and before 2026-03-15 as seconds
    nanoseconds = fields.get("circuits_execution_time_ns", usage.get("circuits_execution_time_ns"))
    execution = number(usage.get("seconds")) if nanoseconds is None else number(nanoseconds, 1e-9)
    created, running, finished = (
        _read_seconds(times.get(name)) for name in ("created", "running", "finished")
    )
    return JobMetrics(
        job_id, charged_secs(fields), execution, _between(created, running), _between(running, finished)
    )


def charged_secs(metrics: Any) -> float | None:
    """QPU seconds that a job was charged, by its metrics.

    Returns:
        The seconds, 0 included; ``None`` while the job runs or the service is still computing them, or if it does not say.
    """
    fields = mapping(metrics)
    usage, times = mapping(fields.get("usage")), mapping(fields.get("timestamps"))
    if not usage or ("finished" in times and not times["finished"]):
        return None
    # since 2026-03-15 there is a status, and what is charged is right only when that is complete
    old = "status" not in usage and "qpu_charge_time_seconds" not in usage
    complete = old or str(usage.get("status")).lower() == "complete"
    return number(usage.get("quantum_seconds" if old else "qpu_charge_time_seconds")) if complete else None


def mapping(value: Any) -> Mapping[str, Any]:
    """An object of the service's; an empty one where it is none."""
    return value if isinstance(value, Mapping) else {}


def whole(value: Any) -> int | None:
    """A whole number of the service's, 0 or more; ``None`` where it is none."""
    return value if isinstance(value, int) and _is_amount(value) else None


def number(value: Any, unit: float = 1.0) -> float | None:
    """A number of the service's, 0 or more, times a unit; ``None`` where it is none."""
    return float(value) * unit if isinstance(value, (int, float)) and _is_amount(value) else None


def _is_amount(value: float) -> bool:
    """Whether a number can be one of shots, of seconds or a place in a queue; NaN and infinity cannot."""
    return not isinstance(value, bool) and 0 <= value <= LARGEST


def _read_seconds(text: Any) -> float | None:
    """Seconds since 1970, from a time in ISO 8601; without a zone it is UTC. An earlier one, such as of the year 1, stands for none."""
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except (AttributeError, TypeError, ValueError):
        return None
    return number((moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp())


def _between(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else max(0.0, end - start)
