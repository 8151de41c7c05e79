"""Keep what the client warns of itself from the user, also while several threads send jobs.

``warnings.catch_warnings`` saves and restores the filters of the whole process, so two threads that overlap in it
restore each other's. Here the first to come puts one filter in, and the last to go takes the same one out.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from .._fork import OnePerProcess


class Quiet:
    """A filter that stands while anybody needs it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._filter: object = None

    @contextmanager
    def client(self) -> Iterator[None]:
        """Leave out the client's deprecation warnings about itself."""
        with self._lock:
            self._users += 1
            if self._users == 1:
                # some are attributed to whoever called it, which is this package
                where = r"qiskit_ibm_runtime|pennylane_threaded_ibmq\.ibm"
                warnings.filterwarnings("ignore", category=DeprecationWarning, module=where)
                self._filter = warnings.filters[0]
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    with suppress(ValueError):  # whoever restored the filters meanwhile took ours along
                        warnings.filters.remove(self._filter)  # type: ignore[attr-defined]


quiet = OnePerProcess(Quiet)
"""The one owner of that filter."""
