"""An executor of executors, and which of them runs a circuit."""

from __future__ import annotations

import pickle
import random
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pydantic import SerializeAsAny, field_serializer, field_validator

from ..device.gather import handles_of, results_of
from ..exceptions import ConfigurationError, SelectorError
from .base import BaseQExecutor
from .route import Batch, collect, give_up, take, with_executors_shots

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript
    from typing_extensions import Unpack

    from .options import QClusterOptions, Selector

SELECTORS = ("cyclic", "random", "least_busy")


Member = TypeVar("Member")


def check_selector(selector: Any) -> Selector:
    """Refuse what cannot choose."""
    known = isinstance(selector, str) and selector in SELECTORS
    if not known and (not callable(selector) or isinstance(selector, type)):
        raise _unknown_selector(selector)
    return cast("Selector", selector)


def check_executors(value: Any) -> tuple[BaseQExecutor, ...]:
    """Refuse what is no list of executors; one may stand as its JSON."""
    members = (value,) if isinstance(value, BaseQExecutor) else value
    if not isinstance(members, (list, tuple)):
        raise _no_executors(
            f"executors={value!r} ({type(value).__name__}): give an executor, a list of executors, or a QCluster, for "
            "example executors=[IBMQExecutor()].",
            value,
        )
    if not members:
        raise _no_executors(
            "executors=[]: give at least one executor, for example executors=[IBMQExecutor()].", value
        )
    executors = []
    for position, entry in enumerate(members):
        member = _revive(entry) if isinstance(entry, dict) else entry
        if not isinstance(member, BaseQExecutor):
            call = f" Make one of it: {member.__name__}()." if isinstance(member, type) else ""
            raise _no_executors(
                f"Invalid executor in executors list: position {position} holds {member!r} ({type(member).__name__}), "
                f"which is no executor.{call}",
                member,
            )
        executors.append(member)
    return tuple(executors)


class QCluster(BaseQExecutor):
    """A group of executors that takes turns, or whatever its selector says; members may be clusters.

    Attributes:
        executors: The members, at least one.
        selector: ``"cyclic"``, ``"random"``, ``"least_busy"``, or a callable ``selector(circuit, executors)`` that
            returns one of the executors.

    Raises:
        ConfigurationError: No executors, something that is none, or an unknown selector.
    """

    executors: tuple[SerializeAsAny[BaseQExecutor], ...]
    selector: Any = "cyclic"

    _executors = field_validator("executors", mode="before")(check_executors)
    _selector = field_validator("selector", mode="before")(check_selector)

    def __init__(self, **data: Unpack[QClusterOptions]) -> None:
        super().__init__(**data)

    @field_serializer("selector", when_used="json")
    def _name_selector(self, value: Any) -> str:
        if isinstance(value, str):
            return value
        return f"callable:{getattr(value, '__module__', '?')}.{_name(value)}"

    def __getstate__(self) -> dict[Any, Any]:
        """The state for a pickle; a selector that has no name to be found under is pickled by its code."""
        state = super().__getstate__()
        selector = _portable(self.selector)
        return {**state, "__dict__": {**state["__dict__"], "selector": selector}}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Restore from a pickle."""
        super().__setstate__(state)
        if isinstance(self.selector, bytes):
            self.__dict__["selector"] = pickle.loads(self.selector)  # noqa: S301 - of a pickle that is loaded anyway

    @property
    def backend_name(self) -> str:
        """Backends of all members."""
        return ", ".join(dict.fromkeys(leaf.backend_name for leaf in self.leaves()))

    @property
    def load(self) -> float:
        """Load of the least busy member."""
        return min(member.load for member in self.executors)

    @property
    def takes_tensors(self) -> bool:
        """Whether all members take them, and nobody else looks at the circuits."""
        ours = isinstance(self.selector, str) and type(self).batch_submit is QCluster.batch_submit
        return ours and all(member.takes_tensors for member in self.executors)

    def leaves(self) -> Iterator[BaseQExecutor]:
        """All executors that are no clusters, depth first."""
        for member in self.executors:
            yield from member.leaves()

    def choose(self, circuit: QuantumScript, unsent: Mapping[int, int]) -> BaseQExecutor:
        """The member that runs a circuit.

        Args:
            circuit: The circuit.
            unsent: Number of circuits of the same batch that each member was chosen for, by ``id``; they are no part of its
                load.

        Raises:
            SelectorError: A selector returned something that is not one of its executors.
        """
        members, selector = self.executors, self.selector
        if selector == "cyclic":
            return members[next(self._runtime.turns) % len(members)]
        if selector == "random":
            return random.choice(members)  # noqa: S311 - spreads work; the global generator, so that a seed repeats it
        if selector == "least_busy":
            return min(members, key=lambda member: member.load + unsent.get(id(member), 0) / member.slots)
        if not callable(selector):
            raise _unknown_selector(selector)
        choice = selector(circuit, list(members))
        if any(choice is member for member in members):
            return cast("BaseQExecutor", choice)
        raise SelectorError(
            f"The selector {_name(selector)} returned {choice!r} ({type(choice).__name__}), which is not one of the "
            f"{len(members)} executors it was given. Return one of them. Nothing was sent.",
            argument="selector",
            value=choice,
        )

    def batch_submit(self, qscripts_list: Iterable[QuantumScript]) -> list[Future[Any]]:
        """Spread circuits over the members and return at once; one future a circuit, in order."""
        batch, members = Batch(qscripts_list), []
        unsent: dict[int, int] = {}
        for tape in batch:
            member = self.choose(tape, unsent)
            members.append(member)
            unsent[id(member)] = unsent.get(id(member), 0) + 1
        ready = list(map(with_executors_shots, batch, members))
        futures: dict[int, Future[Any]] = {}
        try:
            for member, places in _grouped(members):
                futures.update(zip(places, take(member, Batch([ready[p] for p in places], batch.wires))))
        except BaseException:
            give_up(futures.values())
            raise
        self._runtime.owners.update((futures[place], member) for place, member in enumerate(members))
        return [futures[place] for place in range(len(batch))]

    def batch_get_results(self, futures_list: Iterable[Future[Any]]) -> list[Any]:
        """Wait for futures of :meth:`batch_submit`; each member gives the results of its circuits."""
        futures = list(futures_list)
        for handle in handles_of(futures):
            handle.flush()
        results: dict[int, Any] = {}
        for owner, places in _grouped(map(self._runtime.owners.get, futures)):
            own = [futures[place] for place in places]
            results.update(zip(places, results_of(own, None) if owner is None else collect(owner, own)))
        return [results[place] for place in range(len(futures))]

    def timeout_of(self, futures: Iterable[Future[Any]]) -> float | None:
        """Longest wait of the most patient of the members that took the circuits; ``None`` for no end."""
        owners = {id(o): o for o in map(self._runtime.owners.get, futures) if o is not None}
        limits = [owner.timeout_of(futures) for owner in owners.values()]
        finite = [limit for limit in limits if limit is not None]
        return max(finite) if finite and len(finite) == len(limits) else None

    def count(self, futures: Iterable[Future[Any]]) -> None:
        """Nothing: members count what they take."""

    def close(self) -> None:
        """Close all members."""
        for member in self.executors:
            member.close()


def _grouped(members: Iterable[Member]) -> list[tuple[Member, list[int]]]:
    """Each member once, with its places."""
    groups: dict[int, tuple[Member, list[int]]] = {}
    for place, member in enumerate(members):
        groups.setdefault(id(member), (member, []))[1].append(place)
    return list(groups.values())


def _portable(selector: Any) -> Any:
    try:
        pickle.dumps(selector)
    except Exception:  # noqa: BLE001 - lambdas, closures and objects of all kinds fail in their own ways
        import cloudpickle

        return cloudpickle.dumps(selector)
    return selector


def _unknown_selector(selector: Any) -> ConfigurationError:
    choices = ", ".join(repr(name) for name in SELECTORS)
    if isinstance(selector, str) and selector.startswith("callable:"):
        text = f"JSON holds no code. Pass the callable again, as selector= of the QCluster, or use one of {choices}."
    else:
        hint = " Pass an instance of the class." if isinstance(selector, type) else ""
        text = f"give one of {choices}, or a callable selector(circuit, executors) that returns one of the executors.{hint}"
    return ConfigurationError(
        f"selector={selector!r}: {text} Nothing was sent.", argument="selector", value=selector
    )


def _name(selector: Any) -> str:
    return str(getattr(selector, "__qualname__", None) or type(selector).__qualname__)


def _no_executors(text: str, value: Any) -> ConfigurationError:
    return ConfigurationError(f"{text} Nothing was sent.", argument="executors", value=value)


def _revive(data: dict[str, Any]) -> Any:
    """An executor from its JSON: the class is found by the name that ``set_name`` wrote."""
    classes = {cls.__name__: cls for cls in _all_subclasses(BaseQExecutor)}
    name = data.get("name") or ("QCluster" if "executors" in data else "IBMQExecutor")
    cls = classes.get(name)
    if cls is None:
        raise ConfigurationError(
            f"name={name!r}: no such executor class. Import the module that defines it. Known: "
            f"{', '.join(sorted(classes))}. Nothing was sent.",
            argument="name",
            value=name,
        )
    return cls(**data)


def _all_subclasses(cls: type[BaseQExecutor]) -> Iterator[type[BaseQExecutor]]:
    for sub in cls.__subclasses__():
        yield sub
        yield from _all_subclasses(sub)
