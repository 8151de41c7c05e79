"""A login at the classic service, and the backend that it gives.

``qiskit.ibmq`` writes the token to a file whenever it is made, reads it back from there, and logs in anew each time.
Here the token goes from the settings into the client's memory, and one login serves all lanes of all devices with
the same credentials.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from ...exceptions import BackendError, ConfigurationError, CredentialsError, ServiceError, nearest
from ...service.asking import ask_aside, ask_within
from ...service.backends import LOGIN_SECS
from ...service.clock import CLOCK, Clock
from ...service.errors import NoAnswerError, all_text, is_outage, service_error, status_code
from ...service.outage import Outage
from ...service.retired import local_alternative, retirement
from ...service.sessions import bound_waits

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import SecretStr

IBM_URL = "https://auth.quantum-computing.ibm.com/api"
"""IBM's own classic service, until July 2025."""

SERVICE = "The classic service"
"""Name of the service, in texts."""

DEFAULT_PROJECT = "ibm-q/open/main"

SWITCHED_OFF = (
    "IBM switched its classic API off in July 2025. To run at IBM, use the current stack: in a fresh environment with "
    "Python 3.11 or newer, pip install pennylane-threaded-ibmq; then give ibmqx_token= (an API key from "
    "https://quantum.cloud.ibm.com) and instance=."
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClassicCredentials:
    """Credentials of a login, and its address.

    Attributes:
        token: API token; ``None`` for the account that the client has saved.
        url: URL of the service's login; ``None`` for IBM's own.
        project: ``hub/group/project``; ``None`` for the default, or the account's first.
    """

    token: SecretStr | None
    url: str | None
    project: str | None


class ClassicLogin:
    """A backend of an account, which stays the same when the login is renewed.

    Args:
        provider: The client's provider.
        name: Name of the backend.
        project: ``hub/group/project``; ``None`` for the default, or the account's first.
        log_in_again: Gives another provider in place of one whose access token was refused; ``None`` where the user gave it.
        clock: Time.
    """

    def __init__(
        self,
        provider: Any,
        name: str,
        project: str | None,
        log_in_again: Callable[[Any], Any] | None = None,
        clock: Clock = CLOCK,
    ) -> None:
        self._log_in_again = log_in_again
        self._name = name
        self._clock = clock
        self._lock = threading.Lock()
        self.provider = provider
        self.project = _project(provider, project)
        self.backend = _backend(provider, name, self.project, clock)

    def renew(self, failed: Any) -> bool:
        """Log in again, unless another thread has done so meanwhile: access tokens of the service expire.

        Args:
            failed: The provider whose access token was refused.

        Returns:
            Whether there is a new login to try.
        """
        with self._lock:
            if self.provider is not failed:
                return True
            if self._log_in_again is None:
                return False
            logger.info("the login at the classic service has expired, logging in again")
            provider = self._log_in_again(failed)
            self.backend = _backend(provider, self._name, self.project, self._clock)
            self.provider = provider
            return True


class ClassicAccounts:
    """Logins: one for each set of credentials, shared by devices and gone with the last. A fork logs in anew."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._providers: WeakValueDictionary[ClassicCredentials, Any] = WeakValueDictionary()

    def connect(
        self,
        credentials: ClassicCredentials,
        name: str,
        outage: Outage | None = None,
        timeout_secs: float | None = None,
    ) -> ClassicLogin:
        """Log in and open a backend.

        Args:
            credentials: Who logs in where.
            name: A backend's name, or ``"least_busy"``.
            outage: Told of a service that does not answer.
            timeout_secs: For how long to wait for one; ``None`` for as long as it takes.

        Raises:
            CredentialsError: There is no account, or the service refuses it.
            ConfigurationError: The account has no such hub, group and project.
            BackendError: The account has no such backend.
            ServiceError: The service cannot be reached, or is gone.
        """
        outage = outage or Outage(SERVICE)
        clock = outage.clock

        def connect() -> ClassicLogin:
            with self._lock:
                provider = self._providers.get(credentials)
                if provider is None:
                    provider = self._providers[credentials] = _log_in(credentials, clock)
            again = partial(self._log_in_again, credentials, clock)
            return ClassicLogin(provider, name, credentials.project, again, clock)

        return outage.ask(connect, secs=timeout_secs)

    def _log_in_again(self, credentials: ClassicCredentials, clock: Clock, failed: Any) -> Any:
        """A provider other than one whose access token was refused."""
        with self._lock:
            provider = self._providers.get(credentials)
            if provider is None or provider is failed:
                provider = self._providers[credentials] = _log_in(credentials, clock)
            return provider


def open_provider(provider: Any, name: str, project: str | None = None) -> ClassicLogin:
    """A backend of a provider that the user gave.

    Raises:
        ConfigurationError: It is no provider of qiskit-ibm-provider.
        BackendError: It has no such backend.
    """
    from qiskit_ibm_provider import IBMProvider

    if not isinstance(provider, IBMProvider):
        raise ConfigurationError(
            f"provider={provider!r}: an IBMProvider of qiskit_ibm_provider is needed, not {type(provider).__name__}. "
            "Nothing was sent.",
            argument="provider",
            value=provider,
        )
    return ClassicLogin(provider, name, project)


def is_classic_backend(backend: Any) -> bool:
    """Whether a backend object belongs to the classic service."""
    from qiskit_ibm_provider import IBMBackend

    return isinstance(backend, IBMBackend)


def client_errors() -> tuple[type[BaseException], ...]:
    """Errors that qiskit-ibm-provider raises when a request fails."""
    from qiskit_ibm_provider.api.exceptions import ApiError
    from qiskit_ibm_provider.exceptions import IBMError

    return (ApiError, IBMError)


def _log_in(credentials: ClassicCredentials, clock: Clock) -> Any:
    """Log in once.

    Raises:
        NoAnswerError: The service did not answer.
        CredentialsError: It refuses the account.
        ServiceError: It is gone.
    """
    url = credentials.url or IBM_URL
    # raised outside of the handler, so that no error leads to the client's request, which holds the token
    try:
        return ask_aside(LOGIN_SECS, lambda: _provider(credentials), "a login", clock=clock)
    except client_errors() as error:
        status, text = status_code(error), _without(all_text(error).splitlines()[0], credentials)
        # IBM's own is gone for good, whether its name is still known or not
        unanswered = is_outage(error) and credentials.url is not None
    if unanswered:
        raise NoAnswerError(
            f"The classic service at {url} did not answer a login: {text} Nothing was sent.",
            status_code=status,
        )
    if status in {401, 403}:
        raise CredentialsError(
            f"The classic service at {url} does not accept these credentials. Check ibmqx_token (or IBMQX_TOKEN, "
            f"QISKIT_IBM_TOKEN, the saved account). ({text}) Nothing was sent.",
            argument="ibmqx_token",
        )
    if status is None or status in {404, 405, 410} or "not an IBM Quantum authentication URL" in text:
        raise ServiceError(
            f"There is no classic service at {url}: {text} {SWITCHED_OFF} Services of others still run: give theirs as "
            "ibmqx_url= or IBMQX_URL. Nothing was sent.",
            status_code=status,
        )
    raise ServiceError(f"The classic service at {url} did not answer a login: {text}", status_code=status)


def _provider(credentials: ClassicCredentials) -> Any:
    from qiskit_ibm_provider import IBMProvider

    if credentials.token is not None:
        # the client looks at no file and at no variable when it is given both
        return IBMProvider(token=credentials.token.get_secret_value(), url=credentials.url or IBM_URL)
    accounts = IBMProvider.saved_accounts()
    if credentials.url is None:
        where, local = "", "backend='ibmq_qasm_simulator' simulates on this machine without an account"
    else:
        # the client would go to the service that any account was saved for
        accounts = {name: one for name, one in accounts.items() if one.get("url") == credentials.url}
        where, local = f" for {credentials.url}", "leave ibmqx_url out, and IBMQX_URL unset"
    if not accounts:
        raise CredentialsError(
            f"A backend of the classic service needs an account, and there is none{where}: ibmqx_token is not given, "
            "IBMQX_TOKEN and QISKIT_IBM_TOKEN are not set, and no account is saved. Give ibmqx_token=, or stay local: "
            f"{local}. Nothing was sent.",
            argument="ibmqx_token",
        )
    return IBMProvider() if credentials.url is None else IBMProvider(name=next(iter(accounts)))


def _without(text: str, credentials: ClassicCredentials) -> str:
    """The client's text without the token."""
    secret = credentials.token
    return text.replace(secret.get_secret_value(), "<token>") if secret else text


def _project(provider: Any, project: str | None) -> str:
    """The hub, group and project that pays. The client would warn of an unknown one, and charge another."""
    there = list(provider.instances())
    if project is None:
        # the default of qiskit.ibmq; an account that lacks it has one of its own in front
        return DEFAULT_PROJECT if DEFAULT_PROJECT in there else str(there[0])
    if project in there:
        return project
    parts, offered = project.split("/"), [name.split("/") for name in there]
    for level, argument in enumerate(("hub", "group", "project")):
        names = sorted({o[level] for o in offered if o[:level] == parts[:level]})
        if parts[level] not in names:
            raise ConfigurationError(
                f"{argument}={parts[level]!r}: the account has no such {argument}.{nearest(parts[level], names)} It has "
                f"(hub/group/project): {', '.join(there)}. Nothing was sent.",
                argument=argument,
                value=parts[level],
            )
    raise AssertionError(project)


def _backend(provider: Any, name: str, project: str, clock: Clock) -> Any:
    """Open a backend; asked once.

    Raises:
        NoAnswerError: The service did not answer.
        BackendError: There is none of that name.
        ServiceError: It answered with another error.
    """
    from qiskit.providers.exceptions import QiskitBackendNotFoundError

    bound_waits([provider._runtime_client])  # noqa: SLF001 - nothing public leads there
    what = f"a question for backend {name!r}"
    try:
        with suppress(QiskitBackendNotFoundError):
            return ask_within(LOGIN_SECS, lambda: _look(provider, name, project), what, clock=clock)
        # without their configurations, which take a request each
        offered = sorted(provider._get_hgp(instance=project).backends)  # noqa: SLF001
    except client_errors() as error:
        raise service_error(error, f"The service did not answer {what}: {error} Nothing was sent.") from error
    ended = retirement(name) or "it may be retired"
    raise BackendError(
        f"backend={name!r}: {project} has no such backend; {ended}.{nearest(name, offered)} It has: "
        f"{', '.join(offered) or 'none'}. To stay local, {local_alternative(name)}.",
        argument="backend",
        value=name,
    )


def _look(provider: Any, name: str, project: str) -> Any:
    if name != "least_busy":
        backend = provider.get_backend(name, instance=project)
        if backend.configuration().simulator:
            from qiskit_ibm_provider.ibm_backend import target_from_server_data

            # the client would ask for properties and pulses first, and a simulator has neither
            backend._target = target_from_server_data(backend.configuration())  # noqa: SLF001
        return backend
    real = [b for b in provider.backends(instance=project) if not b.configuration().simulator]
    from qiskit_ibm_provider import least_busy

    return least_busy(real)
