"""Admission of requests: an access token, and a version of the API with its words for usage."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from .records import JobRecord, JobStatus, iso, utc_now
from .responses import ApiError, unauthorized

if TYPE_CHECKING:
    from .platform import Platform


class Issuer:
    """Issues and checks access tokens. Keeps none of them: a token carries its own expiry and signature.

    Args:
        keys: API keys that may log in.
        lifetime_secs: Lifetime of a token.
        any_key: Any other key may log in, too.
    """

    def __init__(self, keys: tuple[str, ...], lifetime_secs: int, *, any_key: bool = False) -> None:
        self._keys = keys
        self._any_key = any_key
        self._lifetime_secs = lifetime_secs
        self._secret = secrets.token_bytes(32)

    def revoke(self) -> None:
        """Make all tokens that are out worthless, whatever is left of their lifetime."""
        self._secret = secrets.token_bytes(32)

    def knows(self, key: str) -> bool:
        """Whether an API key may log in."""
        return (self._any_key and bool(key)) or any(
            hmac.compare_digest(key.encode(), own.encode()) for own in self._keys
        )

    def issue(self) -> dict[str, Any]:
        """The answer of IBM's identity service to a successful login."""
        token, expiration = self._token()
        return {
            "access_token": token,
            "refresh_token": "not_supported",
            "token_type": "Bearer",
            "expires_in": self._lifetime_secs,
            "expiration": expiration,
            "scope": "ibm openid",
        }

    def issue_classic(self) -> dict[str, Any]:
        """The answer of the classic API to a successful login."""
        token, _ = self._token()
        return {
            "id": token,
            "ttl": self._lifetime_secs,
            "created": iso(utc_now()),
            "userId": "loopback-user",
        }

    def _token(self) -> tuple[str, int]:
        """An access token and when it expires."""
        now = int(time.time())
        expiration = now + self._lifetime_secs
        claims = {"iam_id": "IBMid-loopback", "iss": "https://iam.cloud.ibm.com/identity", "iat": now}
        payload = f"{_encode({'typ': 'JWT', 'alg': 'HS256'})}.{_encode({**claims, 'exp': expiration})}"
        return f"{payload}.{self._signature(payload)}", expiration

    def check(self, headers: Mapping[str, str]) -> None:
        """Check the header ``Authorization``: a token of ours that has not expired, or an API key as such.

        Raises:
            ApiError: 401.
        """
        scheme, _, value = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "apikey" and self.knows(value):
            return
        if scheme.lower() != "bearer":
            raise unauthorized()
        self.check_token(value)

    def check_token(self, token: str) -> None:
        """Check an access token: one of ours that has not expired.

        Raises:
            ApiError: 401.
        """
        payload, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(payload).encode()):
            raise unauthorized()
        claims = json.loads(base64.urlsafe_b64decode(payload.partition(".")[2] + "=="))
        if time.time() >= claims["exp"]:
            raise unauthorized()

    def _signature(self, payload: str) -> str:
        digest = hmac.new(self._secret, payload.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _encode(part: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


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
    """The body of ``GET /versions``, without those before ``oldest``."""
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


def metrics_of(platform: Platform, job: JobRecord, version: str) -> dict[str, Any]:
    """Times, usage and the place in the queue, in the words of a version of the API."""
    metrics: dict[str, Any] = {
        "timestamps": {
            "created": iso(job.created),
            "running": iso(job.started),
            "finished": iso(job.finished),
        },
        "usage": usage_of(job, version),
    }
    if version < NEW_USAGE_SINCE:
        metrics["bss"] = {"seconds": job.run_secs}
    if version >= NEWEST:
        metrics["circuits_execution_time_ns"] = execution_ns(job)
    if job.status is JobStatus.QUEUED:
        ahead = [other.id for other in platform.jobs.live() if other.backend == job.backend]
        position = ahead.index(job.id) + 1
        metrics["position_in_queue"] = position
        config = platform.config
        waits = max(config.queue_secs, (position - 1) // config.slots * config.job_secs)
        start = max(job.created + timedelta(seconds=waits), datetime.now(timezone.utc))
        metrics["estimated_start_time"] = iso(start)
        metrics["estimated_completion_time"] = iso(start + timedelta(seconds=config.job_secs))
    return metrics


def execution_ns(job: JobRecord) -> int:
    """Nanoseconds that the circuits of a job ran."""
    return round(job.run_secs * 1e9)


def _refused(reason: str) -> ApiError:
    return ApiError(400, 1208, f"Request validation failed: {reason}", "Update qiskit-ibm-runtime.")
