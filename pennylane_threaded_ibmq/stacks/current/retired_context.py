"""The execution context for a backend that IBM has retired: results of what was sent to it are collected, and nothing is sent."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ..._compat import cached_property
from ...circuits.limits import SERVICE_MOST, weigh
from ...circuits.shards import Limits
from ...device.context import ExecutionContext, open_remote
from ...execution.usage import overheads
from ...service.account import Credentials, log_in
from ...simulators.targets import general_target
from ...store.journal import Journals
from .jobs import LanePrimitives, PlatformJobs

if TYPE_CHECKING:
    from ...resources import Resources
    from ...service.outage import Outage
    from ...settings import Settings
    from ...store.records import BatchRecord


@dataclass(frozen=True)
class RetiredBackend:
    """The rest of a backend: its name, and gates that say what a result looks like.

    Attributes:
        name: Its name.
    """

    name: str
    num_qubits: None = None

    @cached_property
    def target(self) -> Any:
        """Gates on any qubits."""
        return general_target()

    def configuration(self) -> Any:
        """The configuration, as far as it is known."""
        return SimpleNamespace(simulator=False)


def open_retired(
    settings: Settings,
    credentials: Credentials,
    primitive_options: dict[str, dict[str, Any]],
    only: str | None,
    outage: Outage,
    resources: Resources,
) -> ExecutionContext | None:
    """Open a backend that the account does not have any more, to collect what was sent to it.

    Args:
        settings: Options of the device.
        credentials: Who logs in where.
        primitive_options: Options of the primitives, split by primitive.
        only: The kind of primitives whose model they fit, if it is one alone.
        outage: Whether the service answers.
        resources: What the device shares with others.

    Returns:
        The place; ``None`` if the journal knows of nothing that was ever sent there.
    """
    batch = _latest(settings, resources)
    if batch is None:
        return None
    warnings.warn(
        f"backend={batch.backend!r}: the account has no such backend any more. dev.resume() and threaded-ibmq resume collect "
        "what was sent to it; nothing else can run there.",
        UserWarning,
        stacklevel=2,
    )
    service = log_in(replace(credentials, instance=batch.instance))
    backend = RetiredBackend(batch.backend)
    jobs = PlatformJobs(
        service, backend, primitive_options, api=settings.primitive_api, only=only, outage=outage
    )
    primitive = batch.options.get("primitive") if settings.primitive == "auto" else settings.primitive
    place = open_remote(
        jobs,
        settings,
        resources,
        instance=batch.instance,
        estimator=primitive != "sampler",
        limits=Limits(
            SERVICE_MOST,
            partial(weigh, overhead=overheads(primitive_options)),
            one_number_of_shots=jobs.uniform,
            equal_shots=jobs.uniform,
        ),
        without=frozenset(),
        open_inner=lambda: LanePrimitives(backend),
    )
    return replace(place, retired=True)


def _latest(settings: Settings, resources: Resources) -> BatchRecord | None:
    path = settings.journal_file
    if path is None or not path.exists():
        return None
    batches = resources.get(Journals).at(path).batches(limit=500)
    return next((batch for batch in batches if batch.backend == settings.backend), None)
