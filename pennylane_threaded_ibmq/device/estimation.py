"""Estimate instead of sending, for a whole program, whatever it is.

``THREADED_IBMQ_ESTIMATE`` names a file. While it is set, no device of this package sends anything: the first batch for
IBM Quantum is estimated, the estimate is added to the file as a line of JSON, and the program ends.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from ..circuits.shards import Shard
from ..settings import estimates_file
from .context import ExecutionContext


class OnlyEstimated(SystemExit):
    """Ends the program where it would have sent a batch.

    No error of the package's tree: a program that catches errors in order to try again must end as well.
    """


def stop_if_only_estimating(place: ExecutionContext, shards: Sequence[Shard], tapes: int) -> None:
    """End the program, if it is one that only estimates and this batch would be sent.

    Args:
        place: Where the batch runs; nothing happens on this machine.
        shards: The batch, cut.
        tapes: How many it has.

    Raises:
        OnlyEstimated: The estimate is in the file.
    """
    path = estimates_file()
    if path is None or not place.remote:
        return
    estimate = {"backend": place.name, "tapes": tapes, **asdict(place.estimate(shards, ask=True))}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(estimate) + "\n")
    raise OnlyEstimated(0)
