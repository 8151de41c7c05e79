"""A service that is out for a while, and a clock that makes twenty minutes of it short."""

from __future__ import annotations

import select
import socket
import threading
import time
from contextlib import contextmanager, suppress

from pennylane_threaded_ibmq import ThreadedIBMQDevice
from pennylane_threaded_ibmq.loopback import Fault
from pennylane_threaded_ibmq.service.clock import Clock

OUTAGE_SECS = 1200.0
"""How long the service is out, by the clock of the device."""


FAULTS = {
    "reset": Fault(effect="reset", on=".*", times=None),
    "503": Fault(effect="status", status=503, retry_after=0, on=".*", times=None),
    "silent": Fault(effect="stall", on=".*", times=None),
}
"""What an outage looks like to whoever sends a request."""


class FastClock(Clock):
    """Time runs ``factor`` times as fast; answers get more of it, as the machine that gives them does not."""

    def __init__(self, factor=120.0, answer_factor=60.0):
        self._factor = factor
        self._answer_factor = answer_factor
        self._began = time.monotonic()

    def now(self):
        return (time.monotonic() - self._began) * self._factor

    def pause(self, secs):
        return secs / self._factor

    def limit(self, secs):
        return secs / self._answer_factor


class FastDevice(ThreadedIBMQDevice):
    """The device, with a clock of its own."""

    def __init__(self, *arguments, **options):
        self._clock = FastClock()
        super().__init__(*arguments, **options)


@contextmanager
def kept_port():
    """A port that no other program is given meanwhile: who connects is refused unless somebody listens there."""
    with socket.socket() as kept:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("127.0.0.1", 0))
        yield kept.getsockname()[1]


class Line:
    """A line to a service that can be cut: whoever connects is refused, and what was connected is reset.

    Args:
        target: Port of the service.
        port: Port of the line, kept for it.
    """

    def __init__(self, target, port):
        self._target = target
        self.port = port
        self._open = []
        self._lock = threading.Lock()
        self._listener = None
        self.mend()

    @property
    def url(self):
        """Base URL for the client."""
        return f"http://127.0.0.1:{self.port}/experimental"

    def mend(self):
        """Connect it."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen()
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def cut(self):
        """Cut it."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._lock:
            ends, self._open = self._open, []
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener):
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._target))
            with self._lock:
                if self._listener is not listener:
                    near.close()
                    far.close()
                    return
                self._open += [near, far]
            threading.Thread(target=self._run_shard, args=(near, far), daemon=True).start()

    def _run_shard(self, near, far):
        with near, far, suppress(OSError):
            while True:
                for end in select.select([near, far], [], [])[0]:
                    data = end.recv(65536)
                    if not data:
                        return
                    (far if end is near else near).sendall(data)
