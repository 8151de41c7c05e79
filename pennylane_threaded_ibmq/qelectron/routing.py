"""Spreads a batch over executors and puts its results in order again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from pennylane.wires import Wires

from .._compat import zip_strict
from ..exceptions import ConfigurationError, WaitTimeoutError
from .base import BaseQExecutor
from .runners import Submission
from .stacks import of_stack

if TYPE_CHECKING:
    from pennylane.measurements import Shots
    from pennylane.tape import QuantumScript
    from typing_extensions import TypeAlias

    from . import current_tapes as tapes_of_stack
else:
    tapes_of_stack = of_stack("tapes")

Choose: TypeAlias = "Callable[[QuantumScript, Mapping[int, int]], BaseQExecutor]"


@dataclass(frozen=True)
class Part:
    """What one executor got of a batch.

    Attributes:
        executor: The executor.
        positions: Positions of its circuits in the batch.
        sent: Its submission.
    """

    executor: BaseQExecutor
    positions: tuple[int, ...]
    sent: Submission


class Routed:
    """A batch that was spread over executors.

    Args:
        parts: One an executor.
        futures: One a circuit, in the order of the batch.
    """

    def __init__(self, parts: Sequence[Part], futures: Sequence[Future[Any]]) -> None:
        self.parts = tuple(parts)
        self.futures = tuple(futures)

    @property
    def job_ids(self) -> tuple[str, ...]:
        """Ids of the jobs accepted so far, of all executors."""
        return tuple(job_id for part in self.parts for job_id in part.sent.job_ids)

    def help(self) -> None:
        """Do in this thread what another would do later."""
        for part in self.parts:
            part.sent.help()

    def cancel(self) -> None:
        """Give all circuits up."""
        for part in self.parts:
            part.sent.cancel()

    def results(self) -> tuple[Any, ...]:
        """Wait for all circuits; results in the order of the batch.

        Raises:
            WaitTimeoutError: The executors' ``timeout_secs`` ran out; the jobs run on.
            Exception: What the first circuit without a result failed with. What still runs is cancelled.
        """
        limit = self.timeout_s
        deadline = None if limit is None else time.monotonic() + limit
        try:
            results = tuple([self._result(future, deadline) for future in self.futures])
        except WaitTimeoutError:
            raise
        except BaseException:
            # also Ctrl-C: nobody is left to read the results
            self.cancel()
            raise
        for part in self.parts:
            part.executor.settle(part.sent)
        return results

    @property
    def timeout_s(self) -> float | None:
        """Longest wait in seconds: that of the most patient executor; ``None`` for no end."""
        limits = [getattr(part.executor, "timeout_secs", None) for part in self.parts]
        finite = [float(limit) for limit in limits if limit is not None]
        return max(finite) if finite and len(finite) == len(limits) else None

    def overdue(self) -> WaitTimeoutError:
        """The error for a wait that was too long."""
        ids = self.job_ids
        jobs = f"Jobs {', '.join(ids)} run on" if ids else "What was submitted runs on"
        return WaitTimeoutError(f"No result within timeout_secs={self.timeout_s:g}. {jobs}.", job_ids=ids)

    def _result(self, future: Future[Any], deadline: float | None) -> Any:
        if deadline is None:
            return future.result()
        try:
            return future.result(max(0.0, deadline - time.monotonic()))
        except (TimeoutError, FutureTimeoutError):
            if future.done():
                raise
            raise self.overdue() from None


def submit_routed(
    tapes: Sequence[QuantumScript], wires: Wires | None, choose: Choose, *, later: bool
) -> Routed:
    """Choose an executor for each circuit and hand the circuits over.

    Args:
        tapes: The circuits, at least one.
        wires: Wires of the QNode's device; ``None`` for those of each circuit.
        choose: Gives the executor of a circuit.
        later: Nobody waits for the results yet.

    Raises:
        SelectorError: A selector returned something that is not one of its executors; nothing was sent.
        ThreadedIBMQError: An executor refused its circuits; what others took is cancelled.
    """
    taken: dict[int, int] = {}
    groups: dict[int, tuple[BaseQExecutor, list[int]]] = {}
    ready = []
    for position, tape in enumerate(tapes):
        executor = choose(tape, taken)
        key = id(executor)
        taken[key] = taken.get(key, 0) + 1
        groups.setdefault(key, (executor, []))[1].append(position)
        ready.append(_prepared(tape, executor, wires))
    if wires is None:
        wires = Wires.all_wires([tape.wires for tape in ready])
    parts: list[Part] = []
    try:
        for executor, positions in groups.values():
            batch = ready if len(groups) == 1 else [ready[p] for p in positions]
            parts.append(Part(executor, tuple(positions), executor.submission(batch, wires, later=later)))
    except BaseException:
        for part in parts:
            part.sent.cancel()
        raise
    if len(parts) == 1:
        return Routed(parts, parts[0].sent.futures)
    futures: list[Future[Any]] = [cast("Future[Any]", None)] * len(tapes)
    for part in parts:
        for position, future in zip_strict(part.positions, part.sent.futures):
            futures[position] = future
    return Routed(parts, futures)


def _prepared(tape: QuantumScript, executor: BaseQExecutor, wires: Wires | None) -> QuantumScript:
    """The circuit with the executor's shots and with wires for measurements that name none."""
    override = executor.shots_override
    if override is not None and override != tape.shots:
        if override.has_partitioned_shots or tape.shots.has_partitioned_shots:
            raise _mixed_vectors(tape.shots, override)
        tape = tapes_of_stack.with_shots(tape, override)
    if any(not mp.wires and mp.obs is None and getattr(mp, "mv", None) is None for mp in tape.measurements):
        tape = tapes_of_stack.with_wires(tape, wires or tape.wires)
    return tape


def _mixed_vectors(given: Shots, override: Shots) -> ConfigurationError:
    return ConfigurationError(
        f"shots: the circuit has {given} and the chosen executor {override}. A shot vector changes the shape of a "
        "result, so all executors of a QNode must have the same, or shots=0. Nothing was sent.",
        argument="shots",
        value=override,
    )
