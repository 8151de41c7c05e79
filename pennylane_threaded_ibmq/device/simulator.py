"""The choice of a simulator of this machine for circuits without noise: Aer, or the state vector of PennyLane Lightning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..exceptions import ConfigurationError
from ..settings import DEFAULT_BACKEND
from ..simulators.aer_options import SHARED

if TYPE_CHECKING:
    from ..settings import Settings
    from ..simulators.lightning import Lightning
    from ..simulators.local import LocalBackend


def choose_lightning(settings: Settings, local: LocalBackend) -> Lightning | None:
    """Lightning, where the settings ask for it or it may take Aer's place; ``None`` for Aer.

    Raises:
        ConfigurationError: Lightning was asked for, and cannot be.
    """
    if settings.simulator == "aer" and not local.is_aer:
        refuse_simulator(settings, f"backend {local.name!r} is a simulator of its own")
    obstacle = _obstacle(settings, local)
    if settings.simulator == "lightning":
        if obstacle:
            refuse_simulator(settings, obstacle)
        return _require(local)
    # what a transpiler makes is for Aer, unless Lightning was asked for
    for_aer = settings.compile_backend is not None or bool(settings.transpile_options)
    return None if settings.simulator == "aer" or obstacle or for_aer else local.lightning


def refuse_simulator(settings: Settings, reason: str) -> None:
    """Refuse a simulator where none is to be chosen.

    Raises:
        ConfigurationError: One was named.
    """
    if settings.simulator != "auto":
        raise ConfigurationError(
            f"simulator={settings.simulator!r}: {reason}. It can be chosen for backend={DEFAULT_BACKEND!r} without a noise "
            "model only; leave it out. Nothing was sent.",
            argument="simulator",
            value=settings.simulator,
        )


def _obstacle(settings: Settings, local: LocalBackend) -> str:
    """The reason why Lightning cannot take Aer's place; empty if it can."""
    if settings.noise_model is not None:
        return "Lightning's state vector has no noise, and noise_model is given"
    if settings.compiles_otherwise:
        return "Lightning takes no circuits of a pass manager's, nor any as they are"
    if not SHARED.issuperset(settings.simulator_options):
        return "simulator_options other than precision are options of Aer"
    if settings.backend != DEFAULT_BACKEND:
        return f"backend {local.name!r} simulates by itself"
    return ""


def _require(local: LocalBackend) -> Lightning:
    if local.lightning is None:
        raise ConfigurationError(
            "simulator='lightning': the state vector of pennylane-lightning is not there, or this version's is not known. "
            "Install it with: pip install -U pennylane-lightning. Or leave simulator out: Aer simulates then. "
            "Nothing was sent.",
            argument="simulator",
            value="lightning",
        )
    return local.lightning
