"""What a program is: a job's inputs in, the text of its results out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .snapshots import Machine

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

OVERHEAD_SECS = 2.0
SECS_PER_SHOT = 250e-6


@dataclass(frozen=True)
class Output:
    """What a job produced.

    Attributes:
        text: Results as JSON text.
        rows: Circuit executions.
        shots: Shots over all of them.
    """

    text: str
    rows: int
    shots: int


Program: TypeAlias = "Callable[[Machine, Mapping[str, Any]], Output]"
"""Runs one job on a backend: ``params`` of the job's body, with its typed values still encoded, to its output.

Raises :class:`.errors.JobRefusedError` if the job's content is not valid or cannot be simulated.
"""


def usage_secs(shots: int) -> float:
    """QPU seconds charged for a job that ran: 2 for the job and 250 microseconds for each shot."""
    return OVERHEAD_SECS + shots * SECS_PER_SHOT
