"""Run a loopback service in a process of its own.

The first and only line on standard output is a JSON object: ``port``, ``url``, ``classic_url``, ``ca_bundle``, ``home``, ``key``, and
``environment``, the variables that point a client at the service.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from .config import LoopbackConfig
from .service import LoopbackService


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a service until a signal comes.

    Args:
        arguments: Command line; ``None`` for that of the process.

    Returns:
        Exit status.
    """
    parser = argparse.ArgumentParser(
        prog="python -m pennylane_threaded_ibmq.loopback",
        description=__doc__,
        epilog="Fields of the configuration and their defaults: " + LoopbackConfig().model_dump_json(),
    )
    parser.add_argument("--config", type=Path, help="JSON file with fields of the configuration")
    parser.add_argument("--until-eof", action="store_true", help="also end when standard input is closed")
    options = parser.parse_args(arguments)
    config = LoopbackConfig()
    if options.config is not None:
        try:
            config = LoopbackConfig.model_validate_json(options.config.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            parser.error(str(error))
    end = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: end.set())
    # Ctrl-C in a terminal reaches child processes too; one that serves a parent ends when the parent does, so that the
    # parent can still tidy up.
    signal.signal(signal.SIGINT, signal.SIG_IGN if options.until_eof else lambda *_: end.set())
    with ExitStack() as stack:
        try:
            service = stack.enter_context(LoopbackService(config))
        except (OSError, ValueError) as error:  # the port is taken, a backend has no snapshot
            parser.exit(1, f"{parser.prog}: error: {error}\n")
        greeting = {
            **asdict(service.endpoint),
            "url": service.url,
            "classic_url": service.classic_url,
            "environment": service.environment(token=config.tokens[0], instance=config.instances[0].crn),
        }
        sys.stdout.write(json.dumps(greeting) + "\n")
        sys.stdout.flush()
        if options.until_eof:
            threading.Thread(target=_wait_for_eof, args=(end,), daemon=True).start()
        # on Windows Ctrl-C reaches no program that waits without end
        while not end.wait(1.0):
            pass
    return 0


def _wait_for_eof(end: threading.Event) -> None:
    sys.stdin.read()
    end.set()


if __name__ == "__main__":
    sys.exit(main())
