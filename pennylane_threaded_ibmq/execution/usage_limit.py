"""An instance that has used the QPU time that it has: IBM takes no more of its jobs until it gets more."""

from __future__ import annotations

import logging
import threading
from urllib.parse import quote

from ..exceptions import SubmissionError
from ..service.errors import status_code

logger = logging.getLogger(__name__)


class UsageLimit:
    """The usage limit of an instance, and what a device does about it.

    Args:
        instance: The instance.
        waits: Wait until there is time, in place of an error.
    """

    def __init__(self, instance: str, *, waits: bool) -> None:
        self._instance = instance
        self._waits = waits
        self._lock = threading.Lock()
        self._is_known = False

    def met(self, error: SubmissionError, batch_id: str) -> None:
        """A job was refused for it; the user hears of it once, until a job is taken again.

        Args:
            error: What the service answered.
            batch_id: The batch that the job belongs to; empty without a journal.

        Raises:
            SubmissionError: The user does not want to wait.
        """
        text = (
            f"Instance {self._instance!r} has met its usage limit, and IBM takes no more of its jobs until time is made "
            f"available: see {self._page}."
        )
        back = f"dev.resume({batch_id!r}), or the same tapes again," if batch_id else "the same tapes again"
        if not self._waits:
            raise SubmissionError(
                f"{text} What was not sent is sent by {back} once there is time; on_usage_limit='wait' waits for it. ({error})",
                status_code=status_code(error),
            ) from error
        with self._lock:
            first, self._is_known = not self._is_known, True
        if first:
            logger.warning(
                "%s What was not sent waits for it until timeout_secs, handle.cancel() or Ctrl-C end that; then it is sent by %s "
                "when there is time.",
                text,
                back,
            )

    def passed(self) -> None:
        """A job was taken."""
        with self._lock:
            self._is_known = False

    @property
    def _page(self) -> str:
        """Address of the page on which the user sees what is left."""
        crn = self._instance if self._instance.startswith("crn:") else ""
        return f"https://quantum.cloud.ibm.com/instances/{quote(crn, safe='')}"
