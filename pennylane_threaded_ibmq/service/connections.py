"""Connections under a service object of IBM's client: what it does not do by itself, or keeps to itself.

It renews an access token by the clock alone: one that is withdrawn earlier makes every request fail with 401. And it takes an
instance that does not answer for one without backends.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..exceptions import ServiceError
from .errors import NoAnswerError, status_code


def renew_login(service: Any) -> None:
    """Get a new access token for all connections of a service object of the client's.

    Args:
        service: The service.

    Raises:
        NoAnswerError: IBM's login did not answer.
        ServiceError: It does not accept the API key any more.
    """
    refused: Exception | None = None
    for manager in _token_managers(service):
        # a request that failed less than a minute ago is taken for one under way
        manager.expire_time = manager.request_time = 0
        try:
            manager.get_token()
        except Exception as error:  # noqa: BLE001 - the error would lead to the request, which holds the key
            refused = error
            break
    if refused is None:
        return
    text = f"{type(refused).__name__}, status {status_code(refused)}"
    if status_code(refused) in {400, 401, 403}:
        raise ServiceError(
            f"IBM Quantum does not accept the API key any more ({text}). Check it at https://quantum.cloud.ibm.com.",
            status_code=401,
        )
    raise NoAnswerError(f"The login at IBM Quantum could not be renewed ({text}).")


def connections(service: Any) -> list[Any]:
    """The clients of all instances that a service object is connected to; nothing public leads there."""
    clients = (service._get_api_client(), *service._get_api_clients().values())  # noqa: SLF001 - see above
    return list({id(client): client for client in clients}.values())


def _token_managers(service: Any) -> Iterator[Any]:
    """The objects that fetch access tokens, one for each connection."""
    for client in connections(service):
        manager = getattr(getattr(client._session, "auth", None), "tm", None)  # noqa: SLF001 - see above
        if manager is not None:
            yield manager
