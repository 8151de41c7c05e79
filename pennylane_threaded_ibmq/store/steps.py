"""Earlier place of :class:`~pennylane_threaded_ibmq.store.records.Step`, and earlier name of the state of a shard."""

from __future__ import annotations

from .records import ShardState as Phase
from .records import Step

__all__ = ["Phase", "Step"]
