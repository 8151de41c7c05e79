"""The loading of Qiskit's compiled part."""

from __future__ import annotations


def load_native() -> None:
    """Load Qiskit in this thread, for another that is about to use it.

    The allocator of Qiskit 2.6's compiled part can end the process with a segmentation fault when its pool of threads starts, if
    a thread beside the main one has loaded it: in ``_mi_subproc``, below ``mi_thread_init`` of a worker of ``rayon``. Seen
    in notebooks, with calls that a thread of ours prepared; never where the thread that called had loaded it.
    """
    import qiskit

    _ = qiskit.QuantumCircuit  # the compiled part comes with it
