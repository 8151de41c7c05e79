"""The journal as a device gives it to its user: batches of all programs, their timelines, and their charges."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..exceptions import ConfigurationError, JournalError
from ..execution.charges import usage_of
from ..progress.pictures import draw_timeline
from ..progress.tables import BatchList
from ..store.journal import Journal, Journals
from .charges import LateCharges, ask_usage
from .handle import BatchHandle
from .tag_blocks import block_tags

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..execution.batch import Batch
    from ..resources import Resources
    from ..settings import Settings
    from .context import ExecutionContext


class JournalAccess:
    """The part of a device that looks back."""

    _settings: Settings
    _resources: Resources
    _charges: LateCharges

    @abstractmethod
    def _open(self) -> ExecutionContext:
        """The context in which this device's batches run; opened when first needed."""

    @abstractmethod
    def _notify(self, tracker: Any, batch: Batch, handle: BatchHandle) -> None:
        """Tell an active tracker of a finished batch."""

    def usage(self, batch: BatchHandle | str) -> float | None:
        """QPU seconds that IBM charged for a batch, asked for as long as they are not known.

        IBM computes a charge after a job has ended. What is known is written into the handle, its tracker and the journal, counted
        in budgets, and not asked for again.

        Args:
            batch: A handle, or the id of a batch of the journal, from ``dev.batches()``, a handle or an error.

        Returns:
            The seconds, 0 included; ``None`` while they are not known, and where nothing is charged.

        Raises:
            ConfigurationError: It is neither, or is one of another backend or instance.
            JournalError: There is no journal or no such batch.
        """
        if isinstance(batch, BatchHandle):
            return batch.usage_secs
        given: object = batch
        if not isinstance(given, str) or not given:
            raise ConfigurationError(
                f"batch={batch!r}: a handle or the id of a batch is needed, such as batch_id of a handle or of an error; "
                "dev.batches() lists them.",
                argument="batch",
                value=batch,
            )
        known = usage_of(self._journal().batch(batch))
        waiting = self._charges.find(batch)
        if known is None and waiting is None:
            return ask_usage(self._journal(), batch, self._open())
        return known if waiting is None else waiting.usage_secs

    def _track(self, tracker: Any, batch: Batch, handle: BatchHandle) -> None:
        """Tell a tracker of a finished batch, and of earlier ones whose charge has become known."""
        self._charges.ask_again()
        self._notify(tracker, batch, handle)
        if handle.usage_pending:
            self._charges.remember(handle)

    def batches(self, limit: int = 100, *, tags: Sequence[str] = ()) -> BatchList:
        """The latest batches of the journal, newest first, of all programs and backends; a table in a notebook.

        Args:
            limit: Most to list.
            tags: Only those that have all of these tags.

        Raises:
            JournalError: There is no journal.
            ConfigurationError: ``limit`` is no whole number, or ``tags`` no list of tags.
        """
        if not isinstance(limit, int):
            raise ConfigurationError(
                f"limit={limit!r}: a whole number is needed, such as 100.", argument="limit", value=limit
            )
        return BatchList(self._journal().batches(limit=limit, tags=block_tags(tags, "tags") if tags else ()))

    def timeline(self, batch_id: str, *, dark: bool = False) -> Figure:
        """A batch of the journal over time, as a figure of matplotlib.

        Args:
            batch_id: Its id, from ``dev.batches()``, a handle or an error.
            dark: For a dark background.

        Raises:
            JournalError: There is no journal or no such batch.
        """
        return draw_timeline(self._journal().batch(batch_id), dark=dark)

    def _journal(self) -> Journal:
        path = self._settings.journal_file
        if path is None:
            raise JournalError("journal=False: this device keeps no journal.")
        return self._resources.get(Journals).at(path)
