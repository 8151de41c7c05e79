"""Jobs of the classic service.

A job is a list of circuits without parameters, all run equally often, so a PUB is bound row by row here.

Jobs are sent by lanes, each through its own backend object of the client's. Everything else goes through the client's connection (``_runtime_client``)
instead of its job object: that one sleeps three seconds between two looks, fetches and decodes all circuits of a job
with each look, needs three requests for a list, and loses the job when its access token has expired.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from ..._compat import cached_property
from ..._quantity import quantity
from ...service.errors import status_code
from ...service.job import ListedJob, PubData, SentJob
from ...service.metadata import read_mark
from ...service.outage import Outage
from ...service.service import JobService
from ...service.states import Ending, State, read_code, read_state
from .account import ClassicLogin, client_errors

if TYPE_CHECKING:
    from numpy.typing import NDArray

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

_HEX_PREFIX = len("0x")


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
        answer = self._ask(lambda: self._metrics(job), "the times of a job")
        stamps = answer.get("timestamps") or {}
        try:
            created, running, finished = (_time(stamps[k]) for k in ("created", "running", "finished"))
        except (KeyError, TypeError, ValueError):
            return {}
        return {
            "queued": (running - created).total_seconds(),
            "running": (finished - running).total_seconds(),
        }

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
            for row in _rows(values)
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
        answer = json.loads(self._with_client(lambda client: client.job_results(job.job_id)))
        if set(answer) == {"url"}:
            import requests

            # where it is kept, nobody asks for an access token, and the client sends none
            answer = requests.get(answer["url"], timeout=60).json()
        results = answer.get("results", [])
        number = sum(len(_rows(values)) for _, values, _ in pubs)
        if len(results) != number:
            return [], f"{quantity(len(results), 'result')} instead of {number}."
        out, start = [], 0
        for circuit, values, shots in pubs:
            stop = start + len(_rows(values))
            rows = [_bits(r["data"], circuit.num_clbits, shots) for r in results[start:stop]]
            if any(len(row) < shots for row in rows):
                return [], f"{quantity(min(len(row) for row in rows), 'shot')} instead of {shots}."
            # all circuits of a job run equally often; one that needs fewer shots takes the first ones
            marks = {_mark(r) for r in results[start:stop]} - {"", job.tag}
            out.append(
                PubData(bits=np.stack([row[:shots] for row in rows]), mark=min(marks, default=job.tag))
            )
            start = stop
        return out, ""

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
            if status_code(error) != 401 or not self._login.renew(provider):
                raise
        return ask(self._login.provider)


def _rows(values: Any) -> Sequence[Any]:
    """Rows of a PUB; one without parameters has one."""
    return [()] if values is None else values


def _bits(data: Mapping[str, Any], num_clbits: int, shots: int) -> NDArray[np.uint8]:
    """Outcomes of one circuit: shape ``(shots, bytes)``, highest bits first."""
    if "memory" in data:
        return _read_memory(data["memory"], num_clbits)
    if "counts" in data:
        return _read_counts(data["counts"], num_clbits)
    # a circuit that measures nothing
    return np.zeros((shots, max(1, (num_clbits + 7) // 8)), dtype=np.uint8)


def _hex_digits() -> NDArray[np.uint8]:
    table = np.zeros(256, dtype=np.uint8)
    for digit in "0123456789abcdefABCDEF":
        table[ord(digit)] = int(digit, 16)
    return table


def _read_memory(memory: Sequence[str], num_clbits: int) -> NDArray[np.uint8]:
    """Read shots in order, without a Python loop over them.

    Args:
        memory: One number a shot, such as ``"0x1f"``; leading zeros may be missing.
        num_clbits: Classical bits of the circuit.

    Returns:
        Packed bits: uint8 of shape ``(shots, bytes)``, highest bits first.
    """
    nbytes = max(1, (num_clbits + 7) // 8)
    text = np.array(memory, dtype=np.bytes_)
    letters = text.view(np.uint8).reshape(len(text), -1)[:, _HEX_PREFIX:]
    lengths = np.char.str_len(text) - _HEX_PREFIX
    # the last digit of each number goes into the last column; what is left of it reads as zero
    columns = np.arange(2 * nbytes) - (2 * nbytes - lengths)[:, None]
    inside = (columns >= 0) & (columns < letters.shape[1])
    digits = np.take_along_axis(letters, np.where(inside, columns, 0), axis=1)
    nibbles = np.where(inside, _hex_digits()[digits], 0).astype(np.uint8)
    return (nibbles[:, 0::2] * np.uint8(16)) | nibbles[:, 1::2]


def _read_counts(counts: Mapping[str, int], num_clbits: int) -> NDArray[np.uint8]:
    """Read outcomes of a backend that keeps no memory, in a random order: independent shots are exchangeable.

    Args:
        counts: Shots of each outcome.
        num_clbits: Classical bits of the circuit.

    Returns:
        Packed bits, as from :func:`_read_memory`.
    """
    packed = np.repeat(_read_memory(list(counts), num_clbits), list(counts.values()), axis=0)
    np.random.default_rng().shuffle(packed, axis=0)
    return packed


def _mark(result: Mapping[str, Any]) -> str:
    return read_mark((result.get("header") or {}).get("metadata"))


def _time(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp.rstrip("Z"))
