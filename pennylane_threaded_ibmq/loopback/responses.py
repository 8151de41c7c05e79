"""IBM's way of saying no: the error body, and the refusals that this service utters.

Messages and codes follow IBM's public error registry, https://quantum.cloud.ibm.com/docs/errors, where it has
one for the case; for the usage limit it has none, so 1000 stands there. Clients do not parse the body: they show
it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from .proxy import Connection

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


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
        error = {
            "code": self.code,
            "message": self.message,
            "solution": self.solution,
            "more_info": MORE_INFO,
        }
        return {"errors": [error], "trace": uuid.uuid4().hex}


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


@contextmanager
def validation() -> Iterator[None]:
    """Make of whatever goes wrong while a job's inputs are read the refusal that IBM gives."""
    try:
        yield
    except Exception as error:
        reason = f"Error in the validation process of the job. {error}"
        raise JobRefusedError(1002, reason, INVALID_JOB) from error


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


def error_response(error: ApiError) -> Response:
    """IBM's answer to a request that it refuses."""
    return JSONResponse(error.body(), status_code=error.status, headers=error.headers)


def no_content() -> Response:
    """An answer that says only that it worked."""
    return Response(status_code=204)


def raw_json(body: bytes) -> Response:
    """An answer whose JSON is encoded already."""
    return Response(body, media_type="application/json")


class Dropped(Response):
    """No answer: the connection is reset."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - named by ASGI
        """Reset the connection and wait until the HTTP server has noticed."""
        connection_of(scope).reset()
        await _until_disconnected(receive)


class Cut(Response):
    """An answer that announces its whole length and sends a part."""

    def __init__(self, whole: Response, keep: float) -> None:
        super().__init__(status_code=whole.status_code)
        self.raw_headers = whole.raw_headers
        self.body = bytes(whole.body)[: int(len(whole.body) * keep)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the part, close the connection and wait until the HTTP server has noticed."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        connection_of(scope).close()
        await _until_disconnected(receive)


def connection_of(scope: Scope) -> Connection:
    """The connection that a request came in on."""
    connection: Connection = scope["state"]["connection"]
    return connection


async def _until_disconnected(receive: Receive) -> None:
    """Returning earlier would make the HTTP server complain about an answer that never came."""
    while (await receive())["type"] != "http.disconnect":
        pass


class ClassicError(ApiError):
    """A refusal with the classic body, in which an error has a name."""

    def __init__(self, status: int, code: int, name: str, message: str) -> None:
        super().__init__(status, code, message)
        self.name = name

    def body(self) -> dict[str, Any]:
        """The JSON body of the answer."""
        return {
            "error": {
                "status": self.status,
                "statusCode": self.status,
                "name": self.name,
                "message": self.message,
                "code": self.code,
            }
        }


def login_failed() -> ClassicError:
    """The API token is unknown."""
    return ClassicError(401, 3446, "UNAUTHORIZED", "Login failed.")


def license_required() -> ClassicError:
    """The owner of the API token has to accept the licence first."""
    return ClassicError(
        401, 3445, "ACCEPT_LICENSE_REQUIRED", "Accept the licence agreement before you use the service."
    )


def unknown_job(job_id: str) -> ClassicError:
    """There is no such job in any project of the account."""
    return ClassicError(404, 3250, "Job not found", f"Unable to find the job {job_id}")


def unknown_project(name: str) -> ClassicError:
    """There is no such hub, group and project in the account."""
    return ClassicError(403, 3217, "FORBIDDEN", f"No access to the hub/group/project {name}")


def too_many_concurrent(limit: int) -> ApiError:
    """The limit of jobs that are queued or running."""
    return ApiError(
        400,
        3458,
        f"Reached maximum number ({limit}) of concurrent jobs",
        "Wait until some previous jobs have finished, or cancel one.",
    )
