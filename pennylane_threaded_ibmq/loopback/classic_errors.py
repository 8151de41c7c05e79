"""The classic API's way of saying no: its own error body on its own services, the runtime's on the runtime.

Which of the two bodies the real runtime used for the limit of jobs is not known; match on the code.
"""

from __future__ import annotations

from typing import Any

from .errors import ApiError


class ClassicError(ApiError):
    """A refusal with the classic body.

    Args:
        status: HTTP status.
        code: The classic API's code.
        name: Name of the error.
        message: What is wrong.
    """

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
