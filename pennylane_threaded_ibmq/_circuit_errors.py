"""Errors of circuits, which are PennyLane's errors too; by themselves, since importing PennyLane takes seconds.

``exceptions`` has both under their names and imports them when they are asked for.
"""

from __future__ import annotations

try:
    from pennylane.exceptions import DeviceError, WireError
except ImportError:
    # where PennyLane had them until 0.41
    from pennylane import DeviceError
    from pennylane.wires import WireError

from .exceptions import ThreadedIBMQError


class UnsupportedCircuitError(ThreadedIBMQError, DeviceError):
    """A tape holds a gate, measurement or value that this device cannot run; nothing was sent.

    Attributes:
        tape: Position of the tape in the batch, if known.
    """

    def __init__(self, message: str, *, tape: int | None = None) -> None:
        super().__init__(message)
        self.tape = tape


class UnknownWireError(UnsupportedCircuitError, WireError):
    """A tape uses wires that the device does not have."""


# this is where people find them, and what tracebacks and pickles name
for _error in (UnsupportedCircuitError, UnknownWireError):
    _error.__module__ = f"{__package__}.exceptions"
