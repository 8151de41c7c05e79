"""What the devices of both stacks share: opening a backend, running batches, coming back to them."""

from __future__ import annotations

import os
import threading
import time
import warnings
import weakref
from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from math import ceil
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, cast, overload

import numpy as np
from pennylane.tape import QuantumScript

from .._compat import without_prefix
from .._fork import FORKS
from .._quantity import quantity
from ..circuits.changes import with_numbered_wires
from ..circuits.observables import is_own_measurement
from ..circuits.plan import Block, join, plan
from ..circuits.shards import Limits, Shard, cut_like
from ..circuits.structure import TapeData
from ..circuits.template import Template
from ..exceptions import (
    BackendError,
    ConfigurationError,
    DeviceClosedError,
    JournalError,
    UnsupportedCircuitError,
    WaitTimeoutError,
)
from ..execution.batch import Batch, open_batch
from ..execution.budget import Budget, Spending
from ..execution.charges import usage_of
from ..execution.prepare import prepare, transpile_blocks
from ..execution.usage import Estimate
from ..loose_options import LOOSE_OPTIONS
from ..progress.display import Display
from ..progress.pictures import draw_timeline
from ..progress.tables import BatchList, html_facts
from ..resources import RESOURCES, Resources
from ..service.clock import CLOCK, Clock
from ..settings import Settings, hide_token
from ..store.archive import CallRecord, archives
from ..store.journal import Journal, Journals
from ..store.ledger import Ledger
from ..store.records import BatchRecord, ShardState, is_digest
from .charges import LateCharges, ask_usage, refuse_other_place
from .checks import how_to_make, register, tapes_of
from .context import SMALL, ExecutionContext
from .estimation import stop_if_only_estimating
from .garbage import collector
from .gather import LOCAL_GAP, REMOTE_GAP, CallHandle, Gatherer
from .handle import BatchHandle, Origin
from .interrupts import handle_termination
from .recording import RecordingLocks, making_operators
from .tag_blocks import TagBlocks, block_tags
from .templates import SharedTemplate, TemplateStore
from .variants import OF_JOBS, changed_arguments, shots_argument

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pennylane.measurements import Shots
    from pennylane.typing import ResultBatch
    from pennylane.wires import Wires
    from typing_extensions import Self, TypeAlias, Unpack

    from ..options import DeviceOptions


Preparation: TypeAlias = "Callable[[QuantumScript], tuple[Sequence[QuantumScript], Any]]"
"""Makes one tape ready: tapes that can run, and what makes its result from theirs; ``None`` for nothing."""


class BatchDevice:
    """Runs batches of tapes. PennyLane's own device class comes beside it, and brings ``wires`` and ``tracker``."""

    wires: Any
    tracker: Any
    _clock: Clock = CLOCK
    _resources: Resources = RESOURCES

    def _set_up(
        self,
        settings: Settings,
        open_workplace: Callable[[Settings, tuple[Any, ...], Clock, Resources], ExecutionContext],
        *,
        later: bool,
    ) -> None:
        """Take the settings in.

        Args:
            settings: Options of the device.
            open_workplace: Opens the backend that they name.
            later: It may be opened when it is first needed: a simulator of this machine that is always there.
        """
        self._settings = settings
        self._open_workplace = open_workplace
        self._seeds = np.random.SeedSequence(settings.seed_simulator)
        self._templates = TemplateStore(settings.template_bytes)
        self._lock = threading.Lock()
        self._workplace: ExecutionContext | None = None
        self._gatherer: Gatherer | None = None
        self._closed = False
        self._shots_warned = False
        self._charges = LateCharges()
        self._display = Display(settings.progress)
        most = settings.budget_secs
        self._budget = None if most is None else Budget("budget_secs", most, "this device")
        self._recording = RecordingLocks()
        self._tags = TagBlocks(settings.job_tags)
        FORKS.watch(self)
        # everything else must prove itself now
        if not later or len(self.wires or ()) > SMALL or settings.checks_needed:
            self._open()

    @abstractmethod
    def _preparation(self) -> Preparation:
        """What makes the tapes of one batch ready."""

    @abstractmethod
    def _notify(self, tracker: Any, batch: Batch, handle: BatchHandle) -> None:
        """Tell an active tracker of a finished batch."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {quantity(len(self.wires), 'wire') if self.wires else 'any wires'}, backend {self._backend_label()!r}>"

    def _repr_html_(self) -> str:
        settings = self._settings
        label = len(self.wires) if self.wires else "any"
        facts: list[tuple[str, object]] = [("backend", self._backend_label()), ("wires", label)]
        if self._workplace is not None and self._workplace.remote:
            facts.append(("instance", self._workplace.instance))
        facts += [("most jobs in flight", settings.max_jobs), ("tapes in a job", settings.shard_size)]
        if self._tags.now():
            facts.append(("job tags", ", ".join(self._tags.now())))
        facts += [("circuits transpiled", self.transpiles)]
        return html_facts("threaded.ibmq", facts)

    def _backend_label(self) -> str:
        """Name of the backend, without opening it for that."""
        if self._workplace is not None:
            return self._workplace.name
        backend = self._settings.backend
        return backend if isinstance(backend, str) else str(getattr(backend, "name", type(backend).__name__))

    @property
    def backend_name(self) -> str:
        """Name of the backend; where ``"least_busy"`` was asked for, of the system that it turned out to be."""
        return self._open().name

    @property
    def transpiles(self) -> int:
        """How many circuits this device has laid out and routed so far; a gradient after the first transpiles none."""
        return 0 if self._workplace is None else self._workplace.compiler.transpiles

    def with_options(self, **options: Unpack[DeviceOptions]) -> Self:
        """A device like this one with some options changed, for one QNode: ``qml.qnode(dev.with_options(resilience_level=2))``.

        It has the login, the backend, the journal and the budgets of this one, and its compiled circuits where the changes do not
        concern them. It has a tracker of its own, draws other random numbers, and is closed by itself.

        Args:
            **options: As for a new device. An option that is not given is as here; one of the transpiler or of the primitives
                that stands by itself, such as ``resilience_level``, changes that one alone.

        Raises:
            ConfigurationError: An option is unknown or has a value that cannot work.
        """
        changes = cast("dict[str, Any]", options)
        hide_token(changes)
        arguments = changed_arguments(self._settings, self.backend_name, changes)
        other = type(self)(**{"wires": self.wires or None, **shots_argument(self._own_shots()), **arguments})
        other.follow(self, changes)
        return other

    def follow(self, other: BatchDevice, changes: Collection[str]) -> None:
        """Share with another device what does not depend on the options that are changed here.

        Args:
            other: The device that this one is made from.
            changes: Names of the options that differ.
        """
        if "budget_secs" not in changes:
            self.share_budget(other)
        if {LOOSE_OPTIONS.get(name, name) for name in changes} <= OF_JOBS:
            self._templates = other._templates
        self._tags.follow(other._tags)
        with other._lock:
            self._seeds = other._seeds.spawn(1)[0]

    @abstractmethod
    def _own_shots(self) -> Shots:
        """Shots of a circuit that sets none."""

    def batch_execute(self, circuits: Sequence[QuantumScript]) -> ResultBatch:
        """Run any tapes, preprocessing included.

        Args:
            circuits: ``n`` tapes; ``n`` may be 0.

        Returns:
            A tuple of ``n`` results in the order of the tapes.
        """
        return self._wait(self.submit(circuits))

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
        """
        tapes, started = tapes_of(circuits), time.time()
        placed = tapes
        if wires is not None and self._places_wires:
            with making_operators():
                placed = tuple(with_numbered_wires(tape, wires) for tape in tapes)
        handle = self._gather(placed) if gather else self._submit(placed)
        if record is not None:
            archives().here().follow(record, tapes, handle.futures, lambda: handle.job_ids, started)
        return handle

    def send_together(self, calls: Sequence[CallHandle]) -> BatchHandle:
        """Send calls as one batch, with the tags that held when they came."""
        tapes: list[QuantumScript] = []
        origins: list[Origin] = []
        for call in calls:
            origins += [origin.moved(len(tapes)) for origin in call.origins]
            tapes += call.tapes
        with collector().rest(len(tapes)):
            shards = calls[0].shards
            if len(calls) > 1:
                blocks = join([call.blocks for call in calls], [len(call.tapes) for call in calls])
                # they come one by one, and lanes that are free have taken others before
                shards = self._open().cut(blocks, self._settings.shard_size, len(tapes), spread=False)
            return self._start(tuple(tapes), origins, tags=calls[0].tags, shards=shards)

    def _gather(self, tapes: tuple[QuantumScript, ...]) -> CallHandle:
        # a login keeps nobody from recording
        place = self._open()
        with making_operators(), collector().rest(len(tapes)):
            made, origins = self._prepare(tapes)
            # what is wrong with one call is no matter of the others
            blocks = self._plan(made, origins)
            shards = place.cut(blocks, self._settings.shard_size, len(made))
        with self._lock:
            if self._closed:
                raise DeviceClosedError("The device was closed and takes no more work.")
            if self._gatherer is None:
                self._gatherer = Gatherer(REMOTE_GAP if place.remote else LOCAL_GAP, place.lanes.most)
        call = CallHandle(
            self._gatherer,
            self.send_together,
            made,
            blocks,
            shards,
            origins,
            tags=self._tags.now(),
            timeout_secs=self._settings.timeout_secs,
            cancel_on_interrupt=self._cancels_on_interrupt(place),
            display=self._display,
        )
        if tapes:
            self._gatherer.take(call)
        return call

    def estimate(self, circuits: QuantumScript | Sequence[QuantumScript]) -> Estimate:
        """What tapes would take: jobs, circuits, shots, QPU seconds, and what is left on the instance.

        Args:
            circuits: One tape, or ``n`` tapes.

        Returns:
            The estimate with its formula. Nothing is sent but the question for what is left.
        """
        shards = self._cut(*self._prepare(tapes_of(circuits)))
        return self._open().estimate(shards, ask=True)

    def resume(self, batch_id: str, *, send: bool = True) -> BatchHandle:
        """Take up a batch of the journal: results that are there are fetched, the rest is waited for or sent.

        Args:
            batch_id: Its id, from :meth:`batches`, a handle or an error.
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
        for name, value in record.options.items():
            if place.job_options.get(name, value) != value:
                # its jobs would not be recognised, and would be paid for again
                raise _made_otherwise(batch_id, name, value, place.job_options[name])
        return self._submit(journal.tapes(batch_id), resume=batch_id, send=send)

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

    def usage(self, batch: BatchHandle | str) -> float | None:
        """QPU seconds that IBM charged for a batch, asked for as long as they are not known.

        IBM computes a charge after a job has ended. What is known is written into the handle, its tracker and the journal, counted
        in budgets, and not asked for again.

        Args:
            batch: A handle, or the id of a batch of the journal, from :meth:`batches`, a handle or an error.

        Returns:
            The seconds, 0 included; ``None`` while they are not known, and where nothing is charged.

        Raises:
            ConfigurationError: It is neither, or is one of another backend or instance.
            JournalError: There is no journal or no such batch.
        """
        if isinstance(batch, BatchHandle):
            return batch.usage_secs
        given: object = batch
        if not isinstance(given, str) or not given:
            raise ConfigurationError(
                f"batch={batch!r}: a handle or the id of a batch is needed, such as batch_id of a handle or of an error; "
                "dev.batches() lists them.",
                argument="batch",
                value=batch,
            )
        known = usage_of(self._journal().batch(batch))
        waiting = self._charges.find(batch)
        if known is None and waiting is None:
            return ask_usage(self._journal(), batch, self._open())
        return known if waiting is None else waiting.usage_secs

    def _track(self, tracker: Any, batch: Batch, handle: BatchHandle) -> None:
        """Tell a tracker of a finished batch, and of earlier ones whose charge has become known."""
        self._charges.ask_again()
        self._notify(tracker, batch, handle)
        if handle.usage_pending:
            self._charges.remember(handle)

    def batches(self, limit: int = 100, *, tags: Sequence[str] = ()) -> BatchList:
        """The latest batches of the journal, newest first, of all programs and backends; a table in a notebook.

        Args:
            limit: Most to list.
            tags: Only those that have all of these tags.

        Raises:
            JournalError: There is no journal.
            ConfigurationError: ``tags`` is no list of tags.
        """
        wanted = block_tags(tags) if tags else ()
        return BatchList(self._journal().batches(limit=limit, tags=wanted))

    def timeline(self, batch_id: str, *, dark: bool = False) -> Figure:
        """A batch of the journal over time, as a figure of matplotlib.

        Args:
            batch_id: Its id, from :meth:`batches`, a handle or an error.
            dark: For a dark background.

        Raises:
            JournalError: There is no journal or no such batch.
        """
        return draw_timeline(self._journal().batch(batch_id), dark=dark)

    def _journal(self) -> Journal:
        path = self._settings.journal_file
        if path is None:
            raise JournalError("journal=False: this device keeps no journal.")
        return self._resources.get(Journals).at(path)

    def _wait(self, handle: BatchHandle) -> ResultBatch:
        """Wait for a batch whose handle nobody else has."""
        try:
            return handle.result()
        except WaitTimeoutError:
            handle.detach()
            raise

    def _submit(
        self, tapes: tuple[QuantumScript, ...], *, resume: str | None = None, send: bool = True
    ) -> BatchHandle:
        with collector().rest(len(tapes)):
            made, origins = self._prepare(tapes)
            return self._start(made, origins, resume=resume, send=send)

    def _prepare(
        self, tapes: tuple[QuantumScript, ...], prepare: Preparation | None = None
    ) -> tuple[tuple[QuantumScript, ...], list[Origin]]:
        made: list[QuantumScript] = []
        origins: list[Origin] = []
        prepare = prepare or self._preparation()
        for position, tape in enumerate(tapes):
            if not isinstance(tape, QuantumScript):
                raise UnsupportedCircuitError(
                    f"Tape {position} is a {type(tape).__name__}, not a QuantumScript.{how_to_make(tape)} Nothing was sent.",
                    tape=position,
                )
            try:
                ready, post = prepare(tape)
            except UnsupportedCircuitError as error:
                raise type(error)(f"Tape {position}: {error}", tape=position) from None
            unchanged = len(ready) == 1 and post is None
            origins.append(Origin(len(made), len(made) + len(ready), None if unchanged else post))
            made += ready
        return tuple(made), origins

    def close(self) -> None:
        """End the lanes. Jobs that were accepted run on; whoever waits for them gets an error."""
        with self._lock:
            self._closed = True
            context, gatherer = self._workplace, self._gatherer
        if gatherer is not None:
            gatherer.close()
        if context is not None:
            context.close()

    def before_fork(self) -> None:
        """Wait for what other threads record: PennyLane's lock on that would stay locked in the child."""
        self._recording.take()

    def after_fork(self, *, in_child: bool) -> None:
        """Begin anew in a forked process: it has none of the device's threads, and must draw other random numbers."""
        self._recording.give_back()
        if not in_child:
            return
        self._lock, self._workplace, self._gatherer = threading.Lock(), None, None
        self._templates = TemplateStore(self._settings.template_bytes)
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
        """Where this device's shards run; opened when first needed."""
        with self._lock:
            if self._workplace is None:
                context = self._open_workplace(
                    self._settings, tuple(self.wires or ()), self._clock, self._resources
                )
                if self._closed:
                    context.close()
                if context.remote and self._settings.on_interrupt == "cancel":
                    handle_termination()
                self._workplace = context
                weakref.finalize(self, _close_here, context, os.getpid())
            return self._workplace

    def _start(
        self,
        tapes: tuple[QuantumScript, ...],
        origins: Sequence[Origin],
        *,
        resume: str | None = None,
        send: bool = True,
        shards: tuple[Shard, ...] | None = None,
        tags: tuple[str, ...] | None = None,
    ) -> BatchHandle:
        place = self._open()
        if place.retired and resume is None:
            raise BackendError(
                f"backend={place.name!r}: the account has no such backend any more, and only what was sent to it before can be "
                "collected. Nothing was sent.",
                argument="backend",
                value=place.name,
            )
        send = send and not place.retired
        like = None if resume is None else self._journal().batch(resume)
        shards = self._cut(tapes, origins, like) if shards is None else shards
        estimate = lru_cache(maxsize=None)(lambda: place.estimate(shards, ask=False))
        spending = self._spending(place, estimate) if place.remote and send else None
        if spending is not None:
            spending.check(_unsent(shards, like))
        stop_if_only_estimating(place, shards, len(tapes))
        progress = self._settings.progress
        specs = prepare(shards, self._next_rng(), self._most_secs(estimate) if place.remote else None)
        batch = open_batch(
            tapes,
            specs,
            place,
            resume=resume,
            tags=self._tags.now(() if like is None else like.tags) if tags is None else tags,
            may_send=send,
            spending=spending,
            qpu_secs=(lambda: estimate().qpu_secs) if place.remote else None,
            observers=(progress,) if callable(progress) else (),
        )
        batch.start()
        return BatchHandle(
            batch,
            origins,
            self.tracker,
            self._track,
            timeout_secs=self._settings.timeout_secs,
            cancel_on_interrupt=self._cancels_on_interrupt(place),
            display=self._display,
            device=self,
            instance=place.instance,
        )

    def _cancels_on_interrupt(self, place: ExecutionContext) -> bool:
        return place.remote and self._settings.on_interrupt == "cancel"

    def _cut(
        self,
        tapes: tuple[QuantumScript, ...],
        origins: Sequence[Origin] = (),
        like: BatchRecord | None = None,
    ) -> tuple[Shard, ...]:
        place, size = self._open(), self._settings.shard_size
        blocks = self._plan(tapes, origins)
        if like is None:
            return place.cut(blocks, size, len(tapes))
        return cut_like(blocks, [shard.tapes for shard in like.shards], size, place.limits)

    def _plan(self, tapes: tuple[QuantumScript, ...], origins: Sequence[Origin]) -> tuple[Block, ...]:
        """Group tapes into blocks, compiled where that can be refused."""
        place = self._open()
        try:
            blocks = plan(
                tapes,
                self._templates,
                self._make_template,
                estimator=place.estimator,
                parametrise=self._settings.parametrise,
                equal_shots=place.limits is not None and place.limits.equal_shots,
            )
        except UnsupportedCircuitError as error:
            raise _of_the_users_tape(error, origins) from error.__cause__
        if place.limits is not None:
            # what cannot be compiled has an error of its own, and what is compiled can be weighed
            transpile_blocks(blocks)
            self._check_shots(blocks, place.limits, place.name)
        return blocks

    def _check_shots(self, blocks: Sequence[Block], limits: Limits, backend: str) -> None:
        """Refuse more shots than the service runs; warn, once, of more than the backend speaks of."""
        asked = max((int(b.shots.total_shots or 0) for b in blocks if b.primitive == "sampler"), default=0)
        if limits.shots is not None and asked > limits.shots:
            raise ConfigurationError(
                f"shots={asked}: backend {backend!r} runs a circuit at most {limits.shots} times. Use fewer shots, or several "
                "tapes whose results you average. Nothing was sent.",
                argument="shots",
                value=asked,
            )
        with self._lock:
            warned, self._shots_warned = (
                self._shots_warned,
                self._shots_warned or (limits.stated_shots is not None and asked > limits.stated_shots),
            )
        if self._shots_warned and not warned:
            warnings.warn(
                f"shots={asked}: backend {backend!r} speaks of at most {limits.stated_shots}, which IBM no longer enforces. The "
                "job is sent; if it fails, use fewer shots, or several tapes whose results you average.",
                UserWarning,
                stacklevel=2,
            )

    def _most_secs(self, estimate: Callable[[], Estimate]) -> list[int] | None:
        """After how many QPU seconds each job of a batch is stopped, where the user wants that."""
        overrun = self._settings.max_overrun
        return None if overrun is None else [ceil(overrun * secs) for secs in estimate().secs_by_job]

    def share_budget(self, other: BatchDevice) -> None:
        """Spend from the budget of another device too, whose place this one takes."""
        self._budget = other._budget

    def _spending(self, place: ExecutionContext, estimate: Callable[[], Estimate]) -> Spending | None:
        """What a batch may cost, where there is a limit; nothing is estimated where there is none."""
        most, path = self._settings.max_usage_secs, self._settings.journal_file
        budgets = [] if most is None else [Budget("max_usage_secs", most, "it")]
        if self._budget is not None:
            budgets.append(self._budget)
        ledger = None if path is None or not path.exists() else Ledger(path)
        if ledger is not None and not ledger.has_budget(place.instance):
            ledger = None
        if not budgets and ledger is None:
            return None
        return Spending(budgets, ledger, place.instance, estimate())

    def _next_rng(self) -> np.random.Generator:
        with self._lock:
            return np.random.default_rng(self._seeds.spawn(1)[0])

    @property
    def _places_wires(self) -> bool:
        """Whether it matters which wire is which: wire i is qubit i of what a user's layout or pass manager gets."""
        return (
            self._settings.transpile_options.get("initial_layout") is not None
            or self._settings.compiles_otherwise
        )

    def _make_template(self, tape: QuantumScript, data: TapeData) -> Template:
        place = self._open()
        used = set(tape.wires)
        # a layout of the user's names all qubits of the register, so the register has all wires
        layout = self._settings.transpile_options.get("initial_layout")
        # circuits that stay as they are have wire i on qubit i, and a pass manager may say where each wire goes
        whole = self._places_wires
        known = self.wires or register(tape, layout, whole=whole)
        # a user's own measurement is given the samples of all wires of the device
        whole = whole or any(is_own_measurement(mp) for mp in tape.measurements)
        wires = [w for w in known if whole or w in used]
        wires += [w for w in tape.wires if w not in set(wires)]
        most = None if len(wires) <= place.least_qubits else place.count_qubits()
        if most is not None and len(wires) > most:
            raise BackendError(
                f"A tape uses {len(wires)} wires; backend {place.name!r} has {most} qubits. Nothing was sent.",
                argument="wires",
                value=len(wires),
            )
        return SharedTemplate(
            tape,
            data,
            wires,
            place.compiler,
            parametrise=self._settings.parametrise,
            fuse=place.fuse,
            route=place.compiler.route,
        )


def _of_the_users_tape(error: UnsupportedCircuitError, origins: Sequence[Origin]) -> UnsupportedCircuitError:
    """An error with the place of the tape that the user gave: an expanded broadcast moves those after it."""
    for position, origin in enumerate(origins):
        if error.tape is not None and origin.start <= error.tape < origin.stop:
            text = without_prefix(str(error), f"Tape {error.tape}")
            return type(error)(f"Tape {position}{text}", tape=position)
    return error


def _made_otherwise(batch_id: str, name: str, value: Any, here: Any) -> ConfigurationError:
    """What is said of a batch whose jobs this device would not recognise."""
    if is_digest(value) or is_digest(here):
        text = f"was sent with other {name} than this device has. Make a device with the same"
    else:
        text = f"was sent with {name}={value!r}, and this device has {name}={here!r}. Make a device with {name}={value!r}"
    return ConfigurationError(
        f"batch {batch_id!r} {text}. Nothing was sent.",
        argument=name,
        value=None if is_digest(here) else here,
    )


def _unsent(shards: Sequence[Shard], like: BatchRecord | None) -> list[int]:
    """Which shards have to be paid for: of a batch that is taken up, those that have no job."""
    if like is None or [s.positions for s in shards] != [s.tapes for s in like.shards]:
        return list(range(len(shards)))
    sent = {ShardState.SENDING, ShardState.ACCEPTED, ShardState.DONE}
    return [i for i, shard in enumerate(like.shards) if shard.state not in sent]


def _close_here(context: ExecutionContext, pid: int) -> None:
    """Close what this process opened; a fork has copies of its locks, which nobody may ever release."""
    if pid == os.getpid():
        context.close()
