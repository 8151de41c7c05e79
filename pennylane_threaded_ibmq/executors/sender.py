"""Sends circuits that need not go at once, several calls together where that saves jobs.

``run_later`` calls arrive one by one. Each as a job of its own would pay a job's overhead and a place in the queue
for every call. So they wait a few milliseconds for the next ones, and while all slots are taken for one to be free;
then all that wait go as one batch, which the device plans into as few jobs as it takes.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from pennylane.wires import Wires

from .._compat import zip_strict
from ..exceptions import CredentialsError, JobCancelledError, ServiceError, UsageLimitError
from ..simulators.native import load_native
from .futures import CircuitFuture, Submission
from .runners import Runner, making_operators

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript

logger = logging.getLogger(__name__)

GAP_S = 0.01
"""How long a call waits for the next one."""
MOST_S = 0.1
"""How long a call waits while others keep coming."""
IDLE_S = 1.0
"""After how long without calls the sending thread ends."""


class Waiting:
    """Tapes of one call, before and after they are sent.

    Args:
        tapes: The tapes.
        wires: Wires that the device must have.
        owner: Who sends them.
    """

    def __init__(self, tapes: Sequence[QuantumScript], wires: Wires, owner: Sender) -> None:
        self.tapes = tuple(tapes)
        self.wires = wires
        self.futures: tuple[Future[Any], ...] = tuple(CircuitFuture(self) for _ in self.tapes)
        self._owner = owner
        self._sent: Submission | None = None
        self._shared: Shared | None = None

    @property
    def job_ids(self) -> tuple[str, ...]:
        """Ids of the jobs accepted so far; other calls may share them."""
        return () if self._sent is None else self._sent.job_ids

    def flush(self) -> None:
        """Stop waiting for further calls: send what there is.

        In this thread: it may be recording a circuit, and so hold the lock that the sending thread would need.
        """
        if self._sent is None:
            self._owner.flush()
        else:
            self._sent.flush()

    def cancel(self) -> None:
        """Give the call up: it is not sent, or its jobs are cancelled when no other call shares them."""
        self._owner.forget(self)
        for future in self.futures:
            future.cancel()
        shared, self._shared = self._shared, None
        if shared is not None:
            shared.leave()

    def follow(self, sent: Submission, start: int, shared: Shared) -> None:
        """Take the results from the submission that carries this call."""
        self._sent, self._shared = sent, shared
        for mine, theirs in zip_strict(self.futures, sent.futures[start : start + len(self.tapes)]):
            theirs.add_done_callback(_copier(mine))

    def fail(self, error: BaseException) -> None:
        """Nothing was sent."""
        for future in self.futures:
            if future.set_running_or_notify_cancel():
                future.set_exception(error)


class Shared:
    """How many calls still want a submission; the last one to leave cancels it."""

    def __init__(self, sent: Submission, calls: int) -> None:
        self._sent = sent
        self._calls = calls
        self._lock = threading.Lock()

    def leave(self) -> None:
        """One call gives up."""
        with self._lock:
            self._calls -= 1
            last = self._calls == 0
        if last:
            self._sent.cancel()


class Sender:
    """The one owner of the calls that wait to be sent to one runner.

    Args:
        runner: Where they go.
        most: Most submissions under way at once; further calls wait together.
        gap_s: How long a call waits for the next one.
        most_s: How long a call waits while others keep coming.
    """

    def __init__(self, runner: Runner, most: int, *, gap_s: float = GAP_S, most_s: float = MOST_S) -> None:
        self._runner = runner
        self._most = most
        self._gap_s = gap_s
        self._most_s = most_s
        self._prepared = False
        self._failed: Exception | None = None
        self._state = threading.Condition()
        self._waiting: list[Waiting] = []
        self._first = self._last = 0.0
        self._under_way = 0
        self._thread: threading.Thread | None = None

    def send(self, tapes: Sequence[QuantumScript], wires: Wires) -> Waiting:
        """Take the tapes of one call; they are sent within ``most_s`` of a slot being free."""
        call = Waiting(tapes, wires, self)
        with self._state:
            self._last = time.monotonic()
            if not self._waiting:
                self._first = self._last
            self._waiting.append(call)
            overdue = self._last - self._first > self._most_s and self._under_way < self._most
            if self._thread is None:
                load_native()
                self._thread = threading.Thread(target=self._work, name="threaded-ibmq-sender", daemon=True)
                self._thread.start()
            elif len(self._waiting) == 1:
                self._state.notify_all()
        if overdue:
            # The sending thread may find no gap between the circuits that this one records.
            self.flush()
        return call

    def forget(self, call: Waiting) -> None:
        """Do not send this call, if it has not been sent."""
        with self._state:
            if call in self._waiting:
                self._waiting.remove(call)

    def flush(self) -> None:
        """Send all that wait, in this thread."""
        with making_operators():
            with self._state:
                calls, self._waiting = self._waiting, []
            if calls:
                self._send_together(calls)

    def _prepare(self, call: Waiting) -> None:
        """Log in and the like while the call waits for others."""
        try:
            self._runner.prepare(call.wires)
        except (CredentialsError, ServiceError) as error:
            self._failed = error
        except Exception:
            # it happens again when the call is sent, and is raised to whoever made it
            logger.debug("Preparing failed", exc_info=True)

    def _send_together(self, calls: list[Waiting]) -> None:
        tapes = [tape for call in calls for tape in call.tapes]
        failed, self._failed = self._failed, None
        if failed is not None:
            _fail(calls, failed)
            return
        try:
            sent = self._runner.submit(tapes, Wires.all_wires([call.wires for call in calls]))
        except (CredentialsError, ServiceError, UsageLimitError) as error:
            # the same for all of them: each would only ask again, and a limit would hold for none
            _fail(calls, error)
            return
        except Exception as error:  # noqa: BLE001 - the call whose fault it is gets it
            if len(calls) == 1:
                calls[0].fail(error)
                return
            # Nothing was sent. What is wrong with one call is no matter of the others.
            for call in calls:
                self._send_together([call])
            return
        self._count(sent)
        shared = Shared(sent, len(calls))
        start = 0
        for call in calls:
            call.follow(sent, start, shared)
            start += len(call.tapes)

    def _count(self, sent: Submission) -> None:
        left = len(sent.futures)
        if not left:
            return
        with self._state:
            self._under_way += 1

        def finished(_: Future[Any]) -> None:
            nonlocal left
            with self._state:
                left -= 1
                if left == 0:
                    self._under_way -= 1
                    self._state.notify_all()

        for future in sent.futures:
            future.add_done_callback(finished)

    def _work(self) -> None:
        while True:
            with self._state:
                if not self._state.wait_for(lambda: bool(self._waiting), IDLE_S):
                    self._thread = None
                    return
                first = None if self._prepared else self._waiting[0]
                self._prepared = True
            if first is not None:
                self._prepare(first)
            with self._state:
                if not self._waiting:
                    continue
                if self._under_way >= self._most:
                    self._state.wait()
                    continue
                wait = min(self._first + self._most_s, self._last + self._gap_s) - time.monotonic()
                if wait > 0:
                    self._state.wait(wait)
                    continue
            self.flush()


def _fail(calls: Sequence[Waiting], error: Exception) -> None:
    for call in calls:
        call.fail(error)


def _copier(mine: Future[Any]) -> Callable[[Future[Any]], None]:
    def copy(theirs: Future[Any]) -> None:
        # False when it was cancelled: its result is not wanted any more
        if not mine.set_running_or_notify_cancel():
            return
        if theirs.cancelled():
            mine.set_exception(JobCancelledError("The circuits were cancelled before they ran."))
            return
        error = theirs.exception()
        if error is not None:
            mine.set_exception(error)
        else:
            mine.set_result(theirs.result())

    return copy
