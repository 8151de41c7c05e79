"""The executor for IBM Quantum: fields of the page, and a ``threaded.ibmq`` device behind them."""

from __future__ import annotations

import threading
import warnings
import weakref
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar

import pennylane as qml
from pennylane.measurements import Shots
from pennylane.tape import QuantumScript
from pennylane.wires import Wires
from pydantic import Field, PrivateAttr, SecretStr, field_validator

from .._fork import FORKS
from ..exceptions import ConfigurationWarning, nearest
from ..ibm.local import is_local_name
from ..settings import DEFAULT_BACKEND, Settings
from .base import BaseQExecutor, ShotsField, check_shots, whole_number
from .config import Found, find_token, find_values, hide_secrets
from .futures import Submission, submissions_of
from .records import Call, Recorder
from .routing import with_named_wires
from .runners import IBMRunner, LocalRunner, Runner
from .sender import GAP_S, MOST_S, Sender
from .stacks import of_stack

if TYPE_CHECKING:
    from typing_extensions import Self

    from . import current_tapes as tapes_of_stack
else:
    tapes_of_stack = of_stack("tapes")

OWN_DEVICE = "threaded.ibmq"
_MAY_BE_EMPTY = frozenset({"ibmqx_token", "ibmqx_url", "instance"})
"""Fields that count as not given where they are empty."""


@dataclass(frozen=True, eq=False)
class Engine:
    """What runs the circuits of an executor.

    Attributes:
        made_for: The options it was made for; others need another engine.
        runner: Takes tapes.
        sender: Collects the tapes of calls that nobody waits for yet.
    """

    made_for: tuple[Any, ...]
    runner: Runner
    sender: Sender

    def submit(self, tapes: Sequence[QuantumScript], wires: Wires) -> Submission:
        """Take tapes: to send them together with others, or to run them in the background."""
        if not isinstance(self.runner, LocalRunner):
            return self.sender.send(tapes, wires)
        run = self.runner.submit(tapes, wires)
        self.runner.start(run)
        return run

    def close(self) -> None:
        """End it."""
        self.runner.close()


class EngineRoom:
    """Owns an executor's engine and its writer of records. Copies, pickles and forks start empty."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._recorder: Recorder | None = None
        self._ends: list[weakref.finalize[[], EngineRoom]] = []
        FORKS.watch(self)

    def engine(self, made_for: tuple[Any, ...], make: Callable[[], Engine]) -> Engine:
        """The engine for these options, made when first needed."""
        engine = self._engine
        if engine is not None and engine.made_for == made_for:
            return engine
        with self._lock:
            if self._engine is None or self._engine.made_for != made_for:
                self._engine = make()
                self._ends.append(weakref.finalize(self, self._engine.close))
            return self._engine

    def recorder(self) -> Recorder:
        """The writer of records, made when first needed."""
        recorder = self._recorder
        if recorder is None:
            with self._lock:
                recorder = self._recorder
                if recorder is None:
                    recorder = self._recorder = Recorder()
                    self._ends.append(weakref.finalize(self, recorder.end))
        return recorder

    def close(self) -> None:
        """End what there is; the next use starts anew."""
        with self._lock:
            engine, self._engine = self._engine, None
            recorder, self._recorder = self._recorder, None
        if engine is not None:
            engine.close()
        if recorder is not None:
            recorder.close()

    def before_fork(self) -> None:
        """Nothing: the child begins anew."""

    def after_fork(self, *, in_child: bool) -> None:
        """Begin anew in the child: threads, locks and connections of what there is are the parent's."""
        if in_child:
            for end in self._ends:
                end.detach()
            self._lock, self._ends, self._engine, self._recorder = threading.Lock(), [], None, None

    def __reduce__(self) -> tuple[type[EngineRoom], tuple[()]]:
        return (type(self), ())

    def __deepcopy__(self, _: dict[int, Any]) -> EngineRoom:
        return type(self)()

    def __copy__(self) -> EngineRoom:
        return type(self)()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EngineRoom)

    __hash__ = None  # type: ignore[assignment]


class IBMQExecutor(BaseQExecutor):
    """A quantum executor that runs circuits on IBM Quantum backends through the ``threaded.ibmq`` device.

    Fields that are not given come from the environment, Covalent's configuration file, our own, or the default, in this
    order. Further fields are kept; those with the name of an option of the device, such as ``instance`` or
    ``timeout_secs``, are handed to it.

    Attributes:
        max_jobs: The maximum number of jobs that can be submitted to the backend concurrently.
        shots: Overrides the shots of the QNode if ``None``, a positive number or a shot vector; 0 keeps them.
        backend: The name of the IBM Quantum backend.
        ibmqx_token: The IBM Quantum API token; an empty one is none.
        hub: An IBM Quantum hub name.
        group: An IBM Quantum group name.
        project: An IBM Quantum project name.
        device: Another PennyLane device to run on instead, if it is given.

    Raises:
        ConfigurationError: A field has a value that cannot work.
        ConfigurationFileError: A configuration file is broken.
    """

    known_extras: ClassVar[frozenset[str]] = frozenset(Settings.model_fields)
    gather_gap_s: ClassVar[float] = GAP_S
    gather_most_s: ClassVar[float] = MOST_S

    max_jobs: int = Field(20, ge=1, description="the most jobs in flight at once, at least 1")
    shots: ShotsField = Field(
        0, description="0 keeps the QNode's shots; None, a number or a vector overrides them"
    )
    backend: str = Field(
        default_factory=lambda: DEFAULT_BACKEND, min_length=1, description="name of a backend"
    )
    ibmqx_token: SecretStr = Field(default_factory=lambda: SecretStr(""), description="IBM Quantum API token")
    hub: str = Field(default_factory=lambda: "ibm-q", description="IBM Quantum hub name")
    group: str = Field(default_factory=lambda: "open", description="IBM Quantum group name")
    project: str = Field(default_factory=lambda: "main", description="IBM Quantum project name")

    _room: EngineRoom = PrivateAttr(default_factory=EngineRoom)

    def __init__(self, **data: Any) -> None:
        hide_secrets(data)
        super().__init__(**data)
        if self.runs_on != OWN_DEVICE and not is_local_name(str(data.get("backend", DEFAULT_BACKEND))):
            warnings.warn(
                f"device={self.device!r} runs the circuits on this machine; backend={self.backend!r} is not used. Leave "
                "one of them out.",
                ConfigurationWarning,
                stacklevel=2,
            )

    @field_validator("device")
    @classmethod
    def _known_device(cls, value: str) -> str:
        if value not in qml.plugin_devices:
            raise ValueError(f"PennyLane has no such device.{nearest(value, qml.plugin_devices)}")
        return value

    @field_validator("max_jobs", mode="before")
    @classmethod
    def _jobs(cls, value: object) -> object:
        return whole_number(value)

    @field_validator("shots", mode="before")
    @classmethod
    def _shots(cls, value: object) -> object:
        return check_shots(value)

    @field_validator("ibmqx_token", mode="before")
    @classmethod
    def _no_token(cls, value: object) -> object:
        return "" if value is None else value

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Restore from a pickle, which holds no token: it is looked up again."""
        super().__setstate__(state)
        self.__dict__["ibmqx_token"] = SecretStr(find_token())

    @property
    def runs_on(self) -> str:
        """Name of the PennyLane device: ``threaded.ibmq``, unless ``device`` was given."""
        return self.device if "device" in self.model_fields_set else OWN_DEVICE

    @property
    def backend_name(self) -> str:
        """Name of the backend; of the device where that is another one."""
        return self.backend if self.runs_on == OWN_DEVICE else self.runs_on

    @property
    def load(self) -> float:
        """Circuits that were taken and are not finished, for each job that may be in flight."""
        return self._load.circuits / self.max_jobs

    @property
    def shots_override(self) -> Shots | None:
        """Shots instead of those of the QNode; ``None`` keeps the QNode's."""
        return None if self.shots == 0 else Shots(self.shots)

    def batch_submit(self, qscripts_list: Iterable[QuantumScript]) -> list[Future[Any]]:
        """Send circuits and return at once.

        Args:
            qscripts_list: ``n`` tapes with any wires. Shots are those of ``shots``; where that is 0 those of the
                tape, then ``qnode_device_shots``.

        Returns:
            ``n`` futures in the order of the tapes. A result has the shape that PennyLane gives its tape.

        Raises:
            UnsupportedCircuitError: A tape holds something that cannot run; nothing was sent.
        """
        tapes = []
        for tape in qscripts_list:
            if not isinstance(tape, QuantumScript):
                raise TypeError(
                    f"batch_submit takes tapes (QuantumScript), got {tape!r} ({type(tape).__name__})."
                )
            tapes.append(self._ready(tape))
        if not tapes:
            return []
        wires = getattr(qscripts_list, "wires", None)
        call = Call.of(self, tapes) if self.persist_data else None
        engine = self._engine()
        sent = engine.submit(tapes, Wires.all_wires([t.wires for t in tapes]) if wires is None else wires)
        if call is not None:
            self._room.recorder().follow(call, sent)
        self.count(sent.futures)
        return list(sent.futures)

    def batch_get_results(self, futures_list: Iterable[Future[Any]]) -> list[Any]:
        """Wait for futures of :meth:`batch_submit`; see :class:`BaseQExecutor`."""
        futures = list(futures_list)
        results = super().batch_get_results(futures)
        if self.persist_data:
            for sent in submissions_of(futures):
                self._room.recorder().settle(sent)
        return results

    def _ready(self, tape: QuantumScript) -> QuantumScript:
        """The tape with its final shots, and wires for measurements that name none."""
        override = self.shots_override
        shots = tape.shots if override is None else override
        if override is None and not shots and self.qnode_device_shots is not None:
            shots = Shots(self.qnode_device_shots)
        ready = tape if shots == tape.shots else tapes_of_stack.with_shots(tape, shots)
        known = Wires(range(self.qnode_device_wires or 0))
        return with_named_wires(ready, Wires.all_wires([known, tape.wires]))

    def flush_records(self, timeout: float | None = None) -> bool:
        """Wait until all finished calls are in the database.

        Args:
            timeout: Longest wait in seconds.

        Returns:
            Whether they are.
        """
        recorder = self._room.recorder()
        recorder.settle_finished()
        return recorder.flush(timeout)

    def close(self) -> None:
        """End the device and write what is left to write. Used again, the executor starts a new device."""
        self._room.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _engine(self) -> Engine:
        made_for = (
            self.runs_on, self.backend, self.ibmqx_token, self.hub, self.group, self.project, self.max_jobs,
            *(self.__pydantic_extra__ or {}).values(),
        )  # fmt: skip
        return self._room.engine(made_for, lambda: self._make_engine(made_for))

    def _make_engine(self, made_for: tuple[Any, ...]) -> Engine:
        runner: Runner
        if self.runs_on == OWN_DEVICE:
            runner = IBMRunner(self._device_options())
        else:
            runner = LocalRunner(self.runs_on)
        sender = Sender(runner, self.max_jobs, gap_s=self.gather_gap_s, most_s=self.gather_most_s)
        return Engine(made_for, runner, sender)

    def _device_options(self) -> dict[str, Any]:
        extra = {k: v for k, v in (self.__pydantic_extra__ or {}).items() if k in Settings.model_fields}
        token = self.ibmqx_token if self.ibmqx_token.get_secret_value() else None
        return {
            "backend": self.backend,
            "ibmqx_token": token,
            "hub": self.hub,
            "group": self.group,
            "project": self.project,
            "max_jobs": self.max_jobs,
            **extra,
        }

    @classmethod
    def _look_up(cls, data: dict[str, Any]) -> dict[str, Found]:
        known = cls.model_fields.keys() | cls.known_extras
        given = {name for name, value in data.items() if name not in _MAY_BE_EMPTY or value not in (None, "")}
        return {name: found for name, found in find_values(known).items() if name not in given}
