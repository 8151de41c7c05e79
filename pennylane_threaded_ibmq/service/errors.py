"""Judgement of what went wrong at the service. The one place where errors of the client are judged."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from math import isnan

from ..exceptions import ServiceError, SubmissionError

LONGEST_HEADER_SECS = 300.0
"""Longest wait that a header may ask for: after that the service is asked again, even if it said ``Retry-After: inf``."""


class NoAnswerError(ServiceError):
    """The service did not answer, or said that it cannot answer now."""


def no_answer(what: str, seconds: float) -> NoAnswerError:
    """The error for a wait that was too long."""
    return NoAnswerError(f"The service gave no answer to {what} within {seconds:g} s.")


class PuzzlingAnswerError(ServiceError):
    """The service's answer makes no sense."""


class JobExistsError(SubmissionError):
    """A job was created, and what the client asked after that failed.

    Attributes:
        job_id: The job.
    """

    def __init__(self, message: str, job_id: str) -> None:
        super().__init__(message)
        self.job_id = job_id


def service_error(error: BaseException, text: str, kind: type[ServiceError] = ServiceError) -> ServiceError:
    """The error to raise for a question that failed.

    Args:
        error: What it failed with.
        text: The same for people.
        kind: What it is unless the service gave no answer.
    """
    return (NoAnswerError if is_outage(error) else kind)(text, status_code=status_code(error))


class Trouble(Enum):
    """Kinds of trouble with a submission."""

    UNKNOWN = "unknown"
    """The request may have arrived: look for the job before sending again."""
    PENDING_LIMIT = "pending limit"
    """Too many jobs are queued: wait until one is done."""
    RATE_LIMIT = "rate limit"
    """Too many jobs a minute, or too many requests: wait."""
    USAGE_LIMIT = "usage limit"
    """The instance has used the QPU time that it has: wait until it gets more, or give up."""
    CLOSED = "closed"
    """The session or IBM's Batch takes no more jobs."""
    REFUSED = "refused"
    """The service said no, and will say so again."""


def _code(number: int) -> str:
    """A pattern for a code where it stands by itself: the ids of requests that errors carry have such numbers between dashes."""
    return rf"(?<![\w-]){number}(?![\w-])"


_PENDING = re.compile(
    rf"limit of \d+ pending jobs|pending jobs? limit|{_code(3458)}|concurrent jobs", re.IGNORECASE
)
_RATE = re.compile(rf"too many|rate limit|jobs (?:per|a) minute|{_code(1202)}", re.IGNORECASE)
_CLOSED = re.compile(
    _code(1217) + r"|(?:session|batch)\b.{0,80}(?:closed|expired|not accepting)", re.IGNORECASE
)
_USAGE = re.compile(r"usage\b.{0,40}\blimit", re.IGNORECASE)

PASSING_JOB_CODES = frozenset({1006, 1008, 1010, 1011, 1217, 9999}) | frozenset(range(9000, 10000))
"""Codes of failed jobs whose advice is to try again: troubles between IBM's services, internal errors, and a
Batch whose time was up (1217), since what is sent again is sent outside of it.

Source: https://quantum.cloud.ibm.com/docs/errors
"""

_CLIENTS_OWN = frozenset({"IBMInputValueError", "IBMBackendValueError"})
"""Errors that the client itself raises before anything is sent."""


def judge_submission(error: BaseException) -> Trouble:
    """The verdict on a refused submission: what it calls for."""
    if isinstance(error, JobExistsError):
        return Trouble.UNKNOWN
    status = status_code(error)
    # what it was answered instead of a list of backends the client keeps to itself
    if type(error.__cause__).__name__ in _CLIENTS_OWN or (status is None and _lacks_mock(error.__cause__)):
        return Trouble.REFUSED
    text = all_text(error)
    if _PENDING.search(text):
        return Trouble.PENDING_LIMIT
    if status == 429 or (status in {400, 403} and _RATE.search(text)):
        return Trouble.RATE_LIMIT
    if status is None or status < 400 or status >= 500:
        return Trouble.UNKNOWN
    if _CLOSED.search(text):
        return Trouble.CLOSED
    # IBM documents 409 for it, and nothing else that a new job is answered with so
    return Trouble.USAGE_LIMIT if status == 409 or _USAGE.search(text) else Trouble.REFUSED


def _lacks_mock(error: BaseException | None) -> bool:
    """Whether there is no mock for a dry run. Other backends are missed once a job is there, as the service names one with it."""
    return type(error).__name__ == "QiskitBackendNotFoundError" and "dry_run" in str(error)


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, what caused it, what caused that, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def status_code(error: BaseException | None) -> int | None:
    """HTTP status of a client's error, which may be hidden in what caused it; ``None`` if there was no answer."""
    for one in causes(error):
        for source in (one, getattr(one, "response", None)):
            code = getattr(source, "status_code", None)
            if code is not None and int(code) > 0:
                return int(code)
    return None


def retry_after(error: BaseException | None) -> float | None:
    """Seconds that the service asked to wait, if it did; at most :data:`LONGEST_HEADER_SECS`, whatever it asked for."""
    for one in causes(error):
        value = getattr(getattr(one, "response", None), "headers", {}).get("Retry-After")
        if value is not None:
            try:
                seconds = float(value)
            except ValueError:
                return None
            return None if isnan(seconds) else min(max(0.0, seconds), LONGEST_HEADER_SECS)
    return None


def all_text(error: BaseException | None) -> str:
    """The texts of an error and of what caused it."""
    return "\n".join(map(str, causes(error)))


def is_outage(error: BaseException | None) -> bool:
    """Whether a question failed because the service cannot be reached, stays silent, or says that it cannot answer now."""
    if is_unknown_job(error):
        return False
    status = status_code(error)
    if status is not None:
        return status == 429 or status >= 500
    # an answer that is no JSON is a RequestException too, and so an OSError
    return any(
        isinstance(one, (NoAnswerError, OSError)) and type(one).__name__ != "JSONDecodeError"
        for one in causes(error)
    )


def is_cut(error: BaseException | None) -> bool:
    """Whether an answer began and did not arrive whole."""
    return any(type(one).__name__ in {"ChunkedEncodingError", "IncompleteRead"} for one in causes(error))


def is_unknown_job(error: BaseException | None) -> bool:
    """Whether the service says that it knows no such job."""
    return any(
        type(one).__name__ == "RuntimeJobNotFound" or getattr(one, "status_code", None) == 404
        for one in causes(error)
    )


def is_unreachable(error: BaseException | None) -> bool:
    """Whether nobody answered: the name is not known, or no connection could be made."""
    return any(
        isinstance(one, ConnectionError) or type(one).__name__ in {"ConnectionError", "ProxyError"}
        for one in causes(error)
    )
