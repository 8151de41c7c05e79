"""Covalent's other executors: ``Simulator``, and ``QiskitExecutor`` by the options of ``threaded.ibmq``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, field_validator, model_validator

from .._secrets import conceal
from ..config_sources import ConfigValue
from ..device.local import LocalDevice
from ..exceptions import ConfigurationError
from ..loose_options import sort_options
from ..simulators.local import is_local_name
from ..stack import Stack, stack
from .executor import DeviceExecutor, IBMQExecutor, known_device

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .options import QiskitExecutorOptions, SimulatorOptions

_DEVICES = ("sampler", "local_sampler")
_WRITTEN_BY_COVALENT = {"optimization_level": 3, "resilience_level": 1}
"""Options that stand in Covalent's file without anybody's doing: it writes its defaults there."""
_NOTHING: tuple[Any, ...] = (None, "", {}, ())


class Simulator(DeviceExecutor):
    """A quantum executor that runs circuits on a PennyLane device of this machine.

    Attributes:
        device: Name of the device, such as ``default.qubit`` or ``lightning.qubit``.
        parallel: ``"thread"`` or ``False``. Either way circuits take turns, for PennyLane's simulators are not safe in
            several threads.
        workers: Kept, not used.
        shots: Overrides the shots of the QNode if ``None``, a positive number or a shot vector; 0 keeps them.

    Raises:
        ConfigurationError: A field has a value that cannot work.
    """

    device: str = Field(default="default.qubit", min_length=1, description="name of a PennyLane device")
    parallel: bool | str = Field(default="thread", description="'thread' or False")
    workers: int = Field(default=10, ge=1, description="kept, not used")

    if TYPE_CHECKING:

        def __init__(self, **data: Unpack[SimulatorOptions]) -> None: ...

    _known_device = field_validator("device")(known_device)

    @field_validator("parallel")
    @classmethod
    def _kind(cls, value: bool | str) -> bool | str:
        if value == "process":
            raise ValueError(
                "processes are not started. For simulations on several cores or machines use IBMQExecutor(engine=...), with "
                "a pool of processes or a Dask client"
            )
        if value not in ("thread", False):
            raise ValueError("must be 'thread' or False")
        return value

    @property
    def backend_name(self) -> str:
        """Name of the device."""
        return self.device

    def _recipe(self) -> tuple[Callable[..., Any], dict[str, Any]]:
        return LocalDevice, {"name": self.device}


class QiskitExecutor(IBMQExecutor):
    """A quantum executor that runs circuits by Qiskit's sampler: IBM's, or on this machine.

    Attributes:
        device: ``"sampler"`` for IBM's on ``backend``, ``"local_sampler"`` for this machine.
        options: Options of the primitive and of the transpiler, by name; ``device="local_sampler"`` takes those of the
            transpiler and leaves the others.
        single_job: Kept, not used: circuits go in as few jobs as it takes.
        local_transpile: Kept, not used: circuits are always transpiled before they are sent.
        channel: Kept, not used.
        max_time: Not taken; the error names what is.

    Raises:
        ConfigurationError: A field has a value that cannot work.
    """

    known_extras: ClassVar[frozenset[str]] = IBMQExecutor.known_extras | {"cloud_instance"}

    device: str = Field(default="local_sampler", description="'sampler' or 'local_sampler'")
    options: dict[str, Any] = Field(default_factory=dict, description="options by name")
    single_job: bool = False
    local_transpile: bool = False
    channel: str = ""
    max_time: int | str | None = None

    if TYPE_CHECKING:

        def __init__(self, **data: Unpack[QiskitExecutorOptions]) -> None: ...

    @classmethod
    def _look_up(cls, data: dict[str, Any]) -> dict[str, ConfigValue]:
        if not data.get("instance") and data.get("cloud_instance"):
            data["instance"] = data["cloud_instance"]
        values = super()._look_up(data)
        device = values["device"].value if "device" in values else data.get("device", "local_sampler")
        if device == "local_sampler" and "backend" not in data:
            # what is configured for IBM Quantum says nothing of it
            values["backend"] = ConfigValue("aer_simulator", "default")
        if "options" in values and values["options"].value == _WRITTEN_BY_COVALENT:
            del values["options"]
        if "cloud_instance" in values and not data.get("instance"):
            values.setdefault("instance", values["cloud_instance"])
        return values

    @field_validator("device")
    @classmethod
    def _kept_device(cls, value: str) -> str:
        if value not in _DEVICES:
            raise ValueError(f"must be one of {', '.join(map(repr, _DEVICES))}")
        return value

    @field_validator("options", mode="before")
    @classmethod
    def _as_dictionary(cls, value: Any) -> Any:
        # Covalent's own dumps them as pairs
        return dict(value or {}) if isinstance(value, tuple) or not value else value

    _concealed = field_validator("options")(conceal)

    @model_validator(mode="after")
    def _no_mitigation(self) -> QiskitExecutor:
        level = self.options.get("resilience_level")
        if level and self.device == "sampler":
            raise ConfigurationError(
                f"options={{'resilience_level': {level!r}}}: IBM's sampler has no levels of resilience any more. Leave it out, or "
                f"use IBMQExecutor(backend={self.backend!r}, resilience_level={level!r}), whose expectation values come from "
                "IBM's estimator",
                argument="options",
                value=level,
            )
        return self

    @field_validator("max_time")
    @classmethod
    def _no_session(cls, value: int | str | None) -> int | str | None:
        if value is not None:
            raise ValueError(
                "no session is opened. Use session=Session(backend, max_time=...) of IBM's client, or limit QPU seconds "
                "with max_usage_secs= or budget_secs="
            )
        return value

    @model_validator(mode="after")
    def _local_is_here(self) -> QiskitExecutor:
        if self.device == "local_sampler" and not is_local_name(self.backend):
            raise ConfigurationError(
                f"device='local_sampler' runs the circuits on this machine, and backend={self.backend!r} is not there. Use "
                "device='sampler' for that backend, or leave it out",
                argument="device",
                value=self.device,
            )
        return self

    def _device_options(self) -> dict[str, Any]:
        loose = {**self.options}
        for group in ("transpilation", "transpile_options", "primitive_options"):
            loose.update(loose.pop(group, None) or {})
        options = super()._device_options()
        options = {name: value for name, value in options.items() if value not in _NOTHING}
        if not loose.get("resilience_level"):
            loose.pop("resilience_level", None)
        transpile, primitive = sort_options(loose)
        if self.device == "local_sampler":
            return {**transpile, **options}
        if stack() is Stack.CURRENT:
            options["primitive"] = "sampler"
        return {**transpile, "options": primitive, **options}
