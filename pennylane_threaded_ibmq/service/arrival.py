"""Time in which a submission that failed may still become a job."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

from .errors import JobExistsError, status_code

ARRIVAL_SECS = 120.0
"""Seconds that a service may take to carry out a request whose client is gone.

Gateways in front of a service wait 100 s for it (HTTP 524); what took longer is no request that anybody still answers.
"""

ANSWERED_SECS = 2.0
"""Seconds for which a list of jobs may lag behind the service's own answer."""

_UNCONNECTED = frozenset({"NewConnectionError", "ConnectTimeoutError", "NameResolutionError"})
"""Errors of urllib3 before the first byte is sent."""

_GATEWAY = frozenset({502, 504, *range(520, 530)})
"""Answers of a gateway that did not wait for the service behind it."""

_EXHAUSTED = re.compile(r"too many (\d{3}) error responses")
"""The text in which urllib3 names the answer after which it repeats a request no more."""


def arrival_secs(error: BaseException) -> float:
    """Seconds in which a job may still appear after a submission that failed with an error; 0 if nothing was sent."""
    if isinstance(error, JobExistsError):
        return ARRIVAL_SECS
    chain = list(_causes(error))
    if any(_is_another_request(one) or type(one).__name__ in _UNCONNECTED for one in chain):
        return 0.0
    status = status_code(error)
    if status is None:
        exhausted = next((match for one in chain if (match := _EXHAUSTED.search(str(one)))), None)
        answers = (getattr(getattr(one, "response", None), "status_code", None) for one in chain)
        status = next((s for s in answers if s is not None), None) if exhausted is None else int(exhausted[1])
    return ARRIVAL_SECS if status is None or status in _GATEWAY else ANSWERED_SECS


def arrival_secs_since(moment: float) -> float:
    """Seconds in which a job may still appear whose sending was last heard of at a moment, in seconds since 1970."""
    age = max(0.0, time.time() - moment)  # a clock may have been set back
    return max(0.0, ARRIVAL_SECS - age)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, what caused it, and what urllib3 names as its reason."""
    ids: set[int] = set()
    rest = [error]
    while rest:
        one = rest.pop()
        if one is None or id(one) in ids:
            continue
        ids.add(id(one))
        yield one
        reason = getattr(one, "reason", None)
        rest += [one.__cause__, one.__context__, reason if isinstance(reason, BaseException) else None]


def _is_another_request(error: BaseException) -> bool:
    """Whether it was not the submission that failed, but what the client asks before it."""
    response: Any = getattr(error, "response", None)
    request: Any = getattr(error, "request", None) or getattr(response, "request", None)
    if getattr(request, "method", None) is None:
        return False
    path = str(request.url).partition("?")[0]
    return not (request.method == "POST" and path.endswith("/jobs"))
