"""A user's program, for tests that kill one: runs twelve shards and writes what it got, once, at the end.

Usage: program.py JOURNAL RESULT [OPTION=VALUE ...]; leave=True leaves as soon as four jobs are pending, arrival_secs is
how long a request may take that nobody waits for, cancel_secs how long an interrupt waits for answers, and thread="daemon"
or "plain" waits in a thread of that kind; idle=True does nothing.
"""

import ast
import json
import os
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pennylane as qml

from pennylane_threaded_ibmq.execution import batch
from pennylane_threaded_ibmq.service import arrival


def ladder():
    """Two dozen tapes, twelve shards of this program."""
    return [
        qml.tape.QuantumScript([qml.RY(angle, 0), qml.CNOT([0, 1])], [qml.expval(qml.Z(1))], shots=1000)
        for angle in np.linspace(0, np.pi, 24)
    ]


def open_device(journal, **options):
    """The device of this program."""
    options = {"backend": "ibm_manila", "shard_size": 2, "max_jobs": 4, **options}
    return qml.device("threaded.ibmq", wires=2, journal=journal, **options)


def write(result, values):
    """Write results, all of them at once."""
    scratch = Path(f"{result}.{os.getpid()}.part")
    scratch.write_text(json.dumps([float(v) for v in values]))
    scratch.rename(result)


def run(
    journal,
    result,
    ready,
    *,
    leave=False,
    idle=False,
    arrival_secs=4.0,
    cancel_secs=30.0,
    thread=None,
    **options,
):
    """Run it: ``ready`` is called when the device is there and nothing is sent yet."""
    arrival.ARRIVAL_SECS, batch.CANCEL_SECS = arrival_secs, cancel_secs
    tapes = ladder()
    dev = open_device(journal, **options)
    ready()
    if idle:
        threading.Event().wait(120)
    if leave:
        handle = dev.submit(tapes)
        while len(handle.job_ids) < 4:
            time.sleep(0.02)
        sys.exit()
    if thread is not None:
        worker = threading.Thread(target=dev.batch_execute, args=(tapes,), daemon=thread == "daemon")
        worker.start()
        # the system may give a signal to another thread, and Python handles it in this one, once that wakes up
        while worker.is_alive():
            worker.join(0.2)
        return
    write(result, dev.batch_execute(tapes))


if __name__ == "__main__":
    run(
        sys.argv[1],
        sys.argv[2],
        lambda: print("ready", os.getpid(), flush=True),
        **{name: ast.literal_eval(value) for name, value in (o.split("=", 1) for o in sys.argv[3:])},
    )
