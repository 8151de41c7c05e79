"""Options of IBM's primitives: which there are, and whether their values can work."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from ..._compat import without_prefix
from ..._secrets import covered
from ...exceptions import ConfigurationError, ConfigurationWarning, nearest
from .client import has_client_side, has_service_side
from .primitives import MOVED, in_dialect, option_models, option_names
from .quiet import quiet

PRIMITIVES = ("estimator", "sampler")

_OVERRULED = {
    "default_shots": "shots are those of a circuit, else shots= of the device",
    "default_precision": "shots are those of a circuit, else shots= of the device",
}
"""Options that nothing asks, wherever circuits run, and what decides."""

_ERRORS = "a simulation on this machine neither mitigates nor suppresses errors"
_SEED = "a simulation on this machine takes seed_simulator="
_IBM_ONLY = {
    **dict.fromkeys(("resilience_level", "resilience", "dynamical_decoupling", "twirling"), _ERRORS),
    "seed_estimator": _SEED,
    "simulator": f"{_SEED} and noise_model=",
}
"""Options that change numbers at IBM alone, and what does here."""


def split_primitive_options(
    options: Mapping[str, Any], api: str = "auto"
) -> tuple[dict[str, dict[str, Any]], str | None]:
    """Options of each primitive, checked by IBM's own models.

    Args:
        options: Either options for both, of which each primitive takes what it has, or
            ``{"estimator": {...}, "sampler": {...}}``.
        api: Which kind of primitive: ``"auto"``, ``"client"`` or ``"service"``.

    Returns:
        The options, and the kind whose model they fit if it is one alone.

    Raises:
        ConfigurationError: An option is unknown or has a value that cannot work.
    """
    if api == "client" and not has_client_side():
        raise ConfigurationError(
            "primitive_api='client': the installed qiskit-ibm-runtime has no client-side primitives. Run 'pip install -U "
            "qiskit qiskit-aer qiskit-ibm-runtime', or leave primitive_api out. Nothing was sent.",
            argument="primitive_api",
            value=api,
        )
    if not options:
        return {name: {} for name in PRIMITIVES}, None
    there = [name for name, has in (("client", has_client_side), ("service", has_service_side)) if has()]
    kinds = there if api == "auto" else [api]
    by_kind: dict[str, dict[str, dict[str, Any]]] = {}
    refusals: list[ConfigurationError] = []
    for kind in kinds:
        try:
            by_kind[kind] = _split(options, kind)
        except ConfigurationError as error:
            refusals.append(error)
    if not by_kind:
        raise refusals[0]
    kind, split = next(iter(by_kind.items()))
    return split, kind if len(by_kind) == 1 and len(kinds) > 1 else None


def warn_of_idle(options: Mapping[str, Mapping[str, Any]], *, here: bool) -> None:
    """Say which options will not change a number, though they are there for it.

    Args:
        options: Those of each primitive.
        here: Circuits are simulated on this machine.
    """
    reasons = {**_OVERRULED, **_IBM_ONLY} if here else _OVERRULED
    values = {name: value for part in options.values() for name, value in part.items() if value}
    for reason in dict.fromkeys(reasons[name] for name in values if name in reasons):
        names = ", ".join(name for name in values if reasons.get(name) == reason)
        warnings.warn(
            f"primitive_options: {names} {'have' if ',' in names else 'has'} no effect; {reason}.",
            ConfigurationWarning,
            stacklevel=2,
        )


def _split(options: Mapping[str, Any], api: str) -> dict[str, dict[str, Any]]:
    models = option_models(api)
    known = {name: option_names(m) for name, m in models.items()}
    if set(options) <= set(PRIMITIVES):
        split = {name: dict(options.get(name) or {}) for name in PRIMITIVES}
    else:
        split = {name: {k: v for k, v in options.items() if k in known[name]} for name in PRIMITIVES}
        for option in options:
            if not any(option in names for names in known.values()):
                everything = sorted(known["estimator"] | known["sampler"])
                raise _refused(
                    f"unknown option {option!r}.{_moved(option)}{nearest(option, everything)} Known: {', '.join(everything)}.",
                    options,
                )
    for name, model in models.items():
        problem = ""
        try:
            with quiet().client():
                model(**in_dialect(split[name], api))
        except (ValueError, TypeError) as error:
            problem = f"{_first_problem(error)}{_moved(str(error))}"
        if problem:
            # outside of the handler: IBM's error shows all values, secrets among them
            raise _refused(f"{name}: {problem}", options)
    return split


def _moved(text: str) -> str:
    """Advice on the new place of an option of the service-side primitives, if a text is about one."""
    return next((f" {name}: {where}." for name, where in MOVED.items() if name.split(".")[-1] in text), "")


def _first_problem(error: Exception) -> str:
    """The first problem that IBM's model names, without its links."""
    problems = getattr(error, "errors", None)
    if problems is None:
        return f"{str(error).rstrip('.')}."
    first = problems()[0]
    where = ".".join(str(part) for part in first["loc"])
    value = covered({where: first["input"]})[where]
    return f"{where}={value!r}: {without_prefix(str(first['msg']), 'Value error, ').rstrip('.')}."


def _refused(text: str, options: Mapping[str, Any]) -> ConfigurationError:
    return ConfigurationError(
        f"primitive_options: {text} Nothing was sent.", argument="primitive_options", value=dict(options)
    )
