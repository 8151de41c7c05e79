"""IBM's Batch context, shared by the jobs of one batch of tapes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..service.service import JobService


class SharedBatch:
    """IBM's Batch context for several jobs: opened before the first is sent, closed after the last.

    Args:
        jobs: Jobs on the backend.
        shards: How many jobs there will be; fewer than two need no context.
    """

    def __init__(self, jobs: JobService, shards: int) -> None:
        self._jobs = jobs
        self._left = shards
        self._wanted = shards > 1
        self._batch: Any = None
        self._lock = threading.Lock()

    @contextmanager
    def sending(self) -> Iterator[Any]:
        """Around the sending of each shard, also of one that is given up: gives the context, or ``None``."""
        with self._lock:
            if self._wanted:
                self._batch, self._wanted = self._jobs.open_batch(), False
        try:
            yield self._batch
        finally:
            with self._lock:
                self._left -= 1
                if self._left == 0 and self._batch is not None:
                    self._jobs.close_batch(self._batch)
