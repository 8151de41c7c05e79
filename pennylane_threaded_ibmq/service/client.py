"""The part of IBM's clients: what a service is asked, once each and in the client's own words."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from ..exceptions import ServiceError
from .job import ListedJob, PubData, SentJob
from .states import Ending, State


class ServiceClient(ABC):
    """One backend of a service, through its client.

    Attributes:
        options: Options that every job is sent with; they are part of what a job is.
        coming_back: How to fetch a job's result without this package, with ``{}`` for the id in quotes.
        stops_jobs: The service stops a job after as many seconds as it is told.
        without_reason: What is said of a job that failed without a reason, with ``{}`` for the id in quotes.
    """

    options: Mapping[str, Any]
    coming_back: str
    stops_jobs = False
    without_reason = "the service gives no reason."

    @property
    @abstractmethod
    def backend(self) -> Any:
        """The client's backend."""

    @property
    @abstractmethod
    def errors(self) -> tuple[type[BaseException], ...]:
        """Errors that the client raises when a question fails."""

    @property
    def problems(self) -> tuple[type[BaseException], ...]:
        """Errors that a question fails with: one of the client's, no answer, or one that makes no sense."""
        return (*self.errors, ServiceError, ValueError)

    @property
    @abstractmethod
    def already_finished_error(self) -> type[BaseException]:
        """The error that the client raises when a job is cancelled that has ended."""

    @abstractmethod
    def _send(
        self,
        primitive: str,
        pubs: Sequence[Any],
        lane: Any,
        batch: Any,
        tags: Sequence[str],
        most_secs: int | None,
    ) -> tuple[Any, Any]:
        """Send one job through what a lane owns: its id, as the service gave it, and its handle."""

    @abstractmethod
    def _list(self, tag: str, most: int, *, pending: bool) -> list[ListedJob]:
        """Jobs with a tag, newest first; only those that are queued or running if ``pending``."""

    @abstractmethod
    def _get(self, job_id: str) -> ListedJob:
        """A job by its id."""

    @abstractmethod
    def _state(self, job: SentJob) -> State:
        """The state of a job.

        Raises:
            UnknownStateError: It is none of those that are known.
        """

    @abstractmethod
    def _results(self, job: SentJob, pubs: Sequence[Any]) -> tuple[list[PubData], str]:
        """The results of a finished job, one a PUB, and what is wrong with them if something is."""

    @abstractmethod
    def _ending(self, job: SentJob, state: State) -> Ending:
        """The reason why a job failed or was cancelled."""

    @abstractmethod
    def _metrics(self, job: SentJob) -> Any:
        """Times of a job and its place in the queue."""

    @abstractmethod
    def _cancel(self, handle: Any) -> None:
        """Cancel a job."""

    @abstractmethod
    def _usage(self, job: SentJob) -> float | None:
        """QPU seconds that a job was charged."""

    @abstractmethod
    def _left(self) -> float | None:
        """QPU seconds that are left to whoever pays."""

    @property
    def rep_delay_secs(self) -> float | None:
        """The backend's delay between executions, in seconds; ``None`` if it does not say."""
        delay = getattr(self.backend, "default_rep_delay", None)
        return None if delay is None else float(delay)

    @property
    def most_shots(self) -> int | None:
        """Shots that a circuit may have; ``None`` where all circuits of a job have the same number."""
        return None

    def is_private(self, _: SentJob) -> bool:
        """Whether the service gives the result of a job out once, and keeps it no longer."""
        return False

    @property
    def takes_rz(self) -> bool:
        """Whether circuits may have an ``rz`` gate, and values for its angle."""
        return False

    def open_batch(self) -> Any:
        """A context for several jobs, or ``None`` where there is none."""
        return None

    def close_batch(self, batch: Any) -> None:  # noqa: B027 - most have none to close
        """Close a context: it takes no new jobs, those in it run on."""
