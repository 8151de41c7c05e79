"""Jobs of IBM Quantum Platform."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any, TypeVar

from ..._compat import cached_property
from ...exceptions import ServiceError
from ...service.errors import is_outage, status_code
from ...service.exchange import exchange
from ...service.job import ListedJob, PubData, SentJob
from ...service.metadata import read_facts, read_mark
from ...service.metrics import charged_secs
from ...service.outage import Outage
from ...service.service import JobService
from ...service.sessions import bound_waits, connections, renew_login
from ...service.states import Ending, State, read_code, read_state
from .client import can_list_mocks, one_number_of_shots
from .primitives import check_circuits, choose_api, job_mode, open_primitive
from .quiet import quiet

logger = logging.getLogger(__name__)

T = TypeVar("T")

STATES = {
    "initializing": State.PENDING,
    "queued": State.PENDING,
    "running": State.RUNNING,
    "done": State.DONE,
    "error": State.FAILED,
}
"""States as the client names them, in small letters; those of cancelled jobs are looked at more closely."""


class LanePrimitives:
    """The primitives that a lane owns, on a backend object of its own.

    Args:
        backend: The client's backend. Its copy shares what was read of it and the login, so that no lane asks for them again.
        session: An open Session or Batch of the user's on it, or ``None``.
    """

    def __init__(self, backend: Any, session: Any = None) -> None:
        self.backend = copy(backend)
        self._session = session

    def open_primitive(self, api: str, primitive: str, batch: Any, options: Mapping[str, Any]) -> Any:
        """Open a primitive in a Batch, or else in the user's session, or else on the lane's backend.

        Args:
            api: ``"client"`` or ``"service"``.
            primitive: ``"sampler"`` or ``"estimator"``.
            batch: A Batch of the client's, or ``None``.
            options: Options of the primitive.
        """
        # never left to the client, whose default is bound to a thread
        mode = batch or self._session or self.backend
        return open_primitive(api, primitive, job_mode(mode) if api == "client" else mode, options)


class PlatformJobs(JobService):
    """Jobs on one backend.

    Args:
        service: The client's service, pinned to one instance.
        backend: The backend.
        primitive_options: Options of the primitives, split by primitive.
        api: Which kind of primitive: ``"auto"``, ``"client"`` or ``"service"``.
        only: The kind whose model the options fit, if it is one alone.
        dry_run: Send jobs to the backend's mock.
        outage: Whether the service answers.
    """

    stops_jobs = True
    coming_back = "QiskitRuntimeService().job({}).result()"
    without_reason = (
        "IBM gives no reason. QiskitRuntimeService().job({}).logs() may say more, and so may the job's page at "
        "https://quantum.cloud.ibm.com/workloads. If nothing does, send it again, with fewer tapes in a job (shard_size=) if it "
        "fails again."
    )

    def __init__(
        self,
        service: Any,
        backend: Any,
        primitive_options: Mapping[str, Mapping[str, Any]],
        *,
        api: str = "auto",
        only: str | None = None,
        dry_run: bool = False,
        outage: Outage | None = None,
    ) -> None:
        self.outage = outage or Outage(str(backend.name))
        self._renewing = threading.Lock()
        bound_waits(connections(service))
        self._renewals = 0
        self._api = api
        self._only = only
        self._service = service
        self._backend = backend
        # a dry run of a circuit is another job
        self.options = {**primitive_options, "dry_run": {}} if dry_run else primitive_options
        self._more = {"dry_run": True} if dry_run else {}
        self._listed = {"include_mocks": True} if dry_run and can_list_mocks() else {}

    @property
    def backend(self) -> Any:
        """The client's backend."""
        return self._backend

    @cached_property
    def errors(self) -> tuple[type[BaseException], ...]:
        """Errors that the client raises when a question fails."""
        from qiskit_ibm_runtime.api.exceptions import RequestsApiError
        from qiskit_ibm_runtime.exceptions import IBMError

        return (RequestsApiError, IBMError)

    @property
    def already_finished_error(self) -> type[BaseException]:
        """The error that the client raises when a job is cancelled that has ended."""
        from qiskit_ibm_runtime.exceptions import RuntimeInvalidStateError

        return RuntimeInvalidStateError  # type: ignore[no-any-return]

    @cached_property
    def most_shots(self) -> int | None:
        """Shots that a circuit may have; ``None`` if the backend does not say, or all of a job have the same number."""
        if self.uniform:
            return None
        return getattr(self.backend.configuration(), "max_shots", None)

    def is_private(self, job: SentJob) -> bool:
        """Whether the user wanted jobs of that kind to be private."""
        environment = self.options.get(job.primitive, {}).get("environment") or {}
        return bool(environment.get("private"))

    @cached_property
    def takes_rz(self) -> bool:
        """Whether circuits may have an ``rz`` gate, and values for its angle."""
        target = getattr(self.backend, "target", None)
        return target is None or "rz" in target.operation_names

    @property
    def uniform(self) -> bool:
        """Whether all circuits of a job need one number of shots, and one precision."""
        return one_number_of_shots()

    def open_batch(self) -> Any:
        """A Batch context for several jobs, or ``None`` where the backend or the plan has none."""
        if getattr(self.backend.configuration(), "simulator", False):
            return None
        from qiskit_ibm_runtime import Batch

        try:
            return self._ask(lambda: Batch(backend=self.backend), "a Batch")
        except ServiceError as error:
            logger.info("no batch could be opened, jobs run singly: %s", error)
            return None

    def close_batch(self, batch: Any) -> None:
        """Close a Batch context: it takes no new jobs, those in it run on."""
        try:
            self._ask(batch.close, "the end of a Batch")
        except ServiceError as error:
            # it closes by itself after a minute without a job; a user who is told of the outage need not know
            level = logging.INFO if is_outage(error) else logging.WARNING
            logger.log(level, "batch %s could not be closed: %s", batch.session_id, error)

    def _send(
        self,
        primitive: str,
        pubs: Sequence[Any],
        lane: LanePrimitives,
        batch: Any,
        tags: Sequence[str],
        most_secs: int | None,
    ) -> tuple[str, Any]:
        api = choose_api(self._api, primitive, len(pubs), only=self._only)
        if api == "client":
            check_circuits(pubs, lane.backend)
        # the client warns of its own use of deprecated classes, as if that were ours
        with quiet().client():
            runner = lane.open_primitive(api, primitive, batch, self.options.get(primitive, {}))
            runner.options.environment.job_tags = list(tags)
            if most_secs is not None:
                chosen = runner.options.max_execution_time
                runner.options.max_execution_time = (
                    min(most_secs, chosen) if isinstance(chosen, int) else most_secs
                )
            job = self._with_login(lambda: runner.run(list(pubs), **self._more))
        return job.job_id(), job

    def _list(self, tag: str, most: int, *, pending: bool) -> list[ListedJob]:
        only = {**self._listed, **({"pending": True} if pending else {})}
        jobs = self._with_login(lambda: self._service.jobs(limit=most, job_tags=[tag], **only))
        return [ListedJob(j.job_id(), frozenset(j.tags or ()), j) for j in jobs]

    def _get(self, job_id: str) -> ListedJob:
        job = self._with_login(lambda: self._service.job(job_id))
        return ListedJob(job_id, frozenset(job.tags or ()), job)

    def _state(self, job: SentJob) -> State:
        status = str(self._with_login(job.handle.status))
        if status.startswith("CANCELLED"):
            # "CANCELLED - RAN TOO LONG" is no final state to the client, which would wait for it for ever
            return State.CANCELLED if status == "CANCELLED" else State.TOO_LONG
        return read_state(status, STATES, job.job_id)

    def _results(self, job: SentJob, pubs: Sequence[Any]) -> tuple[list[PubData], str]:  # noqa: ARG002
        from qiskit.primitives import PrimitiveResult

        with exchange() as met:
            for again in (True, False):
                try:
                    result = self._with_login(job.handle.result)
                    break
                except self.problems:
                    raise
                except Exception as error:  # noqa: BLE001 - results are put together here, and what is cut fails in any way
                    if not again:
                        return [], f"it cannot be read: {type(error).__name__}: {error}."
                    # Python 3.11 fails now and then where two threads read arrays (gh-106905), and the result of a
                    # private job is given out once
                    met.replays = True
        if not isinstance(result, PrimitiveResult):
            return [], f"{type(result).__name__} instead of a primitive result."
        return [_data(one, result.metadata) for one in result], ""

    def _ending(self, job: SentJob, state: State) -> Ending:
        if state is State.FAILED:
            text = str(self._with_login(job.handle.error_message))
            return Ending(text, read_code(getattr(job.handle, "_reason_code", None)))
        # the client keeps why a job was cancelled to itself
        report = self._with_login(lambda: job.handle._api_client.job_get(job.job_id))["state"]  # noqa: SLF001 - see above
        code = report.get("reason_code") or report.get("reasonCode")
        return Ending(str(report.get("reason") or ""), read_code(code))

    def _metrics(self, job: SentJob) -> Any:
        return self._with_login(job.handle.metrics)

    def _cancel(self, handle: Any) -> None:
        self._with_login(handle.cancel)

    def _usage(self, job: SentJob) -> float | None:
        # usage() says 0 while IBM is still computing, and None on an older client that is given the newer form
        return charged_secs(self._with_login(job.handle.metrics))

    def _left(self) -> float | None:
        left = self._with_login(self._service.usage).get("usage_remaining_seconds")
        return None if left is None else float(left)

    def _with_login(self, ask: Callable[[], T]) -> T:
        """Ask, and once more with a new access token if the one in use is not accepted any more."""
        renewals = self._renewals
        with exchange() as met:
            try:
                return ask()
            except Exception as error:
                # the client takes some answers for an empty list; and no job is sent again that exists
                if met.job_id or not (met.unauthorized or status_code(error) == 401):
                    raise
        with self._renewing:
            # another thread may have done so meanwhile
            if self._renewals == renewals:
                renew_login(self._service)
                self._renewals += 1
        return ask()


def _data(result: Any, of_job: Any) -> PubData:
    data = result.data
    metadata = getattr(result, "metadata", None)
    return PubData(
        bits=getattr(getattr(data, "c", None), "array", None),
        values=getattr(data, "evs", None),
        errors=getattr(data, "stds", None),
        mark=read_mark(metadata.get("circuit_metadata") if isinstance(metadata, dict) else None),
        facts=read_facts(metadata, of_job),
    )
