"""The address of the service: the client makes that of the API from it, and does not say so when it is given the API's own."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from requests.utils import get_environ_proxies

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
    if not _is_address(url):
        problem = "this is no address; one begins with https://"
    elif _is_under(host, *_CLASSIC):
        problem = "this was IBM's classic service, which was switched off in July 2025; its keys open nothing any more"
    elif _is_under(host, _API) or (_is_under(host, "cloud.ibm.com") and parts.path.strip("/")):
        problem = "this is an address of the API, which the client makes by itself from https://cloud.ibm.com"
    if problem:
        raise _refusal(url, f"{problem}. Leave it out (and QISKIT_IBM_URL unset) for IBM Quantum Platform")


def check_proxies(proxies: Mapping[str, Any] | None) -> None:
    """Refuse proxies that the client cannot be made with; what it would say of them shows their passwords.

    Args:
        proxies: The user's; ``None`` for those of the environment.

    Raises:
        ConfigurationError: A name is unknown, or a value of the wrong kind.
    """
    if not proxies:
        return
    known = {"urls", "username_ntlm", "password_ntlm"}
    urls, *ntlm = (proxies.get(name) for name in ("urls", "username_ntlm", "password_ntlm"))
    problem = ""
    if unknown := sorted(map(repr, proxies.keys() - known)):
        problem = f"{', '.join(unknown)} is none of its keys, which are urls, username_ntlm and password_ntlm"
    elif urls is not None and not (isinstance(urls, dict) and all(isinstance(u, str) for u in urls.values())):
        problem = "urls must be a dictionary with the address of a proxy for each protocol"
    elif {isinstance(one, str) for one in ntlm} != {True} and any(one is not None for one in ntlm):
        problem = "username_ntlm and password_ntlm are texts, and go together"
    if problem:
        raise ConfigurationError(
            f"proxies: {problem}. Write proxies={{'urls': {{'https': 'http://host:3128'}}}}. Nothing was sent.",
            argument="proxies",
            value=proxies,
        )


def check_classic_address(url: str | None) -> None:
    """Refuse what is no address of a classic service: nobody would ever answer there.

    Args:
        url: The user's; ``None`` for IBM's own.

    Raises:
        ConfigurationError: It is no address.
    """
    if url is not None and not _is_address(url):
        raise _refusal(url, "this is no address; one begins with https:// and ends with /api")


def check_known_host(url: str | None) -> None:
    """Refuse an address whose host is unknown where this runs, such as one that was taken along from another machine.

    Args:
        url: The user's; ``None`` for IBM's own.

    Raises:
        ConfigurationError: It is no address, or its host's name means nothing here.
    """
    check_classic_address(url)
    if url is None or get_environ_proxies(url):  # a proxy knows more names
        return
    try:
        socket.getaddrinfo(urlsplit(url).hostname, None)
    except OSError as error:
        problem = error.strerror
    else:
        return
    raise _refusal(
        url,
        f"the host is unknown on this machine, {socket.gethostname()} ({problem}). Give an address that works where the circuits "
        "are sent from",
    )


def _refusal(url: str, problem: str) -> ConfigurationError:
    return ConfigurationError(
        f"ibmqx_url={url!r}: {problem}. Nothing was sent.", argument="ibmqx_url", value=url
    )


def _is_address(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def _is_under(host: str, *domains: str) -> bool:
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)
