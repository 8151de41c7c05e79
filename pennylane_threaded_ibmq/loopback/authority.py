"""A certificate authority that lives as long as the service does."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme


class Authority:
    """Vouches for IBM's host names towards clients that were told to trust it, and towards nobody else.

    Args:
        folder: Where the certificate is written that clients have to trust. The private key stays in memory.
    """

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA(organization_name="Loopback service")
        self._contexts: dict[str, ssl.SSLContext] = {}
        self.bundle = folder / "loopback-ca.pem"
        self._authority.cert_pem.write_to_path(str(self.bundle))

    def context(self, host: str) -> ssl.SSLContext:
        """TLS settings with a certificate for one host; there are as many as IBM has hosts."""
        if host not in self._contexts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._authority.issue_cert(host).configure_cert(context)
            self._contexts[host] = context
        return self._contexts[host]
