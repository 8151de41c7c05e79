"""Time, as all that waits for a service sees it."""

from __future__ import annotations

import time


class Clock:
    """The clock of this machine. A test hands down one that runs faster, and an hour passes in seconds."""

    def now(self) -> float:
        """Seconds since some moment; never less than before."""
        return time.monotonic()

    def pause(self, secs: float) -> float:
        """Real seconds that a pause of so many seconds takes."""
        return secs

    def limit(self, secs: float) -> float:
        """Real seconds for which an answer is waited for that may take so many seconds."""
        return secs


CLOCK = Clock()
"""The clock of this machine; it has no state."""
