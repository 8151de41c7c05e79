"""Addresses of the service: IBM's host names that it answers for, and the environment that leads a client to it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

_HIDDEN_PREFIX = "QISKIT_IBM_"
PROXIES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy")
CLOUD = {"IAM_URL": "/iam", "GLOBAL_SEARCH_URL": "/search", "GLOBAL_CATALOG_URL": "/catalog/api/v1"}
"""Addresses at which new clients find login, instances and plans, and the paths under which the service has them."""

_HIDDEN = (
    *("IBMQX_TOKEN", "IBMQX_URL", "QE_TOKEN", "QE_URL", "ALL_PROXY", "all_proxy", "CURL_CA_BUNDLE"),
    *(*PROXIES, *CLOUD),
)
# The mask matters: without it the entry would also match iam.127.0.0.1, by suffix.
DIRECT_HOSTS = "127.0.0.1/32,localhost"


@dataclass(frozen=True)
class Endpoint:
    """The address of a running service and what a client needs in order to trust it.

    Attributes:
        port: Port on 127.0.0.1.
        ca_bundle: File with the certificate to trust.
        home: An empty folder, the home of clients that must not see saved accounts.
        key: Secret for commands from other processes.
    """

    port: int
    ca_bundle: str
    home: str
    key: str

    @property
    def proxy(self) -> str:
        """Address of the service as a proxy."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Base URL for direct requests; a client takes it as it stands because of its last word."""
        return f"{self.proxy}/experimental"

    @property
    def classic_url(self) -> str:
        """Base URL for clients of the classic API."""
        return f"{self.proxy}/api"


def account_variables(environment: Iterable[str]) -> list[str]:
    """The names, among those of an environment, that name an account, or that lead around the service."""
    return [name for name in environment if name.startswith(_HIDDEN_PREFIX) or name in _HIDDEN]


@contextmanager
def environment_applied(endpoint: Endpoint, variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables of this process, and put everything back afterwards.

    Accounts of the machine are out of sight meanwhile: variables that name one are removed, and the home folder is an
    empty one. A client that was imported before has its path to the saved account already; what it finds there goes to
    this service at most, as everything does.
    """
    homes = dict.fromkeys(("HOME", "USERPROFILE"), endpoint.home)
    accounts = account_variables(os.environ)
    before = {name: os.environ.get(name) for name in {*accounts, *homes, *variables}}
    try:
        for name in accounts:
            del os.environ[name]
        os.environ.update({**homes, **variables})
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


Service = Literal["iam", "search", "catalog", "runtime", "classic_account", "classic_runtime"]

_HOSTS: tuple[tuple[Service, re.Pattern[str]], ...] = (
    ("iam", re.compile(r"(private\.)?iam\.(cloud\.ibm\.com|127\.0\.0\.1)")),
    ("search", re.compile(r"api\.(private\.)?global-search-tagging\.(cloud\.ibm\.com|127\.0\.0\.1)")),
    ("catalog", re.compile(r"(private\.)?globalcatalog\.(cloud\.ibm\.com|127\.0\.0\.1)")),
    # The classic API's; direct requests to it share 127.0.0.1 with the runtime.
    ("classic_account", re.compile(r"(auth|api)\.quantum-computing\.ibm\.com")),
    ("classic_runtime", re.compile(r"runtime-us-east\.quantum-computing\.ibm\.com")),
    ("runtime", re.compile(r"(private\.)?([a-z]{2}-[a-z]+\.)?quantum\.cloud\.ibm\.com|127\.0\.0\.1")),
)


def service_of(host: str) -> Service | None:
    """The service behind a host name.

    Args:
        host: Host name, with or without port.

    Returns:
        The service; ``None`` for a host that is not IBM's and that nobody may reach through this proxy.
    """
    name = host.partition(":")[0].lower()
    return next((service for service, pattern in _HOSTS if pattern.fullmatch(name)), None)


def is_public(host: str) -> bool:
    """Whether a host name is one of IBM's own, which clients reach over TLS."""
    name = host.partition(":")[0].lower()
    return service_of(host) is not None and name.endswith((".cloud.ibm.com", ".quantum-computing.ibm.com"))
