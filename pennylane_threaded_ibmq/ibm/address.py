"""The address of the service: the client makes that of the API from it, and does not say so when it is given the API's own."""

from __future__ import annotations

from urllib.parse import urlsplit

from ..exceptions import ConfigurationError

_CLASSIC = ("quantum-computing.ibm.com", "quantum.ibm.com")
"""Hosts of IBM Quantum Platform Classic, with all in front of them."""

_API = "quantum.cloud.ibm.com"
"""Host of today's API, with the region in front of it."""


def check_address(url: str | None) -> None:
    """Refuse an address that the client would make another one from, where nobody answers.

    Args:
        url: The user's; ``None`` for IBM's own.

    Raises:
        ConfigurationError: It is of the classic service or of the API itself, or no address.
    """
    if url is None or "experimental" in url:  # the client takes such an address as it is
        return
    parts = urlsplit(url)
    host = parts.hostname or ""
    problem = ""
    if parts.scheme not in {"http", "https"} or not host:
        problem = "this is no address; one begins with https://"
    elif _is_under(host, *_CLASSIC):
        problem = "this was IBM's classic service, which was switched off in July 2025; its keys open nothing any more"
    elif _is_under(host, _API) or (_is_under(host, "cloud.ibm.com") and parts.path.strip("/")):
        problem = "this is an address of the API, which the client makes by itself from https://cloud.ibm.com"
    if problem:
        raise ConfigurationError(
            f"ibmqx_url={url!r}: {problem}. Leave it out (and QISKIT_IBM_URL unset) for IBM Quantum Platform. Nothing was sent.",
            argument="ibmqx_url",
            value=url,
        )


def _is_under(host: str, *domains: str) -> bool:
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)
