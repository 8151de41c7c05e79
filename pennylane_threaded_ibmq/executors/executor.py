"""The executor for IBM Quantum: fields of the page, and a ``threaded.ibmq`` device behind them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import pennylane as qml
from pydantic import Field, SecretStr, field_validator, model_validator

from ..config import EXECUTORS_ONLY, Found, find_token, find_values, hide_secrets
from ..exceptions import ConfigurationError, nearest
from ..settings import DEFAULT_BACKEND, Settings, typed
from ..simulators.local import is_local_name
from .base import whole_number
from .device_executor import DeviceExecutor
from .runners import IBMRunner, LocalRunner, Runner

if TYPE_CHECKING:
    from typing_extensions import Self

OWN_DEVICE = "threaded.ibmq"
_MEAN_IBM = frozenset({"default.qubit", OWN_DEVICE, "qiskit.ibmq"})
"""Values of ``device`` that ask for nothing else: the page's default, and devices of IBM Quantum."""
_MAY_BE_EMPTY = frozenset({"ibmqx_token", "ibmqx_url", "instance"})
"""Fields that count as not given where they are empty."""


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

    known_extras: ClassVar[frozenset[str]] = frozenset(Settings.model_fields)
    max_jobs: int = Field(20, ge=1, description="the most jobs in flight at once, at least 1")
    backend: str = Field(
        default_factory=lambda: DEFAULT_BACKEND, min_length=1, description="name of a backend"
    )
    ibmqx_token: SecretStr = Field(default_factory=lambda: SecretStr(""), description="IBM Quantum API token")
    hub: str = Field(default_factory=lambda: "ibm-q", description="IBM Quantum hub name")
    group: str = Field(default_factory=lambda: "open", description="IBM Quantum group name")
    project: str = Field(default_factory=lambda: "main", description="IBM Quantum project name")
    runs_on: str = Field(OWN_DEVICE, min_length=1, description="name of a PennyLane device")

    def __init__(self, **data: Any) -> None:
        hide_secrets(data)
        super().__init__(**data)

    @field_validator("device")
    @classmethod
    def _kept_device(cls, value: str) -> str:
        if value in _MEAN_IBM:
            return value
        raise ValueError(
            f"device is kept for programs that pass it, and chooses nothing. To run on another device of this machine, use "
            f"runs_on={value!r}, or Simulator(device={value!r})"
        )

    @field_validator("runs_on")
    @classmethod
    def _known_device(cls, value: str) -> str:
        if value not in qml.plugin_devices:
            raise ValueError(f"PennyLane has no such device.{nearest(value, qml.plugin_devices)}")
        return value

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        self._check_place()
        return self

    @field_validator("max_jobs", mode="before")
    @classmethod
    def _jobs(cls, value: object) -> object:
        return whole_number(value)

    @field_validator("ibmqx_token", mode="before")
    @classmethod
    def _no_token(cls, value: object) -> object:
        return "" if value is None else value

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Restore from a pickle, which holds no token: it is looked up again."""
        super().__setstate__(state)
        self.__dict__["ibmqx_token"] = SecretStr(find_token())

    def _check_place(self) -> None:
        """Refuse two places at once; also for copies, whose fields nobody checks."""
        if self.runs_on != OWN_DEVICE and not is_local_name(self.backend):
            raise ConfigurationError(
                f"runs_on={self.runs_on!r} runs the circuits on this machine, and backend={self.backend!r} is not there. "
                "Leave one of them out",
                argument="runs_on",
                value=self.runs_on,
            )

    @property
    def _slots(self) -> int:
        """Most jobs in flight."""
        return self.max_jobs

    @property
    def backend_name(self) -> str:
        """Name of the backend; of the device where that is another one."""
        return self.backend if self.runs_on == OWN_DEVICE else self.runs_on

    def _made_for(self) -> tuple[Any, ...]:
        return (
            self.runs_on, self.backend, self.ibmqx_token, self.hub, self.group, self.project, self.max_jobs,
            *(self.__pydantic_extra__ or {}).values(),
        )  # fmt: skip

    def _runner(self) -> Runner:
        self._check_place()
        return IBMRunner(self._device_options()) if self.runs_on == OWN_DEVICE else LocalRunner(self.runs_on)

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
        # where circuits run is never configured by a file
        known = (cls.model_fields.keys() | cls.known_extras) - {"runs_on"}
        given = {name for name, value in data.items() if name not in _MAY_BE_EMPTY or value not in (None, "")}
        if data.get("runs_on", OWN_DEVICE) != OWN_DEVICE:
            # what is configured for IBM Quantum says nothing of it
            given.add("backend")
        found = find_values(known, Settings.model_fields.keys() | EXECUTORS_ONLY, executor=cls.__name__)
        return {
            name: one if name in cls.model_fields else replace(one, value=typed(name, one.value))
            for name, one in found.items()
            if name not in given
        }
