"""Results of the tapes of a batch, put together from those of its shards."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from .._compat import zip_strict
from .._fork import ForkLock
from ..circuits.decode import MISSING
from .futures import TapeFuture

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript
    from pennylane.typing import Result
    from typing_extensions import TypeAlias

logger = logging.getLogger(__name__)

K = TypeVar("K")

Parts: TypeAlias = "dict[tuple[int, int], list[Any]]"
"""For each tape and measurement, one result a copy of the shot vector."""


class TapeResults:
    """Results of the tapes of one batch so far, and the futures that wait for them. Safe for several threads.

    Args:
        tapes: The batch; a tape that measures nothing has its result from the beginning.
        batch_id: Its id, for errors.

    Attributes:
        values: Results in the order of the tapes; ``None`` while there is none.
        errors: What tapes failed with, by position.
    """

    def __init__(self, tapes: Sequence[QuantumScript], batch_id: str) -> None:
        self.values: list[Any] = [None if tape.measurements else () for tape in tapes]
        self.errors: dict[int, BaseException] = {}
        self._tapes = tapes
        self._batch_id = batch_id
        self._lock = ForkLock()
        self._parts: list[dict[int, list[Any]]] = [{} for _ in tapes]
        self._settled = [not tape.measurements for tape in tapes]
        self._futures: dict[int, TapeFuture] = {}

    def are_settled(self, positions: Sequence[int]) -> bool:
        """Whether some tapes have all their result or their error."""
        return all(self._settled[position] for position in positions)

    def future(self, position: int) -> TapeFuture:
        """The future of one tape; it cannot be cancelled by itself, since a job serves many tapes."""
        with self._lock:
            future = self._futures.get(position)
            if future is not None:
                return future
            future = self._futures[position] = TapeFuture()
            future.batch_id = self._batch_id
            future.set_running_or_notify_cancel()
            if not self._settled[position]:
                return future
        self.resolve(position)
        return future

    def take(
        self, positions: Sequence[int], parts: Parts, failure: BaseException | None
    ) -> tuple[list[int], BaseException | None]:
        """Take in what a shard gave.

        Args:
            positions: Tapes of the shard.
            parts: What it gave.
            failure: What it failed with, if it did.

        Returns:
            The tapes that somebody waits for and that have their result or error now, for :meth:`resolve`; and what the shard
            failed with, which may be found only here.
        """
        settled: list[int] = []
        with self._lock:
            try:
                self._settle(positions, parts, failure, settled)
            except Exception as error:
                logger.exception("results of a shard could not be put together")
                failure = error
                self._settle(positions, {}, failure, settled)
            return [p for p in settled if p in self._futures], failure

    def resolve(self, position: int) -> None:
        """Give a tape's future the result or the error that there is."""
        error = self.errors.get(position)
        if error is not None:
            self._futures[position].set_exception(error)
        else:
            self._futures[position].set_result(self.values[position])

    def _settle(
        self, positions: Sequence[int], parts: Parts, failure: BaseException | None, settled: list[int]
    ) -> None:
        for (position, index), copies in parts.items():
            merge(self._parts[position], {index: copies})
        for position in positions:
            if self._settled[position]:
                continue
            if failure is not None:
                self.errors[position] = failure
            elif self._complete(position):
                self.values[position] = assemble(self._tapes[position], self._parts[position])
            else:
                continue
            self._parts[position] = {}
            self._settled[position] = True
            settled.append(position)

    def _complete(self, position: int) -> bool:
        parts = self._parts[position]
        whole = all(copy is not MISSING for copies in parts.values() for copy in copies)
        return whole and len(parts) == len(self._tapes[position].measurements)


def assemble(tape: QuantumScript, parts: dict[int, list[Any]]) -> Result:
    """Nest results as PennyLane wants them: shot copies outside, measurements inside."""
    columns = [parts[i] for i in range(len(tape.measurements))]
    copies = [tuple(c) if len(c) > 1 else c[0] for c in zip_strict(*columns)]
    return tuple(copies) if tape.shots.has_partitioned_shots else copies[0]


def merge(parts: dict[K, list[Any]], more: Mapping[K, list[Any]]) -> None:
    """Take in more results; copies of a shot vector may come from several shards."""
    for key, copies in more.items():
        have = parts.get(key, copies)
        parts[key] = [b if a is MISSING else a for a, b in zip_strict(have, copies)]
