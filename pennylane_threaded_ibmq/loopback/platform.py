"""Everything behind the HTTP interface, in one place."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import Executor
from typing import Any, Literal

from .classic_machines import ClassicMachine
from .config import Instance, LoopbackConfig, Project
from .faults import FaultPlan
from .jobs import JobStore
from .runner import Runner
from .scheduler import Scheduler
from .sessions import SessionStore
from .signals import Change
from .snapshots import Machine, load_machines
from .stack import serves_platform
from .tally import Tally
from .tokens import Issuer

BackendState = Literal["online", "paused", "retired"]


class Platform:
    """The state of one service. Made and owned by its event loop: nothing else may touch it.

    Args:
        config: What it pretends to be.
        pool: Where jobs are computed.
    """

    def __init__(self, config: LoopbackConfig, pool: Executor) -> None:
        self.config = config
        self.machines = load_machines(config.snapshots, Machine) if serves_platform() else {}
        self.classic_machines = load_machines(config.classic_snapshots, ClassicMachine)
        self.projects = {project.name: project for project in config.projects}
        self.instances = {instance.crn: instance for instance in config.instances}
        self.issuer = Issuer(config.tokens, config.token_lifetime_secs, any_key=config.any_token)
        self.change = Change()
        self.tally = Tally()
        self.faults = FaultPlan()
        self._let_go = asyncio.Event()
        self._retired: set[str] = set()
        self.jobs = JobStore(config, self.tally)
        self.sessions = SessionStore(config.keep_jobs)
        # A name of both faces is checked by the wider of its two descriptions.
        machines = {**self.classic_machines, **self.machines}
        self.runner = Runner(machines, noise=config.noise, seed=config.seed)
        self.scheduler = Scheduler(config, self.jobs, self.sessions, self.change, self.runner.execute, pool)

    def machine(self, name: str, instance: Instance) -> Machine | None:
        """A backend that an instance may use, and that is not retired."""
        return self.machines.get(name) if instance.offers(name) and name not in self._retired else None

    def set_backend(self, name: str, state: BackendState) -> None:
        """Put a backend of the Platform into a state.

        Args:
            name: Its name.
            state: The state.

        Raises:
            ValueError: There is no such backend.
        """
        if name not in self.machines:
            raise ValueError(f"there is no backend {name!r}; there are {', '.join(self.machines)}")
        for known, names in (("paused", self.scheduler.paused), ("retired", self._retired)):
            (names.add if state == known else names.discard)(name)
        self.change.notify()

    def classic_machine(self, name: str, project: Project) -> ClassicMachine | None:
        """A backend that a project may use."""
        return self.classic_machines.get(name) if project.offers(name) else None

    def queue_length(self, backend: str) -> int:
        """Jobs of a backend that are queued or running."""
        return sum(job.backend == backend for job in self.jobs.live())

    def clear_faults(self) -> None:
        """Take all faults out of force and let stalled answers go."""
        self.faults.clear()
        self._let_go.set()
        self._let_go = asyncio.Event()

    def stalling(self) -> Coroutine[Any, Any, Any]:
        """Waits until the answers that are stalled at the moment of the call are let go."""
        return self._let_go.wait()
