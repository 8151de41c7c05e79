"""Lanes: threads that each carry one shard at a time, from sending to its result.

A lane owns an inner device, made in its own thread and never seen by another, and sends through it from that thread. Lanes
start when they are first needed, at most ``max_jobs`` of them, so at most ``max_jobs`` jobs are in flight. They are daemons
that end with their owner: a pool of the standard library would keep the interpreter from leaving until IBM's queue is empty.

No thread can be woken that is stuck in a call to a service. So the work of a lane is written as steps, which yield their
calls: where one gets no answer in time, another thread takes the lane's place with an inner device of its own, and goes on
with the same steps.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ..exceptions import DeviceClosedError
from ..service.calls import Call, Steps
from .call_monitor import CallMonitor, LaneThread

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

logger = logging.getLogger(__name__)

T = TypeVar("T")
Task: TypeAlias = "Callable[[], Steps[Any]]"


class _Work(NamedTuple):
    """A task under way: its steps, and who waits for what they return."""

    future: Future[Any]
    steps: Steps[Any]


class _ReplacedError(Exception):
    """Another thread goes on in this one's place."""


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
        self._threads: list[LaneThread] = []
        self._free = 0
        self._waiting = 0
        self._closed = False
        self._monitor = CallMonitor(self._replace)

    @property
    def most(self) -> int:
        """Most tasks under way at once."""
        return self._most

    def submit(self, task: Callable[[], Steps[T]]) -> Future[T]:
        """Give a task to a lane, which makes the calls of its steps through its inner device."""
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise DeviceClosedError("The device was closed and takes no more work.")
            self._waiting += 1
            if self._waiting > self._free and len(self._threads) < self._most:
                name = f"threaded-ibmq-lane-{len(self._threads)}"
                thread = LaneThread(target=self._run, args=([],), name=name, daemon=True)
                self._threads.append(thread)
                self._free += 1
                thread.start()
            self._queue.put((future, task))
        return future

    def close(self) -> None:
        """Take no more tasks; those that wait are cancelled, those under way are left to end."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            threads = len(self._threads)
        while True:
            try:
                waiting = self._queue.get_nowait()
            except queue.Empty:
                break
            if waiting is not None:
                waiting[0].cancel()
        for _ in range(threads):
            self._queue.put(None)
        self._monitor.close()

    def _run(self, left: list[tuple[_Work, BaseException]]) -> None:
        lane = _Lane(self._open_inner)
        while left:
            if not self._go_on(lane, *left.pop()):
                return
        while True:
            item = self._queue.get()
            if item is None:
                return
            with self._lock:
                self._waiting -= 1
                self._free -= 1
            if not self._start(lane, *item):
                return
            del item

    def _start(self, lane: _Lane, future: Future[Any], task: Task) -> bool:
        """Carry a task from its first step on; whether this thread is still the lane's."""
        if not future.set_running_or_notify_cancel():
            with self._lock:
                self._free += 1
            return True
        return self._finish(future, lambda: self._drive(lane, _Work(future, _opened(lane, task))))

    def _go_on(self, lane: _Lane, work: _Work, error: BaseException) -> bool:
        """Carry on what a lane left that is stuck in a call; the steps are told of that as of an error."""
        return self._finish(work.future, lambda: self._drive(lane, work, error))

    def _replace(self, stuck: LaneThread, call: Call, work: _Work) -> None:
        """Let another thread take a lane's place."""
        logger.info("lane %s: %s", stuck.name, call.unanswered())
        left = [(work, call.unanswered())]
        thread = LaneThread(target=self._run, args=(left,), name=stuck.name, daemon=True)
        with self._lock:
            self._threads[self._threads.index(stuck)] = thread
        thread.start()

    def _drive(self, lane: _Lane, work: _Work, error: BaseException | None = None) -> Any:
        """Make the calls of some steps; what they return.

        Raises:
            _ReplacedError: They are another thread's by now.
        """
        answer = None
        thread = lane.thread
        while True:
            try:
                call = work.steps.send(answer) if error is None else work.steps.throw(error)
            except StopIteration as end:
                return end.value
            answer = error = None
            self._monitor.begin(thread, call, work)
            try:
                answer = call.ask(lane.inner())
            except BaseException as failure:  # noqa: BLE001 - whoever made the steps judges it
                error = failure
            if not self._monitor.end(thread):
                raise _ReplacedError

    def _finish(self, future: Future[Any], carry: Callable[[], Any]) -> bool:
        """Tell what a task came to; whether this thread is still the lane's."""
        try:
            outcome: Callable[[], None] = partial(future.set_result, carry())
        except _ReplacedError:
            return False
        except BaseException as error:  # noqa: BLE001 - Qiskit's panics are no Exception; the waiter must hear
            outcome = partial(future.set_exception, error)
        try:
            outcome()
        except BaseException:
            logger.exception("a callback left by an exit; the lane goes on")
        finally:
            with self._lock:
                self._free += 1
        return True


class _Lane:
    """The state of a lane; used by its thread alone.

    Args:
        open_inner: Makes its inner device.
    """

    def __init__(self, open_inner: Callable[[], Any]) -> None:
        thread = threading.current_thread()
        assert isinstance(thread, LaneThread)
        self.thread = thread
        self._open_inner = open_inner
        self._opened: tuple[Any] | None = None

    def inner(self) -> Any:
        """The inner device, made when it is first asked for."""
        if self._opened is None:
            self._opened = (self._open_inner(),)
        return self._opened[0]


def _opened(lane: _Lane, task: Task) -> Steps[Any]:
    """The steps of a task, begun only if the lane has its inner device: what that fails with is no answer to a call."""
    lane.inner()
    return task()
