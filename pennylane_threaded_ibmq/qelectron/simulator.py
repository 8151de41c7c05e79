"""The executor for simulators of PennyLane's on this machine."""

from __future__ import annotations

from typing import Any

import pennylane as qml
from pydantic import Field, field_validator

from ..exceptions import nearest
from .device_executor import DeviceExecutor
from .runners import LocalRunner, Runner


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

    device: str = Field("default.qubit", min_length=1, description="name of a PennyLane device")
    parallel: bool | str = Field("thread", description="'thread' or False")
    workers: int = Field(10, ge=1, description="kept, not used")

    @field_validator("device")
    @classmethod
    def _known_device(cls, value: str) -> str:
        if value not in qml.plugin_devices:
            raise ValueError(f"PennyLane has no such device.{nearest(value, qml.plugin_devices)}")
        return value

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

    def _made_for(self) -> tuple[Any, ...]:
        return (self.device,)

    def _runner(self) -> Runner:
        return LocalRunner(self.device)
