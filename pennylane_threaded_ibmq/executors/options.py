"""The arguments of executors as types, so that editors complete them and type checkers refuse wrong ones.

What they mean and allow is checked by the fields of the executors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from ..options import DeviceOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Literal

    from typing_extensions import Required, TypeAlias

    from .base import BaseQExecutor

    Executors: TypeAlias = "BaseQExecutor | Sequence[BaseQExecutor]"
    Selector: TypeAlias = "Literal['cyclic', 'random', 'least_busy'] | Callable[[Any, Any], Any]"


class ExecutorOptions(TypedDict, total=False):
    """Keyword arguments of every executor."""

    persist_data: bool
    qnode_device_import_path: tuple[str, str] | None
    qnode_device_shots: int | None
    qnode_device_wires: int | None
    pennylane_active_return: bool | None
    device: str
    num_threads: int
    name: str


class DeviceExecutorOptions(ExecutorOptions, total=False):
    """Keyword arguments of an executor that runs on a device."""

    shots: int | Sequence[int | tuple[int, int]] | None


class IBMQExecutorOptions(DeviceExecutorOptions, DeviceOptions, total=False):
    """Keyword arguments of ``IBMQExecutor``: its own, and all options of the device."""

    runs_on: str


class QiskitExecutorOptions(IBMQExecutorOptions, total=False):
    """Keyword arguments of ``QiskitExecutor``."""

    single_job: bool
    local_transpile: bool
    channel: str
    max_time: int | str | None
    cloud_instance: str


class SimulatorOptions(DeviceExecutorOptions, total=False):
    """Keyword arguments of ``Simulator``."""

    parallel: Literal["thread", False]
    workers: int


class QClusterOptions(ExecutorOptions, total=False):
    """Keyword arguments of ``QCluster``."""

    executors: Required[Executors]
    selector: Selector


class QElectronOptions(TypedDict, total=False):
    """Keyword arguments of ``qelectron``."""

    executors: Executors | None
    selector: Selector
    name: str | None
    description: str | None
