"""What a job was charged, in the words of any version of IBM's API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def charged_secs(metrics: Any) -> float | None:
    """QPU seconds that a job was charged.

    Args:
        metrics: What the service answers to the question for a job's metrics.

    Returns:
        The seconds, 0 included; ``None`` while the service is still computing them, or if it does not say.
    """
    usage = metrics.get("usage") if isinstance(metrics, Mapping) else None
    if not isinstance(usage, Mapping):
        return None
    # since 2026-03-15 there is a status, and what is charged is right only when that is complete
    old = "status" not in usage and "qpu_charge_time_seconds" not in usage
    complete = old or str(usage.get("status")).lower() == "complete"
    seconds = usage.get("quantum_seconds" if old else "qpu_charge_time_seconds")
    return float(seconds) if complete and seconds is not None else None
