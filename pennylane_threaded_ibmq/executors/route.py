"""The way of circuits from a QNode to executors and back, by the executors' public methods alone."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence, Sized
from concurrent.futures import Future
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, List

from .._compat import zip_strict
from .._quantity import quantity
from ..circuits.changes import with_named_wires, with_shots
from ..device.gather import handles_of, job_ids_of, termination_of
from ..device.recording import Guard, recording_lock
from ..exceptions import ConfigurationError, WaitTimeoutError
from .base import BaseQExecutor

if TYPE_CHECKING:
    from pennylane.measurements import Shots
    from pennylane.tape import QuantumScript
    from pennylane.wires import Wires


class Batch(List["QuantumScript"]):
    """The circuits of a QNode on their way to an executor: a list that also knows the wires of the QNode's device."""

    def __init__(self, tapes: Iterable[QuantumScript], wires: Wires | None = None) -> None:
        super().__init__(tapes)
        self.wires: Wires | None = getattr(tapes, "wires", wires)


class Ticket:
    """Circuits that an executor, or a cluster, has taken for one call of a QNode."""

    def __init__(self, target: BaseQExecutor, futures: Sequence[Future[Any]]) -> None:
        self.target = target
        self.futures = tuple(futures)

    @property
    def job_ids(self) -> tuple[str, ...]:
        """Ids of the jobs accepted so far, of all executors."""
        return job_ids_of(self.futures)

    @property
    def timeout_s(self) -> float | None:
        """Longest wait in seconds: that of the most patient executor; ``None`` for no end."""
        return self.target.timeout_of(self.futures)

    def flush(self) -> None:
        """Send what waits for further calls to share a job with."""
        for handle in handles_of(self.futures):
            handle.flush()

    def cancel(self) -> None:
        """Give all circuits up."""
        give_up(self.futures)

    def leave(self) -> None:
        """Give up waiting for good; jobs run on where ``on_interrupt`` of their executor says so."""
        for handle in handles_of(self.futures):
            handle.leave()
        for future in self.futures:
            if getattr(future, "handle", None) is None:
                future.cancel()

    def wait(self, function: Callable[[], Any]) -> Any:
        """What a function gives that waits for the circuits, until Ctrl-C or SIGTERM."""
        cancels = any(getattr(handle, "cancels_on_interrupt", False) for handle in handles_of(self.futures))
        with termination_of(self.futures) if cancels else nullcontext():
            try:
                return function()
            except (KeyboardInterrupt, SystemExit):
                self.leave()
                raise

    def results(self) -> tuple[Any, ...]:
        """Wait for all circuits; results in order."""
        try:
            return tuple(self.wait(partial(collect, self.target, self.futures)))
        except (WaitTimeoutError, KeyboardInterrupt, SystemExit):
            raise
        except BaseException:
            self.cancel()
            raise


class Selecting:
    """The base of the devices of qelectrons: each circuit runs on the executor that the selector chooses."""

    wires: Any
    tracker: Any
    target: BaseQExecutor
    guard: Guard

    def __repr__(self) -> str:
        names = ", ".join(leaf.backend_name for leaf in self.executors)
        return f"<qelectron device: wires={len(self.wires or ()) or None}, backends={names}>"

    @property
    def executors(self) -> tuple[BaseQExecutor, ...]:
        """All executors that may be chosen."""
        return tuple(self.target.leaves())

    @property
    def common_shots(self) -> Shots | None:
        """The shots that all executors put in the place of the QNode's; ``None`` if they do not agree on any."""
        first, *others = [leaf.shots_override for leaf in self.executors]
        # no Shots is compared with None: before PennyLane 0.32 that is an error
        alike = first is not None and all(other is not None and other == first for other in others)
        return first if alike else None

    def send(self, circuits: Sequence[QuantumScript]) -> Ticket:
        """Choose executors and hand the circuits over, at least one; see :func:`submit`."""
        return submit(self.target, circuits, self.wires or None)

    def collect(self, circuits: Sequence[QuantumScript], ticket: Ticket) -> tuple[Any, ...]:
        """Wait for results and tell the tracker."""
        with self.guard.released():
            results = ticket.results()
        if self.tracker.active:
            self._track(circuits, results, ticket.job_ids)
        return results

    def run(self, circuits: Sequence[QuantumScript]) -> Sequence[Any]:
        """Run circuits, the executors side by side; one result a circuit, in order."""
        return self.collect(circuits, self.send(circuits)) if circuits else ()

    def _track(
        self, circuits: Sequence[QuantumScript], results: Sequence[Any], job_ids: Sequence[str]
    ) -> None:
        self.tracker.update(batches=1, batch_len=len(circuits), jobs=len(job_ids))
        for job_id in job_ids:
            self.tracker.update(job_ids=job_id)
        self.tracker.record()
        for circuit, result in zip_strict(circuits, results):
            self.tracker.update(results=result, **self._costs(circuit))
            self.tracker.record()

    @abstractmethod
    def _costs(self, circuit: QuantumScript) -> dict[str, Any]:
        """Costs of a circuit, for the tracker."""


def submit(target: BaseQExecutor, tapes: Sequence[QuantumScript], wires: Wires | None) -> Ticket:
    """Hand the circuits of a QNode to an executor, by its public ``batch_submit``."""
    with recording_lock():
        ready = [with_executors_shots(with_named_wires(tape, wires), target) for tape in tapes]
        return Ticket(target, take(target, Batch(ready, wires)))


def take(executor: BaseQExecutor, batch: Batch) -> list[Future[Any]]:
    """Let an executor take circuits and count them as its load; one future a circuit, in order."""
    futures = _one_each(executor.batch_submit(batch), batch, executor, "batch_submit")
    executor.count(futures)
    return futures


def collect(executor: BaseQExecutor, futures: Sequence[Future[Any]]) -> list[Any]:
    """Let an executor wait for circuits that it took; one result a circuit, in order."""
    return _one_each(executor.batch_get_results(list(futures)), futures, executor, "batch_get_results")


def give_up(futures: Iterable[Any]) -> None:
    """Cancel circuits; jobs too, unless other circuits share them."""
    futures = tuple(futures)
    for handle in handles_of(futures):
        handle.cancel()
    for future in futures:
        future.cancel()


def _one_each(values: Iterable[Any], circuits: Sized, executor: BaseQExecutor, method: str) -> list[Any]:
    """Refuse what an executor of the user's gives, if it is not one a circuit."""
    entries = list(values)
    if len(entries) != len(circuits):
        raise ConfigurationError(
            f"{type(executor).__name__}.{method} gave {len(entries)} for {quantity(len(circuits), 'circuit')}: it must give one a "
            "circuit, in order.",
            argument="executors",
            value=executor,
        )
    return entries


def with_executors_shots(tape: QuantumScript, executor: BaseQExecutor) -> QuantumScript:
    """The circuit with the executor's shots."""
    override = executor.shots_override
    if override is None or override == tape.shots:
        return tape
    if override.has_partitioned_shots or tape.shots.has_partitioned_shots:
        raise ConfigurationError(
            f"shots: the circuit has {tape.shots} and the chosen executor {override}. A shot vector changes the shape of a "
            "result, so all executors of a QNode must have the same, or shots=0. Nothing was sent.",
            argument="shots",
            value=override,
        )
    return with_shots(tape, override)
