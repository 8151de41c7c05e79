"""What PennyLane sees."""

import pennylane as _qml

if tuple(int(x) for x in _qml.__version__.split(".")[:2]) < (0, 38):
    from .classic import ThreadedIBMQDevice
else:
    from .current import ThreadedIBMQDevice

__all__ = ["ThreadedIBMQDevice"]
