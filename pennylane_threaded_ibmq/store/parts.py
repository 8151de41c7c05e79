"""Gates, observables and measurements taken apart, and put together again, on any PennyLane."""

from __future__ import annotations

from typing import Any

from pennylane.measurements import MeasurementProcess

_ABOUT = ("all_outcomes", "seed", "k")
"""Attributes that a measurement of an older PennyLane has beside its observable and wires."""


def take_apart(value: Any) -> tuple[Any, ...]:
    """The parts of a gate, observable or measurement, as values that hold no code."""
    if hasattr(value, "_flatten"):
        return tuple(value._flatten())  # noqa: SLF001 - PennyLane's own way to do this
    if isinstance(value, MeasurementProcess):
        observable = getattr(value, "H", None) if value.obs is None else value.obs
        about = {name: getattr(value, name) for name in _ABOUT if hasattr(value, name)}
        return observable, value.wires if observable is None and value.wires else None, about
    if type(value).__name__ == "Tensor":
        return (list(value.obs),)
    if type(value).__name__ == "Hamiltonian":
        return list(value.coeffs), list(value.ops)
    # its hyperparameters follow from its class, or it does not come back as it was
    return list(value.data), value.wires, dict(value.hyperparameters)


def put_together(kind: Any, *parts: Any) -> Any:
    """Put together what :func:`take_apart` took apart."""
    if hasattr(kind, "_unflatten"):
        return kind._unflatten(*parts)  # noqa: SLF001 - as above
    if issubclass(kind, MeasurementProcess):
        observable, wires, about = parts
        if observable is not None:
            return kind(observable, **about)
        return kind(wires=wires, **about)
    if kind.__name__ == "Tensor":
        return kind(*parts[0])
    if kind.__name__ == "Hamiltonian":
        return kind(*parts)
    data, wires, _ = parts
    return kind(*data, wires=wires)
