"""What stays in this process while Covalent takes executors apart and makes them anew: tokens, and what runs circuits."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import lru_cache
from typing import Any, ClassVar

from pydantic import SecretStr

from .._compat import AnyFuture
from .._fork import ForkLock
from ..config import find_token
from ..exceptions import CredentialsError
from .executor import IBMQExecutor
from .routing import Ticket

PREFIX = "kept-token-"


class _Patient(IBMQExecutor):
    """Waits longer for further calls to share a job with: Covalent takes tens of milliseconds for each."""

    gather_gap_s: ClassVar[float] = 0.3
    gather_most_s: ClassVar[float] = 1.0


class Keep:
    """The one owner of the executors behind those that Covalent handles, and of their tokens."""

    def __init__(self) -> None:
        self._lock = ForkLock()
        self._key = secrets.token_bytes(16)
        self._tokens: dict[str, SecretStr] = {}
        self._executors: dict[tuple[tuple[str, Any], ...], IBMQExecutor] = {}

    def reference(self, token: SecretStr) -> str:
        """What stands for a token in this process; empty for none."""
        plain = token.get_secret_value()
        if not plain:
            return ""
        name = PREFIX + hmac.new(self._key, plain.encode(), hashlib.sha256).hexdigest()[:16]
        with self._lock:
            self._tokens[name] = token
        return name

    def token(self, given: Any) -> SecretStr:
        """The token that a reference stands for; a reference of another process: whatever is configured here."""
        if isinstance(given, SecretStr):
            return given
        if given is None or not str(given).startswith(PREFIX):
            return SecretStr(str(given or ""))
        with self._lock:
            kept = self._tokens.get(str(given))
        if kept is not None:
            return kept
        found = find_token()
        if not found:
            # without a token the circuits would run on this machine, in the place of the service that was meant
            raise CredentialsError(
                "The executor was made with a token in another process, which keeps it, and none is configured here. Set "
                "IBMQX_TOKEN, or ibmqx_token in covalent.conf, where Covalent's workers run. Nothing was sent.",
                argument="ibmqx_token",
            )
        return SecretStr(found)

    def executor(self, fields: dict[str, Any]) -> IBMQExecutor:
        """The executor with these fields, made when first needed."""
        key = tuple(sorted((name, value) for name, value in fields.items()))
        with self._lock:
            executor = self._executors.get(key)
            if executor is None:
                executor = self._executors[key] = _Patient(**fields)
            return executor

    def close(self) -> None:
        """Close all executors; the next use starts anew."""
        with self._lock:
            executors = list(self._executors.values())
            self._executors.clear()
        for executor in executors:
            executor.close()


@lru_cache(maxsize=1)
def keep() -> Keep:
    """The process's keep."""
    return Keep()


class Pending(AnyFuture):
    """The future of one circuit, with Covalent's result object as its result.

    Args:
        source: The future of the circuit.
        sent: The submission it is part of.
        convert: Makes the result object, from a result, seconds and job ids.
    """

    def __init__(
        self,
        source: Future[Any],
        sent: Ticket,
        convert: Callable[[Any, float, tuple[str, ...]], Any],
    ) -> None:
        super().__init__()
        self._sent = sent
        began = time.perf_counter()

        def done(source: Future[Any]) -> None:
            if not self.set_running_or_notify_cancel():
                return
            try:
                self.set_result(convert(source.result(), time.perf_counter() - began, sent.job_ids))
            except BaseException as error:  # noqa: BLE001 - whoever waits must hear
                self.set_exception(error)

        source.add_done_callback(done)

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the result object; circuits that wait for others to be sent with are sent now."""
        if not self.done():
            self._sent.help()
        return super().result(timeout)
