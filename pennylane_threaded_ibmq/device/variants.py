"""The same device with some options changed, for one QNode or a few calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..exceptions import ConfigurationError
from ..loose_options import LOOSE_OPTIONS
from ..service.backends import LEAST_BUSY
from ..settings import DEFAULT_SHOTS, Settings

if TYPE_CHECKING:
    from pennylane.measurements import Shots

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
        group = LOOSE_OPTIONS.get(name)
        if group is None or (name == "simulator" and isinstance(value, str)):
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
