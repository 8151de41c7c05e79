"""Lanes: threads that each carry one shard at a time, from sending to its result.

A lane owns an inner device, made in its own thread and never seen by another, and sends through it from that thread. Lanes
start when they are first needed, at most ``max_jobs`` of them, so at most ``max_jobs`` jobs are in flight. They are daemons
that end with their owner: a pool of the standard library would keep the interpreter from leaving until IBM's queue is empty.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from .._quantity import quantity
from ..exceptions import DeviceClosedError

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

logger = logging.getLogger(__name__)

T = TypeVar("T")
Task: TypeAlias = "Callable[[Any], Any]"


class Lanes:
    """Up to ``most`` lanes.

    Args:
        most: Most lanes, at least 1.
        open_inner: Makes a lane's inner device; called once in each lane's thread.
    """

    def __init__(self, most: int, open_inner: Callable[[], Any]) -> None:
        self._most = most
        self._open_inner = open_inner
        self._queue: queue.SimpleQueue[tuple[Future[Any], Task] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._free = 0
        self._waiting = 0
        self._closed = False

    @property
    def most(self) -> int:
        """Most tasks under way at once."""
        return self._most

    def submit(self, task: Callable[[Any], T]) -> Future[T]:
        """Give a task to a lane, which hands it its inner device."""
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise DeviceClosedError("The device was closed and takes no more work.")
            if self._waiting >= self._free and self._threads < self._most:
                self._start_lane()
            self._waiting += 1
            self._queue.put((future, task))
        return future

    def close(self) -> None:
        """Take no more tasks; those that wait are cancelled, those under way are left to end."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            threads = self._threads
        while True:
            try:
                waiting = self._queue.get_nowait()
            except queue.Empty:
                break
            if waiting is not None:
                waiting[0].cancel()
        for _ in range(threads):
            self._queue.put(None)

    def _start_lane(self) -> None:
        """Start one more lane; where the system has no thread left, those that there are carry all.

        Raises:
            RuntimeError: There is none.
        """
        try:
            threading.Thread(
                target=self._run, name=f"threaded-ibmq-lane-{self._threads}", daemon=True
            ).start()
        except RuntimeError as error:
            if not self._threads:
                raise
            logger.warning("no more than %s: %s", quantity(self._threads, "job"), error)
            return
        self._threads += 1
        self._free += 1

    def _run(self) -> None:
        inner = _Inner(self._open_inner)
        while True:
            item = self._queue.get()
            if item is None:
                return
            with self._lock:
                self._waiting -= 1
                self._free -= 1
            try:
                _carry(inner, *item)
            finally:
                with self._lock:
                    self._free += 1
            del item


class _Inner:
    """A lane's inner device; used by its thread alone.

    Args:
        open_inner: Makes it.
    """

    def __init__(self, open_inner: Callable[[], Any]) -> None:
        self._open_inner = open_inner
        self._opened: tuple[Any] | None = None

    def get(self) -> Any:
        """The inner device, made when it is first asked for."""
        if self._opened is None:
            self._opened = (self._open_inner(),)
        return self._opened[0]


def _carry(inner: _Inner, future: Future[Any], task: Task) -> None:
    """Carry a task, and tell what it came to."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        outcome: Callable[[], None] = partial(future.set_result, task(inner.get()))
    except BaseException as error:  # noqa: BLE001 - Qiskit's panics are no Exception; the waiter must hear
        outcome = partial(future.set_exception, error)
    try:
        outcome()
    except BaseException:
        logger.exception("a callback left by an exit; the lane goes on")
