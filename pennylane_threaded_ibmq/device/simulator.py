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
    if settings.simulator == "lightning":
        _refuse_noise(settings, local)
        return _require(local)
    if settings.simulator == "aer" or _needs_aer(settings):
        return None
    return local.lightning


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


def _needs_aer(settings: Settings) -> bool:
    """Whether something asks for Aer, or for what a transpiler makes."""
    return (
        settings.backend != DEFAULT_BACKEND
        or settings.noise_model is not None
        or not SHARED.issuperset(settings.simulator_options)
        or settings.compile_backend is not None
        or bool(settings.transpile_options)
        or settings.compiles_otherwise
    )


def _refuse_noise(settings: Settings, local: LocalBackend) -> None:
    if settings.noise_model is not None:
        refuse_simulator(settings, "Lightning's state vector has no noise, and noise_model is given")
    if settings.compiles_otherwise:
        refuse_simulator(settings, "Lightning takes no circuits of a pass manager's, nor any as they are")
    if not SHARED.issuperset(settings.simulator_options):
        refuse_simulator(settings, "simulator_options other than precision are options of Aer")
    if settings.backend != DEFAULT_BACKEND:
        refuse_simulator(settings, f"backend {local.name!r} simulates by itself")


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
