"""The command line, ``threaded-ibmq``.

Its help must come at once, so modules of this folder import nothing but the standard library and click; PennyLane,
Qiskit and rich are imported by the command that needs them.
"""

from .app import main

__all__ = ["main"]
