"""What a program is: a job's inputs in, the text of its results out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import JobRefusedError
from .snapshots import Machine

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

OVERHEAD_SECS = 2.0
SECS_PER_SHOT = 250e-6
_MOST_SHOTS = 10_000_000


@dataclass(frozen=True)
class Output:
    """What a job produced.

    Attributes:
        text: Results as JSON text.
        rows: Circuit executions.
        shots: Shots over all of them.
        free: Nothing is charged for them.
    """

    text: str
    rows: int
    shots: int
    free: bool = False

    @property
    def usage_secs(self) -> float:
        """QPU seconds charged: 2 for a job that ran and 250 microseconds for each shot."""
        return 0.0 if self.free else OVERHEAD_SECS + self.shots * SECS_PER_SHOT


Program: TypeAlias = "Callable[[Machine, Mapping[str, Any]], Output]"
"""Runs one job on a backend: ``params`` of the job's body, with its typed values still encoded, to its output.

Raises :class:`.errors.JobRefusedError` if the job's content is not valid or cannot be simulated.
"""


def check_shots(shots: int, what: str) -> None:
    """Refuse what would take more memory than a loopback service should; IBM does not hold anybody to ``max_shots``.

    Args:
        shots: Shots of each row.
        what: What asks for them.

    Raises:
        JobRefusedError: It is too many.
    """
    if shots > _MOST_SHOTS:
        raise JobRefusedError(
            1103,
            f"{what} asks for {shots} shots; at most {_MOST_SHOTS} can be simulated.",
            "Use fewer shots.",
        )
