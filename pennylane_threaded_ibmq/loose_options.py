"""Options of the transpiler and of the primitives, as users of other devices give them: by themselves, or as objects of IBM's."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from pydantic import BaseModel

_TRANSPILE_NAMES = frozenset(
    {
        "optimization_level",
        "seed_transpiler",
        "initial_layout",
        "layout_method",
        "routing_method",
        "translation_method",
        "scheduling_method",
        "approximation_degree",
        "unitary_synthesis_method",
        "unitary_synthesis_plugin_config",
        "hls_config",
        "init_method",
        "optimization_method",
        "qubits_initially_zero",
    }
)
_PRIMITIVE_NAMES = frozenset(
    {
        "resilience_level",
        "resilience",
        "dynamical_decoupling",
        "twirling",
        "execution",
        "environment",
        "simulator",
        "default_precision",
        "default_shots",
        "max_execution_time",
        "seed_estimator",
        "experimental",
    }
)

LOOSE_OPTIONS = {
    **dict.fromkeys(_TRANSPILE_NAMES, "transpile_options"),
    **dict.fromkeys(_PRIMITIVE_NAMES, "primitive_options"),
}
"""Options that may stand by themselves, and the option that they belong to."""


def sort_options(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of the transpiler, and those of the primitives."""
    transpile = {name: value for name, value in options.items() if name in _TRANSPILE_NAMES}
    return transpile, {name: value for name, value in options.items() if name not in transpile}


def gather_options(arguments: dict[str, Any]) -> dict[str, Any]:
    """Put options that stand by themselves where they belong."""
    out: dict[str, Any] = {}
    loose: dict[str, dict[str, Any]] = {"transpile_options": {}, "primitive_options": {}}
    for name, value in arguments.items():
        if name in _TRANSPILE_NAMES:
            loose["transpile_options"][name] = value
        elif name in _PRIMITIVE_NAMES and not (name == "simulator" and isinstance(value, str)):
            # IBM's primitives have options of a simulator too, which are no text
            loose["primitive_options"][name] = value
        elif name == "options":
            loose["primitive_options"].update(value or {})
        else:
            out[name] = value
    for name, found in loose.items():
        given = out.get(name) or {}
        if found and isinstance(given, dict):
            out[name] = {**found, **given}
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
