"""The device on today's stack: PennyLane's device API."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pennylane.devices import Device
from pennylane.devices.execution_config import ExecutionConfig
from pennylane.tape import QuantumScript
from pennylane.transforms.core import CompilePipeline

from ..exceptions import (
    BackendError,
    ConfigurationError,
    JournalError,
    UnsupportedCircuitError,
    UsageLimitError,
    WaitTimeoutError,
)
from ..execution.batch import Batch
from ..execution.journal import Journal, journals
from ..execution.pictures import draw_timeline
from ..execution.plan import plan
from ..execution.records import BatchRecord
from ..execution.shards import Shard, cut, cut_like
from ..execution.structure import TapeData
from ..execution.template import Template, TemplateStore
from ..execution.usage import Estimate
from ..settings import DEFAULT_SHOTS, hide_token, load_settings
from .checks import check_shots, check_wires
from .estimation import stop_if_only_estimating
from .gradients import gradient_method
from .handle import BatchHandle, Origin
from .mid_circuit import MidCircuitRules, check_mcm_method
from .parameters import converted, wants_numpy
from .preprocess import Rules, prepare, prepare_tape
from .workplace import Workplace, is_on_this_machine, open_workplace

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pennylane.typing import Result, ResultBatch

_SMALL = 20
"""Wires that any backend of this machine has; only more of them are worth the import of a simulator."""


class ThreadedIBMQDevice(Device):
    """Run batches of tapes on IBM Quantum, or on a simulator of this machine.

    Tapes of one structure become one parametrised circuit, transpiled once; a batch becomes as few jobs as it takes.

    Args:
        wires: Number of wires, or their labels. Labels name wires only; the transpiler chooses qubits.
        shots: Shots of a circuit that sets none.
        **options: See :class:`~pennylane_threaded_ibmq.settings.Settings`.

    Raises:
        ConfigurationError: An option is unknown or has a value that cannot work.
        CredentialsError: A real backend was named, and there is no account or IBM refuses it.
        BackendError: There is no such backend, or it has fewer qubits than ``wires``.
    """

    def __init__(self, wires: Any, shots: Any = DEFAULT_SHOTS, **options: Any) -> None:
        hide_token(options)
        self._settings = load_settings(options)
        checked = check_shots(shots)
        # PennyLane deprecates shots on a device; the default of this one is no choice of the user's
        super().__init__(wires=check_wires(wires), shots=None if shots == DEFAULT_SHOTS else checked)
        self._shots = checked
        self._default_shots = int(checked.total_shots or DEFAULT_SHOTS)
        self._rng = np.random.default_rng(self._settings.seed_simulator)
        self._templates = TemplateStore()
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._workplace: Workplace | None = None
        self._closed = False
        # a simulator of this machine is opened when it is first needed; everything else must prove itself now
        if (
            not is_on_this_machine(self._settings.backend)
            or len(self.wires) > _SMALL
            or self._settings.checks_needed
        ):
            self._open()

    @property
    def name(self) -> str:
        """Name of the device."""
        return "threaded.ibmq"

    @property
    def backend_name(self) -> str:
        """Name of the backend; where ``"least_busy"`` was asked for, of the system that it turned out to be."""
        return self._open().name

    @property
    def transpiles(self) -> int:
        """How many circuits this device has transpiled so far; a gradient after the first transpiles none."""
        return 0 if self._workplace is None else self._workplace.compiler.transpiles

    def preprocess_transforms(
        self,
        execution_config: ExecutionConfig | None = None,
    ) -> CompilePipeline:
        """What happens to each tape before it runs."""
        pipeline = CompilePipeline()
        pipeline.add_transform(prepare, rules=self._rules(execution_config))
        return pipeline

    def setup_execution_config(
        self,
        config: ExecutionConfig | None = None,
        circuit: QuantumScript | None = None,  # noqa: ARG002 - PennyLane's signature
    ) -> ExecutionConfig:
        """Fill in what this device decides."""
        config = config or ExecutionConfig()
        check_mcm_method(config.mcm_config.mcm_method)
        return replace(
            config,
            use_device_gradient=False,
            gradient_method=gradient_method(config),
            convert_to_numpy=wants_numpy(config),
        )

    def execute(
        self,
        circuits: QuantumScript | Sequence[QuantumScript],
        execution_config: ExecutionConfig | None = None,  # noqa: ARG002 - PennyLane's signature
    ) -> Result | ResultBatch:
        """Run preprocessed tapes.

        Args:
            circuits: One tape, or ``n`` tapes; ``n`` may be 0.
            execution_config: Not used.

        Returns:
            The result of the one tape, or a tuple of ``n`` results in the order of the tapes.
        """
        if isinstance(circuits, QuantumScript):
            return self.execute((circuits,))[0]
        tapes = converted(circuits)
        if not tapes:
            return ()
        return self._wait(self._start(tapes, [Origin(i, i + 1, None) for i in range(len(tapes))]))

    def batch_execute(self, circuits: Sequence[QuantumScript]) -> ResultBatch:
        """Run any tapes, preprocessing included.

        Args:
            circuits: ``n`` tapes; ``n`` may be 0.

        Returns:
            A tuple of ``n`` results in the order of the tapes.
        """
        return self._wait(self.submit(circuits))

    def submit(self, circuits: QuantumScript | Sequence[QuantumScript]) -> BatchHandle:
        """Send any tapes, preprocessing included, and return at once.

        Args:
            circuits: One tape, or ``n`` tapes; ``n`` may be 0.

        Returns:
            A handle with one future a tape, the ids of the jobs, and ways to wait and to cancel.

        Raises:
            UnsupportedCircuitError: A tape holds something that cannot run; nothing was sent.
        """
        return self._submit((circuits,) if isinstance(circuits, QuantumScript) else tuple(circuits))

    def estimate(self, circuits: QuantumScript | Sequence[QuantumScript]) -> Estimate:
        """What tapes would take: jobs, circuits, shots, QPU seconds, and what is left on the instance.

        Args:
            circuits: One tape, or ``n`` tapes.

        Returns:
            The estimate with its formula. Nothing is sent but the question for what is left.
        """
        tapes = (circuits,) if isinstance(circuits, QuantumScript) else tuple(circuits)
        shards = self._cut(self._prepare(tapes)[0])
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
            ConfigurationError: The batch is one of another backend or instance.
        """
        journal = self._journal()
        record = journal.batch(batch_id)
        place = self._open()
        if record.backend != place.name:
            raise ConfigurationError(
                f"batch {batch_id!r} is one of backend {record.backend!r}, and this device is on {place.name!r}. Make a "
                f"device with backend={record.backend!r}. Nothing was sent.",
                argument="batch_id",
                value=batch_id,
            )
        if record.instance != place.instance:
            raise ConfigurationError(
                f"batch {batch_id!r} is one of instance {record.instance!r}, and this device is on {place.instance!r}. "
                f"Make a device with instance={record.instance!r}. Nothing was sent.",
                argument="batch_id",
                value=batch_id,
            )
        return self._submit(journal.tapes(batch_id), resume=batch_id, send=send)

    def batches(self, limit: int = 100) -> tuple[BatchRecord, ...]:
        """The latest batches of the journal, newest first, of all programs and backends.

        Args:
            limit: Most to list.

        Raises:
            JournalError: There is no journal.
        """
        return self._journal().batches(limit=limit)

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
        return journals().at(path)

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
        made, origins = self._prepare(tapes)
        return self._start(made, origins, resume=resume, send=send)

    def _prepare(self, tapes: tuple[QuantumScript, ...]) -> tuple[tuple[QuantumScript, ...], list[Origin]]:
        rules = self._rules()
        made: list[QuantumScript] = []
        origins: list[Origin] = []
        for position, tape in enumerate(tapes):
            if not isinstance(tape, QuantumScript):
                raise UnsupportedCircuitError(
                    f"Tape {position} is a {type(tape).__name__}, not a QuantumScript. Nothing was sent.",
                    tape=position,
                )
            try:
                ready, post = prepare_tape(tape, rules)
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
            workplace = self._workplace
        if workplace is not None:
            workplace.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _rules(self, config: ExecutionConfig | None = None) -> Rules:
        mid_circuit = MidCircuitRules.of(
            config, lambda: self._open().compiler.operation_names, lambda: self._open().name
        )
        return Rules(self.name, self.wires, self._default_shots, mid_circuit)

    def _open(self) -> Workplace:
        """Where this device's shards run; opened when first needed, and anew in a fork, which has none of its threads."""
        if self._pid != os.getpid():
            self._pid, self._lock, self._workplace = os.getpid(), threading.Lock(), None
            self._templates = TemplateStore()
        with self._lock:
            if self._workplace is None:
                workplace = open_workplace(self._settings, tuple(self.wires))
                if self._closed:
                    workplace.close()
                self._workplace = workplace
                weakref.finalize(self, _close_here, workplace, os.getpid())
            return self._workplace

    def _start(
        self,
        tapes: tuple[QuantumScript, ...],
        origins: list[Origin],
        *,
        resume: str | None = None,
        send: bool = True,
    ) -> BatchHandle:
        place = self._open()
        shards = self._cut(tapes, None if resume is None else self._journal().batch(resume))
        most = self._settings.max_usage_secs
        estimate = cache(lambda: place.estimate(shards, ask=False))
        if most is not None and place.remote:
            self._refuse_beyond(most, estimate())
        stop_if_only_estimating(place, shards, len(tapes))
        progress = self._settings.progress
        batch = Batch(
            tapes,
            shards,
            place.site,
            place.lanes,
            self._next_rng(),
            resume,
            qpu_secs=(lambda: estimate().qpu_secs) if place.remote else None,
            observers=(progress,) if callable(progress) else (),
        )
        if not send:
            batch.only_collect()
        batch.start()
        return BatchHandle(
            batch,
            origins,
            self.tracker,
            timeout_secs=self._settings.timeout_secs,
            cancel_on_interrupt=place.remote and self._settings.on_interrupt == "cancel",
            show=progress,
            device=self,
        )

    def _cut(self, tapes: tuple[QuantumScript, ...], like: BatchRecord | None = None) -> tuple[Shard, ...]:
        place = self._open()
        blocks = plan(
            tapes,
            self._templates,
            self._make_template,
            estimator=place.estimator,
            parametrise=self._settings.parametrise,
        )
        size = self._settings.shard_size
        if like is None:
            return cut(blocks, size, remote=place.remote)
        return cut_like(blocks, [shard.tapes for shard in like.shards], size, remote=place.remote)

    def _refuse_beyond(self, most: float, found: Estimate) -> None:
        if found.qpu_secs > most:
            raise UsageLimitError(
                f"max_usage_secs={most:g}: this batch is estimated to use {found.qpu_secs:.1f} s of QPU time "
                f"({found.formula}). Send fewer tapes or shots, or raise max_usage_secs. Nothing was sent.",
                argument="max_usage_secs",
                value=most,
            )

    def _next_rng(self) -> np.random.Generator:
        with self._lock:
            return self._rng.spawn(1)[0]

    def _make_template(self, tape: QuantumScript, data: TapeData) -> Template:
        place = self._open()
        used = set(tape.wires)
        # a layout of the user's names all qubits of the register, so the register has all wires
        whole = self._settings.transpile_options.get("initial_layout") is not None
        wires = [w for w in self.wires if whole or w in used]
        wires += [w for w in tape.wires if w not in set(wires)]
        most = place.num_qubits
        if most is not None and len(wires) > most:
            raise BackendError(
                f"A tape uses {len(wires)} wires; backend {place.name!r} has {most} qubits. Nothing was sent.",
                argument="wires",
                value=len(wires),
            )
        return Template(tape, data, wires, place.compiler, parametrise=self._settings.parametrise)


def _close_here(workplace: Workplace, pid: int) -> None:
    """Close what this process opened; a fork has copies of its locks, which nobody may ever release."""
    if pid == os.getpid():
        workplace.close()
