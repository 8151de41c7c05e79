"""Number of cores that a simulation may use."""

from __future__ import annotations

import os


def count_cores() -> int:
    """Cores that this process may run on, or ``OMP_NUM_THREADS`` where that is less."""
    chosen = os.environ.get("OMP_NUM_THREADS", "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, int(chosen)) if chosen.isdigit() and int(chosen) > 0 else cores
