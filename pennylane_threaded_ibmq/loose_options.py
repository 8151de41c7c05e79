"""Options of the transpiler and of the primitives, as users of other devices give them: by themselves, or as objects of IBM's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, TypedDict

from pydantic import BaseModel

if TYPE_CHECKING:
    from typing import Literal


class TranspileOptions(TypedDict, total=False):
    """Options of the transpiler."""

    optimization_level: Literal[0, 1, 2, 3]
    seed_transpiler: int
    initial_layout: Any
    layout_method: str
    routing_method: str
    translation_method: str
    scheduling_method: str
    approximation_degree: float
    unitary_synthesis_method: str
    unitary_synthesis_plugin_config: Mapping[str, Any]
    hls_config: Any
    init_method: str
    optimization_method: str
    qubits_initially_zero: bool


class PrimitiveOptions(TypedDict, total=False):
    """Options of IBM's primitives, but for ``simulator``: the device has one of that name too."""

    resilience_level: Literal[0, 1, 2]
    resilience: Mapping[str, Any]
    dynamical_decoupling: Mapping[str, Any]
    twirling: Mapping[str, Any]
    execution: Mapping[str, Any]
    environment: Mapping[str, Any]
    default_precision: float
    default_shots: int
    max_execution_time: int
    seed_estimator: int
    experimental: Mapping[str, Any]


_TRANSPILE_NAMES = frozenset(TranspileOptions.__annotations__)
_PRIMITIVE_NAMES = frozenset({*PrimitiveOptions.__annotations__, "simulator"})

LOOSE_OPTIONS = {
    **dict.fromkeys(_TRANSPILE_NAMES, "transpile_options"),
    **dict.fromkeys(_PRIMITIVE_NAMES, "primitive_options"),
}
"""Options that may stand by themselves, and the option that they belong to."""


def group_of(name: str, value: Any) -> str | None:
    """The option that one which stands by itself belongs to; ``None`` for an option of the device's own."""
    if name == "simulator" and not (isinstance(value, Mapping) or type(value).__name__ == "SimulatorOptions"):
        # the device has one of that name, which takes no options
        return None
    return LOOSE_OPTIONS.get(name)


def sort_options(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of the transpiler, and those of the primitives."""
    transpile = {name: value for name, value in options.items() if name in _TRANSPILE_NAMES}
    return transpile, {name: value for name, value in options.items() if name not in transpile}


def gather_options(arguments: dict[str, Any]) -> dict[str, Any]:
    """Put options that stand by themselves where they belong."""
    out: dict[str, Any] = {}
    loose: dict[str, dict[str, Any]] = {"transpile_options": {}, "primitive_options": {}}
    for name, value in arguments.items():
        if name == "options":
            loose["primitive_options"].update(value or {})
        elif (group := group_of(name, value)) is not None:
            loose[group][name] = value
        else:
            out[name] = value
    for whole, options in loose.items():
        own = out.get(whole) or {}
        if options and isinstance(own, dict):
            out[whole] = {**options, **own}
    return out


def as_dictionary(value: Any) -> Any:
    """Options objects of IBM's client, in place of a dictionary or in one, as dictionaries of what was set."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    primitive = type(value).__name__.replace("Options", "").lower()
    return {primitive: _plain(value)} if primitive in ("estimator", "sampler") else value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, BaseModel):
        return value.model_dump(exclude_defaults=True)
    if is_dataclass(value) and not isinstance(value, type) and "Options" in type(value).__name__:
        default = type(value)()
        names = [f.name for f in fields(value) if f.name[0] != "_"]
        return {
            name: _plain(getattr(value, name))
            for name in names
            if getattr(value, name) != getattr(default, name)
        }
    return value
