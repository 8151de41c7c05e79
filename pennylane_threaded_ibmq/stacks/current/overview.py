"""Overview of an account: instances and what is left on them, backends and their queues, jobs by their ids."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from math import log2
from pathlib import Path
from typing import Any, TypeVar

from ..._compat import cached_property, without_prefix
from ...exceptions import ServiceError
from ...resources import RESOURCES
from ...service.account import Credentials, log_in
from ...service.answers import in_words
from ...service.asking import ANSWER_SECS, ask_aside
from ...service.errors import service_error
from ...service.instances import Pins
from ...service.metrics import charged_secs
from ...simulators.local import AER_NAMES
from ...simulators.snapshots import snapshot_classes
from .client import AUTO_INSTANCE

T = TypeVar("T")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class InstanceFacts:
    """One instance of an account.

    Attributes:
        crn: Cloud resource name.
        name: Its name.
        plan: Its plan, such as ``open``.
    """

    crn: str
    name: str
    plan: str


@dataclass(frozen=True)
class UsageFacts:
    """QPU seconds of an instance in its current period.

    Attributes:
        used_secs: Charged so far; ``None`` if the service does not say.
        limit_secs: Most that may be charged; ``None`` for no limit.
        left_secs: What is left of it; ``None`` for no limit.
    """

    used_secs: float | None
    limit_secs: float | None
    left_secs: float | None


@dataclass(frozen=True)
class BackendFacts:
    """One backend.

    Attributes:
        name: What ``backend=`` takes.
        where: ``"ibm"`` or ``"here"``.
        qubits: Qubits; ``None`` if it does not say.
        queue: Jobs that wait; ``None`` where there is no queue or the service does not say.
        online: Whether it takes jobs.
        basis: Its gates.
        stand_in: Name of the backend that simulates it on this machine; empty if there is none.
    """

    name: str
    where: str
    qubits: int | None
    queue: int | None
    online: bool
    basis: tuple[str, ...]
    stand_in: str = ""


class Overview:
    """Looks around in an account.

    Args:
        credentials: Who logs in where.

    Raises:
        CredentialsError: There is no account, or IBM refuses it.
        ServiceError: The service does not answer.
    """

    def __init__(self, credentials: Credentials) -> None:
        self._instance = credentials.instance
        self._service = _ask("a login", lambda: log_in(credentials))

    @property
    def instances(self) -> tuple[InstanceFacts, ...]:
        """Instances of the account."""
        instances = _ask("the list of instances", self._service.instances)
        return tuple(
            InstanceFacts(str(i["crn"]), str(i.get("name", "")), str(i.get("plan", ""))) for i in instances
        )

    @cached_property
    def _in_use(self) -> Any:
        """The client's service at the instance that a device would use: the first with a backend, if none was chosen."""
        if self._instance not in {None, AUTO_INSTANCE} or len(self.instances) == 1:
            return self._service
        # the client itself is left at the last instance that it looked into
        backends = _ask("the list of backends", self._service.backends)
        return RESOURCES.get(Pins).pin(backends[0])[0] if backends else self._service

    @property
    def instance(self) -> str:
        """CRN of the instance in use; the first one that has a backend if none was chosen."""
        active = self._in_use.active_instance()
        return str(active or "") or next((i.crn for i in self.instances), "")

    @property
    def usage(self) -> UsageFacts:
        """QPU seconds of the instance in use."""
        said = _ask("the instance's usage", self._in_use.usage)
        limit = said.get("usage_limit_seconds") or said.get("usage_allocation_seconds")
        return UsageFacts(
            _number(said.get("usage_consumed_seconds")),
            _number(limit),
            _number(said.get("usage_remaining_seconds")),
        )

    def backends(self) -> tuple[BackendFacts, ...]:
        """Backends of the account, shortest queue first; one request for each."""
        stand_ins = snapshot_classes()
        facts = []
        for backend in _ask("the list of backends", self._service.backends):
            name = str(backend.name)
            online, queue = self._queue(backend)
            snapshot = f"fake_{without_prefix(name, 'ibm_')}"
            facts.append(
                BackendFacts(
                    name,
                    "ibm",
                    int(backend.num_qubits),
                    queue,
                    online,
                    tuple(sorted(backend.configuration().basis_gates)),
                    snapshot if snapshot in stand_ins else "",
                )
            )
        return tuple(sorted(facts, key=lambda b: (not b.online, b.queue is None, b.queue, b.name)))

    def cancel(self, job_id: str) -> bool:
        """Cancel a job.

        Returns:
            Whether it still waited or ran.

        Raises:
            ServiceError: There is no such job, or the service does not answer.
        """
        from qiskit_ibm_runtime.exceptions import RuntimeInvalidStateError

        job = _ask(f"job {job_id}", lambda: self._service.job(job_id))
        try:
            _ask(f"the cancellation of job {job_id}", job.cancel)
        except ServiceError as error:
            if isinstance(error.__cause__, RuntimeInvalidStateError):
                return False
            raise
        return True

    def usage_of(self, job_id: str) -> float | None:
        """QPU seconds that a job was charged; ``None`` while that is not known.

        Raises:
            ServiceError: There is no such job, or the service does not answer.
        """
        job = _ask(f"job {job_id}", lambda: self._service.job(job_id))
        return charged_secs(_ask(f"the metrics of job {job_id}", job.metrics))

    def find(self, tag: str) -> tuple[str, ...]:
        """Ids of the jobs that carry a tag."""
        jobs = _ask("a list of jobs", lambda: self._service.jobs(limit=20, job_tags=[tag]))
        return tuple(str(job.job_id()) for job in jobs)

    def _queue(self, backend: Any) -> tuple[bool, int | None]:
        try:
            status = _ask(f"the status of {backend.name}", backend.status)
        except ServiceError as error:
            logger.info("status of %s is not known: %s", backend.name, error)
            return True, None
        return bool(status.operational), int(status.pending_jobs)


def local_backends() -> tuple[BackendFacts, ...]:
    """Backends of this machine; snapshots are described by their files, since making all of them takes minutes."""
    qubits = _state_vector_qubits()
    facts = [BackendFacts(name, "here", qubits, None, online=True, basis=()) for name in sorted(AER_NAMES)]
    for name, cls in sorted(snapshot_classes().items()):
        said = json.loads((Path(cls.dirname) / cls.conf_filename).read_text(encoding="utf-8"))
        basis = tuple(sorted(map(str, said["basis_gates"])))
        facts.append(BackendFacts(name, "here", int(said["n_qubits"]), None, online=True, basis=basis))
    return tuple(facts)


def _state_vector_qubits() -> int | None:
    """Qubits of the largest state vector in this machine's memory, as Aer reckons; without loading Aer, which takes seconds."""
    try:
        import psutil  # Aer's own, so it is there where Aer is
    except ImportError:
        return None
    return int(log2(psutil.virtual_memory().total / 16))


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _ask(what: str, ask: Callable[[], T]) -> T:
    """Ask the service for something.

    Raises:
        ServiceError: It did not answer properly.
    """
    from qiskit_ibm_runtime.api.exceptions import RequestsApiError
    from qiskit_ibm_runtime.exceptions import IBMError
    from requests.exceptions import RequestException

    try:
        return ask_aside(ANSWER_SECS, ask, what)
    except (RequestsApiError, IBMError, RequestException) as error:
        raise service_error(error, f"IBM Quantum did not answer to {what}: {in_words(error)}") from error
