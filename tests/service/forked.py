"""The program as the target of a process that was forked: what it needs is loaded before the fork."""

import os
import sys

import program
import qiskit_aer  # noqa: F401
import qiskit_ibm_runtime  # noqa: F401

import pennylane_threaded_ibmq.device  # noqa: F401


def main(ready, errors, journal, result):
    """Run it; its errors go to a file."""
    stream = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(stream, sys.stderr.fileno())
    program.run(journal, result, lambda: ready.send("ready"))
