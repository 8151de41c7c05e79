"""Whether IBM's client has an account saved here; by itself, since importing the client takes seconds."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

USUAL_FILE = Path("~/.qiskit/qiskit-ibm.json")
"""Where the client saves accounts."""


def saved_account() -> bool:
    """Whether IBM's client has an account saved on this machine; the client is imported only if it has a file."""
    # once the client is imported, it alone knows which file it reads
    if "qiskit_ibm_runtime" not in sys.modules and not USUAL_FILE.expanduser().exists():
        return False
    return bool(import_module("qiskit_ibm_runtime").QiskitRuntimeService.saved_accounts())
