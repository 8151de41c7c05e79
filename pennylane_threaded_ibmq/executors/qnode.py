"""What qelectrons of both stacks share: ``run_later``, and results of the types that the plain QNode gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pennylane as qml
from pennylane import numpy as pnp

from ..stack import Stack, stack
from .base import BaseQExecutor
from .later import Call, LaterFuture, submit_later


class RunsLater:
    """What qelectrons of both stacks have beside what a QNode has."""

    device: Any

    @property
    def executors(self) -> tuple[BaseQExecutor, ...]:
        """All executors that may be chosen."""
        return tuple(self.device.executors)

    def run_later(self, *args: Any, **kwargs: Any) -> LaterFuture:
        """Choose executors and submit now, and return at once.

        Args:
            *args: Arguments of the circuit.
            **kwargs: Its keyword arguments.

        Returns:
            A future whose ``result()`` is what a plain call would have returned; whatever goes wrong is raised there.
        """
        return submit_later(lambda: self._later(args, kwargs), self.device.guard)

    def _later(self, args: Any, kwargs: Any) -> Call:
        raise NotImplementedError


def as_plain(value: Any, qnode: Any, tape: Any, args: Any, kwargs: Any) -> Any:
    """The result of a call of a qelectron, of the types of the plain QNode.

    Without shots, PennyLane differentiates a simulator by backpropagation, which gives tensors to autograd; circuits of
    executors are differentiated by shifts, which give arrays.

    Args:
        value: The result.
        qnode: The plain QNode.
        tape: The circuit, with the shots it ran with.
        args: Arguments of the call.
        kwargs: Keyword arguments of the call.
    """
    if tape is None or tape.shots or not _is_for_autograd(qnode, args, kwargs):
        return value
    return _as_tensors(value) if passes_through(qnode) else value


def passes_through(qnode: Any) -> bool:
    """Whether PennyLane differentiates the plain QNode by backpropagation, where it has no shots."""
    return qnode.diff_method == "best" and _has_backprop(qnode)


def framework_of(args: Any, kwargs: Any) -> str | None:
    """JAX or Torch, if the arguments of a call are of one of them; else ``None``."""
    found = qml.math.get_interface(*args, *kwargs.values())
    return found if found in ("jax", "torch") else None


def _is_for_autograd(qnode: Any, args: Any, kwargs: Any) -> bool:
    interface = getattr(qnode.interface, "value", qnode.interface)
    if interface == "auto":
        found = qml.math.get_interface(*args, *kwargs.values())
        # PennyLane of the classic stack takes plain numbers for autograd's
        return found == "autograd" or (found == "numpy" and stack() is Stack.CLASSIC)
    # by backpropagation the arguments count, and not what was named
    return bool(interface == "autograd" and framework_of(args, kwargs) is None)


def _has_backprop(qnode: Any) -> bool:
    device = getattr(qnode, "_original_device", qnode.device)
    device = getattr(device, "target_device", device)
    if not hasattr(device, "capabilities") or not hasattr(device, "short_name"):
        return type(device).__name__ in {"DefaultQubit", "DefaultMixed"}
    return bool({"passthru_interface", "passthru_devices"} & set(device.capabilities()))


def _as_tensors(value: Any) -> Any:
    if isinstance(value, dict):
        return value
    if isinstance(value, (list, tuple)):
        return type(value)(_as_tensors(one) for one in value)
    return pnp.tensor(value) if isinstance(value, (np.ndarray, np.floating)) else value
