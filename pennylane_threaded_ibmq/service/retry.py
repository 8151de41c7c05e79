"""Retries of what failed, and the pauses between: one policy for all that is asked of a service.

A request that creates a job is not tried again by it: whoever sends one looks for the job first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, wait_exponential, wait_random_exponential

T = TypeVar("T")


@dataclass(frozen=True)
class RetryPolicy:
    """A number of tries, and the pauses between: each is twice as long as the last.

    Attributes:
        first_secs: The first pause.
        longest_secs: The longest.
        attempts: Most tries; ``None`` for no limit.
        spread: Pauses are drawn, up to those, so that many who wait do not all come back at once.
    """

    first_secs: float
    longest_secs: float
    attempts: int | None = None
    spread: bool = False

    def pause_secs(self, failures: int) -> float:
        """The pause after so many failures in a row, from 1 on."""
        return min(self.first_secs * 2.0 ** min(failures - 1, 100), self.longest_secs)

    def is_over(self, failures: int) -> bool:
        """Whether something that failed so often is not tried again."""
        return self.attempts is not None and failures >= self.attempts

    def run(
        self,
        attempt: Callable[[], T],
        *,
        passes: Callable[[BaseException], bool],
        pause: Callable[[float], None],
        failed: Callable[[BaseException], None] = lambda _: None,
        over: Callable[[BaseException], bool] = lambda _: False,
    ) -> T:
        """Try until it succeeds.

        Args:
            attempt: Tries once, within a bounded time.
            passes: Whether an error can pass; others are raised at once.
            pause: Waits for so many seconds; what it raises ends the trying.
            failed: Told of each error after which it is tried again.
            over: Whether an error is the last, for another reason than the number of tries.

        Raises:
            BaseException: The last error.
        """
        wait = (wait_random_exponential if self.spread else wait_exponential)(
            multiplier=self.first_secs, max=self.longest_secs
        )
        trying = Retrying(
            retry=retry_if_exception(passes),
            wait=wait,
            stop=lambda state: self.is_over(state.attempt_number) or over(_error(state)),
            sleep=pause,
            before_sleep=lambda state: failed(_error(state)),
            reraise=True,
        )
        return trying(attempt)


def _error(state: RetryCallState) -> BaseException:
    """The error that a try failed with."""
    error = None if state.outcome is None else state.outcome.exception()
    assert error is not None
    return error
