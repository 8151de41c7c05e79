"""An executor of executors."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary

from pydantic import PrivateAttr, SerializeAsAny, field_serializer, field_validator

from ..exceptions import ConfigurationError
from .base import BaseQExecutor
from .futures import results_of, submissions_of
from .routing import Batch, check_count, spread
from .selectors import Turn, check_selector, choose

if TYPE_CHECKING:
    from pennylane.measurements import Shots
    from pennylane.tape import QuantumScript


class Owners:
    """Which member took a circuit, by its future. Copies and pickles start empty."""

    def __init__(self) -> None:
        self._members: WeakKeyDictionary[Future[Any], BaseQExecutor] = WeakKeyDictionary()

    def add(self, future: Future[Any], member: BaseQExecutor) -> None:
        """A member took it."""
        self._members[future] = member

    def of(self, future: Future[Any]) -> BaseQExecutor | None:
        """The member; ``None`` for a future of somebody else's."""
        return self._members.get(future)

    def __reduce__(self) -> tuple[type[Owners], tuple[()]]:
        return (type(self), ())

    def __deepcopy__(self, _: dict[int, Any]) -> Owners:
        return type(self)()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Owners)

    __hash__ = None  # type: ignore[assignment]


class QCluster(BaseQExecutor):
    """A group of executors that takes turns, or whatever its selector says; members may be clusters.

    Attributes:
        executors: The members, at least one.
        selector: ``"cyclic"``, ``"random"``, ``"least_busy"``, or a callable ``selector(circuit, executors)`` that
            returns one of the executors.

    Raises:
        ConfigurationError: No executors, something that is none, or an unknown selector.
    """

    known_extras: ClassVar[frozenset[str]] = frozenset()

    executors: tuple[SerializeAsAny[BaseQExecutor], ...]
    selector: Any = "cyclic"

    _turn: Turn = PrivateAttr(default_factory=Turn)
    _owners: Owners = PrivateAttr(default_factory=Owners)

    @field_validator("executors", mode="before")
    @classmethod
    def _check_executors(cls, value: Any) -> Any:
        return check_executors(value, revive=True)

    @field_validator("selector", mode="before")
    @classmethod
    def _check_selector(cls, value: Any) -> Any:
        return check_selector(value)

    @field_serializer("selector", when_used="json")
    def _name_selector(self, value: Any) -> str:
        if isinstance(value, str):
            return value
        name = getattr(value, "__qualname__", None) or type(value).__qualname__
        return f"callable:{getattr(value, '__module__', '?')}.{name}"

    def __getstate__(self) -> dict[Any, Any]:
        """The state for a pickle; a selector that has no name to be found under is pickled by its code."""
        state = super().__getstate__()
        fields = state["__dict__"]
        state["__dict__"] = {**fields, "selector": _Portable(fields["selector"])}
        return state

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Restore from a pickle."""
        super().__setstate__(state)
        packed = self.__dict__["selector"]
        if isinstance(packed, _Portable):
            self.__dict__["selector"] = packed.selector

    @property
    def backend_name(self) -> str:
        """Backends of all members."""
        return ", ".join(dict.fromkeys(leaf.backend_name for leaf in self.leaves()))

    @property
    def load(self) -> float:
        """Load of the least busy member."""
        return min(member.load for member in self.executors)

    def leaves(self) -> Iterator[BaseQExecutor]:
        """All executors that are no clusters, depth first."""
        for member in self.executors:
            if isinstance(member, QCluster):
                yield from member.leaves()
            else:
                yield member

    def choose(self, circuit: QuantumScript, taken: Mapping[int, int]) -> BaseQExecutor:
        """The member that runs a circuit.

        Args:
            circuit: The circuit.
            taken: Circuits of the same batch that each member was chosen for, by ``id``.

        Raises:
            SelectorError: A selector returned something that is not one of its executors.
        """
        chosen: BaseQExecutor = choose(self.selector, self._turn, self.executors, circuit, taken)
        return chosen

    def batch_submit(self, qscripts_list: Iterable[QuantumScript]) -> list[Future[Any]]:
        """Spread circuits over the members and return at once; one future a circuit, in order."""
        batch = Batch(qscripts_list, getattr(qscripts_list, "wires", None))
        found = spread(batch, self.choose)
        for executor, future in found:
            self._owners.add(future, executor)
        return [future for _, future in found]

    def batch_get_results(self, futures_list: Iterable[Future[Any]]) -> list[Any]:
        """Wait for futures of :meth:`batch_submit`; each member gives the results of its circuits."""
        futures = list(futures_list)
        for sent in submissions_of(futures):
            sent.help()
        groups: dict[int, tuple[BaseQExecutor | None, list[int]]] = {}
        for position, future in enumerate(futures):
            owner = self._owners.of(future)
            groups.setdefault(id(owner), (owner, []))[1].append(position)
        results: dict[int, Any] = {}
        for owner, positions in groups.values():
            mine = [futures[p] for p in positions]
            got = results_of(mine, None) if owner is None else list(owner.batch_get_results(mine))
            if owner is not None:
                check_count(owner, "batch_get_results", len(got), len(mine))
            results.update(zip(positions, got))
        return [results[position] for position in range(len(futures))]

    def timeout_of(self, futures: Iterable[Future[Any]]) -> float | None:
        """That of the most patient member of those that took the circuits."""
        owners = {id(owner): owner for owner in map(self._owners.of, futures) if owner is not None}
        limits = [owner.timeout_of(futures) for owner in owners.values()]
        finite = [limit for limit in limits if limit is not None]
        return max(finite) if finite and len(finite) == len(limits) else None

    def close(self) -> None:
        """Close all members."""
        for member in self.executors:
            member.close()


def leaves_of(target: BaseQExecutor) -> tuple[BaseQExecutor, ...]:
    """All executors that may run a circuit."""
    return tuple(target.leaves()) if isinstance(target, QCluster) else (target,)


def common_shots(target: BaseQExecutor) -> Shots | None:
    """The shots that all executors put in the place of the QNode's; ``None`` if they do not agree on any."""
    first, *others = [leaf.shots_override for leaf in leaves_of(target)]
    # no Shots is compared with None: before PennyLane 0.32 that is an error
    agreed = first is not None and all(other is not None and other == first for other in others)
    return first if agreed else None


class _Portable:
    """A selector on its way through a pickle."""

    def __init__(self, selector: Any) -> None:
        self.selector = selector

    def __reduce__(self) -> tuple[Callable[..., _Portable], tuple[Any, ...]]:
        try:
            pickle.dumps(self.selector)
        except Exception:  # noqa: BLE001 - lambdas, closures and objects of all kinds fail in their own ways
            import cloudpickle

            return (_from_code, (cloudpickle.dumps(self.selector),))
        return (_Portable, (self.selector,))


def _from_code(data: bytes) -> _Portable:
    return _Portable(pickle.loads(data))  # noqa: S301 - part of a pickle that is being loaded anyway


def check_executors(value: Any, *, revive: bool = False) -> tuple[BaseQExecutor, ...]:
    """Refuse what is no list of executors.

    Args:
        value: One executor, or a list or tuple of them.
        revive: Take mappings, as JSON holds them, for executors.

    Raises:
        ConfigurationError: An empty list, or something in it that is no executor.
    """
    members = (value,) if isinstance(value, BaseQExecutor) else value
    if not isinstance(members, (list, tuple)):
        raise ConfigurationError(
            f"executors={value!r} ({type(value).__name__}): give an executor, a list of executors, or a QCluster, for "
            "example executors=[IBMQExecutor()]. Nothing was sent.",
            argument="executors",
            value=value,
        )
    if not members:
        raise ConfigurationError(
            "executors=[]: give at least one executor, for example executors=[IBMQExecutor()]. Nothing was sent.",
            argument="executors",
            value=value,
        )
    checked = []
    for position, given in enumerate(members):
        member = _revive(given) if revive and isinstance(given, dict) else given
        if not isinstance(member, BaseQExecutor):
            call = f" Make one of it: {member.__name__}()." if isinstance(member, type) else ""
            raise ConfigurationError(
                f"Invalid executor in executors list: position {position} holds {member!r} ({type(member).__name__}), "
                f"which is no executor.{call} Nothing was sent.",
                argument="executors",
                value=member,
            )
        checked.append(member)
    return tuple(checked)


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
