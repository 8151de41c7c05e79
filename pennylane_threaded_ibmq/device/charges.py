"""Charges of batches: asked for again, since IBM computes them after a job has ended."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from ..exceptions import ConfigurationError
from ..execution.charges import ask_charges, usage_of
from ..store.records import is_digest

if TYPE_CHECKING:
    from ..store.journal import Journal
    from ..store.records import BatchRecord, ShardRecord
    from .context import ExecutionContext
    from .handle import BatchHandle

_UNSAID = {"dry_run": False}
"""Options that are written down only where they have another value."""

MOST_WAITING = 100
"""Batches that are remembered because IBM had not computed their charge; of more, the oldest are forgotten."""


class LateCharges:
    """Batches that a tracker was told of before their charge was known. Safe for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[BatchHandle] = deque(maxlen=MOST_WAITING)

    def remember(self, handle: BatchHandle) -> None:
        """Ask for the charge of a batch later."""
        with self._lock:
            self._waiting.append(handle)

    def find(self, batch_id: str) -> BatchHandle | None:
        """The batch of an id, if it is one of them."""
        with self._lock:
            return next((handle for handle in self._waiting if handle.batch_id == batch_id), None)

    def ask_again(self) -> None:
        """Ask for charges, one batch after the other, until one is not known yet; each handle tells its tracker.

        What is not known goes to the end, as a service may never say it, and the others would wait behind it.
        """
        while True:
            with self._lock:
                handle = self._waiting[0] if self._waiting else None
            if handle is None:
                return
            known = handle.usage_secs is not None
            with self._lock:
                # another thread may have been faster
                if self._waiting and self._waiting[0] is handle:
                    self._waiting.popleft()
                    if not known:
                        self._waiting.append(handle)
            if not known:
                return


def ask_usage(journal: Journal, batch_id: str, context: ExecutionContext) -> float | None:
    """QPU seconds that a batch of the journal was charged, asked for where the journal does not know them.

    Raises:
        ConfigurationError: The batch is one of another backend or instance.
        JournalError: There is no such batch.
    """
    record = journal.batch(batch_id)
    refuse_other_place(record, context)

    def ask(shard: ShardRecord) -> float | None:
        jobs = context.jobs
        job = None if jobs is None else jobs.known(shard.job_id, shard.tag, "sampler", 0)
        return None if jobs is None or job is None else jobs.usage(job)

    return usage_of(ask_charges(journal, record, ask))


def refuse_other_place(batch: BatchRecord, context: ExecutionContext) -> None:
    """Refuse a batch of another backend or instance.

    Raises:
        ConfigurationError: It is one.
    """
    for name, its, here in (
        ("backend", batch.backend, context.name),
        ("instance", batch.instance, context.instance),
    ):
        if its != here:
            raise ConfigurationError(
                f"batch {batch.id!r} is one of {name} {its!r}, and this device is on {here!r}. Make a device with "
                f"{name}={its!r}. Nothing was sent.",
                argument="batch_id",
                value=batch.id,
            )


def refuse_other_options(batch: BatchRecord, context: ExecutionContext) -> None:
    """Refuse a batch that was sent with other options: its jobs would not be recognised, and would be paid for again.

    Raises:
        ConfigurationError: It is one.
    """
    ours = {**_UNSAID, **context.job_options}
    for name, value in {**_UNSAID, **batch.options}.items():
        here = ours.get(name, value)
        if here == value:
            continue
        if is_digest(value) or is_digest(here):
            text = f"was sent with other {name} than this device has. Make a device with the same"
        else:
            text = f"was sent with {name}={value!r}, and this device has {name}={here!r}. Make a device with {name}={value!r}"
        raise ConfigurationError(
            f"batch {batch.id!r} {text}. Nothing was sent.",
            argument=name,
            value=None if is_digest(here) else here,
        )
