"""Keep what the client warns of itself from the user, also while several threads send jobs.

``warnings.catch_warnings`` saves and restores the filters of the whole process, so two threads that overlap in it
restore each other's. Here the first to come puts filters in, and the last to go takes the same ones out.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ...resources import RESOURCES

_TOLD = (
    r"The backend .* currently has a status of|This instance has met its usage limit"
    r"|There is currently no more time available"
)
"""Warnings of the client that are for the user to know."""


class Quiet:
    """Filters that stand while anybody needs them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._filters: list[object] = []

    @contextmanager
    def client(self) -> Iterator[None]:
        """Leave out the client's deprecation warnings about itself; what it warns of the backend or the instance is no error."""
        with self._lock:
            self._users += 1
            if self._users == 1:
                # some are attributed to whoever called it, which is this package
                where = r"qiskit_ibm_runtime|pennylane_threaded_ibmq\.stacks\.current"
                warnings.filterwarnings("default", message=_TOLD)
                warnings.filterwarnings("ignore", category=DeprecationWarning, module=where)
                self._filters = list(warnings.filters[:2])
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    for one in self._filters:
                        with suppress(ValueError):  # whoever restored the filters meanwhile took ours along
                            warnings.filters.remove(one)  # type: ignore[attr-defined]


def quiet() -> Quiet:
    """The filters of this process, as Python has one list of them for all devices."""
    return RESOURCES.get(Quiet)
