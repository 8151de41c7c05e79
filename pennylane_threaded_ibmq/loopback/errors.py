"""IBM's way of saying no: the error body, and the refusals that this service utters.

Messages and codes follow IBM's public error registry, https://quantum.cloud.ibm.com/docs/errors, where it has
one for the case; for the usage limit it has none, so 1000 stands there. Clients do not parse the body: they show
it.
"""

from __future__ import annotations

import uuid
from typing import Any

MORE_INFO = "https://quantum.cloud.ibm.com/docs/errors"
INVALID_JOB = "Check the Job, it is not valid to run on this backend."
"""IBM's advice for a job whose content is not valid."""


class ApiError(Exception):
    """A refusal on its way to the client.

    Args:
        status: HTTP status.
        code: Code of IBM's error registry.
        message: What is wrong.
        solution: What to do about it.
        headers: Further headers of the answer.
    """

    def __init__(
        self, status: int, code: int, message: str, solution: str = "", headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.solution = solution
        self.headers = headers or {}

    def body(self) -> dict[str, Any]:
        """The JSON body of the answer."""
        return error_body(self.code, self.message, self.solution)


class JobRefusedError(Exception):
    """A job that was accepted cannot run; it ends as ``Failed``.

    Args:
        code: Code of IBM's error registry, reported as ``reason_code``.
        reason: What is wrong.
        solution: What to do about it.
    """

    def __init__(self, code: int, reason: str, solution: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.solution = solution


def error_body(code: int, message: str, solution: str = "") -> dict[str, Any]:
    """The JSON body of an error answer."""
    return {
        "errors": [{"code": code, "message": message, "solution": solution, "more_info": MORE_INFO}],
        "trace": uuid.uuid4().hex,
    }


def unauthorized() -> ApiError:
    """The access token is missing, wrong or expired."""
    return ApiError(401, 1201, "Invalid credentials.", "Check your credentials and try again.")


def wrong_instance(crn: str) -> ApiError:
    """The request names no instance of this account."""
    return ApiError(
        403,
        1200,
        f"You are not authorized to perform this action: no access to instance {crn or '(none given)'}.",
        "Check the Service-CRN header against the instances of your account.",
    )


def bad_request(message: str) -> ApiError:
    """The request is malformed."""
    return ApiError(400, 1208, f"Request validation failed: {message}", "Check the request.")


def not_found(what: str, name: str) -> ApiError:
    """A job, session or route does not exist."""
    return ApiError(404, 1291, f"{what} not found: {name}", f"Check the {what.lower()} and try again.")


def unknown_program(name: str) -> ApiError:
    """No such program, or not with the packages that are installed here."""
    return ApiError(
        404,
        1291,
        f"Program not found: {name}",
        "Check the program and try again."
        if name != "executor"
        else "This loopback service can run it only where qiskit-ibm-runtime 0.47 or newer is installed.",
    )


def unknown_backend(name: str) -> ApiError:
    """No such backend, or not in this instance."""
    return ApiError(
        404, 1007, f"Backend not found: {name}", "Verify that the correct backend name was specified."
    )


def too_many_pending(limit: int) -> ApiError:
    """The open plan's limit. IBM's status for it is not confirmed; match on the message."""
    return ApiError(
        400,
        3458,
        f"You have reached the limit of {limit} pending jobs. Please wait for a job to complete or cancel one "
        "before submitting anything new.",
        "Wait until some previous jobs have finished.",
    )


def too_many_requests(limit: int, retry_after_secs: int) -> ApiError:
    """More jobs within a minute than allowed."""
    return ApiError(
        429,
        1202,
        f"Too many job requests received: limit is {limit} per minute.",
        "Reduce your request rate and try again.",
        {"Retry-After": str(retry_after_secs)},
    )


def usage_exceeded() -> ApiError:
    """The instance has no QPU time left."""
    return ApiError(
        409, 1000, "Usage exceeds the instance limit.", "Raise the limit or wait for the next period."
    )


def session_closed(session_id: str) -> ApiError:
    """A job for a session that takes none."""
    return ApiError(400, 1217, f"Session {session_id} is closed.", "Open a new session.")


def session_not_allowed() -> ApiError:
    """Dedicated sessions are not part of the open plan."""
    return ApiError(
        400,
        1352,
        "You are not authorized to run a session when using the open plan.",
        "Create an instance of a different plan type or use a different execution mode.",
    )


def wrong_state(job_id: str, status: str, action: str) -> ApiError:
    """The job's state does not allow the action."""
    return ApiError(
        409, 3209, f"Job {job_id} cannot be {action}: it is {status}.", "Check if the action makes sense."
    )
