"""What PennyLane sees."""

from .current import ThreadedIBMQDevice

__all__ = ["ThreadedIBMQDevice"]
