"""The service as its user sees it, wherever it runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from .config import LoopbackConfig
from .environment import CLOUD, DIRECT_HOSTS, PROXIES, Endpoint, environment_applied
from .faults import Fault
from .records import Counters, JobRecord, JobStatus, SessionRecord

if TYPE_CHECKING:
    from typing_extensions import Self


class Loopback(ABC):
    """A loopback service: start and stop, environment, counters, records, faults, holds.

    Use it as a context manager. All methods may be called from any thread.

    Args:
        config: What the service pretends to be.
    """

    def __init__(self, config: LoopbackConfig | None = None) -> None:
        self.config = config or LoopbackConfig()

    @abstractmethod
    def start(self) -> None:
        """Start the service; it answers when this returns."""

    @abstractmethod
    def stop(self) -> None:
        """Stop the service and leave nothing behind. Harmless if it does not run."""

    @property
    @abstractmethod
    def endpoint(self) -> Endpoint:
        """The endpoint of the service; an error if it does not run."""

    @abstractmethod
    def _ask(self, command: str, **arguments: Any) -> Any:
        """Carry out a command."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # ------------------------------------------------------------------------------------------- where it is

    @property
    def port(self) -> int:
        """Port on 127.0.0.1, for direct requests and as a proxy."""
        return self.endpoint.port

    @property
    def url(self) -> str:
        """Base URL for direct requests, ``QiskitRuntimeService(url=...)``."""
        return self.endpoint.url

    @property
    def classic_url(self) -> str:
        """Base URL for clients of the classic API, ``ibmqx_url``, ``IBMProvider(url=...)``."""
        return self.endpoint.classic_url

    @property
    def ca_bundle(self) -> str:
        """File with the certificate that clients must trust."""
        return self.endpoint.ca_bundle

    def environment(
        self,
        *,
        token: str | None = None,
        instance: str | None = None,
        direct: bool = False,
        classic: bool = False,
        proxy: bool = True,
    ) -> dict[str, str]:
        """Environment variables that point a client, in this or another process, at the service.

        Without ``direct`` runtime requests go to IBM's own host names through the service as a proxy; login and the listing
        of instances do in any case, but for ``proxy=False``.

        Args:
            token: Also set the account: the API key.
            instance: Also set the account: CRN or name of the instance.
            direct: Also set the account's URL, so that runtime requests go straight to the service in place of
                IBM's own host names through its proxy. A client repeats a dropped ``POST`` through a proxy and does
                not when it is direct. It reads the URL only together with ``token``.
            classic: For clients of the classic API: sets ``IBMQX_URL`` and, together with ``token``, ``IBMQX_TOKEN``
                and the account that ``qiskit-ibm-provider`` prefers to what a program passes. ``instance`` is then
                ``hub/group/project``.
            proxy: Lead IBM's host names to the service. Without it everything, login and instances included, goes
                straight to the service: for clients of 0.49 and newer.
        """
        environment = dict.fromkeys(("NO_PROXY", "no_proxy"), DIRECT_HOSTS)
        if proxy:
            environment.update(
                dict.fromkeys(PROXIES, self.endpoint.proxy), REQUESTS_CA_BUNDLE=self.endpoint.ca_bundle
            )
        else:
            environment.update({name: self.endpoint.proxy + path for name, path in CLOUD.items()})
        if classic:
            environment["IBMQX_URL"] = self.endpoint.classic_url
            if token is not None:
                environment.update(
                    IBMQX_TOKEN=token, QISKIT_IBM_TOKEN=token, QISKIT_IBM_URL=self.endpoint.classic_url
                )
        elif token is not None:
            environment.update(QISKIT_IBM_TOKEN=token, QISKIT_IBM_CHANNEL="ibm_quantum_platform")
        if instance is not None:
            environment["QISKIT_IBM_INSTANCE"] = instance
        if (direct or not proxy) and not classic:
            environment["QISKIT_IBM_URL"] = self.endpoint.url
        return environment

    def applied(
        self,
        *,
        token: str | None = None,
        instance: str | None = None,
        direct: bool = False,
        classic: bool = False,
        proxy: bool = True,
    ) -> AbstractContextManager[None]:
        """Set :meth:`environment` in this process for the duration of a ``with`` block.

        Accounts of the machine are out of sight meanwhile, and everything is put back afterwards. The environment
        belongs to the whole process, threads included. The arguments are those of :meth:`environment`.
        """
        variables = self.environment(
            token=token, instance=instance, direct=direct, classic=classic, proxy=proxy
        )
        return environment_applied(self.endpoint, variables)

    # ------------------------------------------------------------------------------------------ what it saw

    @property
    def counters(self) -> Counters:
        """Counts of what has happened so far."""
        return Counters.model_validate(self._ask("counters"))

    def reset_counters(self) -> None:
        """Count from zero again."""
        self._ask("reset_counters")

    @property
    def jobs(self) -> tuple[JobRecord, ...]:
        """The jobs, oldest first."""
        return _jobs(self._ask("jobs"))

    @property
    def sessions(self) -> tuple[SessionRecord, ...]:
        """The sessions and batches, oldest first."""
        return tuple(SessionRecord.model_validate(item) for item in self._ask("sessions"))

    def wait_for_jobs(
        self, count: int = 1, status: JobStatus | str | None = None, *, timeout_secs: float = 120.0
    ) -> tuple[JobRecord, ...]:
        """Wait until jobs are in a state.

        Args:
            count: How many.
            status: The state; ``None`` for any final one.
            timeout_secs: How long to wait at most.

        Returns:
            All jobs that are in that state, oldest first.

        Raises:
            TimeoutError: There were not enough in time.
        """
        state = None if status is None else JobStatus(status).value
        return _jobs(self._ask("wait_for_jobs", status=state, count=count, timeout_secs=timeout_secs))

    def wait_for_requests(self, label: str, count: int = 1, *, timeout_secs: float = 120.0) -> int:
        """Wait until requests have arrived.

        Args:
            label: ``"METHOD /route"`` as in :attr:`Counters.by_route`.
            count: How many since the counters were last reset.
            timeout_secs: How long to wait at most.

        Returns:
            How many have arrived.

        Raises:
            TimeoutError: There were not enough in time.
        """
        return int(self._ask("wait_for_requests", label=label, count=count, timeout_secs=timeout_secs))

    # --------------------------------------------------------------------------------------- what it suffers

    def inject(self, *faults: Fault) -> None:
        """Put faults in force; of several that match a request, the first that fires decides."""
        for fault in faults:
            self._ask("inject", fault=fault.model_dump(mode="json"))

    def clear_faults(self) -> None:
        """Take all faults out of force and let stalled answers go."""
        self._ask("clear_faults")

    def expire_logins(self) -> None:
        """Make all access tokens that are out worthless: requests that carry one are answered with 401.

        The client notices nothing before it asks, and does not renew by itself: it raises ``IBMNotAuthorizedError``.
        """
        self._ask("expire_logins")

    def set_backend(self, name: str, state: Literal["online", "paused", "retired"]) -> None:
        """Put a backend of the Platform into a state.

        The jobs of one that is paused stay queued. One that is retired is not found any more, but its jobs are, those in
        flight included.

        Args:
            name: Its name.
            state: The state.

        Raises:
            ValueError: There is no such backend.
        """
        self._ask("set_backend", name=name, state=state)

    def hold(self, stage: Literal["queued", "running", "usage"] = "queued") -> None:
        """Keep jobs from leaving a state until they are released: the queue, the backend, or usage that is pending."""
        self._ask("hold", stage=stage)

    def release(
        self, count: int | None = None, stage: Literal["queued", "running", "usage"] = "queued"
    ) -> int:
        """Let jobs go on.

        Args:
            count: How many of those held, oldest first; further jobs are still held. ``None`` for all, and no further
                job is held.
            stage: The state they are held in.

        Returns:
            How many went on.
        """
        return int(self._ask("release", stage=stage, count=count))


def _jobs(items: list[Mapping[str, Any]]) -> tuple[JobRecord, ...]:
    return tuple(JobRecord.model_validate(item) for item in items)
