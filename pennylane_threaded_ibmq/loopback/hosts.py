"""Which of IBM's services a host name stands for."""

from __future__ import annotations

import re
from typing import Literal

Service = Literal["iam", "search", "catalog", "runtime"]

_HOSTS: tuple[tuple[Service, re.Pattern[str]], ...] = (
    ("iam", re.compile(r"(private\.)?iam\.(cloud\.ibm\.com|127\.0\.0\.1)")),
    ("search", re.compile(r"api\.(private\.)?global-search-tagging\.(cloud\.ibm\.com|127\.0\.0\.1)")),
    ("catalog", re.compile(r"(private\.)?globalcatalog\.(cloud\.ibm\.com|127\.0\.0\.1)")),
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
    return service_of(host) is not None and host.partition(":")[0].lower().endswith(".cloud.ibm.com")
