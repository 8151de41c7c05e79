"""The versions of the Platform's API: which there are, which one a request speaks, and what differs between them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from .errors import ApiError
from .records import JobRecord

HEADER = "ibm-api-version"
NEWEST = "2026-04-15"
NEW_USAGE_SINCE = "2026-03-15"
OLDEST = "2024-01-01"
_SUNSETS = {
    OLDEST: "2027-01-01",
    "2025-01-01": "2027-01-01",
    "2025-05-01": "2027-01-01",
    "2026-02-01": "2027-02-01",
    "2026-02-15": "2027-02-15",
    NEW_USAGE_SINCE: "2027-03-15",
}
"""Sunset dates of the deprecated versions, as IBM publishes them."""


def published_versions(oldest: str) -> list[dict[str, str]]:
    """The body of ``GET /versions``.

    Args:
        oldest: Versions before this date are gone.
    """
    deprecated = [
        {"version": version, "sunset_date": sunset, "status": "deprecated"}
        for version, sunset in _SUNSETS.items()
        if version >= oldest
    ]
    return [*deprecated, {"version": NEWEST, "status": "live"}]


def version_of(headers: Mapping[str, str], oldest: str) -> str:
    """The version that a request speaks, as an ISO date; one that names none speaks the newest.

    Args:
        headers: The request's headers, with names in lower case.
        oldest: Versions before this date are gone.

    Raises:
        ApiError: It is no date, or one before ``oldest``. How IBM answers to a version that is gone is not public.
    """
    version = headers.get(HEADER, NEWEST)
    try:
        datetime.strptime(version, "%Y-%m-%d")  # noqa: DTZ007 - a date has no zone
    except ValueError:
        raise _refused(f"{HEADER} must be a date such as {NEWEST}, not {version!r}.") from None
    if version < oldest:
        raise _refused(f"version {version} of the API is no longer supported; the oldest is {oldest}.")
    return version


def usage_of(job: JobRecord, version: str) -> dict[str, Any]:
    """The usage of a job in the words of a version."""
    if version < NEW_USAGE_SINCE:
        return {"quantum_seconds": job.usage_secs, "seconds": job.run_secs}
    complete = job.usage_complete
    usage: dict[str, Any] = {
        "qpu_charge_time_seconds": job.usage_secs if complete else 0.0,
        "status": "complete" if complete else "pending",
    }
    if version < NEWEST:
        usage["circuits_execution_time_ns"] = execution_ns(job)
    return usage


def execution_ns(job: JobRecord) -> int:
    """How long the circuits of a job ran, in nanoseconds."""
    return round(job.run_secs * 1e9)


def _refused(reason: str) -> ApiError:
    return ApiError(400, 1208, f"Request validation failed: {reason}", "Update qiskit-ibm-runtime.")
