"""Programs as targets of a process that was forked: what they need is loaded before the fork.

Each is a role in what may happen around a batch: one program; a parent whose worker computes half of it, also while another
thread of the parent logs in; one that waits for what another program has sent.
"""

import os
import sys
import threading
import time
import traceback
from contextlib import suppress

import program
import qiskit_aer  # noqa: F401
import qiskit_ibm_runtime  # noqa: F401

from pennylane_threaded_ibmq.exceptions import JournalError, ThreadedIBMQError
from pennylane_threaded_ibmq.service import arrival

ARRIVAL_SECS = 6.0
HALF = 12


def main(tell, errors, role, *arguments):
    """Play a role; its errors go to a file."""
    stream = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(stream, sys.stderr.fileno())
    arrival.ARRIVAL_SECS = ARRIVAL_SECS
    ROLES[role](tell, *arguments)


def alone(tell, journal, result):
    """The program."""
    program.run(journal, result, lambda: tell.send(("ready", None)), arrival_secs=ARRIVAL_SECS)


def parent(tell, journal, result):
    """A program whose fork computes the second half while it computes the first."""
    dev = program.open_device(journal)
    dev.batches()
    _share(tell, dev, result)


def busy_parent(tell, journal, result):
    """The same, and another thread logs in meanwhile."""
    dev = program.open_device(journal)

    def log_in():
        for _ in range(3):
            program.open_device(journal, backend="least_busy")

    threading.Thread(target=log_in, daemon=True).start()
    _share(tell, dev, result)


def _share(tell, dev, result):
    worker = os.fork()
    if worker == 0:
        try:
            program.write(f"{result}.second", dev.batch_execute(program.ladder()[HALF:]))
        except ThreadedIBMQError:
            traceback.print_exc()
        finally:
            os._exit(0)  # its parent may be dead: whether it did its work only its results show
    tell.send(("ready", worker))
    program.write(f"{result}.first", dev.batch_execute(program.ladder()[:HALF]))


def waiter(tell, journal, result, last):
    """A program that resumes the batch after the last one as soon as all of it is sent, unless somebody has its results."""
    dev = program.open_device(journal)
    tell.send(("ready", None))
    while True:
        (batch, *_) = dev.batches(limit=1) or (None,)
        if batch is not None and batch.id != last:
            if batch.delivered:
                return None
            with suppress(JournalError):  # it is still being sent
                return program.write(result, dev.resume(batch.id).result())
        time.sleep(0.05)


ROLES = {role.__name__: role for role in (alone, parent, busy_parent, waiter)}
