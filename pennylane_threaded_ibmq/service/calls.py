"""Calls to a service that must be made in a lane's own thread, through what that lane owns."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import NoAnswerError, no_answer

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

T = TypeVar("T")

BEAT_SECS = 5.0
"""Seconds after which it is said anew that an answer is still waited for."""


def _nothing() -> None:
    """Wait on."""


@dataclass(frozen=True, eq=False)
class Call:
    """One call, which somebody else waits for too: a thread that is stuck in it cannot be woken.

    Attributes:
        ask: Makes it, given what the lane owns, and returns the answer.
        what: What is asked, for the error.
        secs: Longest wait for an answer, as the user is told.
        limit_secs: The same, by the clock of this machine.
        beat: Called now and then while there is no answer.
    """

    ask: Callable[[Any], Any]
    what: str
    secs: float
    limit_secs: float
    beat: Callable[[], None] = _nothing

    def unanswered(self) -> NoAnswerError:
        """The error for when the wait is over."""
        return no_answer(self.what, self.secs)


def is_abandoned() -> bool:
    """Whether this thread is a lane's that another one has replaced, since it got no answer."""
    return getattr(threading.current_thread(), "abandoned", False)


Steps: TypeAlias = "Generator[Call, Any, T]"
"""Work that yields its calls and is sent their answers, so that whoever makes them can be replaced on the way."""
