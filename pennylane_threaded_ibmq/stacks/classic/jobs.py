"""Jobs of the classic service.

A job is a list of circuits without parameters, all run equally often, so a PUB is bound row by row here.

Jobs are sent by lanes, each through its own backend object of the client's. Everything else goes through the client's connection (``_runtime_client``)
instead of its job object: that one sleeps three seconds between two looks, fetches and decodes all circuits of a job
with each look, needs three requests for a list, and loses the job when its access token has expired.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from ..._compat import cached_property
from ...service.errors import status_code
from ...service.exchange import current
from ...service.job import ListedJob, PubData, SentJob
from ...service.outage import Outage
from ...service.service import JobService
from ...service.sessions import fetch_stored
from ...service.states import Ending, State, read_code, read_state
from .account import ClassicLogin, client_errors
from .memory import UnreadableResultError, read_results, rows_of

T = TypeVar("T")

STATES = {
    **dict.fromkeys(("initializing", "created", "validating", "queued", "pending"), State.PENDING),
    "running": State.RUNNING,
    "completed": State.DONE,
    "failed": State.FAILED,
    "cancelled": State.CANCELLED,
    "cancelled - ran too long": State.TOO_LONG,
}
"""States of the service."""


class SendingDevice(Protocol):
    """The device that a lane owns, and sends through."""

    provider: Any

    def change_login(self, provider: Any, backend: Any) -> None:
        """Send through another provider of the client's, on its backend, from now on."""

    def send(self, circuits: Sequence[Any], **options: Any) -> Any:
        """Send circuits as they are; the client's job."""


class ClassicJobs(JobService):
    """Jobs on one backend.

    Args:
        login: The login and its backend.
        run_options: Options of the backend's ``run``.
        outage: Whether the service answers.
    """

    coming_back = "IBMProvider().retrieve_job({}).result()"

    def __init__(
        self, login: ClassicLogin, run_options: Mapping[str, Any], outage: Outage | None = None
    ) -> None:
        self.outage = outage or Outage(str(login.backend.name))
        self._login = login
        self.options = run_options

    @property
    def backend(self) -> Any:
        """The client's backend."""
        return self._login.backend

    @cached_property
    def errors(self) -> tuple[type[BaseException], ...]:
        """Errors that the client raises when a question fails."""
        return client_errors()

    @property
    def already_finished_error(self) -> type[BaseException]:
        """The error that the client raises when a job is cancelled that has ended."""
        from qiskit_ibm_provider.job.exceptions import IBMJobInvalidStateError

        return IBMJobInvalidStateError  # type: ignore[no-any-return]

    def times(self, job: SentJob) -> dict[str, float]:
        """Seconds that a finished job was queued and running; empty if the service does not say.

        Raises:
            ServiceError: The service did not answer properly.
        """
        times = self.metrics(job)
        if times.queue_secs is None or times.running_secs is None:
            return {}
        return {"queued": times.queue_secs, "running": times.running_secs}

    # ------------------------------------------------------------------------------------------- the client's part

    def _send(
        self,
        primitive: str,  # noqa: ARG002 - JobService's face
        pubs: Sequence[Any],
        lane: SendingDevice,
        batch: Any,  # noqa: ARG002 - JobService's face
        tags: Sequence[str],
        most_secs: int | None,  # noqa: ARG002 - JobService's face
    ) -> tuple[str, Any]:
        circuits = [
            circuit.assign_parameters(row) if len(row) else circuit
            for circuit, values, _ in pubs
            for row in rows_of(values)
        ]
        shots = max(shots for _, _, shots in pubs)

        def run(provider: Any) -> Any:
            if lane.provider is not provider:
                lane.change_login(provider, self._login.backend)
            return lane.send(circuits, shots=shots, memory=True, job_tags=list(tags), **self.options)

        job_id = self._with_login(run).job_id()
        return job_id, job_id

    def _list(self, tag: str, most: int, *, pending: bool) -> list[ListedJob]:
        only = {"pending": True} if pending else {}
        answer = self._with_client(lambda client: client.jobs_get(limit=most, job_tags=[tag], **only))
        return [
            ListedJob(view["id"], frozenset(view.get("tags") or ()), view["id"]) for view in answer["jobs"]
        ]

    def _get(self, job_id: str) -> ListedJob:
        view = self._with_client(lambda client: client.job_get(job_id, exclude_params=True))
        return ListedJob(job_id, frozenset(view.get("tags") or ()), job_id)

    def _state(self, job: SentJob) -> State:
        return read_state(str(self._view(job)["state"]["status"]), STATES, job.job_id)

    def _ending(self, job: SentJob, state: State) -> Ending:
        report = self._view(job)["state"]
        code, reason = report.get("reason_code"), str(report.get("reason") or "")
        if state is State.FAILED:
            reason = reason or "the service gives no reason"
            reason = f"Error code {code}; {reason}" if code else reason
        return Ending(reason, read_code(code))

    def _results(self, job: SentJob, pubs: Sequence[Any]) -> tuple[list[PubData], str]:
        answer = self._with_client(lambda client: _result_text(client, job.job_id))
        try:
            return read_results(json.loads(answer), pubs, job.tag), ""
        except UnreadableResultError as error:
            return [], str(error)
        except Exception as error:  # noqa: BLE001 - what is cut, or made otherwise, fails in any way
            return [], f"it cannot be read: {type(error).__name__}: {error}."

    def _metrics(self, job: SentJob) -> Any:
        return self._with_client(lambda client: client.job_metadata(job.job_id))

    def _cancel(self, handle: Any) -> None:
        try:
            self._with_client(lambda client: client.job_cancel(handle))
        except self.errors as error:
            if status_code(error) == 409:
                raise self.already_finished_error(str(error)) from error
            raise

    def _usage(self, job: SentJob) -> float | None:  # noqa: ARG002 - JobService's face
        return None  # the classic service charged nothing

    def _left(self) -> float | None:
        return None

    # ------------------------------------------------------------------------------------------------------ inside

    def _view(self, job: SentJob) -> Any:
        return self._with_client(lambda client: client.job_get(job.job_id, exclude_params=True))

    def _with_client(self, ask: Callable[[Any], T]) -> T:
        return self._with_login(lambda provider: ask(provider._runtime_client))  # noqa: SLF001 - see above

    def _with_login(self, ask: Callable[[Any], T]) -> T:
        """Ask, and once more with a new login if the access token has expired."""
        provider = self._login.provider
        try:
            return ask(provider)
        except self.errors as error:
            met = current()
            created = met is not None and met.job_id
            if created or status_code(error) != 401 or not self._login.renew(provider):
                raise
        return ask(self._login.provider)


def _result_text(client: Any, job_id: str) -> str:
    """The text of a job's result; a long one is kept elsewhere, and its address is given instead."""
    text: str = client.job_results(job_id)
    try:
        answer = json.loads(text)
    except ValueError:
        return text
    if not isinstance(answer, dict) or set(answer) != {"url"}:
        return text
    return fetch_stored(client, str(answer["url"]))
