"""Which executor runs a circuit."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .._fork import ForkLock
from ..exceptions import ConfigurationError, SelectorError

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript
    from typing_extensions import TypeAlias

SELECTORS = ("cyclic", "random", "least_busy")

Selector: TypeAlias = "str | Callable[[Any, Any], Any]"


class Turn:
    """Whose turn it is; counts on over all calls. Copies and pickles start at the first."""

    def __init__(self) -> None:
        self._lock = ForkLock()
        self._next = 0

    def take(self, among: int) -> int:
        """Position of the next of ``among``."""
        with self._lock:
            taken, self._next = self._next % among, self._next + 1
        return taken

    def __reduce__(self) -> tuple[type[Turn], tuple[()]]:
        return (type(self), ())

    def __deepcopy__(self, _: dict[int, Any]) -> Turn:
        return type(self)()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Turn)

    __hash__ = None  # type: ignore[assignment]


def choose(
    selector: Selector, turn: Turn, executors: Sequence[Any], circuit: QuantumScript, taken: Mapping[int, int]
) -> Any:
    """Choose an executor for one circuit.

    Args:
        selector: A name of ``SELECTORS``, or a callable ``selector(circuit, executors)``.
        turn: Whose turn it is, for ``"cyclic"``.
        executors: The executors to choose from.
        circuit: The circuit.
        taken: Circuits of the same batch that each executor was chosen for, by ``id``; not sent yet, they are
            not part of its load.

    Raises:
        SelectorError: A callable returned something that is not one of the executors.
    """
    if selector == "cyclic":
        return executors[turn.take(len(executors))]
    if selector == "random":
        return random.choice(executors)  # noqa: S311 - spreads work; the global generator, so that a seed repeats it
    if selector == "least_busy":
        return min(executors, key=lambda e: e.load + _weight(e, taken))
    if not callable(selector):
        raise unknown_selector(selector)
    chosen = selector(circuit, list(executors))
    if any(chosen is e for e in executors):
        return chosen
    raise SelectorError(
        f"The selector {_name(selector)} returned {_shown(chosen)}, which is not one of the {len(executors)} executors "
        "it was given. Return one of them. Nothing was sent.",
        argument="selector",
        value=chosen,
    )


def check_selector(selector: Any) -> Selector:
    """Refuse what cannot choose.

    Raises:
        ConfigurationError: Neither a known name nor a callable.
    """
    if callable(selector) and not isinstance(selector, type):
        return selector  # type: ignore[no-any-return]
    if isinstance(selector, str) and selector in SELECTORS:
        return selector
    raise unknown_selector(selector)


def unknown_selector(selector: Any) -> ConfigurationError:
    """The error for a selector that cannot choose."""
    choices = ", ".join(repr(name) for name in SELECTORS)
    if isinstance(selector, str) and selector.startswith("callable:"):
        return ConfigurationError(
            f"selector={selector!r}: JSON holds no code. Pass the callable again, as selector= of the QCluster, or use "
            f"one of {choices}. Nothing was sent.",
            argument="selector",
            value=selector,
        )
    hint = " Pass an instance of the class." if isinstance(selector, type) else ""
    return ConfigurationError(
        f"selector={selector!r}: give one of {choices}, or a callable selector(circuit, executors) that returns one of "
        f"the executors.{hint} Nothing was sent.",
        argument="selector",
        value=selector,
    )


def _weight(executor: Any, taken: Mapping[int, int]) -> float:
    return taken.get(id(executor), 0) / max(1, getattr(executor, "max_jobs", 1))


def _name(selector: Any) -> str:
    return str(getattr(selector, "__qualname__", None) or type(selector).__qualname__)


def _shown(chosen: Any) -> str:
    return f"{chosen!r} ({type(chosen).__name__})"
