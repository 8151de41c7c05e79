"""Access tokens: handed out for an API key, checked on every request."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from typing import Any

from .errors import unauthorized
from .records import iso, utc_now


class Issuer:
    """Issues and checks access tokens. Keeps none of them: a token carries its own expiry and signature.

    Args:
        keys: API keys that may log in.
        lifetime_secs: Lifetime of a token.
        any_key: Any other key may log in, too.
    """

    def __init__(self, keys: tuple[str, ...], lifetime_secs: int, *, any_key: bool = False) -> None:
        self._keys = keys
        self._any_key = any_key
        self._lifetime_secs = lifetime_secs
        self._secret = secrets.token_bytes(32)

    def revoke(self) -> None:
        """Make all tokens that are out worthless, whatever is left of their lifetime."""
        self._secret = secrets.token_bytes(32)

    def knows(self, key: str) -> bool:
        """Whether an API key may log in."""
        return (self._any_key and bool(key)) or any(
            hmac.compare_digest(key.encode(), known.encode()) for known in self._keys
        )

    def issue(self) -> dict[str, Any]:
        """The answer of IBM's identity service to a successful login."""
        token, expiration = self._token()
        return {
            "access_token": token,
            "refresh_token": "not_supported",
            "token_type": "Bearer",
            "expires_in": self._lifetime_secs,
            "expiration": expiration,
            "scope": "ibm openid",
        }

    def issue_classic(self) -> dict[str, Any]:
        """The answer of the classic API to a successful login."""
        token, _ = self._token()
        return {
            "id": token,
            "ttl": self._lifetime_secs,
            "created": iso(utc_now()),
            "userId": "loopback-user",
        }

    def _token(self) -> tuple[str, int]:
        """An access token and when it expires."""
        now = int(time.time())
        expiration = now + self._lifetime_secs
        claims = {"iam_id": "IBMid-loopback", "iss": "https://iam.cloud.ibm.com/identity", "iat": now}
        payload = f"{_encode({'typ': 'JWT', 'alg': 'HS256'})}.{_encode({**claims, 'exp': expiration})}"
        return f"{payload}.{self._signature(payload)}", expiration

    def check(self, headers: Mapping[str, str]) -> None:
        """Check the header ``Authorization``: a token of ours that has not expired, or an API key as such.

        Args:
            headers: Headers of a request.

        Raises:
            ApiError: 401.
        """
        scheme, _, value = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "apikey" and self.knows(value):
            return
        if scheme.lower() != "bearer":
            raise unauthorized()
        self.check_token(value)

    def check_token(self, token: str) -> None:
        """Check an access token: one of ours that has not expired.

        Args:
            token: The token.

        Raises:
            ApiError: 401.
        """
        payload, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(payload).encode()):
            raise unauthorized()
        claims = json.loads(base64.urlsafe_b64decode(payload.partition(".")[2] + "=="))
        if time.time() >= claims["exp"]:
            raise unauthorized()

    def _signature(self, payload: str) -> str:
        digest = hmac.new(self._secret, payload.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _encode(part: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
