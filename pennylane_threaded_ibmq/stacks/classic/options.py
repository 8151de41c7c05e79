"""Options of a classic backend's ``run``: which there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...exceptions import ConfigurationError, nearest


def check_run_options(options: Mapping[str, Any], backend: Any) -> None:
    """Refuse options that a classic backend's ``run`` does not have, or that are given otherwise.

    Raises:
        ConfigurationError: An option is unknown, or the device's own business.
    """
    if not options:
        return
    from inspect import signature

    givers = {
        "circuits": "the tapes",
        "shots": "shots=",
        "memory": "the device",
        "job_tags": "job_tags=",
        "noise_model": "noise_model=",
        "seed_simulator": "seed_simulator=",
        "dynamic": "the device",
        "run_config": "its options",
    }
    known = [name for name in signature(backend.run).parameters if name not in givers]
    for name in options:
        if name in givers:
            text = f"{name!r} is given by {givers[name]}."
        elif name not in known:
            text = f"unknown option {name!r}.{nearest(name, known)} Known: {', '.join(known)}."
        else:
            continue
        raise ConfigurationError(
            f"run_options: {text} Nothing was sent.", argument="run_options", value=dict(options)
        )
