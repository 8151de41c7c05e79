"""What executors share that run circuits on a PennyLane device: shots, the device, and the records of what ran."""

from __future__ import annotations

import threading
import weakref
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Tuple, Union

from pennylane.measurements import Shots
from pennylane.tape import QuantumScript
from pennylane.wires import Wires
from pydantic import Field, PrivateAttr, field_validator

from .._fork import FORKS
from .base import BaseQExecutor, check_shots, handles_of
from .futures import Submission
from .records import Call, Recorder
from .route import with_named_wires, with_shots
from .runners import LocalRunner, Runner
from .sender import GAP_S, MOST_S, Sender

if TYPE_CHECKING:
    from typing_extensions import Self

ShotsField = Union[int, None, Tuple[Union[int, Tuple[int, int]], ...]]


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


class DeviceExecutor(BaseQExecutor):
    """Runs circuits on a PennyLane device, which is made when first needed.

    Attributes:
        shots: Overrides the shots of the QNode if ``None``, a positive number or a shot vector; 0 keeps them.
    """

    gather_gap_s: ClassVar[float] = GAP_S
    gather_most_s: ClassVar[float] = MOST_S

    shots: ShotsField = Field(
        0, description="0 keeps the QNode's shots; None, a number or a vector overrides them"
    )

    _room: EngineRoom = PrivateAttr(default_factory=EngineRoom)

    @field_validator("shots", mode="before")
    @classmethod
    def _shots(cls, value: object) -> object:
        return check_shots(value)

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
        # what a QNode passes names its wires, and has been checked
        wires = getattr(qscripts_list, "wires", None)
        tapes = []
        for tape in qscripts_list:
            if not isinstance(tape, QuantumScript):
                raise TypeError(
                    f"batch_submit takes tapes (QuantumScript), got {tape!r} ({type(tape).__name__})."
                )
            ready = self._with_shots(tape)
            tapes.append(self._with_wires(ready) if wires is None else ready)
        if not tapes:
            return []
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
            for sent in handles_of(futures):
                self._room.recorder().settle(sent)
        return results

    def _with_shots(self, tape: QuantumScript) -> QuantumScript:
        """The tape with its final shots."""
        override = self.shots_override
        shots = tape.shots if override is None else override
        if override is None and not shots and self.qnode_device_shots is not None:
            shots = Shots(self.qnode_device_shots)
        return tape if shots == tape.shots else with_shots(tape, shots)

    def _with_wires(self, tape: QuantumScript) -> QuantumScript:
        """The tape with wires for measurements that name none."""
        if self.qnode_device_wires is None:
            return with_named_wires(tape, None)
        return with_named_wires(tape, Wires.all_wires([Wires(range(self.qnode_device_wires)), tape.wires]))

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

    @property
    def _slots(self) -> int:
        """How much may be under way at once."""
        return 1

    @abstractmethod
    def _made_for(self) -> tuple[Any, ...]:
        """What the device is made from; other values need another device."""

    @abstractmethod
    def _runner(self) -> Runner:
        """What runs circuits."""

    def _engine(self) -> Engine:
        made_for = self._made_for()
        return self._room.engine(made_for, lambda: self._make_engine(made_for))

    def _make_engine(self, made_for: tuple[Any, ...]) -> Engine:
        runner = self._runner()
        sender = Sender(runner, self._slots, gap_s=self.gather_gap_s, most_s=self.gather_most_s)
        return Engine(made_for, runner, sender)
