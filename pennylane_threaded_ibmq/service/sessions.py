"""Sessions of IBM's clients: no answer is waited for without a limit, no job is sent twice, and a login is renewed.

The clients give their sessions a limit for connecting and none for reading, so that whoever asks a silent service hangs for good.
And they repeat a request that was answered with 500, 502, 503, 504 or 52x, since IBM's own service takes that well; behind a
proxy also one whose connection broke, as that is taken for the proxy's trouble. Where such a request creates a job, the service
may have taken it all the same: then there are two jobs, and the second is paid for unless it is seen while it waits. Here it is
sent once, and whoever sent it looks for the job by its tag before it is sent again.

They renew an access token by the clock alone: one that is withdrawn earlier makes every request fail with 401.

A session of ``requests`` takes other rules for some addresses. A client without one is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from requests import Session
from requests.adapters import HTTPAdapter
from requests.exceptions import ReadTimeout, RequestException
from urllib3 import Retry
from urllib3.exceptions import (
    ConnectTimeoutError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from ..exceptions import ServiceError
from .asking import ANSWER_SECS, secs_left
from .errors import NoAnswerError, is_cut, is_outage, status_code
from .exchange import current

if TYPE_CHECKING:
    from typing_extensions import Self


_UNSENT = (NewConnectionError, ConnectTimeoutError)
_PERHAPS_SENT = (ProtocolError, ProxyError, ReadTimeoutError, SSLError)


class BoundedRepeats(Retry):
    """The clients' own rules, for as long as somebody waits for the answer."""

    def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:
        """Whether a request is repeated because of its answer; the clients do so with a POST too."""
        repeated = method == "POST" and status_code in (self.status_forcelist or ())
        return repeated or super().is_retry(method, status_code, has_retry_after)

    def increment(self, *what: Any, **named: Any) -> Self:
        """The rules for what is left; raises the error where there is to be no other try, or no time for one."""
        rules = super().increment(*what, **named)
        return (
            rules if rules.get_backoff_time() < secs_left() else self.new(total=0).increment(*what, **named)
        )

    def get_retry_after(self, response: Any) -> float | None:
        """Seconds that the service asks to wait for."""
        secs = super().get_retry_after(response)
        return None if secs is None else min(secs, secs_left())


class SendOnce(BoundedRepeats):
    """Rules by which a POST is repeated only where no connection was made."""

    def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:
        """Whether a request is repeated because of its answer."""
        return method != "POST" and super().is_retry(method, status_code, has_retry_after)

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: Any = None,
        error: Exception | None = None,
        *others: Any,
        **named: Any,
    ) -> Self:
        """The rules for what is left; raises the error where there is to be no other try."""
        met = getattr(error, "original_error", error)  # a proxy's
        if method == "POST" and isinstance(error, _PERHAPS_SENT) and not isinstance(met, _UNSENT):
            raise error
        return super().increment(method, url, response, error, *others, **named)


class BoundedAdapter(HTTPAdapter):
    """Waits no longer for an answer than whoever asks, and asks nothing when that time is over.

    So no job leaves late: before it sends one the client asks for usage and status, which may stay silent for long.
    """

    def send(
        self, request: Any, stream: bool = False, timeout: Any = None, *others: Any, **named: Any
    ) -> Any:
        """Send a request."""
        exchange = current()
        kept = None if exchange is None else exchange.kept(request)
        if kept is not None:
            return kept
        left = secs_left()
        if not left:
            raise ReadTimeout("Nobody waits for this answer any more; it was not asked for.", request=request)
        limits = timeout if isinstance(timeout, tuple) else (timeout, timeout)
        connect, read = (min(ANSWER_SECS if secs is None else secs, left) for secs in limits)
        answer = super().send(request, stream, (connect, read), *others, **named)
        if exchange is not None:
            exchange.take(request, answer)
        return answer


def bound_waits(clients: Iterable[Any]) -> None:
    """Let what is asked by :func:`.asking.ask_within` end in time, and all else after :data:`.asking.ANSWER_SECS` of silence."""
    for client in clients:
        _set_rules(client, "", BoundedRepeats)


def send_jobs_once(clients: Iterable[Any]) -> None:
    """Let the clients of a service object that nobody else uses repeat no request that creates a job; all others as ever."""
    for client in clients:
        _set_rules(client, "/jobs", SendOnce)


def _set_rules(client: Any, path: str, kind: type[BoundedRepeats]) -> None:
    session = getattr(client, "_session", None)
    address = f"{getattr(session, 'base_url', '')}{path}"
    if not isinstance(session, Session) or not address.startswith("http") or address in session.adapters:
        return
    rules = getattr(session.get_adapter(address), "max_retries", Retry())
    repeats = kind(
        total=rules.total,
        connect=rules.connect,
        backoff_factor=rules.backoff_factor,
        status_forcelist=rules.status_forcelist,
    )
    session.mount(address, BoundedAdapter(max_retries=repeats))


def fetch_stored(client: Any, address: str) -> str:
    """The text at an address that a service gave for an answer, which asks for no access token and gets none.

    Args:
        client: The client that was given it; its proxies and its certificates are used.
        address: The address. Whoever has it may read, so that no error shows it.

    Raises:
        NoAnswerError: There was no answer, or none now.
        ServiceError: It was refused, or the answer was cut.
    """
    own = getattr(client, "_session", None)
    with Session() as session:
        session.proxies, session.verify = getattr(own, "proxies", {}), getattr(own, "verify", True)
        for scheme in ("http://", "https://"):
            session.mount(scheme, BoundedAdapter())
        # raised outside of the handler, so that no error leads to the address
        try:
            answer = session.get(address)
            answer.raise_for_status()
        except RequestException as error:
            status = status_code(error)
            reason = type(error).__name__ if status is None else f"HTTP {status}"
            # an address that is none is a RequestException too, and so an OSError
            unanswered = is_outage(error) and not is_cut(error) and not isinstance(error, ValueError)
        else:
            return answer.content.decode(errors="replace")
    raise (NoAnswerError if unanswered else ServiceError)(
        f"The service keeps it at another address, which gave {reason}.", status_code=status
    )


def renew_login(service: Any) -> None:
    """Get a new access token for all connections of a service object of the client's.

    Raises:
        NoAnswerError: IBM's login did not answer.
        ServiceError: It does not accept the API key any more.
    """
    trouble: Exception | None = None
    auths = [getattr(client._session, "auth", None) for client in connections(service)]  # noqa: SLF001 - nothing public leads there
    for manager in filter(None, (getattr(auth, "tm", None) for auth in auths)):
        # a request that failed less than a minute ago is taken for one under way
        manager.expire_time = manager.request_time = 0
        try:
            manager.get_token()
        except Exception as error:  # noqa: BLE001 - the error would lead to the request, which holds the key
            trouble = error
            break
    if trouble is None:
        return
    text = f"{type(trouble).__name__}, status {status_code(trouble)}"
    if status_code(trouble) in {400, 401, 403}:
        raise ServiceError(
            f"IBM Quantum does not accept the API key any more ({text}). Check it at https://quantum.cloud.ibm.com.",
            status_code=401,
        )
    raise NoAnswerError(f"The login at IBM Quantum could not be renewed ({text}).")


def connections(service: Any) -> list[Any]:
    """The clients of all instances that a service object is connected to."""
    clients = (service._get_api_client(), *service._get_api_clients().values())  # noqa: SLF001 - as above
    return list({id(client): client for client in clients}.values())
