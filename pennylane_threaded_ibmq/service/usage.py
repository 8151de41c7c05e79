"""Charges and times of jobs, in the words of any version of IBM's API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .queue import read_seconds


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


def read_metrics(job_id: str, metrics: Any) -> JobMetrics:
    """Read a job's metrics, of which any part may be missing or of another kind.

    Args:
        job_id: Id of the job.
        metrics: What the service answers to the question for them.
    """
    fields = _mapping(metrics)
    usage, times = _mapping(fields.get("usage")), _mapping(fields.get("timestamps"))
    # since 2026-04-15 beside the usage, before within it, and before 2026-03-15 as seconds
    nanoseconds = fields.get("circuits_execution_time_ns", usage.get("circuits_execution_time_ns"))
    execution = _number(usage.get("seconds")) if nanoseconds is None else _number(nanoseconds, 1e-9)
    created, running, finished = (
        read_seconds(times.get(name)) for name in ("created", "running", "finished")
    )
    return JobMetrics(
        job_id, charged_secs(fields), execution, _between(created, running), _between(running, finished)
    )


def charged_secs(metrics: Any) -> float | None:
    """QPU seconds that a job was charged.

    Args:
        metrics: What the service answers to the question for a job's metrics.

    Returns:
        The seconds, 0 included; ``None`` while the job runs or the service is still computing them, or if it does not say.
    """
    fields = _mapping(metrics)
    usage, times = _mapping(fields.get("usage")), _mapping(fields.get("timestamps"))
    if not usage or ("finished" in times and not times["finished"]):
        return None
    # since 2026-03-15 there is a status, and what is charged is right only when that is complete
    old = "status" not in usage and "qpu_charge_time_seconds" not in usage
    complete = old or str(usage.get("status")).lower() == "complete"
    return _number(usage.get("quantum_seconds" if old else "qpu_charge_time_seconds")) if complete else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: Any, unit: float = 1.0) -> float | None:
    return float(value) * unit if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _between(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else max(0.0, end - start)
