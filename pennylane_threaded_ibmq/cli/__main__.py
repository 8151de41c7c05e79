"""``python -m pennylane_threaded_ibmq.cli`` is ``threaded-ibmq``."""

from .app import main

main(prog_name="threaded-ibmq")
