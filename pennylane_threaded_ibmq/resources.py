"""Resources that devices share: logins, pacers, journals. One of each kind for a process, and others for whoever brings his own."""

from __future__ import annotations

import atexit
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from ._fork import FORKS

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")


class Resources:
    """One object of each class that is asked for, made without arguments at that moment; a forked process makes its own.

    Devices that have the same resources share a login, know what others of them learned of a backend, and write a journal together.
    """

    def __init__(self) -> None:
        # one may be asked for while another is made, and by a finalizer at any moment
        self._lock = threading.RLock()
        self._made: dict[type[Any], Any] = {}
        FORKS.watch(self)

    def get(self, kind: type[T]) -> T:
        """The object of a class."""
        with self._lock:
            if kind not in self._made:
                self._made[kind] = kind()
            found: T = self._made[kind]
            return found

    def close(self) -> None:
        """Close what can be closed and forget the rest, as a program does that ends: whoever asks next gets new ones."""
        with self._lock:
            made, self._made = self._made, {}
        for one in reversed(list(made.values())):
            if hasattr(one, "close"):
                one.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def before_fork(self) -> None:
        """Nothing: all is forgotten in the child."""

    def after_fork(self, *, in_child: bool) -> None:
        """Forget all in the child."""
        if in_child:
            self._lock, self._made = threading.RLock(), {}


RESOURCES = Resources()
"""Those of this process, which the command line, executors and devices use."""

atexit.register(RESOURCES.close)
