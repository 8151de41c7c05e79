"""The answers of a service while somebody asks it something, which IBM's client hands on only as a whole.

To send a job the client asks several questions. Once the job exists, what fails is the look-up of the backend that the answer
names, and the id of the job is lost with it. Some errors the client takes for an empty answer. And it reads a result as soon as
that arrives, which may fail although it arrived whole: the result of a private job is given out once. Where the pages of a list
hold fewer jobs than they count, it asks for the next one without end or pause.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

from .errors import PuzzlingAnswerError


class Exchange:
    """What has been answered so far.

    Attributes:
        job_id: The job that was created; empty if none was, as far as the service said.
        unauthorized: An access token was not accepted.
        status: HTTP status of the last answer, where it was an error.
        replays: Results that arrived are given again, and not asked for.
    """

    def __init__(self) -> None:
        self.job_id = ""
        self.unauthorized = False
        self.status: int | None = None
        self.replays = False
        self._results: dict[str, Any] = {}
        self._listed = 0

    def kept(self, request: Any) -> Any:
        """The answer to a request for results, if it has arrived and is to be given again."""
        return self._results.get(request.url) if self.replays and request.method == "GET" else None

    def take(self, request: Any, answer: Any) -> None:
        """Take an answer in.

        Raises:
            PuzzlingAnswerError: It is the end of a list that says that it has more.
        """
        path = str(request.url).partition("?")[0]
        self.status = None if answer.ok else int(answer.status_code)
        self.unauthorized |= self.status == 401
        if request.method == "POST" and path.endswith("/jobs") and answer.ok:
            # what is no JSON, or has no id, is judged by whoever reads it
            with suppress(ValueError, TypeError, KeyError):
                self.job_id = str(answer.json()["id"] or "")
        elif request.method == "GET" and path.endswith("/results") and answer.status_code == 200:
            self._results[request.url] = answer
        elif request.method == "GET" and path.endswith("/jobs") and answer.ok:
            self._take_page(answer)

    def _take_page(self, answer: Any) -> None:
        try:
            page = answer.json()
            jobs, count = len(page["jobs"]), int(page["count"])
        except (ValueError, TypeError, KeyError):
            return  # judged by whoever reads it
        self._listed += jobs
        if not jobs and self._listed < count:
            raise PuzzlingAnswerError(f"The service counts {count} jobs in a list and gives {self._listed}.")


_current: ContextVar[Exchange | None] = ContextVar("exchange", default=None)


def current() -> Exchange | None:
    """The exchange under way in this thread, if there is one."""
    return _current.get()


@contextmanager
def exchange() -> Iterator[Exchange]:
    """Around all that is asked for one purpose in this thread; in another one, the same."""
    under_way = _current.get()
    if under_way is not None:
        yield under_way
        return
    new = Exchange()
    token = _current.set(new)
    try:
        yield new
    finally:
        _current.reset(token)
