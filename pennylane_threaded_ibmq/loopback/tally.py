"""Counting, while it goes on."""

from __future__ import annotations

from collections import Counter

from .records import Counters


class Tally:
    """The counters behind :class:`Counters`. Owned by the event loop."""

    def __init__(self) -> None:
        self._by_route: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()
        self._pending = 0
        self._running = 0
        self.reset()

    def reset(self) -> None:
        """Start counting anew; jobs in flight stay in the count of those pending and running."""
        self._by_route.clear()
        self._faults.clear()
        self.logins = self._jobs = self._pubs = self._rows = self._shots = 0
        self._received = self._sent = 0
        self._billed_jobs = 0
        self._usage_secs = 0.0
        self.connections = self.tunnels = self.refused = 0
        self._max_pending = self._pending
        self._max_running = self._running

    def request(self, label: str, received: int) -> None:
        """A request arrived, whatever becomes of it."""
        self._by_route[label] += 1
        self._received += received

    def fault(self, effect: str) -> None:
        """A fault hit the request."""
        self._faults[effect] += 1

    def answer(self, sent: int) -> None:
        """An answer was written."""
        self._sent += sent

    def job_created(self, pubs: int) -> None:
        """A job was accepted."""
        self._jobs += 1
        self._pubs += pubs
        self._pending += 1
        self._max_pending = max(self._max_pending, self._pending)

    def job_started(self) -> None:
        """A job began to run."""
        self._running += 1
        self._max_running = max(self._max_running, self._running)

    def job_finished(self, *, running: bool, rows: int, shots: int, usage_secs: float) -> None:
        """A job reached its final state, from ``Running`` or from ``Queued``."""
        self._pending -= 1
        self._running -= running
        self._rows += rows
        self._shots += shots
        self._billed_jobs += usage_secs > 0
        self._usage_secs += usage_secs

    def seen(self, label: str) -> int:
        """Requests of one route so far."""
        return self._by_route[label]

    def snapshot(self) -> Counters:
        """The counters now."""
        return Counters(
            requests=sum(self._by_route.values()),
            by_route=dict(sorted(self._by_route.items())),
            logins=self.logins,
            jobs=self._jobs,
            pubs=self._pubs,
            rows=self._rows,
            shots=self._shots,
            billed_jobs=self._billed_jobs,
            usage_secs=self._usage_secs,
            faults=dict(sorted(self._faults.items())),
            bytes_received=self._received,
            bytes_sent=self._sent,
            connections=self.connections,
            tunnels=self.tunnels,
            refused=self.refused,
            pending=self._pending,
            running=self._running,
            max_pending=self._max_pending,
            max_running=self._max_running,
        )
