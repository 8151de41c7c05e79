"""What IBM's client repeats by itself, and must not: requests that create jobs.

It repeats a request that was answered with 500, 502, 503, 504 or 52x, since IBM's own service takes that well; behind a proxy
also one whose connection broke, as that is taken for the proxy's trouble. The service may have taken it all the same: then
there are two jobs, and the second is paid for unless it is seen while it waits. Here it is sent once, and whoever sent it looks
for the job by its tag before it is sent again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from requests import Session
from requests.adapters import HTTPAdapter
from requests.exceptions import ConnectionError as RequestsConnectionError
from urllib3 import Retry
from urllib3.exceptions import (
    ConnectTimeoutError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from .errors import is_abandoned

if TYPE_CHECKING:
    from typing_extensions import Self

_UNSENT = (NewConnectionError, ConnectTimeoutError)
_PERHAPS_SENT = (ProtocolError, ProxyError, ReadTimeoutError, SSLError)


class SendOnce(Retry):
    """Rules by which a POST is repeated only where no connection was made, and all else as ever."""

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


class WantedOnly(HTTPAdapter):
    """Sends no job for somebody who has given up.

    Before it sends a job the client asks for usage and status. Where those stay silent for long, whoever sends has given up,
    looked for the job in vain and sent it again, when the client gets to it.
    """

    def send(self, request: Any, *others: Any, **named: Any) -> Any:
        """Send a request."""
        if request.method == "POST" and is_abandoned():
            raise RequestsConnectionError(
                "Nobody waits for this job any more; it was not sent.", request=request
            )
        return super().send(request, *others, **named)


def send_jobs_once(service: Any) -> None:
    """Let the client of a service repeat no request that creates a job; all others as ever.

    Args:
        service: A service object of the client's that nobody else uses: it sends through sessions of ``requests``, which take
            other rules for some addresses. Where it does not, it is left as it is.
    """
    for session in _sessions(service):
        if not isinstance(session, Session):
            continue
        jobs = f"{getattr(session, 'base_url', '')}/jobs"
        if jobs in session.adapters or not jobs.startswith("http"):
            continue
        rules = getattr(session.get_adapter(jobs), "max_retries", Retry())
        # by its answer, urllib3 repeats no POST unless it is told to
        once = SendOnce(
            total=rules.total,
            connect=rules.connect,
            backoff_factor=rules.backoff_factor,
            status_forcelist=rules.status_forcelist,
        )
        session.mount(jobs, WantedOnly(max_retries=once))


def _sessions(service: Any) -> Iterator[Any]:
    """Those of all instances that a service object is connected to; nothing public leads there."""
    clients = [getattr(service, "_active_api_client", None), *getattr(service, "_api_clients", {}).values()]
    for client in clients:
        yield getattr(client, "_session", None)
