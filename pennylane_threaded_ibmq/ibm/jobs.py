"""Jobs of IBM Quantum Platform: send, look, fetch, cancel. The only module that opens a primitive."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ..exceptions import (
    JobCancelledError,
    JobFailedError,
    ResultError,
    ServiceError,
    SubmissionError,
)
from .errors import ANSWER_SECS, can_pass, patiently, status_code, within
from .quiet import quiet

logger = logging.getLogger(__name__)

FETCHES = 6
"""Tries to fetch a result that arrives damaged; it is kept at IBM, so another try costs nothing."""

SEND_SECS = 300.0
"""Longest wait for an answer that carries circuits or results."""

CANCEL_SECS = 30.0
"""Longest wait for a cancellation, tries included."""


class State(Enum):
    """What the service says of a job."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TOO_LONG = "ran too long"

    @property
    def final(self) -> bool:
        """Whether nothing will change any more."""
        return self not in (State.PENDING, State.RUNNING)


@dataclass(frozen=True, eq=False)
class SentJob:
    """A job that the service accepted.

    Attributes:
        job_id: The service's id.
        primitive: ``"sampler"`` or ``"estimator"``.
        pubs: Number of PUBs.
        tag: The tag that no other submission carries.
        handle: The client's job object.
    """

    job_id: str
    primitive: str
    pubs: int
    tag: str
    handle: Any


@dataclass(frozen=True, eq=False)
class PendingJob:
    """A job that the service lists as queued or running.

    Attributes:
        tags: Its tags.
        handle: The client's job object.
    """

    tags: frozenset[str]
    handle: Any


class Jobs:
    """Jobs on one backend.

    Args:
        service: The client's service, pinned to one instance.
        backend: The backend.
        primitive_options: Options of the primitives, split by primitive.
    """

    def __init__(
        self, service: Any, backend: Any, primitive_options: Mapping[str, Mapping[str, Any]]
    ) -> None:
        self._service = service
        self.backend = backend
        self.options = primitive_options

    @property
    def rep_delay_secs(self) -> float | None:
        """The backend's delay between executions, in seconds; ``None`` if it does not say."""
        delay = getattr(self.backend, "default_rep_delay", None)
        return None if delay is None else float(delay)

    def open_batch(self) -> Any:
        """A Batch context for several jobs, or ``None`` where the backend or the plan has none."""
        if getattr(self.backend.configuration(), "simulator", False):
            return None
        from qiskit_ibm_runtime import Batch
        from qiskit_ibm_runtime.api.exceptions import RequestsApiError
        from qiskit_ibm_runtime.exceptions import IBMRuntimeError

        try:
            return within(ANSWER_SECS, lambda: Batch(backend=self.backend), "a Batch")
        except (RequestsApiError, IBMRuntimeError, ServiceError) as error:
            logger.info("no batch could be opened, jobs run singly: %s", error)
            return None

    def close_batch(self, batch: Any) -> None:
        """Close a Batch context: it takes no new jobs, those in it run on."""
        from qiskit_ibm_runtime.api.exceptions import RequestsApiError
        from qiskit_ibm_runtime.exceptions import IBMRuntimeError

        try:
            within(ANSWER_SECS, batch.close, "the end of a Batch")
        except (RequestsApiError, IBMRuntimeError, ServiceError) as error:
            logger.warning("batch %s could not be closed: %s", batch.session_id, error)

    def submit(self, primitive: str, pubs: Sequence[Any], mode: Any, tags: tuple[str, str]) -> SentJob:
        """Send one job.

        Args:
            primitive: ``"sampler"`` or ``"estimator"``.
            pubs: PUBs in the primitive's form.
            mode: Session, batch or backend; never left to the client, whose default is bound to a thread.
            tags: Tags by which the job can be found again: one of its device, then one of its own.

        Raises:
            SubmissionError: The service did not accept the job.
        """
        from qiskit_ibm_runtime import EstimatorV2, SamplerV2

        cls = SamplerV2 if primitive == "sampler" else EstimatorV2
        runner = cls(mode=mode, options=dict(self.options.get(primitive, {})))
        runner.options.environment.job_tags = [*(runner.options.environment.job_tags or []), *tags]
        try:
            # the client warns of its own use of a deprecated class at each run
            with quiet().client():
                job = within(SEND_SECS, lambda: runner.run(list(pubs)), "a job")
        except Exception as error:
            # an answer that cannot be read is an error of any kind, and the job may exist
            raise SubmissionError(
                f"{self.backend.name} did not accept a job of {len(pubs)} circuits: {error}",
                status_code=status_code(error),
            ) from error
        return SentJob(job.job_id(), primitive, len(pubs), tags[1], job)

    def pending(self, tag: str, most: int) -> dict[str, PendingJob]:
        """Jobs with a tag that are queued or running, by id: one request for all of them.

        Raises:
            ServiceError: The service did not answer properly.
        """
        from qiskit_ibm_runtime.api.exceptions import RequestsApiError
        from qiskit_ibm_runtime.exceptions import IBMError

        try:
            jobs = within(
                ANSWER_SECS,
                lambda: self._service.jobs(limit=most, pending=True, job_tags=[tag]),
                "a list of jobs",
            )
        except (RequestsApiError, IBMError) as error:
            raise ServiceError(
                f"The list of jobs could not be read: {error}", status_code=status_code(error)
            ) from error
        return {j.job_id(): PendingJob(frozenset(j.tags), j) for j in jobs}

    def find(self, tag: str, primitive: str, pubs: int) -> list[SentJob]:
        """All jobs that carry a tag, oldest first; asked until the service answers.

        Raises:
            ServiceError: The service did not answer for minutes.
        """
        from qiskit_ibm_runtime.api.exceptions import RequestsApiError
        from qiskit_ibm_runtime.exceptions import IBMError

        try:
            for attempt in patiently((RequestsApiError, IBMError, ServiceError, OSError), only=can_pass):
                with attempt:
                    found = within(
                        ANSWER_SECS, lambda: self._service.jobs(limit=20, job_tags=[tag]), "a list of jobs"
                    )
        except (RequestsApiError, IBMError, OSError) as error:
            raise ServiceError(
                f"Whether a job with tag {tag} exists could not be asked: {error}",
                status_code=status_code(error),
            ) from error
        return [SentJob(j.job_id(), primitive, pubs, tag, j) for j in reversed(found)]

    def usage(self, job: SentJob) -> float | None:
        """QPU seconds that a job was charged; ``None`` if the service does not say."""
        from qiskit_ibm_runtime.exceptions import IBMError

        try:
            seconds = within(ANSWER_SECS, job.handle.usage, "a job's usage")
        except (IBMError, ServiceError) as error:
            logger.info("usage of job %s is not known: %s", job.job_id, error)
            return None
        return None if seconds is None else float(seconds)

    def left(self) -> float | None:
        """QPU seconds left on the instance; ``None`` if it has no limit or does not say."""
        from qiskit_ibm_runtime.exceptions import IBMError

        try:
            usage = within(ANSWER_SECS, self._service.usage, "the instance's usage")
        except (IBMError, ServiceError) as error:
            logger.info("usage of the instance is not known: %s", error)
            return None
        remaining = usage.get("usage_remaining_seconds")
        return None if remaining is None else float(remaining)

    def state(self, job: SentJob) -> State:
        """Ask for the state of one job.

        Raises:
            ServiceError: The service did not answer properly.
        """
        from qiskit_ibm_runtime.api.exceptions import RequestsApiError
        from qiskit_ibm_runtime.exceptions import IBMError

        try:
            status = str(within(ANSWER_SECS, job.handle.status, f"the state of job {job.job_id}"))
        except (RequestsApiError, IBMError) as error:
            raise ServiceError(
                f"The state of job {job.job_id} could not be read: {error}", status_code=status_code(error)
            ) from error
        if status == "DONE":
            return State.DONE
        if status == "ERROR":
            return State.FAILED
        if status.startswith("CANCELLED"):
            # "CANCELLED - RAN TOO LONG" is no final state to the client, which would wait for it for ever
            return State.CANCELLED if status == "CANCELLED" else State.TOO_LONG
        return State.RUNNING if status == "RUNNING" else State.PENDING

    def state_for_sure(self, job: SentJob) -> State:
        """Ask for the state of one job until the service answers."""
        for attempt in patiently((ServiceError,), only=can_pass):
            with attempt:
                found = self.state(job)
        return found

    def fetch(self, job: SentJob, state: State) -> list[Any]:
        """The results of a finished job, one a PUB.

        Raises:
            JobFailedError: IBM reports the job as failed.
            JobCancelledError: The job was cancelled.
            ResultError: The result has the wrong type or length.
        """
        if state is State.FAILED:
            raise JobFailedError(
                f"Job {job.job_id} failed on {self.backend.name}: {self._reason(job)}",
                job_ids=[job.job_id],
            )
        if state is State.TOO_LONG:
            raise JobFailedError(
                f"Job {job.job_id} was stopped by {self.backend.name}: it ran too long. Send fewer tapes in a job "
                "(shard_size=) or fewer shots, or raise max_execution_time in primitive_options.",
                job_ids=[job.job_id],
            )
        if state is State.CANCELLED:
            raise JobCancelledError(f"Job {job.job_id} was cancelled.", job_ids=[job.job_id])
        problem = ""
        for fetch in range(FETCHES):
            result, problem = self._download(job)
            if not problem:
                return list(result)
            logger.warning("job %s: %s", job.job_id, problem)
            time.sleep(min(0.1 * 2**fetch, 5.0))
        raise ResultError(
            f"Job {job.job_id} finished on {self.backend.name}, but its result is damaged: {problem} It is kept at "
            f"IBM: QiskitRuntimeService().job({job.job_id!r}).result().",
            job_ids=[job.job_id],
        )

    def _download(self, job: SentJob) -> tuple[Any, str]:
        from qiskit.primitives import PrimitiveResult
        from qiskit_ibm_runtime.api.exceptions import RequestsApiError
        from qiskit_ibm_runtime.exceptions import IBMError

        try:
            result = within(SEND_SECS, job.handle.result, f"the result of job {job.job_id}")
        except (RequestsApiError, IBMError, ServiceError, ValueError) as error:
            return None, f"it could not be downloaded: {error}."
        if not isinstance(result, PrimitiveResult):
            return None, f"{type(result).__name__} instead of a primitive result."
        if len(result) != job.pubs:
            return None, f"{len(result)} PUB results instead of {job.pubs}."
        return result, ""

    def _reason(self, job: SentJob) -> str:
        from qiskit_ibm_runtime.api.exceptions import RequestsApiError
        from qiskit_ibm_runtime.exceptions import IBMError

        try:
            for attempt in patiently((RequestsApiError, IBMError), only=can_pass):
                with attempt:
                    reason = within(ANSWER_SECS, job.handle.error_message, "the reason of a failure")
        except (RequestsApiError, IBMError, ServiceError) as error:
            return f"its reason could not be read: {error}"
        return str(reason)

    def cancel(self, job: SentJob | PendingJob) -> None:
        """Cancel a job, within seconds; one that is already finished stays as it is."""
        from qiskit_ibm_runtime.api.exceptions import RequestsApiError
        from qiskit_ibm_runtime.exceptions import IBMError, RuntimeInvalidStateError

        def can_be_repeated(error: BaseException) -> bool:
            return not isinstance(error, RuntimeInvalidStateError)

        def ask() -> None:
            for attempt in patiently((IBMError, RequestsApiError), only=can_be_repeated):
                with attempt:
                    job.handle.cancel()

        try:
            within(CANCEL_SECS, ask, f"the cancellation of job {job.handle.job_id()}")
        except RuntimeInvalidStateError:
            logger.debug("job %s was finished before it could be cancelled", job.handle.job_id())
        except (IBMError, RequestsApiError, ServiceError) as error:
            logger.warning("job %s could not be cancelled: %s", job.handle.job_id(), error)
