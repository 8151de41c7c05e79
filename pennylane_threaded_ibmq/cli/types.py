"""Values that commands take."""

from __future__ import annotations

import re

import click

from .._compat import without_suffix

_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d)?")


def duration(text: str) -> float:
    """Seconds, from ``500ms``, ``30s``, ``2m``, ``1h``, ``90d`` or a bare number of seconds.

    Raises:
        BadParameter: It is none of these.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise click.BadParameter(f"{text!r} is no length of time; write 500ms, 30s, 2m, 1h or 90d.")
    return float(match[1]) * _UNITS[match[2] or "s"]


def share(text: str) -> float:
    """A share from 0 to 1, from ``5%`` or ``0.05``.

    Raises:
        BadParameter: It is none.
    """
    try:
        fraction = float(without_suffix(text.strip(), "%")) / (100 if text.strip().endswith("%") else 1)
    except ValueError:
        fraction = -1.0
    if not 0 <= fraction <= 1:
        raise click.BadParameter(f"{text!r} is no share; write 5% or 0.05.")
    return fraction
