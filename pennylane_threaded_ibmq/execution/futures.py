"""The futures that users get: no callback of theirs can end what fulfils them, and they keep alive what they need."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from .._compat import AnyFuture

logger = logging.getLogger(__name__)


class TapeFuture(AnyFuture):
    """The result of one tape.

    Attributes:
        keeps: What must not be forgotten before the future is fulfilled, such as the device.
    """

    keeps: object = None

    def add_done_callback(self, fn: Callable[[Future[Any]], object]) -> None:
        """Call a function when the future is done.

        A callback that leaves by an exit (``sys.exit``, ``pytest.fail``) in a thread of ours ends neither the thread nor
        the callbacks after it; it is logged, as other errors of callbacks are.
        """
        owner = threading.get_ident()

        def guarded(future: Future[Any]) -> None:
            try:
                fn(future)
            except Exception:
                raise
            except BaseException:
                if threading.get_ident() == owner:
                    raise
                logger.exception("a callback of a future left by an exit; what else waits for it goes on")

        super().add_done_callback(guarded)
