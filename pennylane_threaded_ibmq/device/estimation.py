"""Estimate instead of sending, for a whole program, whatever it is.

``THREADED_IBMQ_ESTIMATE`` names a file. While it is set, no device of this package sends anything: the first batch for
IBM Quantum is estimated, the estimate is added to the file as a line of JSON, and the program ends.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from ..settings import estimates_file
from .planner import Plan


class OnlyEstimated(SystemExit):
    """Ends the program where it would have sent a batch.

    No error of the package's tree: a program that catches errors in order to try again must end as well.
    """


def stop_if_only_estimating(plan: Plan) -> None:
    """End the program, if it is one that only estimates and this batch would be sent.

    Args:
        plan: The batch; nothing happens where it runs on this machine.

    Raises:
        OnlyEstimated: The estimate is in the file.
    """
    path = estimates_file()
    if path is None or not plan.context.remote:
        return
    found = plan.context.estimate(plan.shards, ask=True)
    estimate = {"backend": plan.context.name, "tapes": len(plan.tapes), **asdict(found)}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(estimate) + "\n")
    raise OnlyEstimated(0)
