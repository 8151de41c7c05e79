"""A login at IBM Quantum Platform, and the backend that it gives.

The client's service object points itself at another instance whenever a backend of another instance is looked up,
and has no lock. So an account is always pinned to one instance: then its clients never move, and all lanes of a
device can share one login.
"""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

from .._secrets import conceal
from ..exceptions import BackendError, CredentialsError, ServiceError, nearest
from ..simulators.local import AER_NAMES
from ..simulators.snapshots import fake_names
from .asking import ask_aside
from .backends import LEAST_BUSY, LOGIN_SECS, Wanted, find_backend, quiet_client
from .clock import CLOCK, Clock
from .errors import NoAnswerError, is_outage, is_unreachable, status_code
from .instances import instance_of
from .outage import Outage
from .retired import local_alternative, retired_name, retirement
from .saved import account_at, check_removed
from .sessions import connections, send_jobs_once

if TYPE_CHECKING:
    from pydantic import SecretStr

T = TypeVar("T")

SERVICE = "IBM Quantum"
"""Name of the service where that of a backend is not known yet."""

LOOK_SECS = 60.0
"""Longest wait of somebody who only looks around for a service that does not answer."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Credentials:
    """Credentials of a login, and its address.

    Attributes:
        token: API key; ``None`` for IBM's saved account.
        url: Base URL; ``None`` for IBM's own.
        instance: CRN or name; ``None`` to search all instances of the account.
        client: What else the client's service is made with, as JSON, so that it can be compared; proxies hold passwords.
    """

    token: SecretStr | None
    url: str | None
    instance: str | None
    client: str = field(default="{}", repr=False)

    @property
    def arguments(self) -> dict[str, Any]:
        """Further arguments that the client's service is made with."""
        arguments: dict[str, Any] = conceal(json.loads(self.client))
        return arguments


class Accounts:
    """Logins: one for each set of credentials, shared by devices and gone with the last.

    A fork logs in anew, as two processes cannot share a connection.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._services: WeakValueDictionary[Credentials, Any] = WeakValueDictionary()

    def connect(
        self,
        credentials: Credentials,
        wanted: Wanted,
        outage: Outage,
        timeout_secs: float | None,
    ) -> tuple[Any, Any]:
        """Log in and open a backend.

        Args:
            credentials: Who logs in where.
            wanted: The backend.
            outage: Told of a service that does not answer.
            timeout_secs: For how long to wait for one; ``None`` for as long as it takes.

        Returns:
            The client's service, pinned to one instance, and its backend.

        Raises:
            CredentialsError: There is no account, or IBM refuses it.
            BackendError: The account has no such backend.
            ServiceError: The service did not answer in time.
        """
        if credentials.token is None:
            _require_saved_account(wanted.name, credentials)
        # others who log in need not wait for the service that this one waits for
        return outage.ask(lambda: self._connect(credentials, wanted, outage.clock), secs=timeout_secs)

    def _connect(self, credentials: Credentials, wanted: Wanted, clock: Clock) -> tuple[Any, Any]:
        with self._lock:
            service, backend = self._look_up(credentials, wanted, clock)
            crn = instance_of(backend)
            if credentials.instance != crn and len(service.instances()) > 1:
                pinned = replace(credentials, instance=crn)
                service, backend = self._look_up(pinned, replace(wanted, name=str(backend.name)), clock)
            send_jobs_once(connections(service))
        return service, backend

    def _look_up(self, credentials: Credentials, wanted: Wanted, clock: Clock) -> tuple[Any, Any]:
        # the client lists queues once and goes by what it saw: only a fresh login knows who is least busy
        service = None if wanted.name == LEAST_BUSY else self._services.get(credentials)
        if service is not None:
            try:
                return service, find_backend(service, wanted, clock)
            except (BackendError, ServiceError) as error:
                if isinstance(error, ServiceError) and status_code(error) not in {401, 403}:
                    raise
                logger.info("backend %s is not found with an earlier login; logging in again", wanted.name)
        service = _login(credentials, clock)
        self._services[credentials] = service
        return service, find_backend(service, wanted, clock)


def log_in(credentials: Credentials) -> Any:
    """Log in without a backend, to look around.

    Raises:
        CredentialsError: There is no account, or IBM refuses it.
    """
    if credentials.token is None:
        _require_saved_account(LEAST_BUSY, credentials)
    return Outage(SERVICE, LOOK_SECS).ask(lambda: _login(credentials, CLOCK), secs=LOOK_SECS)


def _require_saved_account(name: str, credentials: Credentials) -> None:
    from qiskit_ibm_runtime import QiskitRuntimeService

    place = {k: v for k, v in credentials.arguments.items() if k in ("filename", "name")}
    check_removed(place)
    if QiskitRuntimeService.saved_accounts(**place):
        return
    if place:
        raise CredentialsError(
            f"There is no saved account {place.get('name', 'of that kind')!r} in "
            f"{place.get('filename', 'the file of IBM' + chr(39) + 's client')}: see account_name and account_file, or give "
            "ibmqx_token=. Nothing was sent.",
            argument="account_name" if "name" in place else "account_file",
            value=place.get("name", place.get("filename")),
        )
    if retired_name(name) == name:
        raise BackendError(
            f"backend={name!r}: {retirement(name)}. To run the same circuits here, {local_alternative(name)}. Today's systems need an IBM Quantum "
            "account, and none is given. Nothing was sent.",
            argument="backend",
            value=name,
        )
    may_be_wrong = name != LEAST_BUSY and not name.startswith("ibm")
    close = nearest(name, [*AER_NAMES, *fake_names(), LEAST_BUSY]) if may_be_wrong else ""
    raise CredentialsError(
        f"backend={name!r} needs an IBM Quantum account, and there is none: ibmqx_token is not given, IBMQX_TOKEN and "
        f"QISKIT_IBM_TOKEN are not set, and no account is saved.{close} Give ibmqx_token= (an API key from "
        f"https://quantum.cloud.ibm.com), or stay local: {local_alternative(name)}. Nothing was sent.",
        argument="ibmqx_token",
    )


def _login(credentials: Credentials, clock: Clock) -> Any:
    """Log in once."""
    from qiskit_ibm_runtime import IBMInputValueError
    from qiskit_ibm_runtime.accounts.exceptions import InvalidAccountError
    from qiskit_ibm_runtime.api.exceptions import RequestsApiError

    # raised outside of the handlers, so that no error leads to the client's request, which holds the key
    unreachable = unanswered = False
    try:
        return ask_aside(LOGIN_SECS, lambda: _quiet_login(credentials), "a login", clock=clock)
    except (InvalidAccountError, RequestsApiError) as error:
        # the client says "invalid account" whatever it met; what it met is the context
        unreachable, unanswered = is_unreachable(error), is_outage(error)
        words = _without(error, credentials)
        argument = "ibmqx_token"
    except IBMInputValueError as error:
        words = _without(error, credentials)
        argument = "instance"
    if unreachable:
        raise NoAnswerError(
            f"{SERVICE} could not be reached from this machine at {credentials.url or 'https://cloud.ibm.com'}, so nobody "
            "looked at the credentials. Check the network, the proxy (HTTPS_PROXY, or proxies=) and ibmqx_url; "
            f"backend='ibmq_qasm_simulator' simulates on this machine meanwhile. Nothing was sent. ({words})"
        )
    if unanswered:
        raise NoAnswerError(f"{SERVICE} did not answer a login. Nothing was sent. ({words})")
    if argument == "instance" and credentials.instance is None:
        raise _no_instance(credentials, words)
    if argument == "instance":
        raise CredentialsError(
            f"instance={credentials.instance!r}: {words} Instances of an account are listed at "
            "https://quantum.cloud.ibm.com/instances.",
            argument=argument,
            value=credentials.instance,
        )
    raise CredentialsError(
        "IBM Quantum does not accept these credentials: it lists no instances for the API key. Check ibmqx_token "
        "(or IBMQX_TOKEN, QISKIT_IBM_TOKEN, the saved account) at https://quantum.cloud.ibm.com; also check that "
        f"this machine reaches {credentials.url or 'https://cloud.ibm.com'}. ({words})",
        argument=argument,
    )


def _no_instance(credentials: Credentials, words: str) -> CredentialsError:
    """The error about an account without an instance, or without one that the user wants."""
    wanted = {k: v for k, v in credentials.arguments.items() if k in {"region", "plans_preference", "tags"}}
    if wanted:
        filters = ", ".join(f"{name}={value!r}" for name, value in wanted.items())
        text = f"No instance of the account fits {filters}. Leave some out, or name one with instance=."
    else:
        text = (
            "The API key is good, and its account has no instance with a backend, so that nothing can run there. Make one, such "
            "as that of the free open plan, at https://quantum.cloud.ibm.com/instances, or give the key of another account."
        )
    return CredentialsError(f"{text} Nothing was sent. ({words})", argument="instance")


def _quiet_login(credentials: Credentials) -> Any:
    from qiskit_ibm_runtime import QiskitRuntimeService

    with quiet_client():
        if credentials.token is None:
            arguments = credentials.arguments
            if credentials.url is not None:  # the client takes none with a saved account
                arguments = account_at(credentials.url, arguments)
            return QiskitRuntimeService(
                **{**arguments, "instance": credentials.instance or arguments.get("instance")}
            )
        return QiskitRuntimeService(
            channel="ibm_quantum_platform",
            token=credentials.token.get_secret_value(),
            url=credentials.url,
            instance=credentials.instance,
            **credentials.arguments,
        )


def _without(error: Exception, credentials: Credentials) -> str:
    """The client's text without the key."""
    text = str(error.args[0]) if error.args else str(error)
    return text.replace(credentials.token.get_secret_value(), "<token>") if credentials.token else text
