"""Number of cores, and of threads of a simulation."""

from __future__ import annotations

import os


def count_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def count_threads() -> int:
    """Threads of a simulation: one a core, or ``OMP_NUM_THREADS`` where that is less."""
    threads = os.environ.get("OMP_NUM_THREADS", "")
    return min(count_cores(), int(threads)) if threads.isdigit() and int(threads) > 0 else count_cores()
