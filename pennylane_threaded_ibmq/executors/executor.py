"""Executors that run on a device, and the one for IBM Quantum: fields of the page, and ``threaded.ibmq`` behind them."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Tuple, Union

import pennylane as qml
from pennylane.measurements import Shots
from pennylane.tape import QuantumScript
from pennylane.wires import Wires
from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_core import to_json

from .._secrets import conceal
from ..circuits.changes import with_named_wires, with_shots
from ..config import EXECUTORS_ONLY, find_token, find_values
from ..config_sources import ConfigValue
from ..device import ThreadedIBMQDevice
from ..device.checks import check_override, whole_number
from ..device.local import LocalDevice
from ..exceptions import ConfigurationError, CredentialsError, nearest
from ..loose_options import LOOSE_OPTIONS
from ..settings import DEFAULT_BACKEND, MAY_BE_EMPTY, Settings, typed
from ..simulators.local import is_local_name
from ..store.archive import CallRecord, archives
from .base import BaseQExecutor

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from .options import IBMQExecutorOptions

ShotsField = Union[int, None, Tuple[Union[int, Tuple[int, int]], ...]]
OWN_DEVICE = "threaded.ibmq"
DEVICE_OPTIONS = frozenset({*Settings.model_fields, *LOOSE_OPTIONS, "options"})
REFUSED_SECS = 10.0
"""Seconds for which a refused login is not tried again, as each of many later calls would."""
_MEAN_IBM = frozenset({"default.qubit", OWN_DEVICE, "qiskit.ibmq"})
"""Values of ``device`` that ask for nothing else: the page's default, and devices of IBM Quantum."""


def known_device(name: str) -> str:
    """The name of a device of PennyLane's."""
    if name not in qml.plugin_devices:
        raise ValueError(f"PennyLane has no such device.{nearest(name, qml.plugin_devices)}")
    return name


def _contents(value: Any) -> Any:
    """A value to compare with later, when what it holds may have been changed in place."""
    if isinstance(value, dict):
        return conceal({name: _contents(one) for name, one in value.items()})
    return type(value)(map(_contents, value)) if type(value) in (list, tuple) else value


class DeviceExecutor(BaseQExecutor):
    """Runs circuits on a device, which is made when first needed.

    Attributes:
        shots: Overrides the shots of the QNode if ``None``, a positive number or a shot vector; 0 keeps them.
    """

    shots: ShotsField = Field(
        default=0, description="0 keeps the QNode's shots; None, a number or a vector overrides them"
    )

    _shots = field_validator("shots", mode="before")(check_override)

    @property
    def shots_override(self) -> Shots | None:
        """Shots instead of those of the QNode; ``None`` keeps the QNode's."""
        return None if self.shots == 0 else Shots(self.shots)

    def batch_submit(self, qscripts_list: Iterable[QuantumScript]) -> list[Future[Any]]:
        """Send circuits and return at once; calls that come close together share jobs.

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
        tapes = [self._ready(tape, known=wires is not None) for tape in qscripts_list]
        if not tapes:
            return []
        runtime = self._runtime
        try:
            call = self._device().submit(tapes, gather=True, record=self._record(), wires=wires)
        except CredentialsError as error:
            # one that is only repeated is no new one
            if runtime.refusal is None or runtime.refusal[1] is not error:
                runtime.refusal = (time.monotonic(), error)
            raise
        self.count(call.futures)
        return list(call.futures)

    def _record(self) -> CallRecord | None:
        """The record of a call for the database; ``None`` for none."""
        if not self.persist_data:
            return None
        # as its configuration is when the call is written; the model's own method takes no fallback before pydantic 2.11
        return CallRecord(self.name, self.backend_name, lambda: to_json(self, fallback=repr).decode())

    def _ready(self, tape: Any, *, known: bool) -> QuantumScript:
        """The tape with its final shots, and with wires for measurements that name none."""
        if not isinstance(tape, QuantumScript):
            raise TypeError(
                f"batch_submit takes tapes (QuantumScript), got {tape!r} ({type(tape).__name__})."
            )
        shots = self.shots_override
        if shots is None:
            shots = tape.shots or Shots(self.qnode_device_shots)
        if shots != tape.shots:
            tape = with_shots(tape, shots)
        if known:
            return tape
        count = self.qnode_device_wires
        every = None if count is None else Wires.all_wires([Wires(range(count)), tape.wires])
        return with_named_wires(tape, every)

    def flush_records(self, timeout: float | None = None) -> bool:
        """Wait until all finished calls are in the database.

        Args:
            timeout: Longest wait in seconds.

        Returns:
            Whether they are.
        """
        return archives().here().flush(timeout)

    def close(self) -> None:
        """End the device and write what is left to write. Used again, the executor makes a new device."""
        with self._runtime.lock:
            device, self._runtime.device = self._runtime.device, None
        if device is not None:
            device.close()
            self.flush_records()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _device(self) -> Any:
        runtime, fields = self._runtime, (self.__dict__, self.__pydantic_extra__)
        with runtime.lock:
            if runtime.fields != fields:
                recipe, runtime.fields = _contents(self._recipe()), _contents(fields)
                if runtime.recipe != recipe:
                    # the device before ends with the last of its circuits
                    runtime.device, runtime.recipe, runtime.refusal = None, recipe, None
            if runtime.refusal is not None and time.monotonic() < runtime.refusal[0] + REFUSED_SECS:
                raise runtime.refusal[1]
            if runtime.device is None:
                make, options = runtime.recipe
                runtime.device = make(**options)
            return runtime.device

    @abstractmethod
    def _recipe(self) -> tuple[Callable[..., Any], dict[str, Any]]:
        """The function that makes the device, and its arguments; with others it is another device."""


class IBMQExecutor(DeviceExecutor):
    """A quantum executor that runs circuits on IBM Quantum backends through the ``threaded.ibmq`` device.

    It takes the place of Covalent's executor of this name, which used the Pennylane native ``"qiskit.ibmq"`` device to
    run circuits on IBM Quantum backends. The attributes ``backend``, ``ibmqx_token``, ``hub``, ``group``, and ``project``
    are taken from the Covalent configuration file by default, if available; the environment comes before it. Further
    fields are kept; those with the name of an option of the device, such as ``instance`` or ``timeout_secs``, are handed
    to it.

    Keyword Args:
        max_jobs: The maximum number of jobs that can be submitted to the backend concurrently. This number corresponds to
            the number of threads utilized by this executor. Defaults to 20.
        shots: The number of shots to use for the execution device. Overrides the ``shots`` value from the original device
            if set to ``None`` or a positive ``int``; a shot vector too. The shots setting from the original device is used
            by default, when this argument is 0.
        backend: The name of the IBM Quantum backend device. Defaults to ``"ibmq_qasm_simulator"``.
        ibmqx_token: The IBM Quantum API token. An empty one is none.
        hub: An IBM Quantum hub name. Defaults to ``"ibm-q"``.
        group: An IBM Quantum group name. Defaults to ``"open"``.
        project: An IBM Quantum project name. Defaults to ``"main"``.
        device: Kept, not used.
        runs_on: A PennyLane device of this machine to run on in the place of IBM Quantum.

    Raises:
        ConfigurationError: A field has a value that cannot work.
        ConfigurationFileError: A configuration file is broken.
    """

    known_extras: ClassVar[frozenset[str]] = DEVICE_OPTIONS
    max_jobs: int = Field(default=20, ge=1, description="the most jobs in flight at once, at least 1")
    backend: str = Field(
        default_factory=lambda: DEFAULT_BACKEND, min_length=1, description="name of a backend"
    )
    ibmqx_token: SecretStr = Field(default_factory=lambda: SecretStr(""), description="IBM Quantum API token")
    hub: str = Field(default_factory=lambda: "ibm-q", description="IBM Quantum hub name")
    group: str = Field(default_factory=lambda: "open", description="IBM Quantum group name")
    project: str = Field(default_factory=lambda: "main", description="IBM Quantum project name")
    runs_on: str = Field(default=OWN_DEVICE, min_length=1, description="name of a PennyLane device")

    if TYPE_CHECKING:

        def __init__(self, **data: Unpack[IBMQExecutorOptions]) -> None: ...

    @field_validator("device")
    @classmethod
    def _kept_device(cls, value: str) -> str:
        if value in _MEAN_IBM:
            return value
        raise ValueError(
            f"device is kept for programs that pass it, and chooses nothing. To run on another device of this machine, use "
            f"runs_on={value!r}, or Simulator(device={value!r})"
        )

    @field_validator("ibmqx_token", mode="before")
    @classmethod
    def _no_token(cls, value: object) -> object:
        return "" if value is None else value

    _known_device = field_validator("runs_on")(known_device)
    _jobs = field_validator("max_jobs", mode="before")(whole_number)

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Restore from a pickle, which holds no token: it is looked up again."""
        super().__setstate__(state)
        self.__dict__["ibmqx_token"] = SecretStr(find_token())

    def check_place(self) -> Self:
        """Refuse two places at once; also for copies, whose fields nobody checks."""
        if self.runs_on != OWN_DEVICE and not is_local_name(self.backend):
            raise ConfigurationError(
                f"runs_on={self.runs_on!r} runs the circuits on this machine, and backend={self.backend!r} is not there. "
                "Leave one of them out",
                argument="runs_on",
                value=self.runs_on,
            )
        return self

    _one_place = model_validator(mode="after")(check_place)

    @property
    def backend_name(self) -> str:
        """Name of the backend; of the device where that is another one."""
        return self.backend if self.runs_on == OWN_DEVICE else self.runs_on

    @property
    def takes_tensors(self) -> bool:
        """Whether our device reads them; a class with a ``batch_submit`` of its own may not expect any."""
        return self.runs_on == OWN_DEVICE and type(self).batch_submit is DeviceExecutor.batch_submit

    def _recipe(self) -> tuple[Callable[..., Any], dict[str, Any]]:
        self.check_place()
        if self.runs_on != OWN_DEVICE:
            return LocalDevice, {"name": self.runs_on}
        return ThreadedIBMQDevice, self._device_options()

    def _device_options(self) -> dict[str, Any]:
        extra = {k: v for k, v in (self.__pydantic_extra__ or {}).items() if k in DEVICE_OPTIONS}
        token = self.ibmqx_token if self.ibmqx_token.get_secret_value() else None
        names = ("backend", "hub", "group", "project", "max_jobs")
        return {**{name: getattr(self, name) for name in names}, "ibmqx_token": token, **extra}

    @classmethod
    def _look_up(cls, data: dict[str, Any]) -> dict[str, ConfigValue]:
        # where circuits run is never configured by a file
        known = (cls.model_fields.keys() | cls.known_extras) - {"runs_on"}
        arguments = {
            name for name, value in data.items() if name not in MAY_BE_EMPTY or value not in (None, "")
        }
        if data.get("runs_on", OWN_DEVICE) != OWN_DEVICE:
            # what is configured for IBM Quantum says nothing of it
            arguments.add("backend")
        values = find_values(known, Settings.model_fields.keys() | EXECUTORS_ONLY, executor=cls.__name__)
        return {
            name: one if name in cls.model_fields else replace(one, value=typed(name, one.value))
            for name, one in values.items()
            if name not in arguments
        }
