"""The way of circuits from a QNode to executors and back, by the executors' public methods alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from copy import copy
from typing import TYPE_CHECKING, Any, List

from ..device.recording import recording_lock
from ..exceptions import ConfigurationError, UnknownWireError, WaitTimeoutError
from .base import BaseQExecutor, handles_of, job_ids_of, overdue

if TYPE_CHECKING:
    from pennylane.measurements import Shots
    from pennylane.tape import QuantumScript
    from pennylane.wires import Wires


class Batch(List["QuantumScript"]):
    """The circuits of a QNode on their way to an executor: a list that also knows the wires of the QNode's device.

    Args:
        tapes: The circuits.
        wires: Wires that they may use; ``None`` if that is any.
    """

    def __init__(self, tapes: Iterable[QuantumScript], wires: Wires | None) -> None:
        super().__init__(tapes)
        self.wires = wires


class Ticket:
    """Circuits that an executor, or a cluster, has taken for one call of a QNode.

    Args:
        target: Who took them, and gives their results.
        futures: One a circuit, in order.
    """

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

    def overdue(self) -> WaitTimeoutError:
        """The error for a wait that was too long."""
        return overdue(self.futures, self.timeout_s or 0.0)

    def flush(self) -> None:
        """Send what waits for further calls to share a job with."""
        for handle in handles_of(self.futures):
            handle.flush()

    def cancel(self) -> None:
        """Give all circuits up."""
        give_up(self.futures)

    def results(self) -> tuple[Any, ...]:
        """Wait for all circuits; results in order.

        Raises:
            WaitTimeoutError: The executors' ``timeout_secs`` ran out; the jobs run on.
            Exception: What the first circuit without a result failed with. What still runs is cancelled.
        """
        try:
            results = tuple(self.target.batch_get_results(list(self.futures)))
        except WaitTimeoutError:
            raise
        except BaseException:
            # also Ctrl-C: nobody is left to read the results
            self.cancel()
            raise
        check_count(self.target, "batch_get_results", len(results), len(self.futures))
        return results


class Guard:
    """Holds PennyLane's recording lock around a call, and releases it while the call waits for results.

    What PennyLane does around the recording of a circuit is not safe in several threads: operators made there land in
    the circuit that another thread records.
    """

    def __init__(self) -> None:
        self._thread = threading.local()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Around a call."""
        with recording_lock():
            self._thread.levels = getattr(self._thread, "levels", 0) + 1
            try:
                yield
            finally:
                self._thread.levels -= 1

    @contextmanager
    def released(self) -> Iterator[None]:
        """Around waiting in it."""
        if not getattr(self._thread, "levels", 0):
            yield
            return
        lock = recording_lock()
        lock.__exit__(None, None, None)
        try:
            yield
        finally:
            lock.__enter__()

    def __reduce__(self) -> tuple[type[Guard], tuple[()]]:
        return (type(self), ())


class Selecting:
    """What the devices of qelectrons share: each circuit runs on the executor that the selector chooses.

    Attributes:
        target: An executor, or a cluster with its selector.
        guard: Held around each call.
    """

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
        agreed = first is not None and all(other is not None and other == first for other in others)
        return first if agreed else None

    def send(self, circuits: Sequence[QuantumScript]) -> Ticket:
        """Choose executors and hand the circuits over, at least one; see :func:`submit`."""
        with recording_lock():
            return submit(self.target, circuits, self.wires or None)

    def collect(self, circuits: Sequence[QuantumScript], ticket: Ticket) -> tuple[Any, ...]:
        """Wait for results and tell the tracker.

        Raises:
            Exception: What the first circuit without a result failed with.
        """
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
        raise NotImplementedError


def submit(target: BaseQExecutor, tapes: Sequence[QuantumScript], wires: Wires | None) -> Ticket:
    """Hand the circuits of a QNode to an executor, by its public ``batch_submit``.

    Args:
        target: The executor, or a cluster.
        tapes: The circuits, at least one.
        wires: Wires of the QNode's device; ``None`` for those of each circuit.

    Raises:
        UnknownWireError: A circuit uses wires that the QNode lacks; nothing was sent.
        ThreadedIBMQError: The executor refused the circuits.
    """
    ready = [with_executors_shots(with_named_wires(tape, wires), target) for tape in tapes]
    return Ticket(target, take(target, Batch(ready, wires)))


def take(executor: BaseQExecutor, batch: Batch) -> list[Future[Any]]:
    """Let an executor take circuits and count them as its load; one future a circuit, in order."""
    futures = list(executor.batch_submit(batch))
    check_count(executor, "batch_submit", len(futures), len(batch))
    executor.count(futures)
    return futures


def spread(
    batch: Batch, choose: Callable[[QuantumScript, Mapping[int, int]], BaseQExecutor]
) -> list[tuple[BaseQExecutor, Future[Any]]]:
    """Choose an executor for each circuit and hand the circuits over.

    Args:
        batch: The circuits.
        choose: Gives the executor of a circuit, from the circuit and how often each was chosen before, by ``id``.

    Returns:
        The executor and the future of each circuit, in order.

    Raises:
        SelectorError: A selector returned something that is not one of its executors; nothing was sent.
        ThreadedIBMQError: An executor refused its circuits; what others took is cancelled.
    """
    chosen: dict[int, int] = {}
    groups: dict[int, tuple[BaseQExecutor, list[int]]] = {}
    ready = []
    for position, tape in enumerate(batch):
        executor = choose(tape, chosen)
        chosen[id(executor)] = chosen.get(id(executor), 0) + 1
        groups.setdefault(id(executor), (executor, []))[1].append(position)
        ready.append(with_executors_shots(tape, executor))
    found: dict[int, tuple[BaseQExecutor, Future[Any]]] = {}
    try:
        for executor, positions in groups.values():
            futures = take(executor, Batch([ready[p] for p in positions], batch.wires))
            found.update((p, (executor, future)) for p, future in zip(positions, futures))
    except BaseException:
        give_up([future for _, future in found.values()])
        raise
    return [found[position] for position in range(len(batch))]


def give_up(futures: Iterable[Any]) -> None:
    """Cancel circuits; jobs too, unless other circuits share them."""
    futures = tuple(futures)
    for handle in handles_of(futures):
        handle.cancel()
    for future in futures:
        future.cancel()


def check_count(executor: BaseQExecutor, method: str, got: int, wanted: int) -> None:
    """Refuse what an executor of the user's gives, if it is not one a circuit.

    Raises:
        ConfigurationError: It is not.
    """
    if got != wanted:
        raise ConfigurationError(
            f"{type(executor).__name__}.{method} gave {got} for {wanted} circuits: it must give one a circuit, in order.",
            argument="executors",
            value=executor,
        )


def with_named_wires(tape: QuantumScript, wires: Wires | None) -> QuantumScript:
    """A circuit whose measurements all name their wires: those that name none get these, or the circuit's own.

    Raises:
        UnknownWireError: It uses wires that are not among these.
    """
    if wires is not None and not set(tape.wires) <= wires.toset():
        lacking = [w for w in tape.wires if w not in wires]
        raise UnknownWireError(
            f"wires={wires.tolist()!r}: a circuit uses {lacking!r}, which the device of the QNode lacks. Give that device "
            "more wires, or labels for them. Nothing was sent."
        )
    named = [_on_wires(mp, tape.wires if wires is None else wires) for mp in tape.measurements]
    if all(new is old for new, old in zip(named, tape.measurements)):
        return tape
    fresh = type(tape)(tape.operations, named, shots=tape.shots)
    fresh.trainable_params = tape.trainable_params
    return fresh


def _on_wires(mp: Any, wires: Wires) -> Any:
    if mp.wires or mp.obs is not None or getattr(mp, "mv", None) is not None:
        return mp
    fresh = copy(mp)
    fresh._wires = wires  # noqa: SLF001 - as PennyLane's own devices do
    return fresh


def with_shots(tape: QuantumScript, shots: Shots) -> QuantumScript:
    """A tape with other shots."""
    fresh = tape.copy()
    fresh._shots = shots  # noqa: SLF001 - copy() takes no shots before PennyLane 0.40
    return fresh


def with_executors_shots(tape: QuantumScript, executor: BaseQExecutor) -> QuantumScript:
    """The circuit with the executor's shots.

    Raises:
        ConfigurationError: One of both has a shot vector, and the other something else.
    """
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
