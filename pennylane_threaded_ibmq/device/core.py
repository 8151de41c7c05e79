"""The base of the devices of both stacks: opening a backend, running batches, coming back to them."""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from .._fork import FORKS
from .._quantity import quantity
from ..circuits.changes import with_numbered_wires
from ..exceptions import (
    BackendError,
    ConfigurationError,
    WaitTimeoutError,
)
from ..execution.batch import open_batch
from ..execution.usage import Estimate
from ..progress.display import Display
from ..progress.tables import html_facts
from ..resources import RESOURCES, Resources
from ..service.clock import CLOCK, Clock
from ..settings import Settings
from ..store.archive import CallRecord, archives
from ..store.records import BatchRecord
from .charges import LateCharges, refuse_other_options, refuse_other_place
from .checks import tapes_of
from .context import SMALL, ExecutionContext
from .garbage import collector
from .gather import CallHandle
from .handle import BatchHandle
from .journal_access import JournalAccess
from .opening import Opening
from .planner import Plan, Planner, Preparation
from .recording import RecordingLocks, making_operators
from .spending_limits import SpendingLimits, stop_if_only_estimating, unsent
from .tag_blocks import TagBlocks, block_tags
from .variants import OptionVariants

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript
    from pennylane.typing import ResultBatch
    from pennylane.wires import Wires
    from typing_extensions import Self


class BatchDevice(OptionVariants, JournalAccess):
    """Runs batches of tapes. PennyLane's own device class comes beside it, and brings ``wires`` and ``tracker``."""

    wires: Any
    tracker: Any
    _clock: Clock = CLOCK
    _resources: Resources = RESOURCES

    def _set_up(
        self,
        settings: Settings,
        open_context: Callable[[Settings, tuple[Any, ...], Clock, Resources], ExecutionContext],
        *,
        later: bool,
    ) -> None:
        """Take the settings in.

        Args:
            settings: Options of the device.
            open_context: Opens the backend that they name.
            later: It may be opened when it is first needed: a simulator of this machine that is always there.
        """
        wires, clock, resources = self.wires, self._clock, self._resources
        self._settings = settings
        self._seeds = np.random.SeedSequence(settings.seed_simulator)
        self._planner = Planner(settings, wires)
        self._lock = threading.Lock()
        self._opening = Opening(
            lambda: open_context(settings, tuple(wires or ()), clock, resources),
            cancels_on_interrupt=settings.on_interrupt == "cancel",
        )
        self._charges = LateCharges()
        self._display = Display(settings.progress)
        self._limits = SpendingLimits(settings)
        self._recording = RecordingLocks()
        self._tags = TagBlocks(settings.job_tags)
        FORKS.watch(self)
        # everything else must prove itself now
        if not later or len(self.wires or ()) > SMALL or settings.checks_needed:
            self._open()

    @abstractmethod
    def _preparation(self) -> Preparation:
        """The preparation that makes the tapes of one batch ready."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {quantity(len(self.wires), 'wire') if self.wires else 'any wires'}, backend {self._backend_label()!r}>"

    def _repr_html_(self) -> str:
        settings = self._settings
        label = len(self.wires) if self.wires else "any"
        facts: list[tuple[str, object]] = [("backend", self._backend_label()), ("wires", label)]
        context = self._opening.known
        if context is not None and context.remote:
            facts.append(("instance", context.instance))
        facts += [("most jobs in flight", settings.max_jobs), ("tapes in a job", settings.shard_size)]
        if self._tags.now():
            facts.append(("job tags", ", ".join(self._tags.now())))
        facts += [("circuits transpiled", self.transpiles)]
        return html_facts("threaded.ibmq", facts)

    def _backend_label(self) -> str:
        """Name of the backend, without opening it for that."""
        if self._opening.known is not None:
            return self._opening.known.name
        backend = self._settings.backend
        return backend if isinstance(backend, str) else str(getattr(backend, "name", type(backend).__name__))

    @property
    def backend_name(self) -> str:
        """Name of the backend; where ``"least_busy"`` was asked for, of the system that it turned out to be."""
        return self._open().name

    @property
    def transpiles(self) -> int:
        """Number of circuits that this device has laid out and routed so far; a gradient after the first transpiles none."""
        return 0 if self._opening.known is None else self._opening.known.compiler.transpiles

    def batch_execute(self, circuits: Sequence[QuantumScript]) -> ResultBatch:
        """Run any tapes, preprocessing included.

        Args:
            circuits: ``n`` tapes; ``n`` may be 0.

        Returns:
            A tuple of ``n`` results in the order of the tapes.
        """
        return self._wait(self._submit(tapes_of(circuits)))

    @overload
    def submit(
        self,
        circuits: QuantumScript | Sequence[QuantumScript],
        *,
        gather: Literal[False] = False,
        record: CallRecord | None = None,
        wires: Wires | None = None,
    ) -> BatchHandle: ...

    @overload
    def submit(
        self,
        circuits: QuantumScript | Sequence[QuantumScript],
        *,
        gather: Literal[True],
        record: CallRecord | None = None,
        wires: Wires | None = None,
    ) -> CallHandle: ...

    def submit(
        self,
        circuits: QuantumScript | Sequence[QuantumScript],
        *,
        gather: bool = False,
        record: CallRecord | None = None,
        wires: Wires | None = None,
    ) -> BatchHandle | CallHandle:
        """Send any tapes, preprocessing included, and return at once.

        Args:
            circuits: One tape, or ``n`` tapes; ``n`` may be 0.
            gather: Send them with those of other calls that come soon, as one batch. They are checked now, and go when no other
                call comes for a moment, or a result is asked for, and fewer than ``max_jobs`` jobs are in flight.
            record: Write the call to the database of executed circuits when it is done, as one of whom this names.
            wires: The wires that the tapes are on, all of them, in their order, where the device has none of its own: a layout
                and a pass manager go by it.

        Returns:
            A handle with one future a tape, the ids of the jobs, and ways to wait and to cancel.

        Raises:
            UnsupportedCircuitError: A tape holds something that cannot run; nothing was sent.
            UnknownWireError: A tape is on other wires than ``wires``; nothing was sent.
            ConfigurationError: ``record`` is no record of a call; nothing was sent.
        """
        if record is not None and not isinstance(record, CallRecord):
            raise ConfigurationError(
                f"record={record!r}: a CallRecord of pennylane_threaded_ibmq.store.archive is needed. Nothing was sent.",
                argument="record",
                value=record,
            )
        tapes, started = tapes_of(circuits), time.time()
        placed = tapes
        if wires is not None and self._planner.places_wires:
            with making_operators():
                placed = tuple(with_numbered_wires(tape, wires) for tape in tapes)
        handle = self._gather(placed) if gather else self._submit(placed)
        if record is not None:
            archives().here().follow(record, tapes, handle.futures, lambda: handle.job_ids, started)
        return handle

    def send_together(self, calls: Sequence[CallHandle]) -> BatchHandle:
        """Send calls as one batch, with the tags that held when they came."""
        with collector().rest(sum(map(len, calls))):
            return self._start(self._planner.join([call.plan for call in calls]), tags=calls[0].tags)

    def _gather(self, tapes: tuple[QuantumScript, ...]) -> CallHandle:
        # a login keeps nobody from recording
        context = self._open()
        with making_operators(), collector().rest(len(tapes)):
            # what is wrong with one call is no matter of the others
            plan = self._plan(tapes)
        gatherer = self._opening.gatherer()
        call = CallHandle(
            gatherer,
            self.send_together,
            plan,
            tags=self._tags.now(),
            timeout_secs=self._settings.timeout_secs,
            cancel_on_interrupt=self._cancels_on_interrupt(context),
            display=self._display,
        )
        if tapes:
            gatherer.take(call)
        return call

    def estimate(self, circuits: QuantumScript | Sequence[QuantumScript]) -> Estimate:
        """Estimate what tapes would take: jobs, circuits, shots, QPU seconds, and what is left on the instance.

        Args:
            circuits: One tape, or ``n`` tapes.

        Returns:
            The estimate with its formula. Nothing is sent but the question for what is left.
        """
        plan = self._plan(tapes_of(circuits))
        return plan.context.estimate(plan.shards, ask=True)

    def resume(self, batch_id: str, *, send: bool = True) -> BatchHandle:
        """Take up a batch of the journal: results that are there are fetched, the rest is waited for or sent.

        Args:
            batch_id: Its id, from ``dev.batches()``, a handle or an error.
            send: Whether to send parts whose job does not exist or gave no result. ``False`` costs nothing: the tapes
                of such parts get a ``SubmissionError``.

        Returns:
            A handle, as from :meth:`submit`.

        Raises:
            JournalError: There is no journal or no such batch.
            ConfigurationError: The batch is one of another backend or instance, or of a device with other options.
        """
        journal = self._journal()
        record = journal.batch(batch_id)
        place = self._open()
        refuse_other_place(record, place)
        refuse_other_options(record, place)
        return self._submit(journal.tapes(batch_id), like=record, send=send)

    def job_tags(self, *tags: str) -> AbstractContextManager[None]:
        """Tag what this device sends while a block is open, from whatever thread: ``with dev.job_tags("night-run"):``.

        The tags come beside those of the option ``job_tags``, and hold for devices that :meth:`with_options` makes of this one. Jobs
        of an earlier program that are taken over keep the tags that they have at IBM.

        Args:
            *tags: Texts, at least one.

        Raises:
            ConfigurationError: There is none, or one that cannot be a tag.
        """
        return self._tags.block(block_tags(tags))

    def _wait(self, handle: BatchHandle) -> ResultBatch:
        """Wait for a batch whose handle nobody else has."""
        try:
            return handle.result()
        except WaitTimeoutError:
            handle.detach()
            raise

    def _submit(
        self, tapes: tuple[QuantumScript, ...], *, like: BatchRecord | None = None, send: bool = True
    ) -> BatchHandle:
        with collector().rest(len(tapes)):
            return self._start(self._plan(tapes, like=like), like=like, send=send)

    def _plan(
        self,
        tapes: tuple[QuantumScript, ...],
        prepare: Preparation | None = None,
        like: BatchRecord | None = None,
    ) -> Plan:
        return self._planner.plan(self._open(), tapes, prepare or self._preparation(), like=like)

    def close(self) -> None:
        """End the lanes. Jobs that were accepted run on; whoever waits for them gets an error."""
        self._opening.close()

    def before_fork(self) -> None:
        """Wait for what other threads record: PennyLane's lock on that would stay locked in the child."""
        self._recording.take()

    def after_fork(self, *, in_child: bool) -> None:
        """Begin anew in a forked process: it has none of the device's threads, and must draw other random numbers."""
        self._recording.give_back()
        if not in_child:
            return
        self._lock = threading.Lock()
        self._opening.begin_anew()
        self._planner = Planner(self._settings, self.wires)
        self._charges = LateCharges()
        self._display = Display(self._settings.progress)
        if self._settings.seed_simulator is None:
            self._seeds = np.random.SeedSequence()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> ExecutionContext:
        """The context in which this device's shards run; opened when first needed."""
        return self._opening.context()

    def _start(
        self,
        plan: Plan,
        *,
        like: BatchRecord | None = None,
        send: bool = True,
        tags: tuple[str, ...] | None = None,
    ) -> BatchHandle:
        context = plan.context
        if context.retired and like is None:
            raise BackendError(
                f"backend={context.name!r}: the account has no such backend any more, and only what was sent to it before can be "
                "collected. Nothing was sent.",
                argument="backend",
                value=context.name,
            )
        send = send and not context.retired
        spending = self._limits.spending(plan) if send else None
        if spending is not None:
            spending.check(unsent(plan.shards, like))
        stop_if_only_estimating(plan)
        progress = self._settings.progress
        batch = open_batch(
            plan.tapes,
            plan.shards,
            context,
            self._next_rng(),
            most_secs=self._limits.most_secs(plan),
            resume=None if like is None else like.id,
            tags=self._tags.now(() if like is None else like.tags) if tags is None else tags,
            may_send=send,
            spending=spending,
            qpu_secs=(lambda: plan.estimate.qpu_secs) if context.remote else None,
            observers=(progress,) if callable(progress) else (),
        )
        handle = BatchHandle(
            batch,
            plan.origins,
            self.tracker,
            self._track,
            timeout_secs=self._settings.timeout_secs,
            cancel_on_interrupt=self._cancels_on_interrupt(context),
            display=self._display,
            device=self,
            instance=context.instance,
        )
        try:
            batch.start()
        except BaseException:
            # such as Ctrl-C: nobody will ever wait for what was begun
            handle.leave()
            raise
        return handle

    def _cancels_on_interrupt(self, context: ExecutionContext) -> bool:
        return context.remote and self._settings.on_interrupt == "cancel"

    def _next_rng(self) -> np.random.Generator:
        with self._lock:
            return np.random.default_rng(self._seeds.spawn(1)[0])
