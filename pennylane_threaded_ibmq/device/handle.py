"""The handle that ``submit`` returns: a batch that runs, its futures and its jobs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .._compat import cached_property
from .._fork import ForkLock
from .._quantity import quantity
from ..exceptions import WaitTimeoutError
from ..execution.batch import Batch
from ..execution.futures import TapeFuture
from ..progress.display import Display, page_line
from ..progress.pictures import draw_timeline
from ..progress.progress import Progress
from ..progress.tables import html_shards
from ..progress.timeline import Timeline, make_timeline
from ..service.metrics import JobMetrics
from .interrupts import termination_interrupts

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pennylane.typing import PostprocessingFn, Result, ResultBatch

    from ..execution.metadata import PubMetadata


@dataclass(frozen=True)
class Origin:
    """The preprocessed tapes that a user's tape became.

    Attributes:
        start: First of them.
        stop: One after the last.
        post: Makes the tape's result from theirs; ``None`` where they are the same.
    """

    start: int
    stop: int
    post: PostprocessingFn | None

    def moved(self, places: int) -> Origin:
        """The same behind so many more tapes."""
        return replace(self, start=self.start + places, stop=self.stop + places) if places else self


class BatchHandle:
    """A batch that was submitted.

    Args:
        batch: The batch, started.
        origins: One entry a tape that the user gave.
        tracker: The device's tracker.
        tell: Tells it of the finished batch.
        timeout_secs: Longest wait where :meth:`result` is given none.
        cancel_on_interrupt: Ctrl-C or SIGTERM while waiting cancels the jobs, so that queued ones are not charged.
        display: Shows how far the batch has got while it is waited for; ``None`` shows nothing.
        device: The device, which would close if it were forgotten while its batch runs.
        instance: Who pays.

    Attributes:
        instance: CRN of the instance that pays for the jobs, also where ``instance="auto"`` or none was chosen; empty on
            simulators of this machine. On the classic stack, ``hub/group/project``.
    """

    def __init__(
        self,
        batch: Batch,
        origins: Sequence[Origin],
        tracker: Any,
        tell: Callable[[Any, Batch, BatchHandle], None],
        *,
        timeout_secs: float | None = None,
        cancel_on_interrupt: bool = False,
        display: Display | None = None,
        device: object = None,
        instance: str = "",
    ) -> None:
        self._batch = batch
        self.instance = instance
        self._usage_secs: float | None = None
        self._origins = tuple(origins)
        self._tracker = tracker
        self._notify = tell
        self._timeout_secs = timeout_secs
        self._cancel_on_interrupt = cancel_on_interrupt
        self._display = display or Display(False)
        self._device = device
        self._lock = ForkLock()
        self._tracked = False
        self._owes_usage = False

    def __repr__(self) -> str:
        state = "done" if self.done() else "running"
        return f"<BatchHandle: {quantity(len(self._origins), 'tape')}, {quantity(len(self._batch.runs), 'job')}, {state}>"

    def __len__(self) -> int:
        return len(self._origins)

    @property
    def job_ids(self) -> tuple[str, ...]:
        """Ids of the jobs accepted so far; empty on simulators of this machine, which give none."""
        return self._batch.jobs.ids

    def positions(self, start: int, stop: int) -> range:
        """The preprocessed tapes that some of the user's became: those from ``start`` to ``stop``."""
        some = self._origins[start:stop]
        return range(some[0].start, some[-1].stop) if some else range(0)

    def job_ids_of(self, positions: range) -> tuple[str, ...]:
        """Ids of the jobs accepted so far that run some of the preprocessed tapes."""
        return self._batch.jobs.ids_of(positions)

    @property
    def jobs_left(self) -> int:
        """Number of its jobs that have not ended, those that are not sent yet among them."""
        return self._batch.shards_left

    @property
    def jobs(self) -> tuple[Any, ...]:
        """The jobs accepted so far as objects of IBM's client, in the order of ``job_ids``; empty on this machine."""
        return self._batch.jobs.handles

    @property
    def batch_id(self) -> str:
        """Id of the batch in the journal, for ``dev.resume``; empty where nothing is written down."""
        return self._batch.batch_id

    @property
    def progress(self) -> Progress:
        """The progress of the batch, at once; while somebody asks, the watcher also asks for places in the queue."""
        return self._batch.progress()

    @property
    def usage_secs(self) -> float | None:
        """QPU seconds that IBM charged for the finished batch; one request a job, ``None`` where nothing is charged.

        Also ``None`` while IBM is still computing what a job is charged: look again a little later. What is known is written
        into the journal and counted in budgets, and not asked for again.
        """
        if self._usage_secs is None:
            self._usage_secs = self._batch.jobs.usage_secs()
            if self._usage_secs is not None:
                self._track_late_usage(self._usage_secs)
        return self._usage_secs

    @property
    def metadata(self) -> tuple[tuple[PubMetadata, ...], ...]:
        """Metadata of each tape from IBM's primitives, such as standard errors, mitigation and timing.

        One entry a tape, in the order of the tapes: a record for each PUB that served it, the same for both primitives and for both
        kinds of them. The entry of a tape without a result is empty, and so are all on this machine.
        """
        found = self._batch.jobs.metadata()
        return tuple(
            tuple(one for i in range(origin.start, origin.stop) for one in found.get(i, ()))
            for origin in self._origins
        )

    @property
    def usage_pending(self) -> bool:
        """Whether its jobs will be charged and the charge is not known yet, as far as was asked; nothing is asked."""
        return self._usage_secs is None and bool(self._batch.jobs.ids)

    def metrics(self) -> tuple[JobMetrics, ...]:
        """Charge of each job, and how long it queued and ran, in the order of ``job_ids``; one request a job.

        Returns:
            One record a job, empty on this machine; in each, ``None`` stands for what IBM does not say or does not know yet.

        Raises:
            ServiceError: The service did not answer properly.
        """
        return self._batch.jobs.metrics()

    def timeline(self, *, dark: bool = False) -> Figure:
        """The batch over time so far: which lane carried which shard, and when it queued and ran.

        Args:
            dark: For a dark background.

        Returns:
            A figure of matplotlib; in a notebook, show it with ``display(figure)`` or save it.
        """
        return draw_timeline(self._timeline(), dark=dark)

    def _repr_html_(self) -> str:
        return page_line(self.progress)._repr_html_() + html_shards(self._timeline())

    def _timeline(self) -> Timeline:
        title = f"batch {self.batch_id}" if self.batch_id else "batch on this machine"
        return make_timeline(self._batch.tracker.steps, title, shards=len(self._batch.runs))

    def detach(self) -> None:
        """Wait no longer: nothing more is sent, and jobs are left to whoever runs the same tapes next, here or elsewhere."""
        self._batch.release()

    @cached_property
    def futures(self) -> tuple[Future[Result], ...]:
        """One future a tape, in order. A job serves many tapes, so cancel the batch, not a future."""
        return tuple(self._future(origin) for origin in self._origins)

    def done(self) -> bool:
        """Whether every tape has its result or its error."""
        return self._batch.done()

    def cancel(self) -> None:
        """Give up: what waits is not sent, accepted jobs are cancelled. Results that arrived are kept."""
        self._batch.cancel()

    def result(self, timeout: float | None = None) -> ResultBatch:
        """Wait for all tapes.

        Args:
            timeout: Longest wait in seconds; ``None`` for the device's ``timeout_secs``.

        Returns:
            A tuple of results in the order of the tapes.

        Raises:
            WaitTimeoutError: Time ran out; the jobs run on.
            JobError: A job did not give a result; the other jobs are finished.
        """
        seconds = self._timeout_secs if timeout is None else timeout
        finished = self._wait(seconds)
        if not finished:
            waiting = self._batch.open_job_ids
            back = f", or dev.resume({self.batch_id!r}), also from another program" if self.batch_id else ""
            raise WaitTimeoutError(
                f"No result of the whole batch within {seconds:g} s. {what_runs_on(waiting)}: call result() of the handle again{back}; "
                "or raise timeout_secs.",
                job_ids=waiting,
                batch_id=self.batch_id,
            )
        self._track()
        results = self._batch.results()
        return tuple(_made(o, results[o.start : o.stop]) for o in self._origins)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for all tapes; what the first tape without a result failed with, or ``None``."""
        try:
            self.result(timeout)
        except WaitTimeoutError:
            raise
        except Exception as error:  # noqa: BLE001 - as futures do
            return error
        return None

    def _wait(self, seconds: float | None) -> bool:
        with termination_interrupts(self._batch) as batch:
            try:
                return self._display.wait(batch, seconds)
            except (KeyboardInterrupt, SystemExit):
                self.leave()
                raise

    def leave(self) -> None:
        """Give up waiting for good; what may still arrive is named, also to those who do not wait for it."""
        try:
            if self._cancel_on_interrupt:
                self.cancel()
            self.detach()
        finally:
            self._batch.warn_of_unanswered()

    def track_if_finished(self) -> None:
        """Tell the tracker of a batch all of whose jobs have ended, where that has not been done."""
        if not self.jobs_left and self._tracker.active:
            # its last future comes a moment before it is finished
            self._batch.wait(None)
            self._track()

    def _track(self) -> None:
        """Tell the tracker, once, in the thread that asked for the results."""
        with self._lock:
            if self._tracked or not self._tracker.active:
                return
            self._tracked = True
        self._notify(self._tracker, self._batch, self)
        with self._lock:
            self._owes_usage = self.usage_pending

    def _track_late_usage(self, seconds: float) -> None:
        """Tell the tracker what was not known when it was told of the batch, once."""
        with self._lock:
            late, self._owes_usage = self._owes_usage, False
        if late:
            self._tracker.update(usage_secs=seconds)
            self._tracker.record()

    def fulfil(self, futures: Sequence[Future[Any]], start: int) -> None:
        """Let futures have the results of some of the user's tapes, those from ``start`` on; one that was cancelled has none."""
        for origin, future in zip(self._origins[start:], futures):
            self._fulfil(future, origin)

    def call_at_ends(self, function: Callable[[Future[Any]], object]) -> None:
        """Call a function when a job has ended, for each of them."""
        for run in self._batch.runs:
            self._batch.future(run.spec.shard.positions[0]).add_done_callback(function)

    def _future(self, origin: Origin) -> Future[Any]:
        if origin.post is None:
            whole = self._batch.future(origin.start)
        else:
            whole = TapeFuture()
            whole.set_running_or_notify_cancel()
            self._fulfil(whole, origin)
        # a device that is forgotten closes, and whoever has nothing but the future waits for it
        whole.keeps, whole.batch_id = self._device, self.batch_id
        return whole

    def _fulfil(self, whole: Future[Any], origin: Origin) -> None:
        parts = [self._batch.future(i) for i in range(origin.start, origin.stop)]
        _gather(parts, lambda results: _made(origin, results), whole)


def _made(origin: Origin, results: tuple[Any, ...]) -> Any:
    return results[0] if origin.post is None else origin.post(results)


def _gather(parts: Sequence[Future[Any]], make: Callable[[tuple[Any, ...]], Any], whole: Future[Any]) -> None:
    """Let a future have what is made from the results of several."""
    lock = threading.Lock()
    left = len(parts)

    def arrived(_: Future[Any]) -> None:
        nonlocal left
        with lock:
            left -= 1
            if left:
                return
        with suppress(InvalidStateError):
            try:
                result = make(tuple(part.result() for part in parts))
            except BaseException as error:  # noqa: BLE001 - the waiter gets it
                whole.set_exception(error)
            else:
                whole.set_result(result)

    for part in parts:
        part.add_done_callback(arrived)


def what_runs_on(job_ids: Sequence[str]) -> str:
    """A sentence on jobs that nobody waits for any more."""
    return f"Jobs {', '.join(job_ids)} run on" if job_ids else "What was submitted runs on"
