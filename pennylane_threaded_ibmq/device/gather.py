"""Sends calls that arrive close together as one batch, where that saves jobs.

Calls that come one by one would each pay a job's overhead and a place in the queue. So each waits a moment for the next one,
longer while others are on their way, and while all slots are taken for one to be free; then all that wait go as one batch, which
the device plans into as few jobs as it takes. Whoever asks for a result ends the wait.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeoutError
from concurrent.futures import wait as wait_for
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from .._quantity import quantity
from ..exceptions import DeviceClosedError, WaitTimeoutError
from ..execution.futures import TapeFuture
from ..progress.display import Display
from ..progress.progress import Progress
from ..simulators.compile import load_native
from .handle import BatchHandle, what_runs_on
from .interrupts import termination_interrupts
from .recording import holds_recording_lock, making_operators

if TYPE_CHECKING:
    from pennylane.typing import ResultBatch

    from .planner import Plan

IDLE_SECS = 1.0
"""After how long without calls the gathering thread ends."""


@dataclass(frozen=True)
class Gap:
    """Seconds for which calls wait for others; each batch that is on its way adds twice as much.

    Attributes:
        next_secs: For the next one.
        most_secs: While others keep coming.
    """

    next_secs: float
    most_secs: float


LOCAL_GAP = Gap(0.005, 0.05)
REMOTE_GAP = Gap(0.05, 0.3)
"""A job of a service takes a second or more before anything runs."""


class CallHandle:
    """One call of ``submit(gather=True)``, before and after it is sent.

    Args:
        gatherer: Who gathers it.
        send: Sends calls of equal tags as one batch.
        plan: Its tapes, planned.
        tags: Tags of its jobs; calls with others are not sent with it.
        timeout_secs: Longest wait where :meth:`results` is given none.
        cancel_on_interrupt: Ctrl-C or SIGTERM while waiting gives it up.
        display: Shows how far its batch has got while it is waited for.

    Attributes:
        futures: One future a tape, in order.
        cancels_on_interrupt: Ctrl-C or SIGTERM cancels its jobs, too.
    """

    def __init__(
        self,
        gatherer: Gatherer,
        send: Callable[[Sequence[CallHandle]], BatchHandle],
        plan: Plan,
        *,
        tags: tuple[str, ...],
        timeout_secs: float | None,
        cancel_on_interrupt: bool,
        display: Display,
    ) -> None:
        self.send = send
        self.plan = plan
        self.tags = tags
        self.made_at = time.monotonic()
        self.futures: tuple[TapeFuture, ...] = tuple(TapeFuture(self) for _ in plan.origins)
        self._gatherer = gatherer
        self._timeout_secs = timeout_secs
        self.cancels_on_interrupt = cancel_on_interrupt
        self._display = display
        self._batch: BatchHandle | None = None
        self._calls: Sequence[CallHandle] = ()
        self._positions = range(0)

    def __repr__(self) -> str:
        state = "done" if self.done() else "waiting" if self._batch is None else "running"
        return f"<CallHandle: {quantity(len(self), 'tape')}, {state}>"

    def __len__(self) -> int:
        return len(self.futures)

    @property
    def batch_id(self) -> str:
        """Id of the batch in the journal that it is sent with; empty before, and where nothing is written down."""
        return "" if self._batch is None else self._batch.batch_id

    @property
    def job_ids(self) -> tuple[str, ...]:
        """Ids of the jobs accepted so far that run its tapes; other calls may share them."""
        return () if self._batch is None else self._batch.job_ids_of(self._positions)

    def done(self) -> bool:
        """Whether every tape has its result or its error."""
        return all(map(Future.done, self.futures))

    def cancelled(self) -> bool:
        """Whether it was given up before any of its results was there."""
        return all(map(Future.cancelled, self.futures))

    def flush(self) -> None:
        """Wait for no more calls: all that wait go, in this thread; where all slots are taken, when one is free."""
        if self._batch is None and not self.done():
            self._gatherer.flush()

    def cancel(self) -> None:
        """Give the call up: it is not sent; or its jobs are cancelled, once no other call shares them."""
        running = not self.done()
        for future in self.futures:
            future.cancel()
        if running and self._batch is not None and self._nobody_waits():
            self._batch.cancel()

    def leave(self) -> None:
        """Give up waiting for good: jobs run on where ``on_interrupt`` says so, and all else is cancelled."""
        if self.cancels_on_interrupt or not self.job_ids:
            self.cancel()
        if self._batch is not None and self._nobody_waits():
            # also what is just being sent must be cancelled by somebody
            self._batch.leave()

    def results(self, timeout: float | None = None) -> ResultBatch:
        """Wait for all tapes of the call.

        Args:
            timeout: Longest wait in seconds; ``None`` for the device's ``timeout_secs``.

        Returns:
            A tuple of results in the order of the tapes.

        Raises:
            WaitTimeoutError: Time ran out; the jobs run on.
            CancelledError: The call was cancelled.
            Exception: What its first tape without a result failed with.
        """
        self.flush()
        seconds = self._timeout_secs if timeout is None else timeout
        if not self._wait(seconds):
            ids = self.job_ids
            raise WaitTimeoutError(
                f"No result of the whole call within {seconds:g} s. {what_runs_on(ids)}: call results() again, or raise timeout_secs.",
                job_ids=ids,
                batch_id=self.batch_id,
            )
        if self._batch is not None:
            self._batch.track_if_finished()
        return tuple(future.result(0) for future in self.futures)

    def follow(self, batch: BatchHandle, calls: Sequence[CallHandle], start: int) -> None:
        """Take results from the batch that carries some calls, this one from its place ``start`` on."""
        self._positions = batch.positions(start, start + len(self))
        self._calls, self._batch = calls, batch
        batch.fulfil(self.futures, start)

    def fail(self, error: BaseException) -> None:
        """Fail, unless the call was sent."""
        for future in self.futures if self._batch is None else ():
            with suppress(InvalidStateError):
                future.set_exception(error)

    def _nobody_waits(self) -> bool:
        """Whether all that were sent together are done, or were given up."""
        return all(call.done() for call in self._calls)

    def _wait(self, seconds: float | None) -> bool:
        batch = self._batch
        with termination_interrupts(_Arrivals(self.futures, batch)) as arrivals:
            try:
                # nothing is to be shown of a call that waits for a slot, failed or was cancelled
                return arrivals.wait(seconds) if batch is None else self._display.wait(arrivals, seconds)
            except (KeyboardInterrupt, SystemExit):
                self.leave()
                raise


class _Arrivals(NamedTuple):
    """The arrivals that a call waits for."""

    futures: Sequence[TapeFuture]
    batch: BatchHandle | None

    def wait(self, timeout: float | None) -> bool:
        """Wait until all are done; ``False`` if time ran out."""
        return not wait_for(self.futures, timeout).not_done

    def progress(self) -> Progress:
        """The progress of the batch that carries them."""
        assert self.batch is not None
        return self.batch.progress


class Gatherer:
    """The one owner of the calls of a device that wait to be sent.

    Args:
        gap: How long they wait.
        slots: Most jobs in flight; while there are so many, calls wait for one to end.
    """

    def __init__(self, gap: Gap, slots: int) -> None:
        self._gap = gap
        self._slots = slots
        self._state = threading.Condition()
        self._waiting: list[CallHandle] = []
        self._batches: list[BatchHandle] = []
        self._thread: threading.Thread | None = None
        self._urgent = self._closed = False

    def take(self, call: CallHandle) -> None:
        """Take a call, to be sent with those that come soon.

        Raises:
            DeviceClosedError: The device was closed.
        """
        with self._state:
            if self._closed:
                raise DeviceClosedError("The device was closed and takes no more work.")
            self._waiting.append(call)
            due = self._pause() == 0.0
            if self._thread is None:
                load_native()
                self._thread = threading.Thread(target=self._work, name="threaded-ibmq-gather", daemon=True)
                self._thread.start()
        if due:
            # the gathering thread may find no moment between the circuits that this one records
            self._send_due()

    def flush(self) -> None:
        """Wait for no more calls: send all that wait, or let them go together as soon as a slot is free."""
        with self._state:
            self._urgent = bool(self._waiting)
        # a thread that records would wait for the gathering one, which would wait for the lock
        self._send_due(in_any_case=holds_recording_lock())

    def close(self) -> None:
        """Take no more calls; those that wait fail."""
        with self._state:
            self._closed = True
            calls, self._waiting = self._waiting, []
        for call in calls:
            call.fail(DeviceClosedError("The device was closed before these circuits were sent."))

    def _send_due(self, *, in_any_case: bool = False) -> None:
        """Send all that wait in this thread, if it is time."""
        with making_operators():
            with self._state:
                if not self._waiting or not (in_any_case or self._pause() == 0.0):
                    return
                calls, self._waiting, self._urgent = self._waiting, [], False
            alike: dict[tuple[str, ...], list[CallHandle]] = {}
            for call in calls:
                if not call.cancelled():
                    alike.setdefault(call.tags, []).append(call)
            try:
                for some in alike.values():
                    self._send(some)
            except KeyboardInterrupt as error:
                for call in calls:
                    call.fail(error)
                raise

    def _send(self, calls: Sequence[CallHandle]) -> None:
        try:
            # each was checked when it came, so whatever it is now is the same for all
            batch = calls[0].send(calls)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - whoever asks for a result gets it, the end of a program that only estimates too
            for call in calls:
                call.fail(error)
            return
        with self._state:
            self._batches.append(batch)
        start = 0
        for call in calls:
            call.follow(batch, calls, start)
            start += len(call)
        batch.call_at_ends(self._job_ended)
        if all(call.cancelled() for call in calls):
            batch.cancel()

    def _job_ended(self, _: Future[Any]) -> None:
        with self._state:
            # also as a batch keeps its device alive
            self._batches = [batch for batch in self._batches if batch.jobs_left]
            if self._waiting:
                self._state.notify_all()

    def _pause(self) -> float | None:
        """Seconds until those that wait are to go; ``None`` where it is for a slot that they wait."""
        left = [batch.jobs_left for batch in self._batches if batch.jobs_left]
        if sum(left) >= self._slots:
            return None
        if self._urgent:
            return 0.0
        patience = 1 + 2 * len(left)
        first, last = self._waiting[0].made_at, self._waiting[-1].made_at
        due = min(first + patience * self._gap.most_secs, last + patience * self._gap.next_secs)
        return max(0.0, due - time.monotonic())

    def _work(self) -> None:
        last_use = time.monotonic()
        while True:
            with self._state:
                if self._waiting:
                    pause, last_use = self._pause(), time.monotonic()
                elif time.monotonic() - last_use > IDLE_SECS:
                    self._thread = None
                    return
                else:
                    # looked for now and then: woken by each call, this thread would take time from one that is asked for at once
                    pause = self._gap.next_secs
                if pause != 0.0 or not self._waiting:
                    self._state.wait(pause)
                    continue
            self._send_due()


def handles_of(futures: Iterable[Any]) -> tuple[Any, ...]:
    """The handles that futures are part of, each once; futures of a user's own have none."""
    handles = (getattr(future, "handle", None) for future in futures)
    return tuple({id(handle): handle for handle in handles if handle is not None}.values())


def job_ids_of(futures: Iterable[Any]) -> tuple[str, ...]:
    """Ids of the jobs accepted so far for these futures; other circuits may share them."""
    return tuple(dict.fromkeys(job_id for handle in handles_of(futures) for job_id in handle.job_ids))


def termination_of(futures: Sequence[Any]) -> AbstractContextManager[object]:
    """Around a wait of the main thread for futures: SIGTERM raises ``SystemExit`` there."""
    if threading.current_thread() is threading.main_thread():
        return termination_interrupts(_Arrivals(futures, None))
    return nullcontext()


def results_of(futures: Sequence[Any], timeout_s: float | None) -> list[Any]:
    """Wait for futures, at most so many seconds; their results in order."""
    for handle in handles_of(futures):
        handle.flush()
    if timeout_s is None:
        return [future.result() for future in futures]
    deadline = time.monotonic() + timeout_s
    results = []
    for future in futures:
        try:
            results.append(future.result(max(0.0, deadline - time.monotonic())))
        except (TimeoutError, FutureTimeoutError):
            # a circuit may also fail with a TimeoutError of its own
            if future.done():
                raise
            raise overdue(futures, timeout_s) from None
    return results


def overdue(futures: Sequence[Any], timeout_s: float) -> WaitTimeoutError:
    """The error for a wait that was too long."""
    ids = job_ids_of(futures)
    return WaitTimeoutError(f"No result within timeout_secs={timeout_s:g}. {what_runs_on(ids)}.", job_ids=ids)
