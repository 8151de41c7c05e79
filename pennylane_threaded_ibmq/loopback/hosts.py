"""Which of IBM's services a host name stands for."""

from __future__ import annotations

import re
from typing import Literal

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
