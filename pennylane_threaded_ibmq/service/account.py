"""A login at IBM Quantum Platform, and the backend that it gives.

The client's service object points itself at another instance whenever a backend of another instance is looked up,
and has no lock. So an account is always pinned to one instance: then its clients never move, and all lanes of a
device can share one login.
"""

from __future__ import annotations

import json
import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

from .._fork import OnePerProcess
from .._quantity import quantity
from ..exceptions import BackendError, ConfigurationError, CredentialsError, ServiceError, nearest
from ..simulators.local import AER_NAMES, larger_simulators
from ..simulators.snapshots import fake_names
from .answers import http_status, in_words
from .asking import ask_aside
from .clock import CLOCK, Clock
from .connections import connections
from .errors import NoAnswerError, is_outage, is_unreachable, status_code
from .instances import instance_of
from .outage import Outage
from .retired import retired_name, retirement, stand_in
from .saved import account_at, check_removed
from .sessions import send_jobs_once

if TYPE_CHECKING:
    from pydantic import SecretStr

T = TypeVar("T")

LEAST_BUSY = "least_busy"

SERVICE = "IBM Quantum"
"""What the service is called where the name of a backend is not known yet."""

LOGIN_SECS = 180.0
"""Longest wait for a login or a backend, each of several requests; the client itself stalls for 60 s after a failed one."""

LOOK_SECS = 60.0
"""For how long somebody who only looks around waits for a service that does not answer."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Credentials:
    """Who logs in where.

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
        """What else the client's service is made with."""
        return dict(json.loads(self.client))


@dataclass(frozen=True)
class Wanted:
    """The backend that is looked for.

    Attributes:
        name: Its name, or ``"least_busy"``.
        wires: Qubits that are needed at least.
        fractional: With gates for any angle.
        calibration_id: The calibration that it is to have; ``None`` for today's.
    """

    name: str
    wires: int
    fractional: bool = False
    calibration_id: str | None = None

    def look(self, service: Any) -> Any:
        """Ask for it."""
        if self.name == LEAST_BUSY:
            fractional = {"use_fractional_gates": True} if self.fractional else {}
            return service.least_busy(min_num_qubits=self.wires, **fractional)
        calibration = {} if self.calibration_id is None else {"calibration_id": self.calibration_id}
        return service.backend(self.name, use_fractional_gates=self.fractional, **calibration)


class Accounts:
    """The logins of a process: one for each set of credentials, shared by its devices and gone with the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._services: WeakValueDictionary[Credentials, Any] = WeakValueDictionary()

    def connect(
        self,
        credentials: Credentials,
        wanted: Wanted,
        outage: Outage | None = None,
        timeout_secs: float | None = None,
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
        outage = outage or Outage(SERVICE)
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
                return service, _find(service, wanted, clock)
            except (BackendError, ServiceError) as error:
                if isinstance(error, ServiceError) and http_status(error) not in {401, 403}:
                    raise
                logger.info("backend %s is not found with an earlier login; logging in again", wanted.name)
        service = _login(credentials, clock)
        self._services[credentials] = service
        return service, _find(service, wanted, clock)


accounts = OnePerProcess(Accounts)
"""The one owner of this process's logins; a fork logs in anew, as two processes cannot share a connection."""


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
            f"backend={name!r}: {retirement(name)}. To run the same circuits here, {stand_in(name)}. Today's systems need an IBM Quantum "
            "account, and none is given. Nothing was sent.",
            argument="backend",
            value=name,
        )
    may_be_wrong = name != LEAST_BUSY and not name.startswith("ibm")
    close = nearest(name, [*AER_NAMES, *fake_names(), LEAST_BUSY]) if may_be_wrong else ""
    raise CredentialsError(
        f"backend={name!r} needs an IBM Quantum account, and there is none: ibmqx_token is not given, IBMQX_TOKEN and "
        f"QISKIT_IBM_TOKEN are not set, and no account is saved.{close} Give ibmqx_token= (an API key from "
        f"https://quantum.cloud.ibm.com), or stay local: {stand_in(name)}. Nothing was sent.",
        argument="ibmqx_token",
    )


def _login(credentials: Credentials, clock: Clock) -> Any:
    """Log in once.

    Raises:
        NoAnswerError: The service did not answer.
        CredentialsError: It refuses the account.
    """
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
        refused = _without(error, credentials)
        argument = "ibmqx_token"
    except IBMInputValueError as error:
        refused = _without(error, credentials)
        argument = "instance"
    if unreachable:
        raise NoAnswerError(
            f"{SERVICE} could not be reached from this machine at {credentials.url or 'https://cloud.ibm.com'}, so nobody "
            "looked at the credentials. Check the network, the proxy (HTTPS_PROXY, or proxies=) and ibmqx_url; "
            f"backend='ibmq_qasm_simulator' simulates on this machine meanwhile. Nothing was sent. ({refused})"
        )
    if unanswered:
        raise NoAnswerError(f"{SERVICE} did not answer a login. Nothing was sent. ({refused})")
    if argument == "instance" and credentials.instance is None:
        raise _no_instance(credentials, refused)
    if argument == "instance":
        raise CredentialsError(
            f"instance={credentials.instance!r}: {refused} Instances of an account are listed at "
            "https://quantum.cloud.ibm.com/instances.",
            argument=argument,
            value=credentials.instance,
        )
    raise CredentialsError(
        "IBM Quantum does not accept these credentials: it lists no instances for the API key. Check ibmqx_token "
        "(or IBMQX_TOKEN, QISKIT_IBM_TOKEN, the saved account) at https://quantum.cloud.ibm.com; also check that "
        f"this machine reaches {credentials.url or 'https://cloud.ibm.com'}. ({refused})",
        argument=argument,
    )


def _no_instance(credentials: Credentials, refused: str) -> CredentialsError:
    """What is said of an account without an instance, or without one that the user wants."""
    wanted = {k: v for k, v in credentials.arguments.items() if k in {"region", "plans_preference", "tags"}}
    if wanted:
        filters = ", ".join(f"{name}={value!r}" for name, value in wanted.items())
        text = f"No instance of the account fits {filters}. Leave some out, or name one with instance=."
    else:
        text = (
            "The API key is good, and its account has no instance with a backend, so that nothing can run there. Make one, such "
            "as that of the free open plan, at https://quantum.cloud.ibm.com/instances, or give the key of another account."
        )
    return CredentialsError(f"{text} Nothing was sent. ({refused})", argument="instance")


def warn_if_paused(service: Any, backend: Any) -> None:
    """Tell that a backend takes jobs and runs none for now, as far as the client's list of backends says; nothing is asked."""
    lists = getattr(service, "_backends_info_per_instance", None)
    listed = [one for some in lists.values() for one in some] if isinstance(lists, dict) else []
    listed += getattr(service, "_backends_list", None) or []
    states = {one.get("name"): one.get("status") for one in listed if isinstance(one, dict)}
    state = states.get(backend.name)
    word = state.get("name") if isinstance(state, dict) else None
    if word not in {None, "online", "active"}:
        warnings.warn(
            f"backend={backend.name!r} does not run jobs at the moment: IBM says {word!r}. What is sent waits until IBM opens it "
            "again, and is not charged before; timeout_secs counts that wait. threaded-ibmq backends lists the others, and "
            "backend='least_busy' takes one that runs.",
            UserWarning,
            stacklevel=2,
        )


def _quiet_login(credentials: Credentials) -> Any:
    from qiskit_ibm_runtime import QiskitRuntimeService

    with _quiet_client():
        if credentials.token is None:
            # the client takes no address with a saved account
            url, given = credentials.url, credentials.arguments
            arguments = given if url is None else account_at(url, given)
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


@contextmanager
def _quiet_client() -> Iterator[None]:
    """Leave out what the client logs at WARNING whenever a token is given: it tells the user nothing to act on."""
    client = logging.getLogger("qiskit_ibm_runtime.qiskit_runtime_service")
    thread = threading.get_ident()

    def of_others(record: logging.LogRecord) -> bool:
        return record.thread != thread or record.levelno != logging.WARNING

    client.addFilter(of_others)
    try:
        yield
    finally:
        client.removeFilter(of_others)


def _without(error: Exception, credentials: Credentials) -> str:
    """The client's text without the key."""
    text = str(error.args[0]) if error.args else str(error)
    return text.replace(credentials.token.get_secret_value(), "<token>") if credentials.token else text


def _find(service: Any, wanted: Wanted, clock: Clock) -> Any:
    from qiskit.providers.exceptions import QiskitBackendNotFoundError

    name, wires = wanted.name, wanted.wires

    def look() -> Any:
        with _quiet_client():
            found = wanted.look(service)
            _ = (
                found.target
            )  # the client would ask for its properties at the first use, where nobody asks again
            return found

    def all_names() -> list[str]:
        with _quiet_client():
            return sorted({str(b.name) for b in service.backends()})

    for _ in range(4):
        try:
            return _asked(look, f"a question for backend {name!r}", clock)
        except ServiceError as error:
            if wanted.fractional and "fractional" in str(error):
                raise ConfigurationError(
                    f"use_fractional_gates=True: backend {name!r} has no fractional gates. Leave it out, or take another "
                    "backend. Nothing was sent.",
                    argument="use_fractional_gates",
                    value=True,
                ) from None
            raise
        except QiskitBackendNotFoundError:
            offered = _asked(all_names, "a list of backends", clock)
        # the client leaves out backends whose configuration it cannot read, also if that is so for a moment
        if name not in offered:
            break
    _check_that_it_answers(service, name, clock)
    if name == LEAST_BUSY:
        raise BackendError(
            f"backend='least_busy': no backend of the account is online and has {quantity(wires, 'qubit')}. It has: "
            f"{', '.join(offered) or 'none'}.",
            argument="backend",
            value=name,
        )
    ended = retirement(name)
    raise BackendError(
        f"backend={name!r}: the account has no such backend; {ended or 'it may be retired'}.{nearest(name, offered)} It has: "
        f"{', '.join(offered) or 'none'}. To stay local, {stand_in(name)}.",
        argument="backend",
        value=name,
    )


def _check_that_it_answers(service: Any, name: str, clock: Clock) -> None:
    """Ask each instance itself for a backend that is not found: the client writes why into its log alone.

    Raises:
        NoAnswerError: One of them does not answer.
        ServiceError: It refuses to list its backends.
    """
    refusals: list[ServiceError] = []
    for client in connections(service):
        try:
            listed = _asked(client.list_backends, "a question for the list of backends", clock)
            if name in {one.get("name") for one in listed}:
                _asked(partial(client.backend_configuration, name), f"a question for backend {name!r}", clock)
        except NoAnswerError:
            raise
        except ServiceError as error:
            refusals.append(error)
    if refusals and len(refusals) == len(connections(service)):
        raise refusals[0]


def _asked(ask: Callable[[], T], what: str, clock: Clock) -> T:
    """Ask once about backends.

    Raises:
        NoAnswerError: The service did not answer.
        ServiceError: It answered with another error.
    """
    from qiskit_ibm_runtime.api.exceptions import RequestsApiError
    from qiskit_ibm_runtime.exceptions import IBMError

    try:
        return ask_aside(LOGIN_SECS, ask, what, clock=clock)
    except (RequestsApiError, IBMError) as error:
        raise (NoAnswerError if is_outage(error) else ServiceError)(
            f"The service did not answer {what}: {in_words(error)} Nothing was sent.",
            status_code=status_code(error),
        ) from error


def check_size(backend: Any, wires: int) -> None:
    """Refuse a device with more wires than the backend has qubits."""
    most = getattr(backend, "num_qubits", None)
    if most is not None and wires > int(most):
        raise BackendError(
            f"wires: {wires} wires, but backend {backend.name!r} has {most} qubits. Use fewer wires or another backend"
            f"{larger_simulators(str(backend.name))}. Nothing was sent.",
            argument="wires",
            value=wires,
        )


def check_session(session: Any) -> None:
    """Refuse what is no session, before a primitive would.

    Raises:
        ConfigurationError: It is neither ``None`` nor a Session or Batch of IBM's client.
    """
    if session is None:
        return
    from qiskit_ibm_runtime import Session

    if not isinstance(session, Session):
        raise ConfigurationError(
            f"session={session!r}: an open Session or Batch of qiskit_ibm_runtime is needed, not "
            f"{type(session).__name__}. Nothing was sent.",
            argument="session",
            value=session,
        )


def is_service_backend(backend: Any, argument: str = "backend") -> bool:
    """Whether a backend object belongs to a service.

    Args:
        backend: What the user gave.
        argument: As what, for the error.

    Raises:
        ConfigurationError: It is no Qiskit backend at all.
    """
    from qiskit.providers import BackendV2
    from qiskit_ibm_runtime import IBMBackend

    if not isinstance(backend, BackendV2):
        raise ConfigurationError(
            f"{argument}={backend!r}: a name or a Qiskit BackendV2 is needed, not {type(backend).__name__}. "
            "Nothing was sent.",
            argument=argument,
            value=backend,
        )
    return isinstance(backend, IBMBackend)
