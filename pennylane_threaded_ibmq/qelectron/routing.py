"""Hands the circuits of a QNode to executors, by their public methods alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, List

from ..exceptions import ConfigurationError, UnknownWireError, WaitTimeoutError
from .base import BaseQExecutor
from .futures import job_ids_of, overdue, submissions_of
from .stacks import of_stack

if TYPE_CHECKING:
    from pennylane.measurements import Shots
    from pennylane.tape import QuantumScript
    from pennylane.wires import Wires

    from . import current_tapes as tapes_of_stack
else:
    tapes_of_stack = of_stack("tapes")


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

    def help(self) -> None:
        """Do in this thread what another would do later."""
        for sent in submissions_of(self.futures):
            sent.help()

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
    ready = Batch([prepared(with_named_wires(tape, wires), target) for tape in tapes], wires)
    return Ticket(target, take(target, ready))


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
    taken: dict[int, int] = {}
    groups: dict[int, tuple[BaseQExecutor, list[int]]] = {}
    ready = []
    for position, tape in enumerate(batch):
        executor = choose(tape, taken)
        taken[id(executor)] = taken.get(id(executor), 0) + 1
        groups.setdefault(id(executor), (executor, []))[1].append(position)
        ready.append(prepared(tape, executor))
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
    for sent in submissions_of(futures):
        sent.cancel()
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
    if wires is not None and not known_wires(tape, wires):
        lacking = [w for w in tape.wires if w not in wires]
        raise UnknownWireError(
            f"wires={wires.tolist()!r}: a circuit uses {lacking!r}, which the device of the QNode lacks. Give that device "
            "more wires, or labels for them. Nothing was sent."
        )
    if any(not mp.wires and mp.obs is None and getattr(mp, "mv", None) is None for mp in tape.measurements):
        return tapes_of_stack.with_wires(tape, tape.wires if wires is None else wires)
    return tape


def known_wires(tape: QuantumScript, wires: Wires) -> bool:
    """Whether a circuit uses no others."""
    known = wires.toset()
    return all(w in known for w in tape.wires)


def prepared(tape: QuantumScript, executor: BaseQExecutor) -> QuantumScript:
    """The circuit with the executor's shots.

    Raises:
        ConfigurationError: One of both has a shot vector, and the other something else.
    """
    override = executor.shots_override
    if override is not None and override != tape.shots:
        if override.has_partitioned_shots or tape.shots.has_partitioned_shots:
            raise _mixed_vectors(tape.shots, override)
        return tapes_of_stack.with_shots(tape, override)
    return tape


def _mixed_vectors(given: Shots, override: Shots) -> ConfigurationError:
    return ConfigurationError(
        f"shots: the circuit has {given} and the chosen executor {override}. A shot vector changes the shape of a "
        "result, so all executors of a QNode must have the same, or shots=0. Nothing was sent.",
        argument="shots",
        value=override,
    )
