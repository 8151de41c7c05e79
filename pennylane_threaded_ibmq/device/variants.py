"""The same device with some options changed, for one QNode or a few calls."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, cast

from ..exceptions import ConfigurationError
from ..loose_options import LOOSE_OPTIONS, group_of
from ..service.backends import LEAST_BUSY
from ..settings import DEFAULT_SHOTS, Settings, hide_token

if TYPE_CHECKING:
    import numpy as np
    from pennylane.measurements import Shots
    from typing_extensions import Self, Unpack

    from ..options import DeviceOptions
    from .planner import Planner
    from .spending_limits import SpendingLimits
    from .tag_blocks import TagBlocks

OF_JOBS = frozenset(
    {
        "primitive",
        "primitive_api",
        "primitive_options",
        "shots",
        "max_jobs",
        "shard_size",
        "timeout_secs",
        "max_retries",
        "max_usage_secs",
        "max_overrun",
        "budget_secs",
        "on_interrupt",
        "on_usage_limit",
        "progress",
        "journal",
        "job_tags",
    }
)
"""Options that change nothing of a compiled circuit, so that two devices may share theirs."""


class OptionVariants:
    """The part of a device that makes others of it."""

    wires: Any
    _settings: Settings
    _planner: Planner
    _limits: SpendingLimits
    _tags: TagBlocks
    _seeds: np.random.SeedSequence
    _lock: threading.Lock

    @property
    @abstractmethod
    def backend_name(self) -> str:
        """Name of the backend."""

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
        hide_token(arguments)
        other = type(self)(**{"wires": self.wires or None, **shots_argument(self._own_shots()), **arguments})
        other.follow(self, changes)
        return other

    def follow(self, other: OptionVariants, changes: Collection[str]) -> None:
        """Share with another device what does not depend on the options that are changed here.

        Args:
            other: The device that this one is made from.
            changes: Names of the options that differ.
        """
        if "budget_secs" not in changes:
            self._limits.budget = other._limits.budget
        if {LOOSE_OPTIONS.get(name, name) for name in changes} <= OF_JOBS:
            self._planner.templates = other._planner.templates
        self._tags.follow(other._tags)
        with other._lock:
            self._seeds = other._seeds.spawn(1)[0]

    @abstractmethod
    def _own_shots(self) -> Shots:
        """Shots of a circuit that sets none."""


def changed_arguments(settings: Settings, backend: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a device like another, with changes.

    Args:
        settings: Options of the other.
        backend: Name of its backend, which takes the place of ``"least_busy"``.
        changes: Options by name; one of the transpiler or of the primitives that stands by itself changes that one alone.

    Raises:
        ConfigurationError: An option stands by itself, and the other device has options for each primitive.
    """
    arguments = {name: getattr(settings, name) for name in settings.model_fields_set}
    if arguments.get("backend") == LEAST_BUSY:
        arguments["backend"] = backend
    for name, value in changes.items():
        group = group_of(name, value)
        if group is None:
            arguments[name] = value
        elif group not in changes:
            arguments[group] = _with(arguments.get(group) or {}, name, value)
    return arguments


def _with(options: Mapping[str, Any], name: str, value: Any) -> dict[str, Any]:
    if options and set(options) <= {"estimator", "sampler"}:
        raise ConfigurationError(
            f"{name}={value!r}: the device has primitive_options for each primitive, and this names none. Give primitive_options= "
            "as a whole. Nothing was sent.",
            argument=name,
            value=value,
        )
    return {**options, name: value}


def shots_argument(shots: Shots) -> dict[str, Any]:
    """Shots as a device takes them; nothing for the default, which is no choice of the user's."""
    if shots.has_partitioned_shots:
        return {"shots": list(shots)}
    return {} if shots.total_shots in {None, DEFAULT_SHOTS} else {"shots": int(shots.total_shots)}
